"""Where every network of a run stands."""

import json
import math
from pathlib import Path

import pytest

from caffe_transfer.errors import Incomplete
from caffe_transfer.lock import locked
from caffe_transfer.paths import NetworkFolder
from caffe_transfer.training.status import (
    State,
    Status,
    StatusReader,
    network_status,
    networks_in,
    seconds_left,
)
from tests.small_study import TEXT, SmallRun


def test_every_state(small_run: SmallRun) -> None:
    small_run.train("half0A")
    for name in ("half0B", "transfer0A0B_1_3", "nolearn_1_2"):
        small_run.write(name)
    stopped = NetworkFolder(small_run.folder.results / "half0B")
    stopped.logs.mkdir()
    (stopped.logs / "train-1.log").write_text(
        "I20261123 10:00:00.000000 7 solver.cpp:239] Iteration 0 (1 iter/s, 1s/1 iters), loss = 3\n"
        "I20261123 10:00:02.000000 7 solver.cpp:239] Iteration 1 (1 iter/s, 1s/1 iters), loss = 2\n"
    )
    broken = small_run.folder.results / "nolearn_1_2" / "solver.prototxt"
    broken.write_text("typo: 1")
    rows = {row.name: row for row in StatusReader(small_run.folder.root).read()}
    assert rows["half0A"].state is State.DONE
    assert (rows["half0A"].iteration, rows["half0A"].max_iter) == (4, 4)
    assert rows["half0A"].accuracy is not None
    assert rows["half0B"].state is State.STOPPED
    assert (rows["half0B"].iteration, rows["half0B"].loss) == (1, 2)
    assert rows["transfer0A0B_1_3"].state is State.WAITING
    assert rows["nolearn_1_2"].state is State.BROKEN
    assert "typo" in rows["nolearn_1_2"].problem
    with locked(stopped.lock):
        training = network_status(stopped.root)
    assert training.state is State.TRAINING
    assert training.seconds_left == pytest.approx(2 * 3)


def test_networks_are_in_natural_order(tmp_path: Path) -> None:
    for name in ("transfer0A0B_1_10", "half0A", "transfer0A0B_1_2"):
        (tmp_path / "results" / name).mkdir(parents=True)
        (tmp_path / "results" / name / "solver.prototxt").touch()
    names = [path.name for path in networks_in(tmp_path)]
    assert names == ["half0A", "transfer0A0B_1_2", "transfer0A0B_1_10"]
    assert networks_in(tmp_path / "results/half0A") == [tmp_path / "results/half0A"]


def test_a_folder_without_networks(tmp_path: Path) -> None:
    with pytest.raises(Incomplete, match="there are no networks in"):
        StatusReader(tmp_path).read()


def test_as_dict_is_json() -> None:
    row = Status("half0A", State.FAILED, loss=math.nan, problem="why").as_dict()
    assert json.loads(json.dumps(row, allow_nan=False)) == row
    assert (row["state"], row["loss"], row["problem"]) == ("failed", None, "why")


def test_logs_are_read_again_when_they_have_grown(small_run: SmallRun) -> None:
    small_run.train("half0A")
    for network in small_run.study.networks:
        small_run.write(network.name)
    small_run.folder.study.write_text(TEXT)
    reader = StatusReader(small_run.folder.root)
    rows = reader.read()
    left = seconds_left(reader, rows)
    assert left == pytest.approx(reader.paces["half0A"] * 4 * 5)
    (log,) = small_run.folder.network("half0A").logs.iterdir()
    log.write_text(log.read_text().replace("loss = ", "loss = 1"))
    again = {row.name: row.loss for row in reader.read()}
    assert again["half0A"] != {row.name: row.loss for row in rows}["half0A"]
    assert seconds_left(StatusReader(small_run.folder.results), rows) is None
