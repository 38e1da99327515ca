"""What the benchmarks share: commands timed in turn, their peak memory, and a table."""

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
    """One run of a command: seconds of the clock and of the processor, peak resident MiB."""

    wall: float
    cpu: float
    memory: float


def processor() -> str:
    """The processor's name and how many cores of it there are."""
    names = [
        line.partition(":")[2].strip()
        for line in CPU_INFO.read_text().splitlines()
        if line.startswith("model name")
    ]
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores"


def environment(threads: int) -> dict[str, str]:
    """For an engine: so many threads, and the log on standard error."""
    names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
    return os.environ | dict.fromkeys(names, str(threads)) | {"GLOG_logtostderr": "1"}


def run(
    command: Sequence[str | Path], env: Mapping[str, str] | None = None, status: int = 0
) -> Cost:
    """Run a command to its end, with nothing shown; another exit status is an error."""
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
    """The median cost of each, all of them run once a round, so that noise hits them alike."""
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
    """A Markdown table; numbers to three digits."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
    lines = [list(header), ["-" * width for width in widths], *cells]
    return "\n".join(
        "| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |"
        for line in lines
    )


def _cell(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
