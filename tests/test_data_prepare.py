"""prepare: everything that a study's networks read, and nothing twice."""

import socket
from dataclasses import replace
from pathlib import Path

import pytest

from caffe_transfer.data_prep.prepare import data_sets, disk_estimate, prepare
from caffe_transfer.errors import BadInput
from caffe_transfer.formats.lmdb import check_lmdb, open_lmdb
from caffe_transfer.paths import RunFolder
from caffe_transfer.studies.load import load_study
from caffe_transfer.studies.network import Mode, Network
from caffe_transfer.studies.study import Images, Study
from tests.images import write_images


@pytest.fixture
def given_images(tmp_path: Path) -> Path:
    """Four classes, a dozen training and a handful of validation images."""
    given = tmp_path / "given"
    for part, count in (("train", 16), ("valid", 8)):
        images = write_images(given / part, count, classes=4)
        (given / f"{part}.txt").write_text(
            "".join(f"{part}/{p} {i}\n" for p, i in zip(images.paths, images.labels, strict=True))
        )
    return given


def study(*networks: Network, **images: int) -> Study:
    plain = load_study("fashion-mnist")
    small = Images(source="list", classes=4, channels=3, size=8, **images)  # type: ignore[arg-type]
    return replace(plain, images=small, networks=networks)


HALF_A = Network(mode=Mode.BASE, target="A", split="0")
HALF_B = Network(mode=Mode.BASE, target="B", split="0")
WHOLE = Network(mode=Mode.BASE)
REDUCED = Network(mode=Mode.REDUCED, per_class=2)


def entries(run: RunFolder) -> dict[str, int]:
    return {
        path.parent.name: check_lmdb(path, shape=(3, 8, 8)) for path in run.data.root.glob("*/lmdb")
    }


def test_all_that_the_networks_read(given_images: Path, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    assert prepare(study(HALF_A, WHOLE, REDUCED), run, given_images) == []
    assert entries(run) == {
        "half0A_train": 8, "half0A_valid": 4, "whole_train": 16, "whole_valid": 8,
        "reduced-0002_train": 8,
    }  # fmt: skip
    assert run.data.mean.is_file()


def test_the_second_time_nothing_is_done(given_images: Path, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    prepare(study(HALF_A, HALF_B), run, given_images)
    before = {path: path.stat().st_mtime_ns for path in run.root.rglob("*") if path.is_file()}
    prepare(study(HALF_A, HALF_B), run)
    after = {path: path.stat().st_mtime_ns for path in run.root.rglob("*") if path.is_file()}
    changed = {path.name for path in before if before[path] != after[path]}
    assert changed <= {"half0_labels.txt"}
    assert set(before) == set(after)


def test_a_half_written_database_is_made_anew(given_images: Path, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    leftover = run.data.root / "half0A_train" / f".lmdb.0.99999999@{socket.gethostname()}.part"
    leftover.mkdir(parents=True)
    prepare(study(HALF_A, HALF_B), run, given_images)
    assert entries(run)["half0A_train"] == 8
    assert not leftover.exists()


def test_limits_of_images_a_class(given_images: Path, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    prepare(study(WHOLE, train_per_class=3, valid_per_class=1), run, given_images)
    assert entries(run) == {"whole_train": 12, "whole_valid": 4}


def test_training_records_are_shuffled_and_lists_are_not(
    given_images: Path, tmp_path: Path
) -> None:
    run = RunFolder(tmp_path / "run")
    prepare(study(WHOLE), run, given_images)
    listed = [line.split()[0] for line in run.data.list("whole_train").read_text().splitlines()]
    with open_lmdb(run.data.lmdb("whole_train")) as env, env.begin() as transaction:
        written = [bytes(key).decode().split("_", 1)[1] for key, _ in transaction.cursor()]
    assert sorted(written) == sorted(listed)
    assert written != listed


def test_broken_images_are_named(given_images: Path, tmp_path: Path) -> None:
    (given_images / "train/5.png").write_bytes(b"no image")
    run = RunFolder(tmp_path / "run")
    broken = prepare(study(WHOLE), run, given_images)
    assert [path.resolve() for path in broken] == [given_images / "train/5.png"]
    assert entries(run)["whole_train"] == 15


def test_a_split_that_does_not_go_with_the_classes(given_images: Path, tmp_path: Path) -> None:
    natman = Network(mode=Mode.BASE, target="A", split="natman")
    with pytest.raises(BadInput, match="ILSVRC2012 synsets"):
        prepare(study(natman), RunFolder(tmp_path / "run"), given_images)


def test_data_sets_and_estimate() -> None:
    demo = load_study("fashion-mnist")
    assert set(data_sets(demo)) == {
        "whole_train", "whole_valid", "half0A_train", "half0A_valid", "half0B_train",
        "half0B_valid",
    }  # fmt: skip
    estimate = disk_estimate(demo)
    images = (
        2 * 10 * ((demo.images.train_per_class or 6000) + (demo.images.valid_per_class or 1000))
    )
    assert estimate is not None
    assert images * 28 * 28 < estimate < 1.2 * images * 28 * 28
    assert disk_estimate(study(WHOLE)) is None
