"""Whether an engine can train on a GPU, asked before anything is made for the training.

The engine itself is asked, by its command `device_query`: it alone knows its CUDA, the driver and
what CUDA_VISIBLE_DEVICES hides.  nvidia-smi, where it is there, helps to say what is wrong.  An
engine whose answer is none of those known here is not refused: its training will tell.
"""

import os
import re
import subprocess
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from caffe_transfer.errors import CaffeTransferError, EngineError
from caffe_transfer.formats.fatbin import Capability, GpuCode, dotted, read_gpu_code
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.training.engine import Engine, last_words, run_aside

_CPU_ONLY = "CPU-only Caffe"
_CUDA_FAILED = re.compile(r"Check failed: error == cudaSuccess \(\d+ vs\. 0\)\s+(.+)")
_TOO_OLD = "driver version is insufficient"
_NO_CARD = ("no CUDA-capable device", _TOO_OLD)
_NOT_THERE = "invalid device ordinal"
_MAJOR, _MINOR, _NAME = (
    re.compile(rf"\] {what}:[ \t]+(.+)$", re.M)
    for what in ("Major revision number", "Minor revision number", "Name")
)
# Which driver a major version of CUDA needs at least.
# https://docs.nvidia.com/deploy/cuda-compatibility/
_DRIVERS = {11: 450, 12: 525, 13: 580}
_PROCESSOR = "or train on the processor, with neither --gpu nor gpu = true (solver_mode: GPU)"


@dataclass(frozen=True)
class Card:
    """A GPU, as nvidia-smi lists it.

    Attributes:
        number: as nvidia-smi counts; CUDA may count otherwise.
        capability: its compute capability; None where nvidia-smi is too old to say.
    """

    number: str
    name: str
    driver: str
    capability: str | None = None


def cards() -> tuple[Card, ...]:
    """The GPUs that nvidia-smi lists; () where it is missing or fails."""
    known = ["index", "name", "driver_version"]
    for fields in ([*known, "compute_cap"], known):
        try:
            done = run_aside(
                ["nvidia-smi", f"--query-gpu={','.join(fields)}", "--format=csv,noheader"]
            )
        except OSError:
            return ()
        rows = [line.split(", ") for line in done.stdout.splitlines()]
        if done.returncode == 0 and all(len(row) == len(fields) for row in rows):
            return tuple(Card(*row) for row in rows)
    return ()


def gpus_of(gpu: str | None, solver: pb.SolverParameter) -> str | None:
    """The devices of a training, as `--gpu` takes them; None on the processor.

    Args:
        gpu: what --gpu says; None leaves it to the solver.
    """
    if gpu is None and solver.HasField("solver_mode") and solver.solver_mode == solver.GPU:
        return str(solver.device_id)
    return gpu


@lru_cache  # of the answer yes alone: every network of a run asks
def check_gpus(engine: Engine, gpus: str) -> None:
    """Ask an engine whether it can train on GPUs.

    Args:
        gpus: as `--gpu` takes them: "0", "0,1" or "all".

    Raises:
        EngineError: it is built without CUDA or for other cards, there is no such GPU, or the
            driver is too old; says what to do.
    """
    try:
        done = run_aside([engine.program, "device_query", f"--gpu={gpus}"])
    except OSError as error:
        raise EngineError(f"cannot start {engine.program}: {error.strerror}") from error
    if done.returncode:
        reason = _reason(engine, gpus, done)
        if reason is not None:
            raise EngineError(reason)
        return
    code = gpu_code(engine.program)
    for card, capability in _queried(done.stderr):
        if code is not None and not code.runs_on(capability):
            raise EngineError(
                f"{engine.program} has no code for {card} ({dotted(capability)}), only for {code}; "
                f"build it for that with `docker/install-caffe.sh PREFIX --cuda`, choose another "
                f"GPU or --engine, {_PROCESSOR}"
            )


def _reason(engine: Engine, gpus: str, done: subprocess.CompletedProcess[str]) -> str | None:
    """Why an engine cannot use GPUs, and what to do; None if it did not understand the question."""
    if engine.reads_views and re.search(r"^F", done.stderr, re.M):  # caffe-torch says it itself
        return f"{engine.name} cannot train on GPU {gpus}: {last_words(done.stderr)}"
    if _CPU_ONLY in done.stderr:
        return (
            f"{engine.program} is built without CUDA; build Caffe with it by `make caffe-gpu`, "
            f"choose --engine caffe-torch, {_PROCESSOR}"
        )
    failed = _CUDA_FAILED.search(done.stderr)
    if failed is None:
        return None
    words, there = failed[1].strip(), cards()
    if not there and any(known in words for known in _NO_CARD):
        return (
            f"{engine.program} finds no driver of NVIDIA's here, and nvidia-smi lists no GPU; "
            f"install driver {_driver(engine)}, {_PROCESSOR}"
        )
    if _TOO_OLD in words:
        return (
            f"the driver {there[0].driver} is too old for the CUDA of {engine.program}; install "
            f"driver {_driver(engine)}, or build Caffe with an older CUDA"
        )
    if _NOT_THERE in words:
        gpu = gpus.split(",")[min(len(_queried(done.stderr)), gpus.count(","))]
        return f"there is no GPU {gpu} here{_listed(there)}; name one that is there with --gpu"
    return f"{engine.program} cannot use GPU {gpus}: {words}{_listed(there)}; see nvidia-smi"


def _listed(there: tuple[Card, ...]) -> str:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    listed = ", ".join(f"{each.number} ({each.name})" for each in there)
    return "".join((
        f"; nvidia-smi lists {listed}" if there else "",
        f", and CUDA_VISIBLE_DEVICES is {visible!r}" if visible is not None else "",
    ))  # fmt: skip


def _driver(engine: Engine) -> str:
    version = cuda_major(engine.program)
    least = _DRIVERS.get(version) if version else None
    return f"{least} or later, for CUDA {version}" if least else "of a version for its CUDA"


def _queried(log: str) -> list[tuple[str, Capability]]:
    """The cards that `device_query` shows: name and compute capability."""
    found = (pattern.findall(log) for pattern in (_NAME, _MAJOR, _MINOR))
    return [(card, (int(major), int(minor))) for card, major, minor in zip(*found, strict=False)]


def gpu_code(program: Path) -> GpuCode | None:
    """For which GPUs a program has code, or the libcaffe that it loads; None if that is unknown."""
    libraries = _loaded(program)
    try:
        return read_gpu_code(libraries.get("libcaffe", program))
    except CaffeTransferError:
        return None


def cuda_major(program: Path) -> int | None:
    """The major version of the CUDA that a program loads; None if it loads none."""
    runtime = _loaded(program).get("libcudart")
    version = re.search(r"\.so\.(\d+)", runtime.name) if runtime else None
    return int(version[1]) if version else None


@lru_cache
def _loaded(program: Path) -> dict[str, Path]:
    """The libraries that a program loads at its start, by name without .so; {} for a script."""
    try:
        done = run_aside(["ldd", program])
    except OSError:
        return {}
    found = re.findall(r"=> (\S+) \(", done.stdout)
    return {Path(each).name.partition(".so")[0]: Path(each) for each in found}
