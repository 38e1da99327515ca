"""Curves of trainings as TensorBoard's event files, one folder a network.

tensorboardX writes them; it is an extra, since only those need it who look at curves there.
"""

import importlib.util
from pathlib import Path

import numpy as np

from caffe_transfer.errors import BadInput
from caffe_transfer.files import atomic_folder, unwritable
from caffe_transfer.report.log_scanner import Series
from caffe_transfer.report.logs import NetworkLog

MOST_POINTS = 1000  # of a curve: as many as TensorBoard shows unless told otherwise
_EVENTS = "events.out.tfevents."  # what TensorBoard looks for


class EventWriter:
    """Writes curves while logs are read: losses, accuracy, learning rate.

    Each point has the iteration and the time at which it was logged; of a curve with more than
    MOST_POINTS, points are left out evenly.

    Args:
        out: a new folder, or one of an earlier writer, whose networks are replaced.

    Attributes:
        written: the number of networks with a log.

    Raises:
        BadInput: tensorboardX is not installed.
    """

    def __init__(self, out: Path) -> None:
        if importlib.util.find_spec("tensorboardX") is None:
            raise BadInput(
                "TensorBoard's files need tensorboardX; run "
                "pip install 'caffe-transfer[tensorboard]'"
            )
        self.written = 0
        self._out = out

    def add(self, name: str, log: NetworkLog) -> None:
        """Write a network's curves, if it has logs; `on_logs` of `make_report` and `collect`.

        Raises:
            BadInput: they cannot be written.
        """
        if log.tries:
            _write(log, self._out / name)
            self.written += 1


def _curves(log: NetworkLog) -> dict[str, Series]:
    """The curves by TensorBoard's names; those before a slash are its headings."""
    return {
        "loss/training": log.train_loss,
        "loss/validation": log.valid_loss,
        "accuracy/validation": log.accuracy,
        "learning_rate": log.learning_rate,
    }


def _write(log: NetworkLog, folder: Path) -> None:
    from tensorboardX import SummaryWriter

    if folder.exists():
        _remove(folder)
    with atomic_folder(folder) as temporary:
        writer = SummaryWriter(str(temporary), flush_secs=3600)
        for name, series in _curves(log).items():
            for i in _thinned(len(series)):
                writer.add_scalar(
                    name,
                    float(series.values[i]),
                    int(series.iterations[i]),
                    walltime=float(series.times[i]),
                )
        writer.close()


def _thinned(count: int) -> list[int]:
    """The indices of the points that are written: evenly spaced, with the first and the last."""
    spaced = np.linspace(0, count - 1, min(count, MOST_POINTS))
    return [int(each) for each in spaced.round()]


def _remove(folder: Path) -> None:
    """Remove what an earlier call wrote, and nothing else."""
    others = [path for path in folder.iterdir() if not path.name.startswith(_EVENTS)]
    if others:
        raise BadInput(f"{others[0]} is no event file; name another folder for TensorBoard's files")
    try:
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
    except OSError as error:
        raise unwritable(folder, error) from error
