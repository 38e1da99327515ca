"""Why a network's last training failed: a sentence in its folder, for `status` to show."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from caffe_transfer.errors import BadInput, CaffeTransferError, Interrupted
from caffe_transfer.files import atomic_text
from caffe_transfer.paths import NetworkFolder


@contextmanager
def failure_noted(folder: NetworkFolder) -> Iterator[None]:
    """Note in a network's folder why the block failed; while it runs, no earlier note is there.

    To be stopped is no failure.
    """
    with suppress(OSError):
        folder.failure.unlink()
    try:
        yield
    except Interrupted:
        raise
    except CaffeTransferError as error:
        with suppress(BadInput):  # the error itself tells more than that it cannot be noted
            atomic_text(folder.failure, f"{error}\n")
        raise


def noted_failure(folder: NetworkFolder) -> str | None:
    """The sentence that says why the last training failed; None if none did."""
    try:
        return folder.failure.read_text(errors="replace").strip() or None
    except OSError:
        return None
