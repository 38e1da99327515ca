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


def read_array(dataset: Any) -> npt.NDArray[Any]:
    """Read a dataset of float32 or float64.

    Raises:
        TypeError: it is no dataset, or holds something else.
    """
    if not isinstance(dataset, h5py.Dataset):
        raise TypeError("it has a group where an array should be")
    if dataset.dtype.kind != "f":
        raise TypeError(f"{dataset.name} holds {dataset.dtype} instead of floating-point numbers")
    return np.asarray(dataset, "<f8" if dataset.dtype.itemsize == 8 else "<f4")
