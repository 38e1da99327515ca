"""What `new` refuses before it looks at images, and how it names files in a study."""

import math
import os
import re
from pathlib import Path

import pytest

from caffe_transfer.errors import BadInput
from caffe_transfer.new_study.request import Request, check_request, name_in


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    return tmp_path / "photos"


def test_a_file_that_can_be_written(photos: Path) -> None:
    check_request(Request(photos.parent / "mine.toml", photos))


@pytest.mark.parametrize("minutes", [0, -1, math.nan, math.inf])
def test_times_that_are_none(photos: Path, minutes: float) -> None:
    with pytest.raises(BadInput, match="leaves no time to train; give more than 0"):
        check_request(Request(photos.parent / "mine.toml", photos, minutes=minutes))


def test_files_that_cannot_be_a_study(photos: Path) -> None:
    folder = photos.parent
    (folder / "old.toml").write_text("")
    (folder / "link.toml").symlink_to("nowhere")
    for name, why in (
        ("mine.txt", r"mine.txt does not end in .toml"),
        ("mine", r"does not end in .toml"),
        (".toml", r"does not end in .toml"),
        ("old.toml", r"old.toml is there already; remove it or name another file"),
        ("link.toml", r"is there already"),
        ("no/mine.toml", r"there is no folder .*no to write mine.toml into; make it first"),
        ("old.toml/mine.toml", r"there is no folder"),
        ("new\nline.toml", r"cannot stand in a TOML file; rename it"),
    ):
        with pytest.raises(BadInput, match=why):
            check_request(Request(folder / name, photos))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_not_writable(photos: Path) -> None:
    photos.parent.chmod(0o500)
    try:
        with pytest.raises(BadInput, match="is not writable"):
            check_request(Request(photos.parent / "mine.toml", photos))
    finally:
        photos.parent.chmod(0o700)


@pytest.mark.parametrize("file", ["photos.toml", "photos/mine.toml"])
def test_a_run_is_never_mixed_with_the_images(photos: Path, file: str) -> None:
    """`run photos.toml` would write into photos/, `run photos/mine.toml` into photos/mine/."""
    with pytest.raises(BadInput, match=r"would write into .* among the images of"):
        check_request(Request(photos.parent / file, photos))


def test_images_within_the_folder_of_the_run(tmp_path: Path) -> None:
    (tmp_path / "mine/images").mkdir(parents=True)
    with pytest.raises(BadInput, match="among the images of"):
        check_request(Request(tmp_path / "mine.toml", tmp_path / "mine/images"))


def test_names_are_relative_below_and_beside(tmp_path: Path) -> None:
    folder, other = tmp_path / "a/studies", tmp_path / "far/away"
    for each in (folder / "photos", tmp_path / "a/photos/own", other):
        each.mkdir(parents=True)
    assert name_in(folder, folder / "photos") == "photos"
    assert name_in(folder, tmp_path / "a/photos/own") == "../photos/own"
    assert name_in(folder, other) == str(other)


def test_names_from_a_folder_behind_a_link(tmp_path: Path) -> None:
    """`..` of a linked folder is another folder than the one that the link lies in."""
    for each in ("real/studies", "here/photos"):
        (tmp_path / each).mkdir(parents=True)
    (tmp_path / "here/studies").symlink_to(tmp_path / "real/studies")
    photos = tmp_path / "here/photos"
    assert name_in(tmp_path / "here/studies", photos) == str(photos)


def test_relative_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "photos").mkdir()
    monkeypatch.chdir(tmp_path)
    check_request(Request(Path("mine.toml"), Path("photos")))
    assert name_in(Path(), Path("photos")) == "photos"
    with pytest.raises(BadInput, match=re.escape("would write into photos, among the images")):
        check_request(Request(Path("photos.toml"), Path("./photos")))
