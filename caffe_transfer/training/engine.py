"""Engines: programs with the command line, log lines, snapshots and signals of `caffe`."""

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from caffe_transfer import paths
from caffe_transfer.errors import EngineError, Interrupted, RefusedNet

CAFFE, CAFFE_TORCH = "caffe", "caffe-torch"
ENGINES = (CAFFE, CAFFE_TORCH)
PRECISIONS = ("fp32", "tf32", "bf16")
# glog's account of a crash.
_IN_TRACE = re.compile(r" *@ +0x|PC: @|\*\*\* Aborted at ")
_CRASH = re.compile(r"\*\*\* (SIG\w+) ")
_SET_UP = "Solver scaffolding done."  # both engines say so when they have accepted the nets
_DEVICE = re.compile(r"cuda|cublas|cudnn|curand|\bgpu\b", re.IGNORECASE)
# Of Caffe's checks at the start: what may be otherwise the next time.
_MAY_PASS = re.compile(
    f"{_DEVICE.pattern}|out of memory|mdb_status|input/output|stale", re.IGNORECASE
)
_STOP_POLL_SECONDS = 0.1
# Runs a program that gets a signal when its parent is killed: PR_SET_PDEATHSIG is 1.  A preexec_fn
# would not be safe where there are threads.  Workers of Ray block SIGINT, which programs inherit.
_WITH_PARENT = """
import ctypes, os, signal, sys
signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGHUP))
ctypes.CDLL(None).prctl(1, int(sys.argv[1]))
if os.getppid() != int(sys.argv[2]):
    sys.exit("the parent has ended")
os.execv(sys.argv[3], sys.argv[3:])
"""
# What SIGBUS says of a program that maps its databases; its log then says nothing of the end.
_CUT_OFF = "a file that it reads, such as a database, was cut off or cannot be read any more"
_FROM_SUPERVISORS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
_LOG_TO_STDERR = {"GLOG_logtostderr": "1"}  # and not into files in the temporary folder
_THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Engine:
    """A training program that behaves like `caffe`.

    Attributes:
        name: "caffe", "caffe-torch", or the program's name as given by the user.
        program: its absolute path.
        precision: caffe-torch's --precision; None for the default, float32.
    """

    name: str
    program: Path
    precision: str | None = None

    @property
    def reads_views(self) -> bool:
        """Whether it reads views where a net names a database."""
        return reads_views(self.name)

    def train(
        self,
        solver: Path | str,
        weights: Path | str | None = None,
        snapshot: Path | str | None = None,
        gpu: str | None = None,
    ) -> list[str]:
        """Return the argv of a training; relative paths are relative to its working directory."""
        argv = [str(self.program), "train", f"--solver={solver}"]
        if snapshot is not None:
            argv.append(f"--snapshot={snapshot}")
        elif weights is not None:  # caffe accepts only one of them
            argv.append(f"--weights={weights}")
        if gpu is not None:
            argv.append(f"--gpu={gpu}")
        if self.precision is not None:
            argv.append(f"--precision={self.precision}")
        return argv

    def version(self) -> str:
        """Return the first line that `--version` prints.

        Raises:
            EngineError: the program does not start, or fails.
        """
        try:
            done = run_aside([self.program, "--version"])
        except OSError as error:
            raise EngineError(f"cannot start {self.program}: {error.strerror}") from error
        lines = (done.stdout or done.stderr).strip().splitlines()
        if done.returncode or not lines:
            raise EngineError(
                f"{self.program} --version ended with status {done.returncode}; "
                "name another program with --engine or CAFFE_BIN"
            )
        return lines[0]


def reads_views(engine: str) -> bool:
    """Whether an engine, by its name, reads views where a net names a database."""
    return Path(engine).name == CAFFE_TORCH


def find_engine(requested: str | None = None, precision: str | None = None) -> Engine:
    """Find the engine to train with.

    "caffe" is $CAFFE_BIN, or else on PATH, or else where `make caffe` installs it.

    Args:
        requested: "caffe", "caffe-torch", or a program; None for caffe if it is installed,
            otherwise caffe-torch.
        precision: see `Engine`.

    Raises:
        EngineError: there is no such engine, or it lacks this precision; says what to do.
    """
    engine = _find(requested)
    if precision is not None and engine.name == CAFFE:
        raise EngineError(
            f"caffe computes in float32 only; add --engine {CAFFE_TORCH} to --precision {precision}"
        )
    return replace(engine, precision=precision)


def _find(requested: str | None) -> Engine:
    if requested not in (None, *ENGINES):
        program = shutil.which(str(requested))
        if program is None:
            raise EngineError(
                f"there is no program {requested}; --engine takes {', '.join(ENGINES)}"
            )
        return Engine(str(requested), Path(program).absolute())
    for name in ENGINES if requested is None else (requested,):
        if program := _find_caffe() if name == CAFFE else _find_caffe_torch():
            return Engine(name, Path(program).absolute())
    raise EngineError(
        "there is no caffe program here; run `make caffe`, or name one with CAFFE_BIN"
        if requested != CAFFE_TORCH
        else "caffe-torch is not installed; run pip install 'caffe-transfer[torch]'"
    )


