"""Databases of a study within a limit: made when networks need them, removed after the last."""

import threading
from collections.abc import Collection, Sequence

from caffe_transfer.data_prep.copies import write_copy
from caffe_transfer.data_prep.disk import DatabaseSizes
from caffe_transfer.data_prep.progress import OnStep, named, stoppable
from caffe_transfer.data_prep.removable import left_by_earlier_runs, remove_database
from caffe_transfer.errors import BadInput, CaffeTransferError, Interrupted
from caffe_transfer.formats.views import is_view
from caffe_transfer.paths import DataFolder, RunFolder
from caffe_transfer.studies.study import Study
from caffe_transfer.training import manifest as manifests
from caffe_transfer.training.disk_plan import Demand, Room
from caffe_transfer.training.executor import JobResult, Outcome
from caffe_transfer.training.schedule import graph
from caffe_transfer.units import size, size_above

_POLL_SECONDS = 0.2


class BoundedDatabases:
    """The turns of networks, and their databases on the disk: `schedule.Turns` for a limit.

    Args:
        demand: what the networks that are left need, see `demand_of`.
        data: where views stand in the places of the databases that can be removed.
        progress: told of each copy, from the thread that trains the network that needs it.
        stop: set it to end a copy, with which the next run goes on.

    Raises:
        Busy, BadInput: what earlier runs left cannot be removed.
    """

    def __init__(
        self, demand: Demand, data: DataFolder, progress: OnStep, stop: threading.Event
    ) -> None:
        self._demand, self._data = demand, data
        self._progress, self._stop = stoppable(progress, stop), stop
        self._room = Room(demand, left_by_earlier_runs(demand.sizes, data))
        self._copying = threading.Lock()
        self._failures: dict[str, CaffeTransferError] = {}
        if error := self._tried_to_remove(self._room.begin()):
            raise error

    def start(self, ready: Collection[str]) -> str | None:
        """Start a network, with room for its databases; None if there is none for any now."""
        turn = self._room.start(ready)
        if turn is None:
            return None
        if error := self._tried_to_remove(turn.removed):
            self._failures[turn.name] = error
        return turn.name

    def make(self, name: str) -> None:
        """Make the databases of a network that was started, or wait until another has.

        Raises:
            Interrupted: `stop` was set.
            CaffeTransferError: there is no room, or a database cannot be made.
        """
        if error := self._failures.pop(name, None):
            raise error
        databases = [each for each in self._demand.sizes if each in self._demand.reads[name]]
        if not any(map(self._is_missing, databases)):
            return
        while not self._copying.acquire(timeout=_POLL_SECONDS):
            if self._stop.is_set():
                raise Interrupted("stopped before its databases were made")
        try:
            for each in filter(self._is_missing, databases):
                path = self._data.lmdb(each)
                write_copy(path, path, named(each, self._progress))
        finally:
            self._copying.release()

    def end(self, result: JobResult) -> None:
        """Remove the databases that no network will read any more."""
        is_done = result.outcome is Outcome.DONE
        # What cannot be removed now is tried again when its room is needed, and named then.
        self._tried_to_remove(self._room.end(result.name, is_done=is_done))

    def _is_missing(self, name: str) -> bool:
        return is_view(self._data.lmdb(name))

    def _tried_to_remove(self, names: Sequence[str]) -> CaffeTransferError | None:
        """Remove databases; returns the last reason why one stays, where it then counts."""
        reason = None
        for name in names:
            try:
                remove_database(self._data.lmdb(name))
            except CaffeTransferError as error:
                self._room.there.add(name)
                reason = error
        return reason


def demand_of(study: Study, sizes: DatabaseSizes, limit: int, folder: RunFolder | None) -> Demand:
    """What the study's networks need of the disk.

    Args:
        limit: bytes of all databases together.
        folder: of the run, whose trained networks need nothing any more; None for a new one.

    Raises:
        BadInput: the limit is too small; says what is enough.
    """
    reads: dict[str, Collection[str]] = {}
    for each in study.networks:
        max_iter = study.solver_of(each).max_iter
        is_done = folder and manifests.is_trained(folder.network(each.name), max_iter)
        own = (each.train_data, each.valid_data)
        reads[each.name] = () if is_done else [name for name in own if name in sizes.taken]
    demand = Demand(graph(study), reads, sizes.taken, limit - sizes.kept)
    most = demand.bytes_of(reads[demand.largest])
    if most > demand.room:
        more = f", and network {demand.largest} reads {size(most)} more" if most else ""
        raise BadInput(
            f"{size(limit)} are too few for the databases of study {study.name!r}: "
            f"{size(sizes.kept)} stay from beginning to end{more}; give --disk "
            f"{size_above(sizes.kept + most)} or more"
        )
    return demand
