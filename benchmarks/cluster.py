"""What it costs to have networks trained by Slurm and by Ray, beyond the training.

python -m benchmarks.cluster [slurm|ray|train]... [COUNT]...

Slurm needs root and its packages (`make slurm`), Ray the extra ray.  Each job runs a shell that
ends at once in the place of `caffe-transfer train FOLDER`; with Slurm all but ten wait for one of
those ten.  Processor time and memory are those of the process that submits, and of the commands
that it calls.  The last table has `caffe-transfer train FOLDER` beside its engine alone, which
replays a log.
"""

import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import timing
from caffe_transfer.nets.write import write_network
from caffe_transfer.paths import RunFolder
from caffe_transfer.studies.load import load_study
from caffe_transfer.studies.network import Network
from caffe_transfer.studies.write import study_text
from caffe_transfer.training import slurm
from caffe_transfer.training.executor import RAY, SLURM, ExecutorOptions, executor_for
from tests.cluster import ray as rays
from tests.cluster import slurm as slurms
from tests.replay_study import ReplayRun, replay_study

COUNTS = (170, 2000)
TRAIN = "train"
_BASES = 10
_ROUNDS = 5
_MARK = "done"
_SUBMIT = (
    "import sys; from benchmarks import cluster; "
    "cluster.submit(sys.argv[1], sys.argv[2], int(sys.argv[3]))"
)


@contextmanager
def _slurm(root: Path) -> Iterator[Mapping[str, str]]:
    root.mkdir()
    root.parent.chmod(0o755)  # munged's socket is for all
    with slurms.started(root) as running:
        yield running.environment


@contextmanager
def _ray(root: Path) -> Iterator[Mapping[str, str]]:
    with rays.started(nodes=2) as running:
        yield running.environment


Start = Callable[[Path], AbstractContextManager[Mapping[str, str]]]
_CLUSTERS: Mapping[str, tuple[Callable[[], str | None], Start]] = {
    SLURM: (slurms.lacking, _slurm),
    RAY: (rays.lacking, _ray),
}


@dataclass(frozen=True)
class _Nothing(ExecutorOptions):
    """Jobs that train nothing and leave a mark."""

    def command(self, root: Path) -> list[str]:
        return ["/bin/sh", "-c", ': > "$0"', str(root / _MARK)]


def main(names: list[str], counts: list[int]) -> None:
    """Print the tables."""
    print(f"{timing.processor()}\n")
    for name in names:
        if name == TRAIN:
            print(_train_table())
            continue
        lacking, start = _CLUSTERS[name]
        if why := lacking():
            print(f"{name}: {why}\n")
            continue
        rows = [_row(count, name, start) for count in counts]
        header = (f"{name}: jobs", "submitted, s", "CPU s", "all ended, s", "CPU s", "peak MiB")
        print(timing.table(header, rows) + "\n")


def _row(count: int, name: str, start: Start) -> tuple[object, ...]:
    with tempfile.TemporaryDirectory() as root, start(Path(root) / name) as environment:
        folder = RunFolder(Path(root) / "run")
        _write(folder, count)
        cost = timing.run(
            [sys.executable, "-c", _SUBMIT, name, folder.root, str(count)], environment
        )
        seconds = map(float, (folder.root / "seconds").read_text().split())
        return (count, *seconds, cost.memory)


def submit(name: str, root: str, count: int) -> None:
    """Submit all networks of a run, wait until their jobs have ended, and write what that took."""
    folder = RunFolder(Path(root))
    executor = executor_for(name, folder, _Nothing())
    begun = _now()
    for number in range(count):
        waits = executor.waits_for_bases and number >= _BASES
        executor.submit(_name(number), (_name(number % _BASES),) if waits else ())
    slurm.LOOK_SECONDS = 3600.0
    results = executor.ended()
    submitted = _now()
    slurm.LOOK_SECONDS = 10.0
    while len(results) < count:
        results += executor.ended()
    done = _now()
    executor.close()
    assert len(list(folder.results.glob(f"*/{_MARK}"))) == count
    times = [
        after - before
        for later in (submitted, done)
        for before, after in zip(begun, later, strict=True)
    ]
    (folder.root / "seconds").write_text(" ".join(map(str, times)))


def _now() -> tuple[float, float]:
    """The time, and the processor time of this process and its children, in seconds."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return time.perf_counter(), sum(each.ru_utime + each.ru_stime for each in used)


def _name(number: int) -> str:
    return f"half{number}A"


def _write(folder: RunFolder, count: int) -> None:
    study = load_study("fashion-mnist")
    folder.root.mkdir()
    folder.study.write_text(study_text(study))
    for number in range(count):
        write_network(Network.parse(_name(number)), study, folder.results)


def _train_table() -> str:
    """The table of `train` and of its engine alone."""
    study = replay_study()
    bases = tuple(network for network in study.networks if network.base_name is None)
    with tempfile.TemporaryDirectory() as root:
        run = ReplayRun(Path(root), replace(study, networks=bases), None)
        run.prepare()
        folder = run.folder.network(bases[0].name)
        kept = Path(root) / "kept"
        shutil.copytree(folder.root, kept, symlinks=True)

        def timed(command: list[str | Path]) -> timing.Cost:
            shutil.rmtree(folder.root)
            shutil.copytree(kept, folder.root, symlinks=True)
            return timing.run(command)

        alone = (
            f"cd {folder.root} && mkdir snapshots && "
            f"exec {run.engine} train --solver={folder.solver.name}"
        )
        ours: list[str | Path] = [
            sys.executable, "-m", "caffe_transfer", "train", folder.root, "--engine", run.engine,
        ]  # fmt: skip
        costs = timing.in_turn(
            {
                "its engine alone": lambda: timed(["sh", "-c", alone]),
                "caffe-transfer train": lambda: timed(ours),
            },
            _ROUNDS,
        )
    rows = [(name, cost.wall, cost.cpu, cost.memory) for name, cost in costs.items()]
    return timing.table(("one network", "s", "CPU s", "peak MiB"), rows)


if __name__ == "__main__":
    words = sys.argv[1:]
    main(
        [word for word in words if not word.isdecimal()] or [*_CLUSTERS, TRAIN],
        [int(word) for word in words if word.isdecimal()] or list(COUNTS),
    )
