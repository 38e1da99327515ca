"""A survey of a folder: what `new` knows of the images."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from caffe_transfer.data_prep import survey as surveys
from caffe_transfer.data_prep.left_out import Fault
from caffe_transfer.data_prep.survey import ClassCount, survey
from caffe_transfer.errors import BadInput, Incomplete
from tests import awkward
from tests.images import write_images


def write_sizes(folder: Path, *sizes: tuple[int, int], gray: bool = False) -> None:
    folder.mkdir(parents=True)
    for number, (width, height) in enumerate(sizes):
        pixels = np.random.default_rng(number).integers(0, 256, (height, width, 3), np.uint8)
        cv2.imwrite(str(folder / f"{number}.png"), pixels[..., 0] if gray else pixels)


def test_what_a_folder_holds(tmp_path: Path) -> None:
    write_sizes(tmp_path / "cat", (40, 30), (50, 20), (60, 90), (10, 70), (45, 33))
    write_sizes(tmp_path / "dog", (40, 30), (41, 31), gray=True)
    (tmp_path / "cat/half.jpg").write_bytes(awkward.FAULTY["half.jpg"][1]())
    (tmp_path / "cat/empty.jpg").write_bytes(b"")
    (tmp_path / "dog/notes.txt").write_text("dogs")
    (tmp_path / "dog/page.png").write_text("<html>")
    seen: list[tuple[str, int, int]] = []
    found = survey(tmp_path, 0.5, progress=lambda *step: seen.append(step))
    assert found.classes == (ClassCount("cat", 2, 3), ClassCount("dog", 1, 1))
    assert (found.divided, found.decoded, found.problems) == (False, 7, ())
    assert (found.median_width, found.median_height, found.smallest_side) == (41, 31, 10)
    assert found.gray_share == pytest.approx(2 / 7)
    assert found.channels == 3
    assert {each.path.removeprefix(f"{tmp_path}/"): each.fault for each in found.left_out} == {
        "cat/half.jpg": Fault.TRUNCATED,
        "cat/empty.jpg": Fault.EMPTY,
        "dog/notes.txt": Fault.OTHER_ENDING,
        "dog/page.png": Fault.NOT_AN_IMAGE,
    }
    assert seen[-1] == ("decoding a sample", 8, 8)
    assert ("looking at files", 10, 10) in seen


def test_gray_images_suggest_one_channel(tmp_path: Path) -> None:
    for part in ("train", "valid"):
        write_sizes(tmp_path / part / "cat", (8, 8), (9, 9), gray=True)
    found = survey(tmp_path)
    assert (found.gray_share, found.channels, found.divided) == (1, 1, True)
    assert found.classes == (ClassCount("cat", 2, 2),)


def test_a_sample_of_many_holds_every_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(surveys, "MAX_DECODED", 10)
    for number in range(5):
        write_sizes(tmp_path / f"{number}", *[(number + 8, 9)] * 12)
    found = survey(tmp_path)
    assert found.decoded == 10
    assert found.median_width == 10  # of 8 to 12, two of each class


def test_problems_are_told_and_not_raised(tmp_path: Path) -> None:
    write_images(tmp_path / "cat", count=2)
    write_images(tmp_path / "dog", count=1)
    (tmp_path / "empty").mkdir()
    assert survey(tmp_path).problems == (
        "class dog has one image, and needs another for validation",
        "class empty has no images",
    )


def test_nothing_to_look_at(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="none is not a folder"):
        survey(tmp_path / "none")
    with pytest.raises(BadInput, match=r"no image that can be used: .* one a class"):
        survey(tmp_path)
    (tmp_path / "cat").mkdir()
    for number in range(2):
        (tmp_path / "cat" / f"{number}.jpg").write_bytes(b"no image")
    with pytest.raises(BadInput, match=r"no image that can be used: 2 not an image \(first: "):
        survey(tmp_path)
    write_images(tmp_path / "train/cat", count=2)
    with pytest.raises(Incomplete, match="lacks valid or val"):
        survey(tmp_path)
