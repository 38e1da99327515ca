"""The program or the engine, which strikes at a chosen point of its own work.

    python -m tests.kill.points program|engine ARGUMENTS

A point is the N-th time that a file of some part of the run's folder is about to be opened for
writing, renamed, linked or removed, a folder made or removed.  Python tells it of each (an audit
hook), so that a point is the same in each run.  What C libraries write shows in no such event: they
are struck by the clock, from outside.

Instead of a signal a point may have the name of an error: what was about to be done then fails with
it, once or, with ALWAYS behind the name, like all that comes after.
"""

import errno
import json
import os
import runpy
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = "KILL_ROOT"  # names the run's folder, and is how all processes of a subject are known
PLAN = "KILL_PLAN"  # names the file with the Point at which to strike
COUNT = "KILL_COUNT"  # names the file that gets a line for each event
PROGRAM, ENGINE = "program", "engine"
MODULES = {PROGRAM: "caffe_transfer", ENGINE: "tests.replay_engine"}
START, REPORT = "start", "report"
ERRORS = ("ENOSPC", "EIO", "EDQUOT", "EFBIG")
ALWAYS = "..."
_PROGRAM_PID = "KILL_PROGRAM"
_EVENTS = {
    "open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.symlink", "os.link",
    "os.truncate",
}  # fmt: skip
_FOLDERS = {"images": "images", "report": REPORT, "slurm": START}
_OF_NETWORK = {"logs": "training", "snapshots": "training", "manifest.json": "training",
               "failure.txt": "training", "lock": "training", "init.caffemodel": "first weights",
               "drawn": "first weights"}  # fmt: skip


@dataclass(frozen=True)
class Point:
    """The `number`-th event, from 1 on, of a role in an area; `signal` then goes to `victim`.

    An error, in the place of a signal, is the role's own.
    """

    role: str
    area: str
    number: int
    victim: str
    signal: str

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)))


def struck(plan: Path) -> Path:
    """What a plan's file is called when the strike is done."""
    return plan.with_name(f"{plan.name}.done")


def area_of(path: str) -> str:
    """The part of the work to which a file belongs, by its path within the run's folder."""
    first, *rest = (part.lstrip(".") for part in Path(path).parts or ("",))
    if first == "data":
        name = rest[-1] if rest else ""
        if name.startswith("mean.") or ".sum." in name:
            return "means"
        return "databases" if any("lmdb" in part for part in rest) else "lists"
    if first == "results":
        known = (_OF_NETWORK.get(_first_words(part)) for part in rest[1:2])
        return next(known, None) or "networks' folders"
    return next((area for name, area in _FOLDERS.items() if first.startswith(name)), START)


def _first_words(name: str) -> str:
    """The name of the file that a temporary one is for."""
    return next((known for known in _OF_NETWORK if name.startswith(known)), name)


def processes(root: str) -> list[int]:
    """The processes that work for a run's folder, this one not."""
    mark, found = f"{ROOT}={root}\0".encode(), []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with suppress(OSError):
                if mark in Path(entry.path, "environ").read_bytes():
                    found.append(int(entry.name))
    return found


def send(number: signal.Signals, pids: Sequence[int]) -> None:
    """Send a signal to those processes that are still there."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


class _Hook:
    """Counts events, and strikes at the point that is planned."""

    def __init__(self, role: str) -> None:
        self._role, self._root = role, os.environ[ROOT]
        self._plan = os.environ.get(PLAN)
        self._point: Point | None = None
        if self._plan and Path(self._plan).exists():
            self._point = Point(**json.loads(Path(self._plan).read_text()))
        self._count = -1
        if counts := os.environ.get(COUNT):
            self._count = os.open(counts, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._seen: dict[str, int] = {}
        self._busy = False
        self._broken = ""  # the error with which all fails from now on

    def __call__(self, event: str, args: tuple[object, ...]) -> None:
        if event not in _EVENTS or self._busy:
            return
        self._busy = True
        try:
            self._hear(event, args)
        finally:
            self._busy = False

    def _hear(self, event: str, args: tuple[object, ...]) -> None:
        if event == "open" and not int(str(args[2] or 0)) & (os.O_WRONLY | os.O_RDWR):
            return
        names = [arg for arg in args[:2] if isinstance(arg, str | bytes | os.PathLike)]
        if event == "open":
            names = names[:1]
        if not names:
            return
        path = os.path.join(os.getcwd(), os.fsdecode(names[-1]))
        if not path.startswith(self._root + os.sep):
            return
        area = area_of(os.path.relpath(path, self._root))
        self._seen[area] = self._seen.get(area, 0) + 1
        if self._count >= 0:
            os.write(self._count, f"{self._role}\t{area}\t{event} {path}\n".encode())
        if self._broken:
            raise _error(self._broken, path)
        point = self._point
        if point is not None and (point.role, point.area, point.number) == (
            self._role,
            area,
            self._seen[area],
        ):
            self._strike(point, path)

    def _strike(self, point: Point, path: str) -> None:
        assert self._plan is not None
        with suppress(FileNotFoundError):  # another process of this role was faster
            os.rename(self._plan, struck(Path(self._plan)))
            name = point.signal.removesuffix(ALWAYS)
            if name in ERRORS:
                self._point = None
                self._broken = name if point.signal != name else ""
                raise _error(name, path)
            own, number = os.getpid(), signal.Signals[f"SIG{point.signal}"]
            others = {
                "program": [int(os.environ[_PROGRAM_PID])],
                "engine": [own],
                "everything": [*processes(self._root), own],
            }[point.victim]
            send(number, others)
            self._point = None


def _error(name: str, path: str) -> OSError:
    number = getattr(errno, name)
    return OSError(number, os.strerror(number), path)


def main(role: str, argv: Sequence[str]) -> None:
    """What the module's docstring says."""
    if role == PROGRAM:
        os.environ[_PROGRAM_PID] = str(os.getpid())
    if PLAN in os.environ or COUNT in os.environ:
        sys.addaudithook(_Hook(role))
    sys.argv = [role, *argv]
    runpy.run_module(MODULES[role], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
