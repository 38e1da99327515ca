"""Times and sizes as people read and write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caffe_transfer.units import bytes_in, size, size_above


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("800GB", 800 * 10**9), ("1.5TB", 1_500_000_000_000), ("500 MB", 500_000_000),
        (" 2kb ", 2000), (".5gb", 500_000_000), ("7. GB", 7 * 10**9),
    ],
)  # fmt: skip
def test_sizes(text: str, count: int) -> None:
    assert bytes_in(text) == count


@pytest.mark.parametrize(
    "text", ["", "800", "GB", "-1GB", "1GiB", "1e3GB", "٣GB", "1.2.3GB", "nanGB"]
)
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a size; sizes are like 800GB, 1\.5TB or 500 MB"):
        bytes_in(text)


@given(st.integers(0, 10**16))
def test_a_size_that_is_enough(count: int) -> None:
    assert count <= bytes_in(size_above(count)) <= count + max(100, count // 9)
    assert bytes_in(size(count)) == pytest.approx(count, rel=0.06, abs=50)
