"""What tests share: real Caffe, the shared data, and a way to run the command line."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

from caffe_transfer import paths
from tests.kill.subject import REPLAY, Reference
from tests.small_study import prepared, small_run

__all__ = ["prepared", "small_run"]

# A busy machine is slow by chance; what takes how long is for the benchmarks.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
# A shell that starts pytest in the background has it ignore Ctrl-C, and with it all that it starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# Engines would leave a file for each of their starts in the temporary folder.
os.environ.setdefault("GLOG_logtostderr", "1")


def _caffe_prefix() -> Path | None:
    """The prefix that holds the caffe program under test."""
    program = os.environ.get("CAFFE_BIN") or shutil.which("caffe")
    prefix = Path(program).resolve().parent.parent if program else paths.caffe_prefix()
    return prefix if (prefix / "bin" / "caffe").exists() else None


@pytest.fixture(scope="session")
def caffe_prefix() -> Path:
    """The folder in which `make caffe` has installed real Caffe."""
    prefix = _caffe_prefix()
    if prefix is None:
        pytest.skip("no real Caffe here; `make caffe` builds it")
    return prefix


@pytest.fixture(scope="session")
def caffe_bin(caffe_prefix: Path) -> Path:
    """The real `caffe` program; its tools lie beside it."""
    return caffe_prefix / "bin" / "caffe"


@pytest.fixture(scope="session")
def pycaffe(caffe_prefix: Path) -> Callable[..., str]:
    """Runs Python code under the interpreter that has pycaffe; returns what it printed."""
    python = caffe_prefix / "venv" / "bin" / "python"
    if not python.exists():
        pytest.skip("no pycaffe here; `make caffe` builds it")

    def run(code: str, *args: str | Path) -> str:
        env = os.environ | {"GLOG_minloglevel": "2", "OPENBLAS_NUM_THREADS": "1"}
        done = subprocess.run(
            [python, "-c", code, *map(str, args)], capture_output=True, text=True, env=env
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="session")
def shared() -> Path:
    """The directory with the authors' files and Tiny ImageNet images."""
    folder = os.environ.get("CAFFE_TRANSFER_SHARED")
    if not folder:
        pytest.skip("CAFFE_TRANSFER_SHARED does not name the directory with the authors' files")
    return Path(folder)


@pytest.fixture(scope="session")
def authors(shared: Path) -> Path:
    """The authors' published folders: results/, ilsvrc12/, plots/."""
    return shared / "authors"


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    """A small study that nothing has struck, run to its end by the replaying engine."""
    return Reference.make(tmp_path_factory.mktemp("reference") / "study", REPLAY, 0.2)
