"""The listing of a folder, which a command asks for several times, and which is made once."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from caffe_transfer.data_prep.folders import Listing, list_folder

# By folder and share of validation images; None outside of `listed_once`.
_kept: ContextVar[dict[tuple[Path, float | None], Listing] | None] = ContextVar(
    "listings", default=None
)


@contextmanager
def listed_once() -> Iterator[None]:
    """In the block, or the decorated function, `listing_of` looks at a folder once.

    So what is asked of a folder, and what is then made of it, agree.
    """
    token = _kept.set({})
    try:
        yield
    finally:
        _kept.reset(token)


def listing_of(root: Path, valid_fraction: float | None = None) -> Listing:
    """What `list_folder` returns for an absolute path, and raises."""
    kept, root = _kept.get(), root.absolute()
    if kept is None:
        return list_folder(root, valid_fraction)
    if (root, valid_fraction) not in kept:
        kept[root, valid_fraction] = list_folder(root, valid_fraction)
    return kept[root, valid_fraction]


def forget_listings() -> None:
    """Free the listings, for which nobody will ask again; one takes 200 bytes an image."""
    if (kept := _kept.get()) is not None:
        kept.clear()
