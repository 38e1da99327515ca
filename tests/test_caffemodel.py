"""Models of every format: written by real Caffe first, then by protobuf, then broken."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from caffe_transfer.errors import FormatError, Incomplete
from caffe_transfer.formats.caffemodel import open_model
from caffe_transfer.formats.proto import caffe_pb2 as pb
from tests.models import LAYERS, write_model

NET = """
name: "written by Caffe"
layer { name: "data" type: "Input" top: "data"
  input_param { shape { dim: 1 dim: 3 dim: 5 dim: 5 } } }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
  convolution_param { num_output: 4 kernel_size: 2 weight_filler { type: "xavier" } } }
layer { name: "fc2" type: "InnerProduct" bottom: "conv1" top: "fc2"
  inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
"""
SAVE = """
import sys, os, caffe, numpy
os.chdir(sys.argv[1])
caffe.set_random_seed(1)
net = caffe.Net('net.prototxt', caffe.TEST)
net.save('net.caffemodel')
net.save_hdf5('net.caffemodel.h5')
for name, blobs in net.params.items():
    for i, blob in enumerate(blobs):
        numpy.save(f'{name}_{i}.npy', blob.data)
"""


def test_models_of_real_caffe(pycaffe: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(NET)
    pycaffe(SAVE, tmp_path)
    for name, form in (("net.caffemodel", "V2"), ("net.caffemodel.h5", "HDF5")):
        with open_model(tmp_path / name) as model:
            assert model.format == form
            assert set(model.with_blobs) == {"conv1", "fc2"}
            for layer in model.with_blobs.values():
                for index, blob in enumerate(layer.blobs):
                    expected = np.load(tmp_path / f"{layer.name}_{index}.npy")
                    assert blob.shape == expected.shape
                    assert blob.tobytes() == expected.tobytes()


@pytest.mark.parametrize("form", ["V0", "V1", "V2"])
def test_binary_formats(form: str, tmp_path: Path) -> None:
    arrays = write_model(tmp_path / "model", form)
    with open_model(tmp_path / "model") as model:
        assert (model.format, model.name) == (form, "small")
        assert [layer.name for layer in model.layers] == list(LAYERS)
        for name, layer in model.with_blobs.items():
            for blob, array in zip(layer.blobs, arrays[name], strict=True):
                assert blob.tobytes() == array.tobytes()
                assert blob.shape[-array.ndim :] == array.shape


@pytest.mark.parametrize("form", ["V0", "V1", "V2"])
def test_real_caffe_reads_these_formats_too(
    form: str, pycaffe: Callable[..., str], tmp_path: Path
) -> None:
    arrays = write_model(tmp_path / "model.caffemodel", form)
    (tmp_path / "net.prototxt").write_text(NET)
    code = (
        "import sys, os, caffe\nos.chdir(sys.argv[1])\n"
        "net = caffe.Net('net.prototxt', 'model.caffemodel', caffe.TEST)\n"
        "sys.stdout.write(net.params['conv1'][0].data.tobytes().hex())\n"
    )
    (tmp_path / "net.prototxt").write_text(NET.split('layer { name: "fc2"')[0])
    assert pycaffe(code, tmp_path) == arrays["conv1"][0].tobytes().hex()


def test_doubles_and_numbers_that_are_not_packed(tmp_path: Path) -> None:
    values = [1.5, -2.25]
    net = pb.NetParameter()
    net.layer.add(name="a").blobs.add(shape=pb.BlobShape(dim=[2]), double_data=values)
    single = np.array(values, np.float32).tobytes()
    unpacked = b"".join(b"\x2d" + single[i : i + 4] for i in (0, 4)) + b"\x3a\x03\x0a\x01\x02"
    layer = b"\x0a\x01b\x3a" + bytes([len(unpacked)]) + unpacked
    (tmp_path / "m").write_bytes(
        net.SerializeToString() + b"\xa2\x06" + bytes([len(layer)]) + layer
    )
    with open_model(tmp_path / "m") as model:
        double, plain = (layer.blobs[0].values for layer in model.layers)
        assert double.dtype == np.float64
        assert plain.dtype == np.float32
        assert double.tolist() == plain.tolist() == values


def test_foreign_and_broken_files(tmp_path: Path) -> None:
    write_model(tmp_path / "good")
    content = (tmp_path / "good").read_bytes()
    for name, data, message in (
        ("noise", b"\x00\x01\x02 no model", "is not a whole .caffemodel"),
        ("text", b'name: "net"\nlayer { }', "is not a whole .caffemodel"),
        ("empty", b"", "is not a model: cannot mmap an empty file; train or copy it again"),
        ("bare", b"\x0a\x03net", "it holds no layers"),
        ("length", content.replace(b"conv1", b"conv\xff"), "is not a whole"),
        ("hdf5", b"\x89HDF\r\n\x1a\n" + b"\0" * 100, r"is not a whole \.caffemodel\.h5"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(FormatError, match=message), open_model(tmp_path / name):
            pass
    with pytest.raises(Incomplete, match="there is no file"), open_model(tmp_path / "none"):
        pass
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["something"] = 1
    with pytest.raises(FormatError, match="whole"), open_model(tmp_path / "other.h5"):
        pass


def test_hdf5_files_that_are_laid_out_differently(tmp_path: Path) -> None:
    """Whatever the HDF5 library raises, the file is named in one sentence."""
    layouts: dict[str, Callable[[h5py.File], object]] = {
        "data is an array": lambda file: file.create_dataset("data", data=[1.0]),
        "no layers": lambda file: file.create_group("data"),
        "layer is an array": lambda file: file.create_dataset("data/conv1", data=[1.0, 2.0]),
        "layer is a number": lambda file: file.create_dataset("data/conv1", data=1.0),
        "blob is a group": lambda file: file.create_group("data/conv1/0"),
        "blob is text": lambda file: file.create_dataset("data/conv1/0", data="text"),
        "blobs are not numbered": lambda file: file.create_dataset("data/conv1/w", data=[1.0]),
    }
    for name, fill in layouts.items():
        path = tmp_path / f"{name}.h5"
        with h5py.File(path, "w") as file:
            fill(file)
        with (
            pytest.raises(
                FormatError, match=rf"{name}.h5 is not a whole .caffemodel.h5: .*; fetch"
            ),
            open_model(path),
        ):
            pass


def test_doubles_of_another_byte_order(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "m", "w") as file:
        file["data/fc/0"] = np.array([1.5, -2.25], ">f8")
    with open_model(tmp_path / "m") as model:
        assert model.layers[0].blobs[0].tobytes() == np.array([1.5, -2.25], "<f8").tobytes()


def test_a_blob_that_does_not_fill_its_shape(tmp_path: Path) -> None:
    net = pb.NetParameter()
    net.layer.add(name="fc").blobs.add(shape=pb.BlobShape(dim=[3]), data=[1, 2])
    (tmp_path / "m").write_bytes(net.SerializeToString())
    with pytest.raises(FormatError, match=r"layer 'fc' has 2 values in a blob of shape \(3,\)"), \
         open_model(tmp_path / "m"):  # fmt: skip
        pass


def test_a_large_sparse_file_that_claims_to_be_a_model(tmp_path: Path) -> None:
    with (tmp_path / "huge.caffemodel").open("wb") as file:
        file.truncate(3 << 30)
    with pytest.raises(FormatError, match="number 0"), open_model(tmp_path / "huge.caffemodel"):
        pass
