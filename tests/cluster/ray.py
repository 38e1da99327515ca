"""A real Ray on this machine: a head that trains nothing, and nodes that can be killed."""

import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.replay_engine import ROOT

_MARK = "RAY_OF_A_TEST"  # in the environment of all its processes
_TRIES = 4  # a node gives up after half a minute, which a busy machine can need
_OBJECT_STORE = 80_000_000  # bytes; nothing goes through it
_PSS = re.compile(r"^Pss: +(\d+) kB", re.M)


def lacking() -> str | None:
    """Why no Ray can be started; None if it can."""
    if importlib.util.find_spec("ray") is None:
        return "no Ray here; `make cluster-test` installs the extra ray"
    return None


class Ray:
    """A cluster.

    Attributes:
        environment: of commands that use it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.socket() as free:
            free.bind(("", 0))
            self._port = free.getsockname()[1]
        self.environment = os.environ | {
            _MARK: str(folder),
            "PYTHONPATH": os.pathsep.join(
                [str(ROOT), *os.environ.get("PYTHONPATH", "").split(":")]
            ),
            "OMP_NUM_THREADS": "1",
        }
        self._ray_start(
            "--head", "--node-ip-address=127.0.0.1", f"--port={self._port}", "--num-cpus=0",
            "--include-dashboard=false", f"--temp-dir={folder}",
        )  # fmt: skip
        self.environment["RAY_ADDRESS"] = self.address

    @property
    def address(self) -> str:
        """Its address."""
        return f"127.0.0.1:{self._port}"

    def start_node(self, blind_to: Path | None = None) -> int:
        """Add a node of two cores; returns the process of its daemon.

        Args:
            blind_to: a folder in whose place the node sees an empty one; for root alone.
        """
        before = self._raylets()
        hide = f"mount -t tmpfs none '{blind_to}'; " if blind_to else ""
        prefix = ["unshare", "--mount", "sh", "-c", f'{hide}exec "$@"', "-"] if blind_to else []
        self._ray_start(f"--address={self.address}", "--num-cpus=2", prefix=prefix)
        (raylet,) = self._raylets() - before
        return raylet

    def workers(self) -> dict[int, str]:
        """The processes that train, and the networks' names."""
        titles = {pid: text for pid, text in self._processes().items() if text.startswith("ray::")}
        return {
            pid: text.removeprefix("ray::").strip("\0 ")
            for pid, text in titles.items()
            if not text.startswith(("ray::IDLE", "ray::DashboardAgent", "ray::RuntimeEnvAgent"))
        }

    def memory(self) -> int:
        """Bytes of all its processes, what they share counted once, without what they train."""
        total = 0
        for pid, text in self._processes().items():
            with suppress(OSError, TypeError):
                if "caffe_transfer" not in text and "replay" not in text:
                    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
                    total += int(_PSS.search(rollup)[1]) * 1024  # type: ignore[index]
        return total

    def stop(self) -> None:
        """End all processes, those that it has started included."""
        while found := self._processes():
            for pid in found:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.1)

    def _ray_start(self, *options: str, prefix: Sequence[str] = ()) -> None:
        argv = [
            *prefix, sys.executable, "-m", "ray.scripts.scripts", "start", *options,
            "--disable-usage-stats", f"--object-store-memory={_OBJECT_STORE}",
        ]  # fmt: skip
        for _ in range(_TRIES):
            done = subprocess.run(argv, env=self.environment, capture_output=True, text=True)
            if done.returncode == 0:
                return
        raise RuntimeError(f"ray start failed: {done.stdout[-2000:]}{done.stderr[-2000:]}")

    def _raylets(self) -> set[int]:
        return {pid for pid, text in self._processes().items() if "/raylet/raylet\0" in text}

    def _processes(self) -> Mapping[int, str]:
        """The command lines of its processes, and of those that they have started."""
        mark = f"{_MARK}={self._folder}\0".encode()
        texts: dict[int, str] = {}
        found: set[int] = set()
        parents: dict[int, int] = {}
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                pid = int(entry.name)
                texts[pid] = (entry / "cmdline").read_text(errors="replace")
                parents[pid] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                if mark in (entry / "environ").read_bytes():
                    found.add(pid)
        # Workers write their title where their environment was.
        while more := {pid for pid in parents if parents[pid] in found} - found:
            found |= more
        return {pid: texts[pid] for pid in found}


@contextmanager
def started(nodes: int) -> Iterator[Ray]:
    """A cluster of a head and nodes, inside the block."""
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))  # its sockets' names must be short
    ray = None
    try:
        ray = Ray(folder)
        for _ in range(nodes):
            ray.start_node()
        yield ray
    finally:
        if ray is not None:
            ray.stop()
        shutil.rmtree(folder, ignore_errors=True)
