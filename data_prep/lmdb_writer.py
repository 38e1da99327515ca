"""Writes an LMDB in small commits, of which each one stays whatever happens afterwards."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

import lmdb

from caffe_transfer.errors import BadInput
from caffe_transfer.files import unwritable

FIRST_MAP_BYTES = 1 << 26
# What is lost by a kill is at most this much work.  So small a commit is copied from the cache of
# the processor; that the disk is waited for so often does no harm, as decoding goes on meanwhile.
COMMIT_BYTES, COMMIT_RECORDS, COMMIT_SECONDS = 1 << 22, 4096, 5.0
_RESERVE_BYTES = 1 << 12


class LmdbWriter:
    """An LMDB that grows, in a folder that no other process has open; a context manager.

    A commit is on the disk when the next one begins: LMDB never loses more than the last.

    Args:
        path: the database's name in messages.
        committed: called after each commit.
    """

    def __init__(self, folder: Path, path: Path, committed: Callable[[], None]) -> None:
        self._folder, self._path, self._committed = folder, path, committed
        self._batch: list[tuple[bytes, bytes]] = []
        self._bytes, self._last_commit = 0, time.monotonic()

    def __enter__(self) -> "LmdbWriter":
        try:
            # metasync=False: one flush of the disk a commit instead of two.
            self.environment = lmdb.open(
                str(self._folder), map_size=FIRST_MAP_BYTES, metasync=False, lock=False
            )
        except lmdb.Error as error:
            raise self._failed(error) from error
        except UnicodeEncodeError as error:
            raise BadInput(f"{self._path} is not UTF-8, as LMDB needs; name another") from error
        self._last_key = next((key for key, _ in self.records(reverse=True)), b"")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self.commit()
                self.environment.sync(True)
        except lmdb.Error as failure:
            raise self._failed(failure) from failure
        finally:
            self.environment.close()

    @property
    def count(self) -> int:
        """Number of records that are committed."""
        return int(self.environment.stat()["entries"])

    def records(self, reverse: bool = False) -> Iterator[tuple[bytes, memoryview]]:
        """The committed records in the order of their keys; a value is gone after the next."""
        with self.environment.begin(buffers=True) as transaction:
            cursor = transaction.cursor()
            for key, value in cursor.iterprev() if reverse else cursor:
                yield bytes(key), value

    def all_keys(self) -> Iterator[bytes]:
        """The keys of the committed records."""
        with self.environment.begin() as transaction:
            yield from transaction.cursor().iternext(values=False)

    def put(self, key: bytes, value: bytes) -> None:
        """Add a record, and commit if it is time to.

        Raises:
            BadInput: the disk is full.
        """
        self._batch.append((key, value))
        self._bytes += len(key) + len(value) + _RESERVE_BYTES
        if (
            self._bytes >= COMMIT_BYTES
            or len(self._batch) >= COMMIT_RECORDS
            or time.monotonic() - self._last_commit >= COMMIT_SECONDS
        ):
            self.commit()

    def commit(self) -> None:
        """Write the batch, growing the memory map as needed.

        Raises:
            BadInput: the disk is full.
        """
        if self._batch:
            status = os.statvfs(self._folder)
            if status.f_bavail * status.f_frsize < self._bytes:
                raise unwritable(self._path, OSError(28, "No space left on device"))
            try:
                self._write()
            except lmdb.Error as error:
                raise self._failed(error) from error
            self._committed()
        self._batch, self._bytes, self._last_commit = [], 0, time.monotonic()

    def _write(self) -> None:
        # Appending fills pages and searches none; what a resumed run mends lies further back.
        append = self._batch[0][0] > self._last_key
        while True:
            try:
                with self.environment.begin(write=True) as transaction:
                    transaction.cursor().putmulti(self._batch, append=append)
                break
            except lmdb.MapFullError:
                self.environment.set_mapsize(self.environment.info()["map_size"] * 2)
        self._last_key = max(self._last_key, self._batch[-1][0])

    def _failed(self, error: lmdb.Error) -> BadInput:
        return BadInput(f"cannot write {self._path}: {error}; is the disk full?")
