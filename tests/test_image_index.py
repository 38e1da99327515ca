"""Where images lie: written, read and found again."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caffe_transfer.data_prep.image_index import Draft, Holder, ImageIndex, Place, holder_of_tar
from caffe_transfer.errors import BadInput, FormatError
from tests.small_ilsvrc12 import tar_bytes

names = st.sets(st.text(st.characters(exclude_characters="\n\0"), min_size=1))


@given(names, st.text())
def test_finds_what_is_there(there: set[str], other: str) -> None:
    there = {name for name in there if name.isprintable()}
    draft = Draft([Holder("cat"), Holder("dog")])
    for number, name in enumerate(there):
        draft.add(name, number, 9)
    index = draft.index()
    assert index.names() == there
    for number, name in enumerate(there):
        assert index.find(name) == Place(1, number, 9)
    if other.isprintable() and other not in there:
        assert index.find(other) is None


def test_written_and_read(tmp_path: Path) -> None:
    (tmp_path / "b.tar").write_bytes(tar_bytes({}))
    draft = Draft([Holder("a")])
    draft.add("bär.jpg")
    draft.holders.append(holder_of_tar(tmp_path, "b.tar"))
    draft.add("ant \udcff.jpg", 1 << 40, 7)  # a name that is not in UTF-8
    draft.index().write(tmp_path / "x.npz")
    index = ImageIndex.read(tmp_path / "x.npz", tmp_path)
    assert index.holders == tuple(draft.holders)
    assert index.find("ant \udcff.jpg") == Place(1, 1 << 40, 7)
    bear = index.find("bär.jpg")
    assert bear is not None
    assert bear.is_file
    assert bear.holder == 0


def test_an_empty_index(tmp_path: Path) -> None:
    Draft().index().write(tmp_path / "x.npz")
    index = ImageIndex.read(tmp_path / "x.npz", tmp_path)
    assert index.names() == frozenset()
    assert index.find("a") is None


def test_what_is_no_index(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(tar_bytes({"a.jpg": b""}))
    path = tmp_path / "x.npz"
    Draft().index().write(path)
    for content in (b"", b"no index", path.read_bytes()[:-100]):
        path.write_bytes(content)
        with pytest.raises(FormatError, match=r"x\.npz is not a list of where .*; remove "):
            ImageIndex.read(path, tmp_path)


def test_a_tar_that_is_gone(tmp_path: Path) -> None:
    draft = Draft([Holder("a.tar", 1, 1)])
    draft.index().write(tmp_path / "x.npz")
    with pytest.raises(BadInput, match=r"a\.tar, which holds images, cannot be read: No such"):
        ImageIndex.read(tmp_path / "x.npz", tmp_path)


def test_a_name_with_a_line_break_is_left_out(tmp_path: Path) -> None:
    """It would be two names, and all that follow would lie where others do."""
    draft = Draft([Holder("a")])
    for name, offset in (("b.jpg", 512), ("a\n.jpg", 1536), ("c.jpg", 2560)):
        draft.add(name, offset, 1)
    index = draft.index()
    assert set(index.names()) == {"b.jpg", "c.jpg"}
    assert index.find("c.jpg") == Place(0, 2560, 1)
