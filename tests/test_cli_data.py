"""`data` as a user calls it."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from caffe_transfer.data_prep.prepare import prepare
from caffe_transfer.formats.lmdb import check_lmdb
from caffe_transfer.paths import RunFolder
from caffe_transfer.studies.study import Study
from tests.images import write_images


def call(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "caffe_transfer", "data", *arguments],
        capture_output=True, text=True, cwd=cwd, check=False,
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """given/ with twelve images in one folder a class."""
    for part in ("train", "valid"):
        for name in ("ant", "bee", "cat", "dog"):
            write_images(tmp_path / "given" / part / name, count=3)
    return tmp_path


def test_from_images_to_mean(folder: Path) -> None:
    steps = (
        ("fetch", "folder", "--from", "given", "--out", "images"),
        ("split", "--images", "images", "--out", "data", "--split", "0", "--per-class", "2"),
        ("lmdb", "data/half0A_train/files.txt", "images/train", "db", "--size", "8", "--gray",
         "--shuffle", "1"),
        ("mean", "db", "mean.binaryproto"),
    )  # fmt: skip
    for step in steps:
        done = call(folder, *step)
        assert done.returncode == 0, done.stderr
    assert "db: 6 images, 0 left out" in call_again_is_refused(folder, steps[2])
    listed = (folder / "data/half0A_train/files.txt").read_bytes()
    record = json.loads((folder / "db.json").read_text())
    assert record["list_sha256"] == hashlib.sha256(listed).hexdigest()
    assert (record["size"], record["channels"], record["shuffle"]) == (8, 1, 1)
    assert (folder / "mean.binaryproto").stat().st_size > 8 * 8 * 4
    assert sorted(each.name for each in (folder / "data").iterdir()) == [
        "half0A_train", "half0A_valid", "half0B_train", "half0B_valid", "half0_labels.txt",
        "reduced-0002_train", "whole_train", "whole_valid",
    ]  # fmt: skip


def call_again_is_refused(folder: Path, step: tuple[str, ...]) -> str:
    done = call(folder, *step)
    assert done.returncode == 2
    assert "db is there already" in done.stderr
    other = call(folder, *(part if part != "db" else "db2" for part in step))
    return other.stdout.replace("db2", "db")


def test_a_folder_that_is_not_divided(folder: Path) -> None:
    own = folder / "given/train"
    (own / "ant/0.png").rename(own / "ant/größe \udcff.png")
    (own / "bee/0.png").write_bytes((own / "bee/0.png").read_bytes()[:-20])
    (own / "cat/notes \udcff.txt").write_text("cats")
    done = call(folder, "fetch", "folder", "--from", "given/train", "--out", "images",
                "--valid-fraction", "0.4")  # fmt: skip
    assert "images: 4 classes, 8 train, 4 valid images" in done.stdout
    assert "1 file was left out: 1 without an image's ending ('" in done.stdout
    assert "images/left_out.txt lists them" in done.stdout
    left_out = 0
    for part in ("train", "valid"):
        done = call(folder, "lmdb", f"images/{part}.txt", f"images/{part}", part)
        assert done.returncode == 0, done.stderr
        left_out += done.stdout.count(f"truncated: {own}/bee/0.png\n")
    assert left_out == 1
    done = call(folder, "fetch", "folder", "--from", "given", "--out", "x", "--valid-fraction", "1")
    assert "--valid-fraction" in done.stderr


def test_custom_split(folder: Path) -> None:
    (folder / "a.txt").write_text("cat\nant\n")
    (folder / "b.txt").write_text("dog\n")
    call(folder, "fetch", "folder", "--from", "given", "--out", "images")
    done = call(
        folder, "split", "--images", "images", "--out", "data", "--custom", "pets", "a.txt", "b.txt"
    )
    assert "data/halfpetsA_train/files.txt" in done.stdout
    text = (folder / "data/halfpetsA_train/files.txt").read_text()
    assert [line.split()[1] for line in text.splitlines()] == ["0"] * 3 + ["1"] * 3


def test_verify_says_what_is_identical(folder: Path, authors: Path) -> None:
    whole = folder / "data/whole_valid"
    whole.mkdir(parents=True)
    source = authors / "ilsvrc12/data/whole_valid/files.txt"
    (whole / "files.txt").write_bytes(source.read_bytes())
    done = call(folder, "split", "--out", "data", "--verify")
    assert done.returncode == 0
    assert done.stdout.count("not checkable: there is no") == 32
    assert "whole_valid          identical" in done.stdout
    (whole / "files.txt").write_bytes(source.read_bytes()[1:])
    done = call(folder, "split", "--out", "data", "--verify", "--published", str(source.parents[1]))
    assert done.returncode == 1
    assert "different: line 1 is 'LSVRC2012_val_00000001.JPEG 65', theirs 'ILSVRC" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("fetch", "folder", "--out", "x"), "name them with --from"),
        (("fetch", "imagenet", "--out", "x"), "'imagenet' is not one of"),
        (("split", "--out", "x"), "name the images with --images"),
        (("split", "--images", "given", "--out", "x"), "given holds no images with their lists"),
        (("lmdb", "none.txt", "given", "x"), "there is no file none.txt; write the list"),
        (("lmdb", "spaces.txt", "given", "x"), "are missing, first given/a b.png"),
        (("lmdb", "missing.txt", "given", "x"), "1 of 1 images of the list are missing"),
        (("lmdb", "missing.txt", "given", "x", "--shuffle", "-1"), "-1 is not a seed from 0"),
        (("mean", "given", "x"), "given is not an LMDB"),
    ],
)
def test_bad_input_is_one_sentence(folder: Path, arguments: tuple[str, ...], message: str) -> None:
    (folder / "spaces.txt").write_text("a b.png 0\n")
    (folder / "missing.txt").write_text("none.png 0\n")
    done = call(folder, *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / "x").exists()


def test_a_file_in_the_way(folder: Path) -> None:
    (folder / "data").write_text("a file")
    call(folder, "fetch", "folder", "--from", "given", "--out", "images")
    done = call(folder, "split", "--images", "images", "--out", "data")
    assert done.returncode == 2
    assert "cannot write data" in done.stderr


def test_a_database_of_a_view(prepared: tuple[Path, Study], tmp_path: Path) -> None:
    root, study = prepared
    run = RunFolder(tmp_path / "run")
    prepare(study, run, root.parent / "given", views=True)
    view = run.data.lmdb("half0A_train")
    done = call(tmp_path, "lmdb", "--from-view", str(view), "copy")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "copy: 8 images\n"
    assert check_lmdb(tmp_path / "copy", shape=(1, 28, 28), classes=2) == 8
    for arguments, message in (
        (("--from-view", str(view), "copy"), "copy is there already; remove it or name another"),
        (("--from-view", "copy", "x"), "copy is no view; name a folder that holds view.json"),
        (("--from-view", str(view), "x", "y"), "--from-view takes OUT, and no other option"),
        (("--from-view", str(view), "x", "--gray"), "--from-view takes OUT, and no other option"),
        (("list.txt", "out"), "give LIST, ROOT and OUT"),
    ):
        done = call(tmp_path, "lmdb", *arguments)
        assert done.returncode == 2
        assert message in done.stderr
        assert "Traceback" not in done.stderr
