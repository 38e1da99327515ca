"""The boundary to training: which program, which argv."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from caffe_transfer.errors import EngineError, RefusedNet
from caffe_transfer.training.engine import (
    Engine,
    failed,
    find_engine,
    last_words,
    names_device,
    start,
)
from tests.small_study import script

PYTHON = sys.executable


@pytest.fixture(autouse=True)
def nothing_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No engine anywhere, until a test makes one."""
    monkeypatch.delenv("CAFFE_BIN", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setenv("CAFFE_PREFIX", str(tmp_path / "prefix"))
    monkeypatch.setattr("sys.executable", str(tmp_path / "venv/python"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)  # PyTorch is here
    for name in ("path", "prefix/bin", "venv"):
        (tmp_path / name).mkdir(parents=True)


def test_argv_is_that_of_caffe() -> None:
    caffe = Engine("caffe", Path("/bin/caffe"))
    assert caffe.train("s") == ["/bin/caffe", "train", "--solver=s"]
    assert caffe.train("s", weights="w")[2:] == ["--solver=s", "--weights=w"]
    assert caffe.train("s", weights="w", snapshot="x")[2:] == ["--solver=s", "--snapshot=x"]
    assert caffe.train("s", gpu="0,1")[2:] == ["--solver=s", "--gpu=0,1"]


def test_precision_is_a_choice_of_caffe_torch(tmp_path: Path) -> None:
    script(tmp_path / "venv/caffe-torch", "")
    engine = find_engine(None, "bf16")
    assert engine.train("s")[2:] == ["--solver=s", "--precision=bf16"]
    script(tmp_path / "path/caffe", "")
    with pytest.raises(EngineError, match="caffe computes in float32 only; add --engine caffe-to"):
        find_engine(None, "bf16")


def test_the_order_in_which_caffe_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(EngineError, match="run `make caffe`, or name one with CAFFE_BIN"):
        find_engine()
    script(tmp_path / "path/caffe-torch", "")
    assert find_engine().name == "caffe-torch"
    assert find_engine("caffe-torch").program == tmp_path / "path/caffe-torch"
    with pytest.raises(EngineError, match="make caffe"):
        find_engine("caffe")
    for place in ("prefix/bin/caffe", "path/caffe"):
        script(tmp_path / place, "")
        assert find_engine() == Engine("caffe", tmp_path / place)
    script(tmp_path / "mine", "")
    monkeypatch.setenv("CAFFE_BIN", str(tmp_path / "mine"))
    assert find_engine().program == tmp_path / "mine"


def test_programs_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EngineError, match=r"pip install 'caffe-transfer\[torch\]'"):
        find_engine("caffe-torch")
    with pytest.raises(EngineError, match="there is no program caffee; --engine takes caffe, "):
        find_engine("caffee")
    monkeypatch.setenv("CAFFE_BIN", str(tmp_path / "none"))
    with pytest.raises(EngineError, match=r"CAFFE_BIN names .*none, which is no program"):
        find_engine()


def test_caffe_torch_is_found_beside_python(tmp_path: Path) -> None:
    script(tmp_path / "venv/caffe-torch", "")
    assert find_engine().program == tmp_path / "venv/caffe-torch"


def test_caffe_torch_without_pytorch_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(tmp_path / "venv/caffe-torch", "")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(EngineError, match=r"pip install 'caffe-transfer\[torch\]'"):
        find_engine("caffe-torch")


def test_version(tmp_path: Path, caffe_bin: Path) -> None:
    assert Engine("caffe", caffe_bin).version() == "caffe version 1.0.0"
    assert script(tmp_path / "good", "echo version 3").version() == "version 3"
    with pytest.raises(EngineError, match="--version ended with status 7"):
        script(tmp_path / "bad", "exit 7").version()
    with pytest.raises(EngineError, match="cannot start"):
        Engine("none", tmp_path / "none").version()


def test_last_words() -> None:
    log = "I1 1 a.cpp:1] good\nF1 1 b.cpp:2] Check failed\n*** stack ***\n"
    assert last_words(log) == "Check failed"
    assert last_words("something\nelse\n") == "else"
    assert last_words("") == "it said nothing"


def test_short_commands_run_in_a_session_of_their_own(tmp_path: Path) -> None:
    """A Ctrl-C in the terminal, which reaches all of our session, must not reach them."""
    engine = script(tmp_path / "engine", "read _ _ _ _ _ session _ < /proc/$$/stat; echo $session")
    assert int(engine.version()) != os.getsid(0)


def test_last_words_of_a_crash() -> None:
    trace = (
        '*** Aborted at 1795760149 (unix time) try "date -d @1795760149" ***\n'
        "PC: @                0x0 (unknown)\n"
        "*** SIGABRT (@0x1479) received by PID 5241 (TID 0x7f) from PID 5241; stack trace: ***\n"
        "    @     0x7f03f3994cfe (unknown)\n    @     0x55b3b393d241 _start\n"
    )
    said = "I1127 06:15:46.889158  5241 solver.cpp:239] Iteration 19, loss = -nan\n"
    assert last_words(f"{said}free(): invalid pointer\n{trace}") == "free(): invalid pointer"
    assert last_words(said + trace) == "SIGABRT"
    assert last_words(trace).startswith("*** SIGABRT")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of a parent's end")
def test_an_engine_whose_parent_is_killed_is_asked_to_stop(tmp_path: Path) -> None:
    """Though the parent, as a worker of Ray, has that signal blocked."""
    engine = script(
        tmp_path / "engine",
        f"trap 'touch {tmp_path}/stopped; exit' INT\ntouch {tmp_path}/begun\n"
        "while :; do sleep 0.1; done",
    )
    code = (
        "import signal, sys; from pathlib import Path; from caffe_transfer.training import engine\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])\n"
        "log = open(sys.argv[2], 'wb')\n"
        "engine.start([sys.argv[1]], Path.cwd(), log, 1, log.fileno()).wait()"
    )
    parent = subprocess.Popen(
        [PYTHON, "-c", code, engine.program, tmp_path / "log"],
        env=os.environ | {"PATH": os.defpath},
    )
    wait_for(tmp_path / "begun")
    parent.kill()
    parent.wait()
    wait_for(tmp_path / "stopped")


def wait_for(path: Path) -> None:
    end = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < end, path
        time.sleep(0.02)


SOLVES = "I1127 06:15:46.889158  5241 solver.cpp:57] Solver scaffolding done.\n"


@pytest.mark.parametrize(
    ("log", "refused"),
    [
        ("F1 1 layer_factory.hpp:81] Check failed: registry.count(type) == 1 Unknown type", True),
        ("F1 1 upgrade_proto.cpp:90] Check failed: ReadProtoFromTextFile(param_file, param)", True),
        ("F1 1 x.cpp:1] Check failed: error == cudaSuccess (46 vs. 0)  all devices busy", False),
        ("F1 1 x.cpp:1] Check failed: status == CUBLAS_STATUS_SUCCESS (1 vs. 0)", False),
        ("F1 1 db_lmdb.hpp:15] Check failed: mdb_status == 0 (5 vs. 0) Input/output error", False),
        ("F1 1 caffe_torch.py:0] there is no GPU 7; PyTorch finds 1", False),
        ("std::bad_alloc", False),
        (SOLVES + "F1 1 solver.cpp:9] Check failed: something in training", False),
    ],
)
def test_a_refused_net_is_not_mistaken_for_what_may_pass(
    tmp_path: Path, log: str, refused: bool
) -> None:
    (tmp_path / "log").write_text(log)
    error = failed(Engine("caffe", Path("caffe")), -6, tmp_path / "log")
    assert isinstance(error, RefusedNet) is refused
    assert str(error).startswith("caffe ended with status -6: ")
    assert str(error).endswith(f"; see {tmp_path / 'log'}")


def test_last_words_that_name_a_device() -> None:
    assert names_device("Check failed: error == cudaSuccess (46 vs. 0)  all devices busy")
    assert names_device("Check failed: status == CUDNN_STATUS_SUCCESS")
    assert names_device("there is no GPU 7; PyTorch finds 1")
    assert not names_device("Check failed: mdb_status == 0 No such file")


def test_real_caffe_refuses_a_net(tmp_path: Path, caffe_bin: Path) -> None:
    (tmp_path / "net").write_text('layer { name: "a" type: "NoSuchLayer" }')
    (tmp_path / "solver").write_text('net: "net" max_iter: 1 snapshot_prefix: "s" solver_mode: CPU')
    log = tmp_path / "log"
    with log.open("wb") as file:
        done = subprocess.run(
            [caffe_bin, "train", "--solver=solver"], cwd=tmp_path, stdout=file, stderr=file,
            env=os.environ | {"GLOG_logtostderr": "1"}, check=False,
        )  # fmt: skip
    assert isinstance(failed(Engine("caffe", caffe_bin), done.returncode, log), RefusedNet)


def test_what_supervisors_send_to_all_processes_does_not_reach_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGTERM would end an engine without a snapshot; what starts it passes on the wish to stop."""
    monkeypatch.setattr("sys.executable", PYTHON)
    engine = script(tmp_path / "mine", "kill -TERM $$; kill -USR1 $$; echo goes on\n")
    log = tmp_path / "log"
    with log.open("w+b") as file:
        assert start([str(engine.program)], tmp_path, file, 1, file.fileno()).wait() == 0
    assert log.read_text() == "goes on\n"
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, []) & {signal.SIGTERM, signal.SIGUSR1}
