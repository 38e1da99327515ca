"""The paper's 170 networks at a size that a test can afford, over images that are all alike.

Names, groups, splits, solvers and the number of iterations are the paper's; the net is `mini`, for
images of 16x16 gray pixels.
"""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from caffe_transfer.report import results
from caffe_transfer.report.results import Row
from caffe_transfer.studies.load import paper
from caffe_transfer.studies.solver import SolverSettings
from caffe_transfer.studies.study import Study
from caffe_transfer.studies.write import study_text
from tests.replay_engine import TWICE
from tests.small_ilsvrc12 import TRAIN, VALID

_SIZE = 16
_SNAPSHOTS = 5  # of each network
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


def write_replay_study(folder: Path, study: Study | None = None) -> tuple[Path, Path]:
    """Write a study's file, by default `replay_study`, and its images; returns both paths."""
    file = folder / "replay.toml"
    file.write_text(study_text(study or replay_study()))
    images = folder / "ilsvrc12"
    encoded = cv2.imencode(".png", np.zeros((_SIZE, _SIZE), np.uint8))[1].tobytes()
    for part, listed in (("train", TRAIN), ("val", VALID)):
        for name in listed.paths:
            path = images / part / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encoded)
        (images / f"{part}.txt").write_text(listed.text)
    return file, images


def check_replayed(run: Path, published: Path) -> None:
    """Check that a run of the study has all networks, and the authors' results where they are.

    Args:
        run: the run's folder.
        published: the authors' folder.
    """
    assert not list(run.rglob(TWICE))
    ours = {row.network.name: row for row in results.collect(run).rows}
    assert set(ours) == {network.name for network in replay_study().networks}
    assert [name for name, row in ours.items() if not row.complete] == []
    theirs = {row.network.name: row for row in results.collect(published).rows}
    assert len(theirs) >= 34
    for name, row in theirs.items():
        assert _of_logs(ours[name]) == _of_logs(row)
    assert {name for name, row in ours.items() if row.top1 is not None} == {
        name for name, row in theirs.items() if row.top1 is not None
    }


def _of_logs(row: Row) -> dict[str, object]:
    values = {name: getattr(row, name) for name in _OF_LOGS}
    return {"network": row.network.name} | values
