"""How a study is run, and who hears of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from caffe_transfer.data_prep.progress import OnStep, silent
from caffe_transfer.training import schedule
from caffe_transfer.training.executor import Cluster, JobResult
from caffe_transfer.training.local import slots as slots_of
from caffe_transfer.training.train import OnProgress, Settings, TrainingProgress


def _ignore() -> None:
    pass


def _ignore_message(message: str) -> None:
    pass


def _ignore_progress(progress: TrainingProgress) -> None:
    pass


def _ignore_result(result: JobResult) -> None:
    pass


@dataclass(frozen=True, kw_only=True)
class Callbacks:
    """Progress callbacks of a run; each does nothing by default.

    Attributes:
        begun: called when the run's folder is this run's, before anything is made in it.
        step: progress in preparing images: step, count done, total.
        note: one sentence on what is done before training, or was found.
        warn: one sentence that the user should know.
        prepared: called before the first training, when all that it needs is there.
        trained: called after the last training, before the report is made.
        network: progress of a network's training, a few times a second, from several threads.
        ended: result of a network's job.
        failed: a failure of a network that is tried again.
    """

    begun: Callable[[], None] = _ignore
    step: OnStep = silent
    note: Callable[[str], None] = _ignore_message
    warn: Callable[[str], None] = _ignore_message
    prepared: Callable[[], None] = _ignore
    trained: Callable[[], None] = _ignore
    network: OnProgress = _ignore_progress
    ended: Callable[[JobResult], None] = _ignore_result
    failed: Callable[[JobResult], None] = _ignore_result


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How a study is run, whatever the study.

    Attributes:
        settings: how each network is trained on this machine; None with a cluster.
        cluster: where networks are trained instead.
        jobs: networks trained at once on this machine.
        gpus: devices to share among the jobs; () leaves them to the solver.
        images_from: the images' folder or archive; None to fetch them.
        disk: the most bytes of databases at any moment; None for all that the study needs.
        retries: how often a network that fails by itself is tried again.
    """

    settings: Settings | None = None
    cluster: Cluster | None = None
    jobs: int = 1
    gpus: Sequence[str] = ()
    images_from: Path | None = None
    disk: int | None = None
    retries: int = schedule.RETRIES

    @property
    def reads_views(self) -> bool:
        """Whether the engine reads views."""
        if self.cluster is not None:
            return self.cluster.reads_views
        assert self.settings is not None
        return self.settings.engine.reads_views

    @property
    def slots(self) -> list[Settings]:
        """The settings of each of the networks that are trained at once on this machine."""
        return slots_of(self.settings, self.jobs, self.gpus) if self.settings else []
