"""Shared by the benchmarks: the cost of commands, run in turn, and a table of results."""

import os
import platform
import resource
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

CPU_INFO = Path("/proc/cpuinfo")
MIB = 1 << 20


@dataclass(frozen=True)
class Cost:
    """Cost of a command: wall-clock and CPU time in seconds, peak resident memory in MiB."""

    wall: float
    cpu: float
    memory: float


def processor() -> str:
    """Return the processor's name and its number of cores."""
    names = [
        line.partition(":")[2].strip()
        for line in CPU_INFO.read_text().splitlines()
        if line.startswith("model name")
    ]
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores"


def environment(threads: int) -> dict[str, str]:
    """Return an engine's environment: its number of threads, and the log on standard error."""
    names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
    return os.environ | dict.fromkeys(names, str(threads)) | {"GLOG_logtostderr": "1"}


def run(
    command: Sequence[str | Path], env: Mapping[str, str] | None = None, status: int = 0
) -> Cost:
    """Run a command silently.

    Raises:
        RuntimeError: its exit status is not `status`.
    """
    with tempfile.TemporaryFile() as errors:
        start = time.perf_counter()
        process = subprocess.Popen(
            list(map(str, command)), stdout=subprocess.DEVNULL, stderr=errors,
            env=os.environ | (env or {}),
        )  # fmt: skip
        _, ended, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(ended)
        if process.returncode != status:
            errors.seek(0)
            raise RuntimeError(f"{command[0]} failed: {errors.read()[-2000:].decode()}")
    return _cost(wall, usage)


def _cost(wall: float, usage: resource.struct_rusage) -> Cost:
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def in_turn(runs: Mapping[str, Callable[[], Cost]], rounds: int) -> dict[str, Cost]:
    """Return the median cost of each; every round runs all, so that noise affects them alike."""
    seen: dict[str, list[Cost]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, one in runs.items():
            seen[name].append(one())
    return {
        name: Cost(
            statistics.median(c.wall for c in costs),
            statistics.median(c.cpu for c in costs),
            max(c.memory for c in costs),
        )
        for name, costs in seen.items()
    }


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Format a Markdown table, numbers to three significant digits."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
    lines = [list(header), ["-" * width for width in widths], *cells]
    return "\n".join(
        "| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |"
        for line in lines
    )


def _cell(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
