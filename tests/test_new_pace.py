"""A few seconds of training by real Caffe, timed."""

from dataclasses import replace
from pathlib import Path

import pytest

from caffe_transfer.errors import EngineError
from caffe_transfer.new_study import pace
from caffe_transfer.new_study.pace import measure_pace
from caffe_transfer.studies.load import load_study
from caffe_transfer.studies.network import Network
from caffe_transfer.training.engine import Engine
from caffe_transfer.training.train import Settings
from tests.small_study import script

DEMO = load_study("fashion-mnist")
STUDY = replace(DEMO, batch=32, test_batch=8)
BASE, FROZEN = Network.parse("half0B"), Network.parse("transfer0A0B_1_7")


def test_real_caffe_is_timed(
    caffe_bin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "ENOUGH_SECONDS", 0.5)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    found = measure_pace(STUDY, BASE, Settings(Engine("caffe", caffe_bin)))
    assert 0 < found.iteration < 5
    assert 0 < found.test_batch < 5
    assert 0 < found.start < 30
    assert not list(tmp_path.iterdir())


LOG = """\
I0403 00:00:00.5 1 solver.cpp:1] Iteration 0, Testing net (#0)
I0403 00:00:00.75 1 solver.cpp:1]     Test net output #0: accuracy = 0.5
I0403 00:00:01.000000 1 solver.cpp:1] Iteration 0 (0 iter/s, 0s/1 iters), loss = 2.3
I0403 00:00:09.000000 1 solver.cpp:1] Iteration 1 (1 iter/s, 0s/1 iters), loss = 2.3
I0403 00:00:10.000000 1 solver.cpp:1] Iteration 2 (1 iter/s, 0s/1 iters), loss = 2.3
I0403 00:00:11.000000 1 solver.cpp:1] Iteration 3 (1 iter/s, 0s/1 iters), loss = 2.3
"""


def test_the_times_are_those_of_the_log(tmp_path: Path) -> None:
    """The median: the first iteration is slow while memory is allocated."""
    (tmp_path / "log").write_text(LOG)
    engine = script(tmp_path / "engine", f"cat {tmp_path}/log >&2\n")
    found = measure_pace(STUDY, FROZEN, Settings(engine))
    assert (found.iteration, found.test_batch) == (1, 0.25)


def test_an_engine_that_cannot_train_the_net(tmp_path: Path) -> None:
    engine = script(tmp_path / "engine", "echo 'F0403 x.cpp:1] out of memory' >&2\nexit 1\n")
    with pytest.raises(EngineError, match=r"engine cannot train this net .*: out of memory"):
        measure_pace(STUDY, BASE, Settings(engine))


def test_an_engine_that_is_slow_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "ENOUGH_SECONDS", 0)
    (tmp_path / "log").write_text(LOG)
    engine = script(tmp_path / "engine", f"cat {tmp_path}/log >&2\nexec sleep 600\n")
    assert measure_pace(STUDY, BASE, Settings(engine)).iteration == 1
