"""The options of `train` and `run` that choose an engine and what it runs on."""

from dataclasses import dataclass

import click

from caffe_transfer.training.engine import PRECISIONS, find_engine, will_read_views
from caffe_transfer.training.local import threads_for
from caffe_transfer.training.train import Settings


@dataclass(frozen=True)
class EngineOptions:
    """The options that choose an engine and what it runs on."""

    engine: str | None
    precision: str | None
    gpu: str | None
    threads: int | None

    def settings(self, jobs: int) -> Settings:
        """Find the engine and return the settings of each of `jobs` concurrent trainings.

        Raises:
            EngineError: there is no such engine, or it lacks this precision.
        """
        engine = find_engine(self.engine, self.precision)
        return Settings(engine, self.gpu, self.threads or threads_for(jobs))

    @property
    def gpus(self) -> list[str]:
        """The devices that --gpu names."""
        return self.gpu.split(",") if self.gpu else []

    def train_arguments(self) -> list[str]:
        """The same options for `caffe-transfer train` on another machine, whose devices differ."""
        given = {
            "--engine": self.engine,
            "--precision": self.precision,
            "--threads": self.threads,
        }
        return [
            text
            for option, value in given.items()
            if value is not None
            for text in (option, str(value))
        ]

    @property
    def reads_views(self) -> bool:
        """Whether the engine reads views; one that is not here is taken for one that does."""
        return will_read_views(self.engine)


engine_option = click.option(
    "--engine",
    metavar="NAME",
    help="caffe, caffe-torch, or a path.  [default: caffe if installed, else caffe-torch]",
)
precision_option = click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    help="Precision of caffe-torch's matrix products.  [default: fp32, as in Caffe]",
)
