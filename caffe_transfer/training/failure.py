"""Why a network's last training failed: a sentence in its folder, for `status` to show."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from caffe_transfer.errors import BadInput, CaffeTransferError, EngineError, Interrupted, RefusedNet
from caffe_transfer.files import atomic_text, remove_leftovers, writing
from caffe_transfer.paths import NetworkFolder

# The second line of a note about a failure that nothing but a change of its input can mend.
_FINAL = "trying again does not help"


def may_pass(error: CaffeTransferError) -> bool:
    """Whether a training that failed may succeed when it is tried again as it is."""
    return isinstance(error, EngineError) and not isinstance(error, RefusedNet)


@contextmanager
def failure_noted(folder: NetworkFolder) -> Iterator[None]:
    """Note in a network's folder why the block failed; while it runs, no earlier note is there.

    To be stopped is no failure.
    """
    remove_leftovers(folder.failure)
    with suppress(OSError):
        folder.failure.unlink()
    try:
        with writing(folder.root):
            yield
    except Interrupted:
        raise
    except CaffeTransferError as error:
        with suppress(BadInput):  # the error itself tells more than that it cannot be noted
            atomic_text(folder.failure, f"{error}\n" if may_pass(error) else f"{error}\n{_FINAL}\n")
        raise


def noted_failure(folder: NetworkFolder) -> str | None:
    """The sentence that says why the last training failed; None if none did."""
    text = _note(folder)
    return text.removesuffix(_FINAL).strip() or None


def is_final(folder: NetworkFolder) -> bool:
    """Whether the last training failed for a reason that stays until an input is changed."""
    return _note(folder).endswith(_FINAL)


def _note(folder: NetworkFolder) -> str:
    try:
        return folder.failure.read_text(errors="replace").strip()
    except OSError:
        return ""
