"""Folders of images: what is taken for what, and how classes are divided."""

import os
import shutil
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caffe_transfer.data_prep import sources
from caffe_transfer.data_prep.folders import list_folder, split_class
from caffe_transfer.data_prep.left_out import Fault
from caffe_transfer.data_prep.stores import open_store
from caffe_transfer.errors import BadInput, CaffeTransferError, Incomplete
from tests.images import write_images

file_names = st.lists(st.text("abcäö 019", min_size=1), min_size=2, max_size=60, unique=True)


class TestDivision:
    @given(file_names, st.floats(0.01, 0.99), st.randoms())
    def test_every_image_goes_to_one_part(
        self, names: list[str], fraction: float, random: Random
    ) -> None:
        train, valid = split_class(names, fraction)
        assert sorted(train + valid) == sorted(names)
        assert train
        assert valid
        assert abs(len(valid) - fraction * len(names)) <= 1
        shuffled = random.sample(names, len(names))
        assert split_class(shuffled, fraction) == (train, valid)

    def test_the_choice_stays_the_same(self) -> None:
        _, valid = split_class([f"{number:02d}.jpg" for number in range(20)], 0.2)
        assert valid == ["05.jpg", "07.jpg", "13.jpg", "14.jpg"]

    def test_other_classes_do_not_matter(self, tmp_path: Path) -> None:
        for name in ("ant", "bee", "cat"):
            write_images(tmp_path / name, count=9)
        before = list_folder(tmp_path)
        shutil.rmtree(tmp_path / "ant")
        after = list_folder(tmp_path)
        for part in ("train", "valid"):
            assert after.lists[part].paths == tuple(
                path for path in before.lists[part].paths if not path.startswith("ant/")
            )

    def test_the_order_on_disk_does_not_matter(self, tmp_path: Path) -> None:
        images = write_images(tmp_path / "one/cat", count=30)
        (tmp_path / "two/cat").mkdir(parents=True)
        for path in reversed(images.paths):
            shutil.copy(tmp_path / "one/cat" / path, tmp_path / "two/cat" / path)
        assert list_folder(tmp_path / "one").lists == list_folder(tmp_path / "two").lists

    def test_lists_of_a_source(self, tmp_path: Path) -> None:
        for name in ("cat", "dog"):
            write_images(tmp_path / "given" / name, count=10)
        source = sources.fetch(
            "folder", tmp_path / "images", tmp_path / "given", valid_fraction=0.3
        )
        assert source.classes == ("cat", "dog")
        assert source.lists["train"].labels == (0,) * 7 + (1,) * 7
        assert source.lists["valid"].labels == (0,) * 3 + (1,) * 3
        assert not set(source.lists["train"].paths) & set(source.lists["valid"].paths)
        for part, images in source.lists.items():
            with open_store(source.folder.images(part)) as store:
                assert not store.missing(images.paths)
        assert not source.folder.left_out.exists()

    def test_a_fraction_where_the_images_are_divided(self, tmp_path: Path) -> None:
        for part in ("train", "val"):
            write_images(tmp_path / "given" / part / "cat", count=2)
        with pytest.raises(BadInput, match=r"given, but .*given/val holds the validation images"):
            sources.fetch("folder", tmp_path / "images", tmp_path / "given", valid_fraction=0.3)
        with pytest.raises(BadInput, match="tiny-imagenet has validation images of its own"):
            sources.fetch("tiny-imagenet", tmp_path / "images", valid_fraction=0.3)
        assert not (tmp_path / "images").exists()


