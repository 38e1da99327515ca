"""The boundary to the HDF5 library."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from caffe_transfer.errors import FormatError
from caffe_transfer.formats.caffemodel import open_model
from caffe_transfer.formats.hdf5 import check_own, names, open_hdf5, read_array

BLOB = "data/conv1/0"


def _virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((10,), "f4")
    layout[:] = h5py.VirtualSource(file.filename, BLOB, (10,))
    file.create_group("data/conv1").create_virtual_dataset("0", layout)


def _external(file: h5py.File) -> None:
    external = [("numbers", 0, h5py.h5f.UNLIMITED)]
    file.create_dataset(BLOB, (4,), "f4", external=external)


@pytest.mark.parametrize("fill", [_virtual, _external])
def test_arrays_with_their_numbers_elsewhere(
    fill: Callable[[h5py.File], None], tmp_path: Path
) -> None:
    """The HDF5 library dies of a virtual array that holds itself."""
    path = tmp_path / "x.caffemodel.h5"
    with h5py.File(path, "w") as file:
        fill(file)
    with (
        pytest.raises(FormatError, match=rf"x\.caffemodel\.h5 is .* /{BLOB} takes its numbers"),
        open_model(path),
    ):
        pass


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "x.caffemodel.h5"
    with h5py.File(path, "w") as file:
        file[b"data/\xff\xfe/0"] = np.ones(2, "f4")
    with pytest.raises(FormatError, match="not all of its names are UTF-8"), open_model(path):
        pass


def test_what_is_there_is_read(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x", "w") as file:
        file["größe"], file["b"] = np.array([1, 2], "f4"), np.array([[3.0]])
    with open_hdf5(tmp_path / "x", "HDF5 file", "fetch it again") as found:
        assert names(found) == ["b", "größe"]
        check_own(found["b"])
        assert read_array(found["größe"]).tolist() == [1, 2]
        assert read_array(found["b"]).dtype == np.float64
