"""Estimates of databases: beside the files that LMDB writes."""

from dataclasses import replace
from pathlib import Path

import lmdb
import numpy as np
import pytest

from caffe_transfer.data_prep.disk import disk_estimate, record_bytes
from caffe_transfer.data_prep.lmdb_writer import LmdbWriter
from caffe_transfer.formats.datum import datum
from caffe_transfer.paths import LMDB_DATA
from caffe_transfer.studies.load import load_study, paper
from caffe_transfer.studies.network import Network
from tests.images import write_images


@pytest.mark.parametrize(
    "shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32), (1, 44, 44), (3, 64, 64), (3, 256, 256)]
)
def test_a_record_takes_what_its_pages_take(shape: tuple[int, int, int], tmp_path: Path) -> None:
    count = 3000 if shape[1] < 100 else 200
    with LmdbWriter(tmp_path, tmp_path, lambda: None) as writer:
        for number in range(count):
            key = f"{number:08d}_n01440764/n01440764_{number:06d}.JPEG".encode()
            writer.put(key, datum(np.zeros(shape, np.uint8), number % 1000))
    with lmdb.open(str(tmp_path), readonly=True) as environment:
        assert environment.stat()["entries"] == count
    written = (tmp_path / LMDB_DATA).stat().st_size
    expected = count * record_bytes(shape[0] * shape[1] * shape[2])
    assert expected == pytest.approx(written, rel=0.03, abs=20 * 4096)


def test_the_paper_by_engine() -> None:
    assert record_bytes(3 * 256 * 256) == pytest.approx(200_704, rel=0.001)
    study = paper()
    views, databases = (disk_estimate(study, views=each) for each in (True, False))
    assert views == pytest.approx(267e9, rel=0.01)
    assert databases == pytest.approx(2.1e12, rel=0.05)


@pytest.mark.parametrize(
    ("names", "images"),
    [
        ("netbase", 7000), ("half0A", 3500), ("half0A half0B", 7000),
        ("half0A half1A", 7000), ("netbase half0A", 7000), ("reduced-0010 reduced-0100", 1100),
        ("netbase reduced-6000", 7000),
    ],
)  # fmt: skip
def test_what_is_decoded(names: str, images: int) -> None:
    demo = load_study("fashion-mnist")
    demo = replace(demo, images=replace(demo.images, train_per_class=None, valid_per_class=None))
    study = replace(demo, networks=tuple(map(Network.parse, names.split())))
    found = disk_estimate(study, views=True)
    assert found is not None
    assert found == pytest.approx(10 * images * record_bytes(24 * 24), rel=0.02)


def test_a_folder_whose_images_are_counted(tmp_path: Path) -> None:
    for name, count in (("cat", 10), ("dog", 20)):
        write_images(tmp_path / "photos" / name, count=count)
    demo = load_study("fashion-mnist")
    images = replace(demo.images, source="folder", path=str(tmp_path / "photos"), classes=2)
    study = replace(demo, images=images, networks=(Network.parse("netbase"),))
    record = record_bytes(24 * 24)
    assert disk_estimate(study, views=False) == pytest.approx(30 * record, abs=1)
    few = replace(study, images=replace(images, train_per_class=5, valid_per_class=1))
    assert disk_estimate(few, views=False) == pytest.approx(2 * 6 * record, abs=1)
    gone = replace(study, images=replace(images, path=str(tmp_path / "gone")))
    assert disk_estimate(gone, views=False) is None