class TestLayout:
    def test_classes_named_train_and_test(self, tmp_path: Path) -> None:
        for name in ("bus", "train", "test"):
            write_images(tmp_path / name, count=2)
        assert list_folder(tmp_path).classes == ("bus", "test", "train")

    def test_a_folder_for_training_alone(self, tmp_path: Path) -> None:
        write_images(tmp_path / "train/cat", count=2)
        write_images(tmp_path / "test/cat", count=2)
        with pytest.raises(Incomplete, match=r"lacks valid or val; add it, or name .*/train to"):
            list_folder(tmp_path)
        assert list_folder(tmp_path / "train").classes == ("cat",)

    def test_a_folder_for_validation_alone(self, tmp_path: Path) -> None:
        write_images(tmp_path / "Valid/cat", count=2)
        with pytest.raises(Incomplete, match="lacks train; add it"):
            list_folder(tmp_path)

    def test_folders_in_the_folder_of_a_class(self, tmp_path: Path) -> None:
        for folder in ("cat", "cat/a", "cat/b/c"):
            write_images(tmp_path / folder, count=1)
        found = list_folder(tmp_path)
        assert sorted(found.lists["train"].paths + found.lists["valid"].paths) == [
            "cat/0.png", "cat/a/0.png", "cat/b/c/0.png",
        ]  # fmt: skip

    def test_endings(self, tmp_path: Path) -> None:
        write_images(tmp_path / "cat", count=4, endings=(".PNG", ".Jpg", ".jpeg", ".TIFF"))
        for name in ("labels.csv", "photo", "photo.heic", "scan.jpg.part"):
            (tmp_path / "cat" / name).write_bytes(b"")
        found = list_folder(tmp_path)
        assert sum(map(len, found.lists.values())) == 4
        assert {each.fault for each in found.left_out} == {Fault.OTHER_ENDING}
        assert len(found.left_out) == 4


class TestProblems:
    def test_all_at_once(self, tmp_path: Path) -> None:
        for part, names in (("train", "abc"), ("valid", "bcd")):
            for name in names:
                write_images(tmp_path / "given" / part / name, count=1)
        (tmp_path / "given/train/empty").mkdir()
        (tmp_path / "given/valid/c/0.png").rename(tmp_path / "given/valid/c/0.txt")
        (tmp_path / "given/valid/new\nline").mkdir()
        with pytest.raises(BadInput) as error:
            sources.fetch("folder", tmp_path / "images", tmp_path / "given")
        text = str(error.value)
        assert text.startswith(f"{tmp_path}/given cannot be used: ")
        for problem in (
            "class a has no validation images", "class c has no validation images",
            "class d has no training images", "class empty has no images",
            f"'{tmp_path}/given/valid/new\\nline' cannot name a class",
        ):  # fmt: skip
            assert problem in text
        assert not (tmp_path / "images").exists()

    def test_the_first_ten(self, tmp_path: Path) -> None:
        for number in range(14):
            write_images(tmp_path / "given" / f"{number:02d}", count=1)
        with pytest.raises(BadInput, match=r"class 09 has one image.*; and 4 more; correct"):
            sources.fetch("folder", tmp_path / "images", tmp_path / "given")

    @pytest.mark.parametrize(
        ("layout", "message"),
        [
            ((), "holds no images in folders, one a class"),
            (("cat.png",), "holds no images in folders, one a class"),
            (("cat/",), "class cat has no images"),
            (("train/cat.png", "valid/cat.png"), "holds no images in folders, one a class"),
        ],
    )
    def test_no_classes(self, tmp_path: Path, layout: tuple[str, ...], message: str) -> None:
        root = tmp_path / "given"
        root.mkdir()
        for path in layout:
            (root / path).parent.mkdir(exist_ok=True)
            (root / path).mkdir() if path.endswith("/") else (root / path).touch()
        with pytest.raises(CaffeTransferError, match=message):
            sources.fetch("folder", tmp_path / "images", root)

    @pytest.mark.parametrize(
        ("locked", "message"),
        [
            ("dog", r"given/dog cannot be read: Permission denied; class dog has no images"),
            ("given", r"given cannot be read: Permission denied; name another folder"),
        ],
    )
    def test_folders_that_cannot_be_read(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, locked: str, message: str
    ) -> None:
        for name in ("cat", "dog"):
            write_images(tmp_path / "given" / name, count=2)
        real = os.scandir

        def refusing(path: "os.PathLike[str]") -> object:  # root may read everything
            if str(path).endswith(locked):
                raise PermissionError(13, "Permission denied", str(path))
            return real(path)

        monkeypatch.setattr(os, "scandir", refusing)
        with pytest.raises(BadInput, match=message):
            sources.fetch("folder", tmp_path / "images", tmp_path / "given")
