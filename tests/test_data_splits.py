"""Splits: the authors' published lists first."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caffe_transfer.data_prep import lists, published, splits
from caffe_transfer.data_prep.lists import ImageList
from caffe_transfer.data_prep.published import State
from caffe_transfer.errors import BadInput, Incomplete
from caffe_transfer.paths import DataFolder
from caffe_transfer.studies.network import Split

KEYS = ("0", "1", "2", "3", "natman")


def write_halves(images: ImageList, data: DataFolder) -> None:
    for key in KEYS:
        split = Split(key)
        halves = splits.halves_of(split, splits.ilsvrc12_synsets())
        splits.write_split(split, halves, {"valid": images}, splits.ilsvrc12_synsets(), data)


def test_validation_lists_are_the_authors(authors: Path, tmp_path: Path) -> None:
    data = DataFolder(tmp_path)
    whole = lists.read(authors / "ilsvrc12/data/whole_valid/files.txt")
    splits.write_whole({"valid": whole}, data)
    write_halves(whole, data)
    verdicts = {each.name: each.state for each in published.verify(data)}
    valid = {name: state for name, state in verdicts.items() if name.endswith("_valid")}
    assert len(valid) == 11
    assert set(valid.values()) == {State.IDENTICAL}
    train = [state for name, state in verdicts.items() if name.endswith("_train")]
    assert train == [State.NOT_CHECKABLE] * 22


def test_natural_classes_are_the_authors(authors: Path) -> None:
    theirs = (authors / "ilsvrc12/data/half_nat_idx.txt").read_text().split()
    halves = splits.natural_man_made(splits.ilsvrc12_synsets())
    assert halves.a == tuple(int(float(index)) for index in theirs)
    assert (len(halves.a), len(halves.b)) == (449, 551)


def test_synsets_are_the_authors(authors: Path) -> None:
    theirs = (authors / "ilsvrc12/synsets.txt").read_text().split()
    assert splits.ilsvrc12_synsets() == tuple(theirs)


def test_a_changed_list_is_shown_by_its_first_line(authors: Path, tmp_path: Path) -> None:
    ours, reference = DataFolder(tmp_path / "ours"), authors / "ilsvrc12/data"
    text = (reference / "whole_valid/files.txt").read_text()
    ours.list("whole_valid").parent.mkdir(parents=True)
    ours.list("whole_valid").write_text(text.replace(" 970\n", " 971\n", 1))
    verdict = next(
        each for each in published.verify(ours, DataFolder(reference)) if each.name == "whole_valid"
    )
    assert verdict.state is State.DIFFERENT
    assert verdict.detail.startswith("line 2 is 'ILSVRC2012_val_00000002.JPEG 971'")


@given(st.integers(0, 2**31 - 1), st.integers(2, 60))
def test_random_halves_partition_the_classes(seed: int, count: int) -> None:
    halves = splits.random_halves(seed, count)
    assert sorted(halves.a + halves.b) == list(range(count))
    assert len(halves.a) == count // 2
    assert list(halves.a) == sorted(halves.a)
    assert list(halves.b) == sorted(halves.b)


@given(st.integers(0, 99), st.lists(st.integers(0, 9), min_size=20, max_size=60))
def test_every_image_goes_to_one_half(seed: int, labels: list[int]) -> None:
    images = ImageList(tuple(f"{n}.png" for n in range(len(labels))), tuple(labels))
    halves = splits.random_halves(seed, 10)
    parts = [images.relabel(classes) for _, classes in halves.sides]
    assert sorted(p for part in parts for p in part.paths) == sorted(images.paths)
    old = dict(zip(images.paths, images.labels, strict=True))
    for part, (_, classes) in zip(parts, halves.sides, strict=True):
        for path, label in zip(part.paths, part.labels, strict=True):
            assert classes[label] == old[path]


def test_the_map_of_labels(tmp_path: Path) -> None:
    data = DataFolder(tmp_path)
    halves = splits.custom(["dog", "0"], ["bus"], ["cat", "bus", "dog"])
    images = {"train": ImageList(("a", "b", "c"), (2, 1, 0))}
    splits.write_split(Split("pets"), halves, images, ["cat", "bus", "dog"], data)
    assert data.list("halfpetsA_train").read_text() == "a 1\nc 0\n"
    assert data.list("halfpetsB_train").read_text() == "b 0\n"
    assert data.labels("halfpets").read_text().splitlines()[1:] == [
        "halfpetsA 0 0 cat",
        "halfpetsA 2 1 dog",
        "halfpetsB 1 0 bus",
    ]


def test_reduced_lists(tmp_path: Path) -> None:
    data = DataFolder(tmp_path)
    splits.write_reduced(1, ImageList(("a", "b", "c"), (0, 0, 1)), data)
    assert data.list("reduced-0001_train").read_text() == "a 0\nc 1\n"
    with pytest.raises(BadInput, match="1 or more"):
        splits.write_reduced(0, ImageList(("a",), (0,)), data)


def test_an_unchanged_list_keeps_its_time(tmp_path: Path) -> None:
    data, images = DataFolder(tmp_path), {"train": ImageList(("a",), (0,))}
    splits.write_whole(images, data)
    before = data.list("whole_train").stat().st_ino
    splits.write_whole(images, data)
    assert data.list("whole_train").stat().st_ino == before


def test_impossible_splits() -> None:
    with pytest.raises(BadInput, match="2 are needed"):
        splits.random_halves(0, 1)
    with pytest.raises(BadInput, match="split 4294967296 is not a seed from 0 to 4294967295"):
        splits.random_halves(2**32, 10)
    with pytest.raises(BadInput, match="'cat' is not one of the 1000"):
        splits.halves_of(Split("natman"), ["cat", "dog"])
    with pytest.raises(BadInput, match="all natural or all man-made"):
        splits.natural_man_made(["n01440764", "n01443537"])
    with pytest.raises(BadInput, match="class cat is in both"):
        splits.custom(["cat"], ["cat"], ["cat", "dog"])
    with pytest.raises(BadInput, match="task B names the class 'bus'"):
        splits.custom(["cat"], ["bus"], ["cat", "dog"])
    with pytest.raises(BadInput, match="no classes, or one of them twice"):
        splits.custom(["cat", "0"], ["dog"], ["cat", "dog"])
    with pytest.raises(BadInput, match="give its two class lists"):
        splits.halves_of(Split("mine"), ["cat", "dog"])
    with pytest.raises(BadInput, match="letters a-z"):
        splits.halves_of(Split("m1"), ["cat", "dog"], ["cat"], ["dog"])


def test_tasks_that_overlap_or_have_no_classes() -> None:
    mine, classes = Split("mine"), ["cat", "bus", "dog"]

    def tasks(a: splits.Task, b: splits.Task, overlap: bool = False) -> splits.Halves:
        return splits.halves_of(mine, classes, a, b, overlap=overlap)

    assert tasks(None, "all") == splits.Halves((), (0, 1, 2))
    assert tasks(None, "all").sides == (("B", (0, 1, 2)),)
    assert tasks(["dog"], None).sides == (("A", (2,)),)
    assert tasks(["dog", "cat"], "all", overlap=True) == splits.Halves((0, 2), (0, 1, 2))
    with pytest.raises(BadInput, match=r"class cat is in both tasks; .* that they may overlap"):
        tasks(["cat", "dog"], ["0"])
    with pytest.raises(BadInput, match="class cat is in both"):
        tasks("all", ["0"])
    with pytest.raises(BadInput, match="neither task has classes"):
        splits.custom(None, None, classes)


def test_a_task_without_classes_has_no_lists(tmp_path: Path) -> None:
    data, images = DataFolder(tmp_path), {"train": ImageList(("a", "b"), (1, 0))}
    splits.write_split(Split("x"), splits.Halves((), (0, 1)), images, ["cat", "dog"], data)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["halfxB_train", "halfx_labels.txt"]
    assert "halfxA" not in data.labels("halfx").read_text()


def test_forms_of_unicode_are_one_name() -> None:
    assert splits.custom(["Ba\u0308r"], ["dog"], ["B\xe4r", "dog"]) == splits.Halves((0,), (1,))
    assert splits.custom(["B\xe4r"], ["dog"], ["Ba\u0308r", "dog"]) == splits.Halves((0,), (1,))
    with pytest.raises(BadInput, match="one of them twice"):
        splits.custom(["B\xe4r", "Ba\u0308r"], ["dog"], ["B\xe4r", "dog"])


def test_all_unknown_classes_are_named() -> None:
    with pytest.raises(BadInput, match="task A names the class 'bus', 'car', which is not"):
        splits.custom(["bus", "cat", "car"], ["dog"], ["cat", "dog"])


def test_class_lists_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("cat\n\n dog\n")
    assert splits.read_classes(path) == ("cat", "dog")
    path.write_text("\ufeffcat\r\nBa\u0308r")
    assert splits.read_classes(path) == ("cat", "B\xe4r")
    path.write_text("\n")
    with pytest.raises(BadInput, match="lists no classes"):
        splits.read_classes(path)
    path.write_bytes(b"cat\nB\xe4r\n")
    with pytest.raises(
        BadInput, match=r"a.txt is not a list of classes: .*; write one a line, in UTF"
    ):
        splits.read_classes(path)
    with pytest.raises(Incomplete, match=r"there is no file .*none.txt; check the name"):
        splits.read_classes(tmp_path / "none.txt")


def test_known_sums_are_33() -> None:
    sums = published.published_md5()
    assert len(sums) == 33
    assert all(len(md5) == len(hashlib.md5(b"", usedforsecurity=False).hexdigest())
               for md5 in sums.values())  # fmt: skip