def _find_caffe() -> str | None:
    if named := os.environ.get("CAFFE_BIN"):
        program = shutil.which(named)
        if program is None:
            raise EngineError(f"CAFFE_BIN names {named}, which is no program; correct it")
        return program
    return shutil.which("caffe") or shutil.which(paths.caffe_prefix() / "bin" / "caffe")


def _find_caffe_torch() -> str | None:
    # The command is always installed with this package; PyTorch is an extra.
    if importlib.util.find_spec("torch") is None:
        return None
    return shutil.which(Path(sys.executable).with_name(CAFFE_TORCH)) or shutil.which(CAFFE_TORCH)


def run_aside(
    argv: Sequence[str | Path], folder: Path | None = None, stop: threading.Event | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a short command of an engine to its end and return what it printed.

    It gets a session of its own: a Ctrl-C in the terminal is for us to handle, and would make
    the command look as if it had failed.

    Args:
        stop: set it to end the command now.

    Raises:
        OSError: the program does not start.
        Interrupted: `stop` was set.
    """
    with subprocess.Popen(
        argv, cwd=folder, env=os.environ | _LOG_TO_STDERR, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    ) as process:  # fmt: skip
        try:
            while True:
                with suppress(subprocess.TimeoutExpired):
                    output, error = process.communicate(timeout=_STOP_POLL_SECONDS)
                    return subprocess.CompletedProcess(argv, process.returncode, output, error)
                if stop is not None and stop.is_set():
                    raise Interrupted(
                        f"stopped {Path(argv[0]).name}; run the same command again to go on"
                    )
        except BaseException:
            process.kill()
            raise


def start(
    argv: Sequence[str], folder: Path, log: BinaryIO, threads: int, inherit: int
) -> subprocess.Popen[bytes]:
    """Start an engine.

    It runs in a session of its own, so that Ctrl-C in the terminal reaches only this process,
    which forwards it as Caffe's "snapshot and stop".  What supervisors send to all processes of a
    job, a container or a service would end it without a snapshot, and so does not reach it.

    If this process is killed, or the thread that called this ends, the engine is asked to snapshot
    and stop (on Linux): nobody would show any more that it works in its folder, and another machine
    would take it for dead.

    Args:
        folder: the working directory.
        log: receives standard output and standard error.
        threads: of the BLAS library.
        inherit: file descriptor of the lock, which the engine holds as long as it runs.

    Raises:
        EngineError: the program does not start.
    """
    environment = os.environ | _LOG_TO_STDERR
    environment |= dict.fromkeys(_THREAD_VARIABLES, str(threads))
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, _FROM_SUPERVISORS)  # the engine inherits it
    try:
        return subprocess.Popen(
            [*with_parent(argv[0], signal.SIGINT), *argv[1:]],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            pass_fds=[inherit],
        )
    except OSError as error:
        raise EngineError(f"cannot start {argv[0]}: {error.strerror}") from error
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def with_parent(program: str, number: signal.Signals) -> list[str]:
    """The beginning of an argv that runs a program which gets a signal when its parent is killed.

    On Linux; the parent is the thread that starts it.
    """
    # A program that is not there is for Popen to tell, and one of another system has no prctl.
    if sys.platform != "linux" or not os.access(program, os.X_OK):
        return [program]
    numbers = (str(number.value), str(os.getpid()))
    return [sys.executable, "-I", "-S", "-c", _WITH_PARENT, *numbers, program]


def snapshot_and_stop(process: subprocess.Popen[bytes]) -> None:
    """Ask an engine to write a snapshot and exit, if it is still running."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)


def last_words(log: str) -> str:
    """Return the line of an engine's log that says why it failed."""
    lines = [line for line in log.splitlines() if line.strip() and not _IN_TRACE.match(line)]
    fatal = [line for line in lines if line.startswith(("F", "E"))]
    line = (fatal or lines or ["it said nothing"])[0 if fatal else -1]
    if not fatal and len(lines) > 1 and (crash := _CRASH.match(line)):
        # What the C library said before; or else nothing says more than the signal's name.
        before = lines[-2]
        line = crash[1] if before.startswith(("I", "W")) else before
    return line.split("] ", 1)[-1].strip()


def names_device(words: str) -> bool:
    """Whether an engine's last words speak of the device or its libraries."""
    return _DEVICE.search(words) is not None


def failed(engine: Engine, status: int, log: Path) -> EngineError:
    """The error for an engine that ended with a status other than 0.

    It is a RefusedNet where the engine checked a net or a solver, before any training, and nothing
    that a disk or a device may mend is to blame.
    """
    text = log.read_text(errors="replace")
    words = _CUT_OFF if status == -signal.SIGBUS else last_words(text)
    is_fatal = any(line.startswith("F") for line in text.splitlines())
    refused = is_fatal and _SET_UP not in text and not _MAY_PASS.search(words)
    kind = RefusedNet if refused else EngineError
    return kind(f"{engine.name} ended with status {status}: {words}; see {log}")


def will_read_views(engine: str | None) -> bool:
    """Whether the engine that `find_engine` finds reads views.

    One that is not on this machine yet is taken for what its name says, and without a name for one
    that does.
    """
    if engine is not None:
        return reads_views(engine)
    try:
        return find_engine().reads_views
    except EngineError:
        return True
