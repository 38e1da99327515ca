"""Labels of validation images from the devkit and from Kaggle's list."""

from pathlib import Path

import pytest

from caffe_transfer.data_prep.ilsvrc12_truth import published_labels
from caffe_transfer.errors import BadInput, FormatError, Incomplete
from tests import small_ilsvrc12 as small

LABELS = dict(zip(small.VALID.paths, small.VALID.labels, strict=True))
TRUTH, META = "ILSVRC2012_validation_ground_truth.txt", "meta.mat"


@pytest.mark.parametrize("folder", ["", "data", "ILSVRC2012_devkit_t12/data"])
def test_an_unpacked_devkit(folder: str, tmp_path: Path) -> None:
    assert published_labels(tmp_path) is None
    small.write_files(tmp_path / folder, small.devkit_files())
    assert published_labels(tmp_path) == LABELS


def test_a_devkit_that_is_damaged(tmp_path: Path) -> None:
    small.add_devkit(tmp_path)
    assert published_labels(tmp_path) == LABELS
    packed = tmp_path / "ILSVRC2012_devkit_t12.tar.gz"
    whole = packed.read_bytes()
    for content in (whole[: len(whole) // 2], b"no tar", b""):
        packed.write_bytes(content)
        with pytest.raises(
            FormatError, match=r"devkit_t12\.tar\.gz is not a whole \.tar\.gz: .*; fetch it again"
        ):
            published_labels(tmp_path)


def test_a_devkit_that_lacks_something(tmp_path: Path) -> None:
    files = small.devkit_files()
    small.write_files(tmp_path, {TRUTH: files[TRUTH]})
    with pytest.raises(Incomplete, match=r"numbers the classes as the devkit's meta\.mat does"):
        published_labels(tmp_path)
    small.write_files(tmp_path, {META: b"no matrix"})
    with pytest.raises(FormatError, match=r"meta\.mat is not the devkit's meta\.mat"):
        published_labels(tmp_path)
    small.write_files(tmp_path, files | {TRUTH: b"1\n1001\n"})
    with pytest.raises(FormatError, match=r"truth\.txt holds '1001', which .*does not name"):
        published_labels(tmp_path)


def test_kaggles_list(tmp_path: Path) -> None:
    small.VALID_FORMS["Kaggle's"](tmp_path)
    assert published_labels(tmp_path) == LABELS
    path = tmp_path / "LOC_val_solution.csv"
    for row in ("ILSVRC2012_val_00000001,n00000001 1 2 3 4", "a", "a,b,c", "a,"):
        path.write_text(f"ImageId,PredictionString\n{row}\n")
        with pytest.raises(FormatError, match=r"solution\.csv is not Kaggle's list"):
            published_labels(tmp_path)
    path.unlink()
    path.symlink_to(path)
    assert published_labels(tmp_path) is None


def test_a_file_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small.write_files(tmp_path, small.devkit_files())

    def fail(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", fail)
    with pytest.raises(BadInput, match=r"truth\.txt cannot be read: Permission denied"):
        published_labels(tmp_path)
