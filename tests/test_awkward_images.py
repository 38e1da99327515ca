"""A folder of awkward images, from its listing to databases: names, formats, faults."""

import io
import os
import subprocess
import unicodedata
from collections import Counter
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from caffe_transfer.data_prep import lists, lmdbs, sources
from caffe_transfer.data_prep.decode import decode, read_image
from caffe_transfer.data_prep.left_out import Fault, LeftOut, read_left_out, write_left_out
from caffe_transfer.data_prep.lists import ImageList
from caffe_transfer.data_prep.prepare import prepare, validation_warnings
from caffe_transfer.data_prep.stores import open_store
from caffe_transfer.errors import BadInput, FormatError
from caffe_transfer.formats.lmdb import check_lmdb, open_lmdb
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.paths import RunFolder
from caffe_transfer.studies.load import load_study
from caffe_transfer.studies.network import Mode, Network
from caffe_transfer.studies.study import CustomSplit, Images, Study, Task
from tests import awkward
from tests.images import write_images

WHOLE = Network(mode=Mode.BASE)


def study(classes: int, *networks: Network, **images: object) -> Study:
    own = Images(source="folder", classes=classes, channels=3, size=8, **images)  # type: ignore[arg-type]
    return replace(load_study("fashion-mnist"), images=own, networks=networks or (WHOLE,))


