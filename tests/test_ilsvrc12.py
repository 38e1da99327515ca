"""ILSVRC2012 in the forms that people have it: the same lists and the same images from each."""

import tarfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from zlib import crc32

import pytest

from caffe_transfer.data_prep import (
    ilsvrc12,
    ilsvrc12_scan,
    lists,
    lmdbs,
    published,
    sources,
    splits,
)
from caffe_transfer.data_prep.databases import left_out_warnings
from caffe_transfer.data_prep.ilsvrc12_truth import valid_name
from caffe_transfer.data_prep.left_out import Fault, LeftOut, read_left_out, write_left_out
from caffe_transfer.data_prep.lists import ImageList
from caffe_transfer.data_prep.plan import data_sets
from caffe_transfer.data_prep.prepare import prepare
from caffe_transfer.data_prep.published import State
from caffe_transfer.data_prep.stores import open_store
from caffe_transfer.errors import BadInput, FormatError, Incomplete, Interrupted
from caffe_transfer.formats.lmdb import open_records
from caffe_transfer.formats.views import is_view
from caffe_transfer.paths import DataFolder, RunFolder, left_out
from caffe_transfer.studies.load import load_study
from caffe_transfer.studies.network import Split
from tests import small_ilsvrc12 as small
from tests.images import write_images


