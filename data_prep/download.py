"""Downloads: a file appears only when it is complete."""

import urllib.request
from collections.abc import Iterator
from http.client import HTTPException, HTTPResponse
from pathlib import Path

from caffe_transfer.data_prep.progress import OnStep
from caffe_transfer.errors import Incomplete
from caffe_transfer.files import atomic_write

CHUNK_BYTES = 1 << 20
TIMEOUT_SECONDS = 30


def download(address: str, path: Path, progress: OnStep) -> None:
    """Download `address` to `path`.

    Raises:
        Incomplete: the address does not answer, or the connection breaks.
        BadInput: `path` cannot be written.
    """
    try:
        answer = urllib.request.urlopen(address, timeout=TIMEOUT_SECONDS)
    except (OSError, HTTPException) as error:
        raise _failed(address, error) from error
    with answer, atomic_write(path) as file:
        total, done = int(answer.headers.get("Content-Length") or 0), 0
        for chunk in _chunks(answer, address):
            file.write(chunk)
            done += len(chunk)
            progress(f"downloading {path.name}", done, max(total, done))
        if done < total:
            raise Incomplete(f"{address} ended after {done} of {total} bytes; try again")


def _chunks(answer: HTTPResponse, address: str) -> Iterator[bytes]:
    try:
        while chunk := answer.read(CHUNK_BYTES):
            yield chunk
    except (OSError, HTTPException) as error:
        raise _failed(address, error) from error


def _failed(address: str, error: Exception) -> Incomplete:
    return Incomplete(f"{address} could not be downloaded: {getattr(error, 'reason', error)}")
