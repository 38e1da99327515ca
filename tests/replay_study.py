"""The paper's 170 networks at a size that a test can afford, over images that are all alike.

Names, groups, splits, solvers and the number of iterations are the paper's; the net is `mini`, for
images of 16x16 gray pixels.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from caffe_transfer.files import is_locked
from caffe_transfer.paths import RunFolder
from caffe_transfer.pipeline import prepare_run
from caffe_transfer.report import results
from caffe_transfer.report.results import Row
from caffe_transfer.studies.load import paper
from caffe_transfer.studies.solver import SolverSettings
from caffe_transfer.studies.study import Study
from caffe_transfer.studies.write import study_text
from tests.replay_engine import MARK, ROOT, TWICE, replay_script
from tests.small_ilsvrc12 import TRAIN, VALID, write_files

_SIZE = 16
_SNAPSHOTS = 5  # of each network
_PUBLISHED = 34  # networks whose logs the shared folder has
# What the logs say, and nothing that the number of validation images decides.
_OF_LOGS = ("top1", "top1_last", "valid_loss", "train_loss", "stalled", "tests", "top1_last10")


def replay_study() -> Study:
    """The study."""
    study = paper()
    assert study.reduced_solver is not None
    return replace(
        study,
        net="mini",
        batch=4,
        test_batch=4,
        images=replace(study.images, channels=1, size=_SIZE, crop=14),
        solver=_with_few_snapshots(study.solver),
        reduced_solver=_with_few_snapshots(study.reduced_solver),
    )


def _with_few_snapshots(solver: SolverSettings) -> SolverSettings:
    return replace(solver, snapshot=solver.max_iter // _SNAPSHOTS)


def published_part(published: Path) -> Study:
    """The networks whose logs are at hand, each with its base.

    Args:
        published: the authors' folder.
    """
    study = replay_study()
    names = {path.name for path in (published / "results").iterdir()}
    part = tuple(network for network in study.networks if network.name in names)
    assert {network.base_name for network in part if network.base_name} <= names
    return replace(study, networks=part)


class ReplayRun:
    """A run of a study, by the replaying engine; everything lies in one folder.

    Attributes:
        published: the authors' folder; None for losses and scores of nobody.
        folder: of the run.
        argv: the command that runs the study to its end, to which options may be added.
    """

    def __init__(
        self, root: Path, study: Study, published: Path | None, seconds: float = 0.0
    ) -> None:
        self.study, self.published = study, published
        self.folder = RunFolder(root / "run")
        file, images = root / "replay.toml", root / "ilsvrc12"
        file.write_text(study_text(study))
        if not images.is_dir():
            _write_images(images)
        self.engine = replay_script(root / "replay", published and published / "results", seconds)
        self.argv = [
            sys.executable, "-m", "caffe_transfer", "run", str(file), "--out",
            str(self.folder.root), "--from", str(images), "--engine", str(self.engine),
        ]  # fmt: skip

    def prepare(self) -> None:
        """Make databases and the networks' folders."""
        prepare_run(self.study, self.folder.root, images_from=self.folder.root.parent / "ilsvrc12")

    def start(
        self, *options: str, environment: Mapping[str, str] | None = None
    ) -> "subprocess.Popen[str]":
        """Start the command in a session of its own; its output goes to a file.

        Args:
            environment: by default that of this process.
        """
        with (self.folder.root.parent / "output.txt").open("a") as output:
            return subprocess.Popen(
                [*self.argv, *options], stdout=output, stderr=output, text=True,
                start_new_session=True,
                env=environment or os.environ | {"PYTHONPATH": str(ROOT)},
            )  # fmt: skip

    @property
    def output(self) -> str:
        """What all commands so far have printed."""
        return (self.folder.root.parent / "output.txt").read_text()

    def engines(self) -> list[int]:
        """The processes of the engines that train now."""
        marks = self.folder.results.glob(f"*/{MARK}")
        pids = [int(mark.read_text() or 0) for mark in marks if is_locked(mark)]
        return [pid for pid in pids if pid]

    def check(self) -> None:
        """Check that all is trained, and that the results are the authors' where there are some."""
        assert self.check_trained() >= _PUBLISHED

    def check_trained(self) -> int:
        """The same for a part of the study; returns how many networks were compared."""
        twice = [path.read_text() for path in self.folder.results.rglob(TWICE)]
        assert twice == []
        ours = {row.network.name: row for row in results.collect(self.folder.root).rows}
        assert set(ours) == {network.name for network in self.study.networks}
        assert [name for name, row in ours.items() if not row.complete] == []
        assert self.published is not None
        published = results.collect(self.published).rows
        theirs = {row.network.name: row for row in published if row.network.name in ours}
        for name, row in theirs.items():
            assert _of_logs(ours[name]) == _of_logs(row)
        scored = {name for name, row in theirs.items() if row.top1 is not None}
        assert {name for name, row in ours.items() if row.top1 is not None} == scored
        return len(theirs)


def _write_images(images: Path) -> None:
    encoded = cv2.imencode(".png", np.zeros((_SIZE, _SIZE), np.uint8))[1].tobytes()
    for part, listed in (("train", TRAIN), ("val", VALID)):
        write_files(images / part, dict.fromkeys(listed.paths, encoded))
        (images / f"{part}.txt").write_text(listed.text)


def _of_logs(row: Row) -> dict[str, object]:
    values = {name: getattr(row, name) for name in _OF_LOGS}
    return {"network": row.network.name} | values