@pytest.fixture(autouse=True)
def few_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ilsvrc12, "VALID_COUNT", small.VALID_COUNT)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders as PyTorch has them."""
    root = tmp_path_factory.mktemp("good")
    small.train_folder(root)
    small.valid_folders(root)
    return root


def mixed(root: Path, good: Path, *parts: str) -> Path:
    """A new folder with parts of a good one."""
    root.mkdir()
    for part in parts:
        (root / part).symlink_to(good / part)
    return root


def check(given: Path, images: Path) -> sources.Source:
    source = sources.fetch("ilsvrc12", images, given)
    assert source.classes == small.SYNSETS
    assert source.lists == {"train": small.TRAIN, "valid": small.VALID}
    for part, listed in source.lists.items():
        with open_store(source.folder.images(part)) as store, ThreadPoolExecutor(4) as threads:
            read = list(threads.map(store.read, listed.paths[::50]))
        assert read == [small.content(name) for name in listed.paths[::50]]
    assert not source.folder.left_out.exists()
    return source


class TestForms:
    @pytest.mark.parametrize("form", small.TRAIN_FORMS)
    def test_training_images(self, form: str, good: Path, tmp_path: Path) -> None:
        given = mixed(tmp_path / "given", good, "val")
        small.TRAIN_FORMS[form](given)
        source = check(given, tmp_path / "images")
        indexed = source.folder.images("train").with_name("train.index.npz").exists()
        assert indexed == (form not in ("folders", "Kaggle's"))

    @pytest.mark.parametrize("form", small.VALID_FORMS)
    def test_validation_images(self, form: str, good: Path, tmp_path: Path) -> None:
        given = mixed(tmp_path / "given", good, "train")
        small.VALID_FORMS[form](given)
        check(given, tmp_path / "images")

    def test_a_list_decides(self, good: Path, tmp_path: Path) -> None:
        given = mixed(tmp_path / "given", good, "train", "val")
        train = ImageList(small.TRAIN.paths[5::-1], (1, 2, 3, 4, 5, 6))
        valid = ImageList(small.VALID.paths[3:5], (9, 8))  # of which Caffe's list tells no folder
        lists.write(train, given / "train.txt")
        lists.write(valid, given / "val.txt")
        source = sources.fetch("ilsvrc12", tmp_path / "images", given)
        assert source.lists == {"train": train, "valid": valid}
        with open_store(source.folder.images("valid")) as store:
            assert store.read(valid.paths[0]) == small.content(valid.paths[0])

    def test_fewer_training_images(self, good: Path, tmp_path: Path) -> None:
        given = mixed(tmp_path / "given", good, "val")
        names = (*small.TRAIN.paths[:100], *small.TRAIN.paths[101:])
        small.write_files(given / "train", small.images(names) | {"n01440764/notes.md": b""})
        source = sources.fetch("ilsvrc12", tmp_path / "images", given)
        assert source.lists["train"].paths == names
        assert [
            (Path(each.path).name, each.fault) for each in read_left_out(source.folder.left_out)
        ] == [("notes.md", Fault.OTHER_ENDING)]

    def test_the_source_folder_takes_it_too(self, good: Path, tmp_path: Path) -> None:
        source = sources.fetch("folder", tmp_path / "images", good)
        assert source.classes == small.SYNSETS
        assert source.lists["train"] == small.TRAIN
        assert sorted(source.lists["valid"].labels) == sorted(small.VALID.labels)

    def test_the_database_is_that_of_unpacked_images(self, good: Path, tmp_path: Path) -> None:
        given = mixed(tmp_path / "given", good, "train")
        unpacked = tmp_path / "unpacked"
        write_images(unpacked, count=3, endings=(".jpg",))
        files = {
            valid_name(number + 1): (unpacked / f"{number}.jpg").read_bytes() for number in range(3)
        }
        listed = ImageList(tuple(files), (5, 4, 3))
        small.write_files(unpacked, files)
        lists.write(listed, given / "val.txt")
        (given / "val.tar").write_bytes(small.tar_bytes(files))
        source = sources.fetch("ilsvrc12", tmp_path / "images", given)
        roots = {
            "ours": source.folder.images("valid"),
            "tar": given / "val.tar",
            "theirs": unpacked,
        }
        for name, root in roots.items():
            lmdbs.write_lmdb(listed, root, tmp_path / name, size=8)
        databases = {(tmp_path / name / "data.mdb").read_bytes() for name in roots}
        assert len(databases) == 1


def test_listing_folders_tells_how_far_it_is_and_stops(good: Path, tmp_path: Path) -> None:
    def stop_halfway(step: str, done: int, total: int) -> None:
        if step == f"looking through {good / 'train'}" and 0 < done < total == 1000:
            raise Interrupted("stopped")

    with pytest.MonkeyPatch.context() as unpaced:
        unpaced.setattr(ilsvrc12_scan, "paced", lambda progress: progress)
        with pytest.raises(Interrupted):
            sources.fetch("ilsvrc12", tmp_path / "images", good, stop_halfway)
    assert list(tmp_path.iterdir()) == []
    assert sources.fetch("ilsvrc12", tmp_path / "images", good).lists["train"] == small.TRAIN


def test_a_study_of_the_publishers_tars_is_that_of_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Databases, views and the mean; nothing is unpacked."""
    write_images(tmp_path / "pool", count=20, endings=(".jpg",))
    pool = [path.read_bytes() for path in sorted((tmp_path / "pool").iterdir())]
    monkeypatch.setattr(small, "content", lambda name: pool[crc32(name[-20:].encode()) % 20])
    plain = load_study("paper").select("half0A", "halfnatmanB", "reduced-0001")
    study = replace(plain, images=replace(plain.images, size=8))
    runs = {}
    for name, forms in (
        ("tars", ("publisher's tar", "publisher's tar and devkit")),
        ("folders", ("folders", "folders")),
    ):
        given, runs[name] = tmp_path / name, RunFolder(tmp_path / f"{name}.run")
        given.mkdir()
        small.TRAIN_FORMS[forms[0]](given)
        small.VALID_FORMS[forms[1]](given)
        assert prepare(study, runs[name], given, views=True) == []
        assert not [path for path in given.rglob("*") if path.suffix == ".JPEG"] or name != "tars"
    tars, folders = runs["tars"].data, runs["folders"].data
    assert (tars.lmdb("whole_train") / "data.mdb").is_file()
    assert is_view(tars.lmdb("half0A_train"))
    for name in (*data_sets(study), "whole_train", "whole_valid"):
        with open_records(tars.lmdb(name)) as ours, open_records(folders.lmdb(name)) as theirs:
            assert [(bytes(k), bytes(v), n) for k, v, n in ours] == [
                (bytes(k), bytes(v), n) for k, v, n in theirs
            ]
    assert tars.mean.read_bytes() == folders.mean.read_bytes()


