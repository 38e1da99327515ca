"""A study small enough to train in a test: four classes of random images, a few iterations."""

import shutil
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from caffe_transfer.data_prep.prepare import prepare
from caffe_transfer.nets.write import write_network
from caffe_transfer.paths import RunFolder
from caffe_transfer.studies.load import load_study
from caffe_transfer.studies.network import Network
from caffe_transfer.studies.study import EVERY, Study
from caffe_transfer.training.engine import Engine
from caffe_transfer.training.train import Settings, TrainingProgress, train_network
from tests.images import write_images

TEXT = """
name = "small"
net = "mini"
batch = 4
test_batch = 4
[images]
source = "list"
classes = 4
channels = 1
size = 28
[solver]
base_lr = 0.001
stepsize = 100
max_iter = 4
test_iter = 1
test_interval = 2
snapshot = 2
display = 1
[[networks]]
mode = "base"
whole = true
splits = ["0"]
[[networks]]
mode = "transfer"
splits = ["0"]
pairs = ["AB"]
n = [3]
fine_tune = [false, true]
[[networks]]
mode = "random"
n = [2]
"""


def write_study(folder: Path, text: str = TEXT) -> Path:
    """The study's file, and its images beside it in given/."""
    given = folder / "given"
    images = write_images(given / "all", count=16, classes=4)
    listed = "".join(
        f"all/{path} {label}\n" for path, label in zip(images.paths, images.labels, strict=True)
    )
    (given / "train.txt").write_text(listed)
    (given / "valid.txt").write_text(listed)
    path = folder / "small.toml"
    path.write_text(text)
    return path


class SmallRun:
    """A run's folder with data, in which networks can be trained."""

    def __init__(self, root: Path, study: Study, engine: Engine) -> None:
        self.folder = RunFolder(root)
        self.study = study
        self.settings = Settings(engine, keep_snapshots=EVERY)  # to be looked at

    def write(self, name: str) -> Path:
        """Write one network's folder."""
        return write_network(Network.parse(name), self.study, self.folder.results)

    def train(
        self, name: str, stop: threading.Event | None = None, engine: Engine | None = None
    ) -> tuple[dict[str, Any], list[TrainingProgress]]:
        """Write and train a network: its manifest, and what was reported."""
        seen: list[TrainingProgress] = []
        settings = replace(self.settings, engine=engine) if engine else self.settings
        return train_network(self.write(name), settings, seen.append, stop), seen


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Study]:
    """A run's folder with nothing but data."""
    folder = tmp_path_factory.mktemp("small")
    study = load_study(str(write_study(folder)))
    prepare(study, RunFolder(folder / "run"), folder / "given")
    return folder / "run", study


@pytest.fixture
def small_run(prepared: tuple[Path, Study], caffe_bin: Path, tmp_path: Path) -> SmallRun:
    """A copy of it for one test, with real Caffe."""
    root, study = prepared
    shutil.copytree(root, tmp_path / "run", symlinks=True)
    return SmallRun(tmp_path / "run", study, Engine("caffe", caffe_bin))


def script(path: Path, text: str) -> Engine:
    """An engine that is a shell script."""
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return Engine(path.name, path)
