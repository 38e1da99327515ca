"""`new` as a user calls it, and `run` of what it has written, with real Caffe."""

import csv
from pathlib import Path

import pytest

from tests.test_cli_train import call
from tests.test_new_plan import RESIDUAL, write_photos

CLASSES = ("Bär", "it's a dog", 'small "car"', "boat")


@pytest.fixture
def photos(tmp_path: Path, caffe_bin: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CAFFE_BIN", str(caffe_bin))
    return write_photos(tmp_path / "my photos", CLASSES, count=10, side=20)


def results(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "report/results.csv").open() as file:
        return {row["network"]: row for row in csv.DictReader(file)}


def test_from_images_to_report_and_on_to_others(photos: Path) -> None:
    """Two halves of four classes; then a base of them, given to a study of two other classes."""
    folder = photos.parent
    given = ("--net", RESIDUAL, "--minutes", "2")
    done = call("new", "mine.toml", "--images", photos.name, *given, cwd=folder)
    assert done.returncode == 0, done.stderr
    for words in (
        "images: 4 classes, 32 for training, 8 for validation, median 20x20 pixels",
        "3 cuts, of which the study has conv1, a, b\n",
        "iterations of",
        "disk: databases",
        "  caffe-transfer run mine.toml\n",
    ):
        assert words in done.stdout
    ran = call("run", "mine.toml", "--jobs", "2", cwd=folder)
    assert ran.returncode == 0, ran.stderr
    assert "tests score different images" not in ran.stderr
    rows = results(folder / "mine")
    assert {"half0A", "half0B", "transfer0A0B_1_1", "transfer0B0B_1_1"} <= set(rows)
    assert {row["complete"] for row in rows.values()} == {"true"}
    assert {row["valid_images"] for row in rows.values()} == {"4"}

    (model,) = (folder / "mine/results/half0A/snapshots").glob("*.caffemodel")
    others = write_photos(folder / "others", ("tree", "house"), count=10, side=20)
    done = call("new", folder / "theirs.toml", "--images", others, "--weights", model, *given)
    assert done.returncode == 0, done.stderr
    assert "layers in the same shapes\n" in done.stdout
    ran = call("run", folder / "theirs.toml", "--jobs", "2")
    assert ran.returncode == 0, ran.stderr
    rows = results(folder / "theirs")
    assert {"halfmineB", "transfermineAB_1_1", "transfer-ftmineAB_1_1"} <= set(rows)
    assert "halfmineA" not in rows
    assert {row["complete"] for row in rows.values()} == {"true"}


def test_refusals_are_one_sentence_and_write_nothing(photos: Path) -> None:
    folder = photos.parent
    one = write_photos(folder / "one", ("cat",))
    lonely = write_photos(folder / "lonely", ("cat", "dog", "cow", "hen"))
    for name in ("cat", "dog"):
        for image in sorted((lonely / name).iterdir())[1:]:
            image.unlink()
    (folder / "empty").mkdir()
    (folder / "old.toml").write_text("mine")
    before = sorted(folder.rglob("*"))
    for arguments, words in (
        (("old.toml", "--images", photos), "old.toml is there already"),
        (("mine.txt", "--images", photos), "does not end in .toml"),
        (("mine.toml", "--images", photos, "--minutes", "0"), "--minutes 0"),
        (("mine.toml", "--images", photos, "--minutes", "1e-9"), "is too short"),
        (("mine.toml", "--images", folder / "gone"), "is not a folder"),
        (("mine.toml", "--images", folder / "empty"), "holds no image"),
        (("mine.toml", "--images", one), "has 1 class, cat"),
        (("mine.toml", "--images", lonely), "class cat has one image, and needs another for "
         "validation; class dog has one image"),
        (("mine.toml", "--images", photos, "--net", "gone.prototxt"), "gone.prototxt"),
        (("mine.toml", "--images", photos, "--weights", folder / "gone"), "gone"),
        (("mine.toml",), "--images"),
    ):  # fmt: skip
        done = call("new", *arguments, cwd=folder)
        assert done.returncode == 2, words
        assert words in done.stderr
        assert "Traceback" not in done.stderr
    assert sorted(folder.rglob("*")) == before
    assert (folder / "old.toml").read_text() == "mine"


def test_what_is_given_is_looked_at_before_the_engine(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAFFE_BIN", "/nonexistent")
    one = write_photos(photos.parent / "one", ("cat",))
    for images, words in ((one, "has 1 class, cat"), (photos, "CAFFE_BIN names /nonexistent")):
        done = call("new", photos.parent / "mine.toml", "--images", images)
        assert done.returncode == 2
        assert words in done.stderr
    assert not (photos.parent / "mine.toml").exists()


def test_run_finds_its_folder(photos: Path) -> None:
    """Beside the study's file; a folder that holds something else is never written into."""
    folder = photos.parent
    done = call("new", "mine.toml", "--images", photos, "--minutes", "2", cwd=folder)
    assert done.returncode == 0, done.stderr
    (folder / "mine").mkdir()
    (folder / "mine/letter.txt").write_text("dear")
    ran = call("run", folder / "mine.toml")
    assert ran.returncode == 2
    assert f"{folder}/mine is there and holds no run; name the run's folder with --out" in (
        ran.stderr
    )
    assert [path.name for path in (folder / "mine").iterdir()] == ["letter.txt"]
    assert call("run", "mine.toml", "--dry-run", cwd=folder).returncode == 0
