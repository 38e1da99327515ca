"""What it costs to hand networks to Slurm: submission, and one look at the queue.

python -m benchmarks.cluster [COUNT...]

As root, with Slurm (`make slurm`) and the extra slurm.  All but ten of the networks wait for one of
those ten; none is started.  Seconds are those of the submitting process and of the commands that it
calls, memory is its own.
"""

import resource
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import timing
from caffe_transfer.nets.write import write_network
from caffe_transfer.paths import RunFolder
from caffe_transfer.studies.load import load_study
from caffe_transfer.studies.network import Network
from caffe_transfer.training import slurm, slurm_queue
from caffe_transfer.training.executor import ExecutorOptions
from tests.cluster.slurm import lacking, started

COUNTS = (170, 2000)
_BASES = 10
_SUBMIT = (
    "import sys; from benchmarks import cluster; cluster.submit(sys.argv[1], int(sys.argv[2]))"
)


def main(counts: list[int]) -> None:
    """Print the table."""
    if why := lacking():
        sys.exit(why)
    print(f"Slurm on this machine; {timing.processor()}\n")
    rows = []
    for count in counts:
        with tempfile.TemporaryDirectory() as name, started(_folder(name, "slurm")) as running:
            folder = RunFolder(Path(name) / "run")
            _write(folder, count)
            cost = timing.run(
                [sys.executable, "-c", _SUBMIT, folder.root, str(count)], running.environment
            )
            submitting, submitting_cpu, look, look_cpu = map(
                float, (folder.root / "seconds").read_text().split()
            )
            rows.append((count, submitting, submitting_cpu, look, look_cpu, cost.memory))
    print(
        timing.table(("networks", "submission, s", "CPU s", "a look, s", "CPU s", "peak MiB"), rows)
    )


def submit(root: str, count: int) -> None:
    """Submit all networks of a run, look once how they are, and write what that took."""
    folder = RunFolder(Path(root))
    executor = slurm.make_executor(folder, ExecutorOptions(scheduler={"hold": ""}))
    begun = _now()
    for number in range(count):
        executor.submit(_name(number), (_name(number % _BASES),) if number >= _BASES else ())
    slurm.LOOK_SECONDS = 3600.0
    executor.ended()
    submitted = _now()
    slurm.LOOK_SECONDS = 0.0
    assert executor.ended() == []
    looked = _now()
    assert len(slurm_queue.jobs_known(folder.root)) == count
    times = [
        after - before
        for first, second in ((begun, submitted), (submitted, looked))
        for before, after in zip(first, second, strict=True)
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
    for number in range(count):
        write_network(Network.parse(_name(number)), study, folder.results)


def _folder(root: str, name: str) -> Path:
    path = Path(root) / name
    path.mkdir()
    Path(root).chmod(0o755)
    return path


if __name__ == "__main__":
    main([int(count) for count in sys.argv[1:]] or list(COUNTS))
