"""Image lists: what convert_imageset reads, and what a list must not hold."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caffe_transfer.data_prep import lists
from caffe_transfer.data_prep.lists import ImageList
from caffe_transfer.errors import BadInput, FormatError, Incomplete

# Any bytes that a path can hold but line breaks, as Python decodes them.
names = st.binary(min_size=1).map(
    lambda name: os.fsdecode(name.replace(b"\0", b" ").replace(b"\n", b"\r"))
) | st.text("abc/._ ", min_size=1)

image_lists = st.lists(st.tuples(names, st.integers(0, 9)), min_size=1, max_size=40).map(
    lambda rows: ImageList(tuple(name for name, _ in rows), tuple(label for _, label in rows))
)


@given(image_lists)
def test_written_and_read_back(tmp_path_factory: pytest.TempPathFactory, images: ImageList) -> None:
    path = tmp_path_factory.mktemp("lists") / "files.txt"
    lists.write(images, path)
    assert lists.read(path) == images
    assert path.read_bytes() == os.fsencode(images.text)


@given(image_lists, st.integers(1, 5))
def test_first_of_each_class_keeps_order(images: ImageList, count: int) -> None:
    kept = images.first_of_each_class(count)
    for label in set(images.labels):
        before = [p for p, each in zip(images.paths, images.labels, strict=True) if each == label]
        after = [p for p, each in zip(kept.paths, kept.labels, strict=True) if each == label]
        assert after == before[:count]


@given(image_lists, st.integers(0, 1000))
def test_shuffling_loses_nothing(images: ImageList, seed: int) -> None:
    shuffled = images.shuffled(seed)
    rows = zip(shuffled.paths, shuffled.labels, strict=True)
    assert sorted(rows) == sorted(zip(images.paths, images.labels, strict=True))
    assert shuffled == images.shuffled(seed)


def test_relabel_ranks_the_chosen_classes() -> None:
    images = ImageList(("a", "b", "c", "d"), (5, 2, 7, 2))
    assert images.relabel([2, 7]) == ImageList(("b", "c", "d"), (0, 1, 0))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cat/1.jpg\n", "line 1: 'cat/1.jpg' is not 'path label'"),
        ("a.jpg 0\nb.jpg x\n", "line 2: 'b.jpg x' is not 'path label'"),
        ("a.jpg -1\n", "line 1"),
        (" 0\n", "line 1: ' 0' is not 'path label'"),
        ("a.jpg 2147483648\n", "line 1: 2147483648 is above 2147483647, the last label"),
        (f"a.jpg {'9' * 5000}\n", "line 1: 999.* is above 2147483647, the last label"),
        ("", "lists no images"),
    ],
)
def test_bad_lists(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "list.txt"
    path.write_text(text)
    with pytest.raises(FormatError, match=message) as error:
        lists.read(path)
    assert str(path) in str(error.value)


def test_binary_or_missing_list(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FormatError, match="UTF-8"):
        lists.read(path)
    with pytest.raises(Incomplete, match=r"none\.txt"):
        lists.read(tmp_path / "none.txt")
    with pytest.raises(BadInput, match="cannot read"):
        lists.read(tmp_path)


def test_names_with_line_breaks_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"'my\\ncat.jpg' holds a line break"):
        lists.write(ImageList(("my\ncat.jpg",), (0,)), tmp_path / "list.txt")
    assert not (tmp_path / "list.txt").exists()


def test_wrong_labels_are_named() -> None:
    images = ImageList(("a.jpg", "b.jpg"), (0, 3))
    with pytest.raises(BadInput, match=r"b\.jpg has label 3, but there are 3 classes"):
        images.check_labels(3)
    images.check_labels(4)