def test_a_damaged_validation_image_is_named_in_its_folder(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where PyTorch's layout has it; the list has its name alone."""
    given = mixed(tmp_path / "given", good, "train", "val")
    source = sources.fetch("ilsvrc12", tmp_path / "images", given)
    name = small.VALID.paths[3]
    data = DataFolder(tmp_path / "data")
    data.lmdb("whole_valid").parent.mkdir(parents=True)
    write_left_out([LeftOut(name, Fault.DAMAGED)], left_out(data.lmdb("whole_valid")))
    told = left_out_warnings(["whole_valid"], source, data)
    place = good / "val" / small.SYNSETS[small.VALID.labels[3]] / name
    assert told[0].startswith(f"1 file was left out: 1 damaged ({place}); see ")


class TestOrder:
    def test_training_images_stand_as_in_caffes_list(self, good: Path, tmp_path: Path) -> None:
        # From the first lines of Caffe's train.txt.
        numbers = (10074, 1009, 10095, 10227, 1024, 10251, 10491, 105, 10514, 1091, 10910)
        given = mixed(tmp_path / "given", good, "val")
        small.TRAIN_FORMS["tars of classes"](given)
        names = [f"n01440764_{number}.JPEG" for number in numbers]
        small.write_files(
            given / "ILSVRC2012_img_train",
            {"n01440764.tar": small.tar_bytes(small.images(reversed(names)))},
        )
        source = sources.fetch("ilsvrc12", tmp_path / "images", given)
        assert [Path(name).name for name in source.lists["train"].paths[:11]] == names

    @pytest.mark.parametrize("form", ["tar of folders", "tar and devkit"])
    def test_validation_lists_are_the_authors(
        self,
        form: str,
        authors: Path,
        good: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(ilsvrc12, "VALID_COUNT", 50_000)
        theirs = lists.read(authors / "ilsvrc12/data/whole_valid/files.txt")
        given = mixed(tmp_path / "given", good, "train")
        monkeypatch.setattr(small, "VALID", theirs)
        if form == "tar and devkit":
            small.VALID_FORMS["publisher's tar and devkit"](given)
        else:
            rows = zip(theirs.paths, theirs.labels, strict=True)
            names = [f"val/{small.SYNSETS[label]}/{name}" for name, label in rows]
            (given / "val.tar").write_bytes(small.tar_bytes(dict.fromkeys(names, b"")))
        source = sources.fetch("ilsvrc12", tmp_path / "images", given)
        data = DataFolder(tmp_path / "data")
        splits.write_whole(source.lists, data)
        for key in ("0", "1", "2", "3", "natman"):
            halves = splits.halves_of(Split(key), source.classes)
            splits.write_split(Split(key), halves, source.lists, source.classes, data)
        states = {each.name: each.state for each in published.verify(data)}
        valid = [state for name, state in states.items() if name.endswith("_valid")]
        assert valid == [State.IDENTICAL] * 11


class TestBadInput:
    def fails(self, given: Path, images: Path, message: str, kind: type = BadInput) -> None:
        with pytest.raises(kind, match=message):
            sources.fetch("ilsvrc12", images, given)
        assert not images.exists()

    def test_all_problems_at_once(self, good: Path, tmp_path: Path) -> None:
        given = tmp_path / "given"
        train = [n for n in small.TRAIN.paths if not n.startswith(("n01440764", "n15075141"))]
        small.write_files(given / "train", small.images([*train, "n00000001/n00000001_1.JPEG"]))
        again = f"{small.SYNSETS[2]}.tar"
        base = Path(small.TRAIN.paths[4]).name
        small.write_files(given / "train", {again: small.tar_bytes({base: b""})})
        rows = list(zip(small.VALID.paths, small.VALID.labels, strict=True))[1:]
        names = [f"{small.SYNSETS[label]}/{name}" for name, label in rows]
        small.write_files(given / "val", small.images([*names, "n01440764/more.JPEG"]))
        self.fails(
            given,
            tmp_path / "images",
            r"given cannot be used: .*val lacks 1 of the 1000 validation images, first "
            r"ILSVRC2012_val_00000001\.JPEG \(a val\.txt without them .*\); .*val has 1 image "
            r"named otherwise than ILSVRC2012's, first more\.JPEG; 1 image is there twice, first "
            rf"{small.TRAIN.paths[4]}: in .*train/{small.SYNSETS[2]} and in .*train/{again}; "
            r".*train/n00000001 is of none of the 1000 classes; class n01440764 has no training "
            r"images; class n15075141 has no training images; correct the images",
        )

    def test_no_labels(self, good: Path, tmp_path: Path) -> None:
        given = mixed(tmp_path / "given", good, "train")
        small.publishers_valid(given)
        self.fails(
            given,
            tmp_path / "images",
            r"the labels of the images in .*img_val\.tar are not known; put ILSVRC2012_devkit_t12"
            r"\.tar\.gz, Kaggle's LOC_val_solution\.csv or Caffe's val\.txt into .*given",
            Incomplete,
        )

    def test_parts_that_are_missing(self, good: Path, tmp_path: Path) -> None:
        given = mixed(tmp_path / "given", good, "val")
        self.fails(given, tmp_path / "images", r"lacks train or ILSVRC2012_img_train", Incomplete)
        tar = tmp_path / "ILSVRC2012_img_val.tar"
        tar.write_bytes(b"")
        self.fails(tar, tmp_path / "images", r"img_val\.tar is not a folder with ILSVRC2012's")
        (given / "train").mkdir()
        self.fails(given, tmp_path / "images", r"train holds no images of ILSVRC2012; correct")

    @pytest.mark.parametrize("end", [0.5, 0.999])
    def test_a_tar_that_was_cut_off(self, end: float, good: Path, tmp_path: Path) -> None:
        given = mixed(tmp_path / "given", good, "val")
        small.TRAIN_FORMS["publisher's tar"](given)
        tar = given / "ILSVRC2012_img_train.tar"
        whole = tar.read_bytes()
        with tarfile.open(tar) as reference:
            complete = [
                each.name
                for each in reference
                if each.offset_data + each.size <= int(len(whole) * end)
            ]
        tar.write_bytes(whole[: int(len(whole) * end)])
        self.fails(
            given,
            tmp_path / "images",
            rf"ILSVRC2012_img_train\.tar is cut off.* after {complete[-1]}, its last complete "
            "member; copy it again",
            FormatError,
        )

    def test_several_tars_that_are_none(self, good: Path, tmp_path: Path) -> None:
        given = mixed(tmp_path / "given", good, "val")
        small.TRAIN_FORMS["tars of classes"](given)
        for synset in small.SYNSETS[:2]:
            (given / f"ILSVRC2012_img_train/{synset}.tar").write_bytes(b"no tar")
        self.fails(
            given,
            tmp_path / "images",
            r"cannot be used: .*n01440764\.tar is no tar file; .*n01443537\.tar is no tar file",
        )

    def test_a_tar_that_changed_later(self, good: Path, tmp_path: Path) -> None:
        given = mixed(tmp_path / "given", good, "train")
        small.VALID_FORMS["publisher's tar and Caffe's list"](given)
        source = sources.fetch("ilsvrc12", tmp_path / "images", given)
        tar = given / "ILSVRC2012_img_val.tar"
        tar.write_bytes(tar.read_bytes() + b"more")
        images = source.folder.images("valid")
        with (
            pytest.raises(BadInput, match=r"changed since .*; remove .*images to"),
            open_store(images),
        ):
            pass
        tar.unlink()
        with (
            pytest.raises(BadInput, match=r"img_val\.tar, which holds .* cannot be read"),
            open_store(images),
        ):
            pass

    def test_classes_in_shards(self, good: Path, tmp_path: Path) -> None:
        given = mixed(tmp_path / "given", good, "train")
        shard = {"ILSVRC2012_val_00000001.jpg": b"", "ILSVRC2012_val_00000001.cls": b"1000"}
        small.write_files(given / "val", {"0.tar": small.tar_bytes(shard)})
        self.fails(given, tmp_path / "images", r"0\.tar: .*00001\.cls holds no class's number")

    def test_labels_of_too_few_images(self, good: Path, tmp_path: Path) -> None:
        given = mixed(tmp_path / "given", good, "train")
        small.VALID_FORMS["one folder and devkit"](given)
        truth = given / "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt"
        truth.write_text("".join(truth.read_text().splitlines(keepends=True)[:-2]))
        self.fails(given, tmp_path / "images", f"2 .* have no label, first {valid_name(999)}")
