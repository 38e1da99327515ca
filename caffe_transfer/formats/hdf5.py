"""The boundary to the HDF5 library, which Caffe uses for `snapshot_format: HDF5`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from caffe_transfer.reading import reading


@contextmanager
def open_hdf5(path: Path, kind: str, remedy: str) -> Iterator[Any]:
    """Open an HDF5 file for reading.

    Args:
        kind: what the file should be, such as ".caffemodel.h5".
        remedy: what to do if it is not.

    Raises:
        FormatError: whatever goes wrong in the block; names the file, `kind` and `remedy`.
    """
    with reading(path, f"a whole {kind}", remedy), h5py.File(path) as file:
        yield file


def check_own(dataset: Any) -> None:
    """Check that an array is there, with numbers of its own.

    A virtual one can hold itself, of which the HDF5 library dies.

    Raises:
        TypeError: it is no dataset, or has its numbers elsewhere.
    """
    if not isinstance(dataset, h5py.Dataset):
        raise TypeError("it has a group where an array should be")
    if dataset.is_virtual or dataset.external:
        raise TypeError(f"{dataset.name} takes its numbers from elsewhere")


def names(group: Any) -> list[str]:
    """The names in a group.

    Raises:
        ValueError: one is not text.
    """
    found = list(group)
    if not all(isinstance(each, str) for each in found):
        raise ValueError("not all of its names are UTF-8")
    return found


def read_array(dataset: Any) -> npt.NDArray[Any]:
    """Read a dataset of float32 or float64.

    Raises:
        TypeError: it is no dataset of its own, or holds something else.
    """
    check_own(dataset)
    if dataset.dtype.kind != "f":
        raise TypeError(f"{dataset.name} holds {dataset.dtype} instead of floating-point numbers")
    return np.asarray(dataset, "<f8" if dataset.dtype.itemsize == 8 else "<f4")
