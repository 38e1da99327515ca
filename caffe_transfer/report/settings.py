"""What the prototxts of networks tell a report: iterations, outputs, images that a test sees."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from caffe_transfer import paths
from caffe_transfer.errors import CaffeTransferError, FormatError, Incomplete
from caffe_transfer.formats import lmdb
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.prototxt import read_net, read_solver
from caffe_transfer.nets.layers import outputs
from caffe_transfer.nets.phases import included_in
from caffe_transfer.report.score_names import ScoreNames, score_names

T = TypeVar("T")


@dataclass(frozen=True)
class NetworkSettings:
    """Settings of one network; None where its files do not tell.

    Attributes:
        max_iter: the iterations that it is to be trained for.
        outputs: of its classifier.
        tested: the images that one test reads, test_iter times the batch.
        validation_set: the images there are in the validation set, which a test may read only a
            part of, or more than once.
        scores: which outputs of its test net are scores.
    """

    max_iter: int | None = None
    outputs: int | None = None
    tested: int | None = None
    validation_set: int | None = None
    scores: ScoreNames = field(default_factory=ScoreNames)


@dataclass(frozen=True)
class _Solver:
    max_iter: int
    test_iter: int


@dataclass(frozen=True)
class _Net:
    """Of a net: the outputs of its classifier, its scores, and the data layer of phase TEST."""

    outputs: int | None
    scores: ScoreNames
    data_type: str = ""
    source: str = ""
    batch: int = 0


class SettingsReader:
    """Reads the solvers and nets of many networks, whose folders share a few contents.

    Parsing the text of a net takes longer than reading a log, so each content is parsed once.

    Attributes:
        problems: one sentence for each prototxt that cannot be read.
    """

    def __init__(self) -> None:
        self.problems: list[str] = []
        self._known: dict[tuple[object, bytes], Any] = {}
        self._images: dict[Path, int | None] = {}

    def read(self, folder: Path) -> NetworkSettings:
        """The settings of the network in `folder`."""
        files = paths.NetworkFolder(folder)
        if files.net.is_file():
            solver = self._parsed(files.solver, _solver)
            net = tested = self._parsed(files.net, _net)
        else:
            solver = self._parsed(folder / paths.SOLVER_2014, _solver)
            net = self._parsed(folder / paths.TRAIN_2014, _net)
            tested = self._parsed(folder / paths.VAL_2014, _net)
        return NetworkSettings(
            max_iter=solver.max_iter if solver else None,
            outputs=net.outputs if net else None,
            tested=(solver.test_iter * tested.batch or None) if solver and tested else None,
            validation_set=self._validation_set(folder, tested) if tested else None,
            scores=tested.scores if tested else ScoreNames(),
        )

    def _parsed(self, path: Path, reader: Callable[[Path], T]) -> T | None:
        """What `reader` finds in a file; None if there is none, or it cannot be read."""
        if not path.is_file():
            return None
        key = reader, path.read_bytes()
        if key not in self._known:
            try:
                self._known[key] = reader(path)
            except CaffeTransferError as error:
                self.problems.append(str(error))
                return None
        found: T = self._known[key]
        return found

    def _validation_set(self, folder: Path, net: _Net) -> int | None:
        if not net.source:
            return None
        # Through links, also such as lead to a database that is no longer there.
        source = Path(os.path.realpath(folder / net.source))
        if source not in self._images:
            self._images[source] = _count(source, net.data_type)
        return self._images[source]


def _count(source: Path, data_type: str) -> int | None:
    """The images of a list or a database; of a database that is gone, those of the list beside."""
    if data_type == "Data" and source.is_dir():
        try:
            return lmdb.count(source) or None
        except (FormatError, Incomplete):  # LevelDB, or a view without its database
            pass
    listed = source if data_type == "ImageData" else paths.image_list(source)
    try:
        with listed.open("rb") as file:
            return sum(not line.isspace() for line in file) or None
    except OSError:
        return None


def _solver(path: Path) -> _Solver:
    solver = read_solver(path)
    return _Solver(solver.max_iter, solver.test_iter[0] if solver.test_iter else 0)


def _net(path: Path) -> _Net:
    net = read_net(path)
    state, scores = pb.NetState(phase=pb.TEST), score_names(net)
    for layer in net.layer:
        if layer.type in ("Data", "ImageData") and included_in(layer, state):
            data = layer.data_param if layer.type == "Data" else layer.image_data_param
            return _Net(outputs(net), scores, layer.type, data.source, data.batch_size)
    return _Net(outputs(net), scores)
