"""Names of layers as names in Python."""

import keyword

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caffe_transfer.export.identifiers import Identifiers, class_name, identifier


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("conv1", "conv1"), ("inception_3a/1x1", "inception_3a_1x1"), ("1x1", "n1x1"),
        ("class", "nclass"), ("fc8-new", "fc8_new"), ("", "_"), ("größe", "gr__e"),
        ("__init__", "n__init__"),
    ],
)  # fmt: skip
def test_what_an_identifier_cannot_have(name: str, wanted: str) -> None:
    assert identifier(name) == wanted


@given(st.lists(st.text(max_size=8), max_size=20))
def test_no_two_names_share_one(names: list[str]) -> None:
    found = Identifiers({"torch", "self"})
    made = {name: found.of(name) for name in names}
    assert len(set(made.values())) == len(made)
    for name, each in made.items():
        assert each.isidentifier()
        assert not keyword.iskeyword(each)
        assert each not in ("torch", "self")
        assert found.of(name) == each


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("CaffeNet", "CaffeNet"), ("mini half0A", "MiniHalf0A"), ("", "Net"), ("3d", "Net3d"),
        ("ResNet-50", "ResNet50"), ('a"""\n', "A"),
    ],
)  # fmt: skip
def test_classes(name: str, wanted: str) -> None:
    assert class_name(name) == wanted