def write(folder: Path, *names: str) -> None:
    """Files of these names, whole and faulty ones."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        make = awkward.WHOLE[name] if name in awkward.WHOLE else awkward.FAULTY[name][1]
        (folder / name).write_bytes(make())


def records(path: Path) -> dict[bytes, bytes]:
    with open_lmdb(path) as environment, environment.begin() as transaction:
        return {bytes(key): bytes(value) for key, value in transaction.cursor()}


class TestFaults:
    @pytest.mark.parametrize("gray", [False, True])
    @pytest.mark.parametrize("name", awkward.FAULTY)
    def test_each_fault_has_its_reason(self, name: str, gray: bool) -> None:
        fault, make = awkward.FAULTY[name]
        assert decode(make(), gray) is fault

    @pytest.mark.parametrize("gray", [False, True])
    @pytest.mark.parametrize("name", awkward.WHOLE)
    def test_whole_images_are_decoded(self, name: str, gray: bool) -> None:
        image = decode(awkward.WHOLE[name](), gray)
        assert not isinstance(image, Fault)
        assert image.ndim == (2 if gray else 3)

    @settings(max_examples=60)
    @given(st.floats(0.01, 0.9), st.sampled_from([b"", b"\xff\xd9"]), st.booleans())
    def test_no_beginning_of_a_jpeg_is_an_image(
        self, share: float, end: bytes, restarts: bool
    ) -> None:
        whole = awkward.restarting(3) if restarts else awkward.file(awkward.noise(), "JPEG")
        found = decode(whole[: int(share * len(whole))] + end, gray=False)
        assert found in (Fault.TRUNCATED, Fault.DAMAGED)

    @pytest.mark.parametrize("kind", ["PNG", "GIF", "WEBP"])
    @settings(max_examples=30)
    @given(share=st.floats(0.1, 0.99))
    def test_no_beginning_of_another_file_is_an_image(self, kind: str, share: float) -> None:
        whole = awkward.file(awkward.noise(), kind)
        assert decode(whole[: int(share * len(whole))], gray=False) is Fault.TRUNCATED

    @given(st.binary(max_size=200), st.sampled_from(sorted(awkward.WHOLE)[:12]))
    def test_no_file_makes_it_fail(self, junk: bytes, name: str) -> None:
        whole = awkward.WHOLE[name]()
        middle = len(whole) // 3
        for data in (junk, whole[:8] + junk, whole[:middle] + junk + whole[middle:]):
            assert isinstance(decode(data, gray=False), (Fault, np.ndarray))

    def test_what_cannot_be_opened(self, tmp_path: Path) -> None:
        (tmp_path / "dangling.png").symlink_to(tmp_path / "none")
        (tmp_path / "folder.png").mkdir()
        with open_store(tmp_path) as store:
            for name in ("dangling.png", "folder.png"):
                assert read_image(store, name, 8, gray=False) is Fault.UNREADABLE


class TestColors:
    """Against Pillow, whose decoders and colors are its own."""

    @pytest.mark.parametrize(
        ("name", "tolerance"),
        [
            ("cmyk.jpg", 2), ("ycck.jpg", 3), ("palette.png", 0), ("one bit.png", 0),
            ("alpha.png", 0), ("gray with alpha.png", 0), ("plain.webp", 0), ("plain.tif", 0),
        ],
    )  # fmt: skip
    def test_colors(self, name: str, tolerance: int) -> None:
        data = awkward.WHOLE[name]()
        theirs = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
        ours = decode(data, gray=False)
        assert not isinstance(ours, Fault)
        assert np.abs(theirs - ours[..., ::-1]).max() <= tolerance

    def test_a_still_gif(self) -> None:
        image = decode(awkward.file(Image.fromarray(awkward.smooth()).quantize(64), "GIF"), False)
        assert not isinstance(image, Fault)
        theirs = np.asarray(Image.fromarray(awkward.smooth()).quantize(64).convert("RGB"))
        np.testing.assert_array_equal(image[..., ::-1], theirs)

    def test_of_16_bits_the_upper_8(self) -> None:
        wide = (awkward.smooth().astype(np.uint16) << 8) + 255
        image = decode(cv2.imencode(".png", wide)[1].tobytes(), gray=False)
        np.testing.assert_array_equal(np.asarray(image), awkward.smooth())

    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_exif_orientation_is_applied(self, orientation: int) -> None:
        data = awkward.turned(orientation)
        theirs = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data)))).astype(int)
        image = decode(data, gray=False)
        assert not isinstance(image, Fault)
        assert np.abs(theirs - image[..., ::-1]).max() <= 3


@pytest.mark.parametrize("gray", [False, True])
def test_whole_images_are_those_of_convert_imageset(
    caffe_prefix: Path, tmp_path: Path, gray: bool
) -> None:
    write(tmp_path / "images", *awkward.WHOLE)
    for name in awkward.NAMES:
        (tmp_path / "images" / name).write_bytes(awkward.WHOLE["plain.png"]())
    names = (*awkward.WHOLE, *awkward.NAMES)
    images = ImageList(names, tuple(range(len(names))))
    lists.write(images, tmp_path / "list.txt")
    subprocess.run(
        [
            caffe_prefix / "bin/convert_imageset", "--resize_height=17", "--resize_width=17",
            *(["--gray"] if gray else []), f"{tmp_path}/images/", tmp_path / "list.txt",
            tmp_path / "theirs",
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    written = lmdbs.write_lmdb(images, tmp_path / "images", tmp_path / "ours", size=17, gray=gray)
    assert written.left_out == ()
    ours, theirs = records(tmp_path / "ours"), records(tmp_path / "theirs")
    assert list(ours) == list(theirs)
    assert [key for key in ours if ours[key] != theirs[key]] == []


class TestNames:
    CLASSES = ("Bär & Co", "it's", '"x"', "-rf", "[1]", "猫")

    @pytest.fixture
    def given_images(self, tmp_path: Path) -> Path:
        """CLASS/ alone, the names of folders in NFD, as some systems write them."""
        root = tmp_path / "my 'own' bilder"
        for name in self.CLASSES:
            folder = root / unicodedata.normalize("NFD", name)
            folder.mkdir(parents=True)
            for number, each in enumerate(awkward.NAMES):
                shade = np.full((9, 9, 3), number, np.uint8)
                (folder / each).write_bytes(awkward.file(shade, "PNG"))
        return root

    def test_from_folder_to_databases(self, given_images: Path, tmp_path: Path) -> None:
        networks = [Network(mode=Mode.BASE, target=side, split="mine") for side in "AB"]
        own = replace(
            study(6, WHOLE, *networks),
            custom_splits={
                "mine": CustomSplit(Task(("Bär & Co", "-rf")), Task(("it's", "猫", '"x"', "[1]")))
            },
        )
        run = RunFolder(tmp_path / "run")
        assert prepare(own, run, given_images) == []
        assert (run.images / "classes.txt").read_text().splitlines() == sorted(self.CLASSES)
        total = 0
        for part in ("train", "valid"):
            sizes = {}
            for name in ("whole", "halfmineA", "halfmineB"):
                found = records(run.data.lmdb(f"{name}_{part}"))
                sizes[name] = len(found)
                for key, value in found.items():
                    listed = os.fsdecode(key).split("_", 1)[1]
                    shade = awkward.NAMES.index(listed.split("/", 1)[1])
                    assert set(pb.Datum.FromString(value).data) == {shade}
            assert sizes["halfmineA"] * 2 == sizes["halfmineB"]
            assert sizes["whole"] == sizes["halfmineA"] * 3
            total += sizes["whole"]
        assert total == len(self.CLASSES) * len(awkward.NAMES)
        assert prepare(own, run, given_images) == []

    def test_a_name_with_a_line_break_is_left_out(self, tmp_path: Path) -> None:
        write_images(tmp_path / "given/cat", count=4)
        (tmp_path / "given/cat/0.png").rename(tmp_path / "given/cat/line\nbreak.png")
        source = sources.fetch("folder", tmp_path / "images", tmp_path / "given")
        listed = source.lists["train"].paths + source.lists["valid"].paths
        assert sorted(listed) == ["cat/1.png", "cat/2.png", "cat/3.png"]
        assert read_left_out(source.folder.left_out) == [
            LeftOut(f"{tmp_path}/given/cat/line\nbreak.png", Fault.LINE_BREAK)
        ]

    @pytest.mark.parametrize("name", ["line\nbreak", "\udcff", "tab\t", "\u2028"])
    def test_a_class_that_cannot_be_written_down(self, tmp_path: Path, name: str) -> None:
        write(tmp_path / "given" / name, "plain.png", "plain.jpg")
        with pytest.raises(BadInput, match="cannot name a class") as error:
            sources.fetch("folder", tmp_path / "images", tmp_path / "given")
        assert str(error.value).isprintable()

    def test_one_name_in_two_forms(self, tmp_path: Path) -> None:
        for name in ("B\xe4r", "Ba\u0308r"):
            write_images(tmp_path / "given" / name, count=2)
        with pytest.raises(BadInput, match=r"'Ba\\u0308r' and 'B\\xe4r' in .* are one name"):
            sources.fetch("folder", tmp_path / "images", tmp_path / "given")

    def test_forms_may_differ_between_parts(self, tmp_path: Path) -> None:
        write_images(tmp_path / "given/train/B\xe4r", count=1)
        write_images(tmp_path / "given/valid/Ba\u0308r", count=1)
        assert sources.fetch("folder", tmp_path / "images", tmp_path / "given").classes == ("Bär",)

    def test_a_path_longer_than_a_key(self, tmp_path: Path) -> None:
        deep = "/".join(["ä" * 100] * 4)
        write_images(tmp_path / "images" / deep, count=2)
        images = ImageList((f"{deep}/0.png", f"{deep}/1.png"), (0, 1))
        lmdbs.write_lmdb(images, tmp_path / "images", tmp_path / "db")
        keys = list(records(tmp_path / "db"))
        assert [len(key) for key in keys] == [511, 511]
        assert keys[1].startswith(b"00000001_" + "ä".encode())


class TestWholeFolder:
    @pytest.fixture
    def given_images(self, tmp_path: Path) -> Path:
        """train/ and valid/ with whole images, every faulty file, and what lies about."""
        root = tmp_path / "given"
        for part in ("train", "VAL"):
            for name in ("cat", "dog"):
                write_images(root / part / name, count=30)
        write(root / "train/cat", *list(awkward.FAULTY)[::2])
        write(root / "train/dog/more/and more", *list(awkward.FAULTY)[1::2])
        for junk in (".DS_Store", "._0.png", "Thumbs.db", ".hidden/0.png", "__MACOSX/._1.png"):
            path = root / "train/cat" / junk
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"junk")
        (root / "train/cat/readme.txt").write_text("about cats")
        (root / "train/outside.png").write_bytes(awkward.WHOLE["plain.png"]())
        (root / "train/dog/gone.png").symlink_to("none.png")
        os.mkfifo(root / "train/dog/pipe.png")
        (root / "train/dog/round").symlink_to(root / "train/dog")
        elsewhere = tmp_path / "elsewhere"
        write_images(elsewhere, count=2)
        (root / "train/dog/linked").symlink_to(elsewhere)
        return root

    def test_one_summary_of_all(self, given_images: Path, tmp_path: Path) -> None:
        run = RunFolder(tmp_path / "run")
        own = study(2, WHOLE, Network(mode=Mode.BASE, target="A", split="0"))
        (warning,) = prepare(own, run, given_images)
        assert warning.startswith(f"{len(awkward.FAULTY) + 4} files were left out: ")
        counts = Counter(fault for fault, _ in awkward.FAULTY.values())
        counts.update({Fault.UNREADABLE: 2, Fault.OTHER_ENDING: 1, Fault.OUTSIDE: 1})
        for fault, count in counts.items():
            assert f"{count} {fault} (" in warning
        assert f"not an image (first: {given_images}/train/" in warning
        assert f"empty ({given_images}/train/cat/nothing.jpg)" in warning
        assert "/huge.png)" in warning
        assert f"ending ({given_images}/train/cat/readme.txt)" in warning
        assert prepare(own, run) == [warning]
        assert check_lmdb(run.data.lmdb("whole_train"), shape=(3, 8, 8)) == 62
        found = read_left_out(run.data.lmdb("whole_train").with_name("lmdb.left_out.txt"))
        assert {each.path.rsplit("/", 1)[1]: each.fault for each in found} == {
            name: fault for name, (fault, _) in awkward.FAULTY.items()
        }
        listed = lists.read(run.data.list("whole_train"))
        assert len(listed) == 62 + len(awkward.FAULTY)

    def test_links_are_followed_but_not_in_circles(
        self, given_images: Path, tmp_path: Path
    ) -> None:
        source = sources.fetch("folder", tmp_path / "images", given_images)
        paths = source.lists["train"].paths
        assert "dog/linked/1.png" in paths
        assert not any("round" in path or "/." in path or "MACOSX" in path for path in paths)


class TestTooFew:
    def test_classes_without_a_usable_image_are_named_together(self, tmp_path: Path) -> None:
        given_images = tmp_path / "given"
        for part in ("train", "valid"):
            for name in ("ant", "bee", "cat"):
                write_images(given_images / part / name, count=2)
        for path in ("train/ant/0.png", "train/ant/1.png", "valid/bee/0.png", "valid/bee/1.png"):
            (given_images / path).write_bytes(awkward.FAULTY["half.png"][1]())
        run = RunFolder(tmp_path / "run")
        with pytest.raises(BadInput) as error:
            prepare(study(3, WHOLE), run, given_images)
        assert (
            "class ant has no training image that can be used: 2 truncated (first: "
            f"{given_images}/train/ant/0.png); class bee has no validation image"
        ) in str(error.value)
        assert not run.data.lmdb("whole_train").exists()
        (given_images / "train/ant/0.png").write_bytes(awkward.WHOLE["plain.png"]())
        (given_images / "valid/bee/1.png").write_bytes(awkward.WHOLE["plain.png"]())
        assert len(prepare(study(3, WHOLE), run)) == 1

    def test_a_class_that_loses_more_than_half(self, tmp_path: Path) -> None:
        for part in ("train", "valid"):
            for name in ("cat", "dog"):
                write_images(tmp_path / "given" / part / name, count=3)
        for path in ("train/cat/0.png", "train/cat/2.png", "valid/dog/1.png"):
            (tmp_path / "given" / path).write_bytes(b"")
        run = RunFolder(tmp_path / "run")
        own = study(2, WHOLE)
        _, small = prepare(own, run, tmp_path / "given")
        assert small.startswith("class cat lost 2 of its 3 training images")
        solver = replace(own.solver, test_iter=5)
        assert validation_warnings(replace(own, solver=solver, test_batch=1), run.data) == []


def test_the_studys_own_folder(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        write_images(tmp_path / "own" / name, count=8)
        write_images(tmp_path / "other" / name, count=4)
    own = study(2, path=str(tmp_path / "own"), valid_fraction=0.25)
    run = RunFolder(tmp_path / "run")
    prepare(own, run)
    assert check_lmdb(run.data.lmdb("whole_valid"), shape=(3, 8, 8)) == 4
    prepare(own, RunFolder(tmp_path / "run2"), tmp_path / "other")  # --from wins
    assert check_lmdb(RunFolder(tmp_path / "run2").data.lmdb("whole_valid")) == 2


@given(st.lists(st.tuples(st.sampled_from(Fault), st.text(min_size=1)), max_size=8))
def test_the_list_of_what_was_left_out_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[Fault, str]]
) -> None:
    path = tmp_path_factory.mktemp("left out") / "list.txt"
    files = [LeftOut(name, fault) for fault, name in rows]
    write_left_out(files, path)
    assert read_left_out(path) == files
    assert path.exists() == bool(files)
    write_left_out([], path)
    assert not path.exists()


def test_a_list_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("cat 0\n")
    with pytest.raises(FormatError, match=r"list.txt is not a list of files that were left out"):
        read_left_out(tmp_path / "list.txt")
