"""The boundary to training: which program, which argv."""

import os
import signal
from pathlib import Path

import pytest

from caffe_transfer.errors import EngineError
from caffe_transfer.training.engine import Engine, find_engine, last_words, start
from tests.small_study import script


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


def test_what_supervisors_send_to_all_processes_does_not_reach_it(tmp_path: Path) -> None:
    """SIGTERM would end an engine without a snapshot; what starts it passes on the wish to stop."""
    engine = script(tmp_path / "mine", "kill -TERM $$; kill -USR1 $$; echo goes on\n")
    log = tmp_path / "log"
    with log.open("w+b") as file:
        assert start([str(engine.program)], tmp_path, file, 1, file.fileno()).wait() == 0
    assert log.read_text() == "goes on\n"
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, []) & {signal.SIGTERM, signal.SIGUSR1}
