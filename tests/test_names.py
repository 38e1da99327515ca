"""What the name of a file says about its format."""

from pathlib import Path

import pytest

from caffe_transfer.errors import BadInput
from caffe_transfer.formats.names import check_model_name


@pytest.mark.parametrize(
    "name",
    [
        "net.caffemodel", "net.caffemodel.h5", "net.h5", "net", "caffe_train_iter_450000",
        "net.450000", "net.0.1.caffemodel", ".caffemodel",
    ],
)  # fmt: skip
def test_names_of_models(name: str) -> None:
    check_model_name(Path("folder.x", name))


@pytest.mark.parametrize(
    "name",
    [
        "net.pth", "net.pt", "net.onnx", "net.safetensors", "net.prototxt", "net.solverstate",
        "net.solverstate.h5", "net.hdf5", "net.binaryproto", "net.caffemodel.gz",
    ],
)  # fmt: skip
def test_foreign_names_are_refused(name: str) -> None:
    with pytest.raises(BadInput, match=rf"{name} is no name for a Caffe model; use one that ends"):
        check_model_name(Path("folder", name))
