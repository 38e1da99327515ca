"""Two blobs, number by number."""

import hashlib
from mmap import mmap
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caffe_transfer.comparison import blobs
from caffe_transfer.comparison.blobs import compare_blob, compare_blobs, summary_of
from caffe_transfer.formats.caffemodel import Blob, open_model
from caffe_transfer.formats.layer_records import forget
from tests.models import write_model

FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)


def blob(*values: float, shape: tuple[int, ...] = ()) -> Blob:
    return Blob(shape or (len(values),), np.array(values, np.float32))


def test_what_differs_is_counted() -> None:
    found = compare_blob("conv1 0", blob(1, 2, 3), blob(1, 2.5, np.nextafter(np.float32(3), 9)))
    assert (found.different, found.largest, found.nans) == (2, 0.5, 0)
    assert found.ulps == 2**21  # 2 and 2.5 have one exponent and differ in the second of 23 bits
    assert found.sha256[0] == hashlib.sha256(np.array([1, 2, 3], "<f4").tobytes()).hexdigest()


@given(st.floats(-(2.0**100), 2.0**100, width=32), st.integers(0, 1000))
def test_ulps_are_steps_of_nextafter(start: float, steps: int) -> None:
    end = np.float32(start)
    for _ in range(steps):
        end = np.nextafter(end, np.float32(np.inf))
    found = compare_blob("x", blob(start), blob(float(end)))
    assert found.ulps == steps


@given(st.lists(st.tuples(FLOATS, FLOATS), min_size=1))
def test_both_ways_round_are_the_same(pairs: list[tuple[float, float]]) -> None:
    left, right = (blob(*side) for side in zip(*pairs, strict=True))
    there, back = compare_blob("x", left, right), compare_blob("x", right, left)
    assert (there.different, there.largest, there.ulps) == (
        back.different, back.largest, back.ulps,
    )  # fmt: skip
    assert there.identical == (left.values.tobytes() == right.values.tobytes())


def test_nans_are_counted_and_kept_out_of_the_distances() -> None:
    nan = float("nan")
    found = compare_blob("x", blob(nan, 1, 2), blob(0, nan, 2.5))
    assert (found.nans, found.different, found.largest) == (2, 3, 0.5)
    assert compare_blob("x", blob(nan, 1), blob(nan, 1)).nans == 1
    all_nan = compare_blob("x", blob(nan), blob(1))
    assert (all_nan.different, all_nan.ulps) == (1, 0)


def test_infinities_and_the_two_zeros() -> None:
    inf = float("inf")
    assert compare_blob("x", blob(inf), blob(-inf)).largest == inf
    zeros = compare_blob("x", blob(0.0), blob(-0.0))
    assert (zeros.different, zeros.largest, zeros.ulps) == (1, 0, 0)


def test_blobs_longer_than_a_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blobs, "CHUNK", 2)
    found = compare_blob("x", blob(1, 2, 3, 4, 5), blob(1, 2, 3, 4, 7))
    assert (found.different, found.largest) == (1, 2)


def test_what_was_read_of_a_mapped_file_is_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blobs, "CHUNK", 3)
    arrays = write_model(tmp_path / "a"), write_model(tmp_path / "b", seed=1)
    given: list[object] = []
    monkeypatch.setattr(blobs, "forget", given.append)
    with open_model(tmp_path / "a") as a, open_model(tmp_path / "b") as b:
        left, right = (model.with_blobs["fc3"].blobs[0] for model in (a, b))
        found = compare_blob("fc3 0", left, right)
        forget(left.values.base)  # the file is read anew after it
        assert left.tobytes() == arrays[0]["fc3"][0].tobytes()
    assert found.different == 40
    assert found.largest == np.abs(arrays[0]["fc3"][0] - arrays[1]["fc3"][0]).max()
    assert len(given) == 2 * 14  # 40 numbers, three at a time, of both
    assert all(isinstance(view, memoryview) and isinstance(view.obj, mmap) for view in given)


def test_one_number_without_axes() -> None:
    found = compare_blob("x", Blob((), np.ones(1, np.float32)), None)
    assert found.shape_texts == ("1", "missing")


def test_shapes_that_do_not_fit_and_blobs_that_are_missing() -> None:
    legacy = compare_blob("x", blob(1, 2, shape=(1, 1, 1, 2)), blob(1, 2))
    assert legacy.identical  # as Caffe reads biases of old files
    wrong = compare_blob("x", blob(1, 2), blob(1, 2, 3))
    assert not wrong.identical
    assert wrong.shape_texts == ("2", "3")
    doubles = Blob((2,), np.array([1, 2], np.float64))
    assert not compare_blob("x", blob(1, 2), doubles).identical
    found = compare_blobs({"a": (blob(1), blob(2))}, {"a": (blob(1),), "b": (blob(3),)})
    assert [(each.name, each.identical, each.shape_texts) for each in found] == [
        ("a 0", True, ("1", "1")),
        ("a 1", False, ("1", "missing")),
        ("b 0", False, ("missing", "1")),
    ]


def test_the_summary_says_what_differs_and_where_most() -> None:
    left = {"a": (blob(1), blob(2, 3)), "b": (blob(4), blob(5)), "c": (blob(1),)}
    right = {"a": (blob(1), blob(2)), "b": (blob(4.5), blob(7)), "d": (blob(1), blob(2))}
    assert summary_of(compare_blobs(left, right)) == (
        "7 blobs: 1 identical, 2 with other numbers, 1 of another shape or type, 1 only in the "
        "first, 2 only in the second; at most by 2 (b 1)"
    )
    assert summary_of(compare_blobs(left, left)) == "5 blobs: 5 identical"
