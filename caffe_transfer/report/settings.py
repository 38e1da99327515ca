"""What the prototxts of networks tell a report: iterations to train for, outputs of the net."""

from collections.abc import Callable, Iterable
from pathlib import Path

from caffe_transfer import paths
from caffe_transfer.errors import CaffeTransferError
from caffe_transfer.formats.prototxt import read_net, read_solver
from caffe_transfer.nets.layers import outputs


class SettingsReader:
    """Reads the solvers and nets of many networks, whose folders share a few contents.

    Parsing the text of a net takes longer than reading a log, so each content is parsed once.

    Attributes:
        problems: one sentence for each prototxt that cannot be read.
    """

    def __init__(self) -> None:
        self.problems: list[str] = []
        self._known: dict[tuple[str, bytes], int | None] = {}

    def max_iter(self, folder: Path) -> int | None:
        """The iterations that a network is to be trained for; None if its solver is not there."""
        candidates = (paths.NetworkFolder(folder).solver, folder / paths.SOLVER_2014)
        return self._read("max_iter", candidates, lambda path: read_solver(path).max_iter)

    def outputs(self, folder: Path) -> int | None:
        """The outputs of a network's classifier; None if its net does not tell."""
        candidates = (paths.NetworkFolder(folder).net, folder / paths.TRAIN_2014)
        return self._read("outputs", candidates, lambda path: outputs(read_net(path)))

    def _read(
        self, what: str, candidates: Iterable[Path], reader: Callable[[Path], int | None]
    ) -> int | None:
        """What `reader` finds in the first of the files that exists."""
        for path in candidates:
            if path.is_file():
                key = what, path.read_bytes()
                if key not in self._known:
                    try:
                        self._known[key] = reader(path)
                    except CaffeTransferError as error:
                        self.problems.append(str(error))
                        return None
                return self._known[key]
        return None
