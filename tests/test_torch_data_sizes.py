"""Images of several sizes: the batches of real Caffe, number for number, or one sentence."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="no PyTorch here; pip install 'caffe-transfer[torch]'")

from caffe_transfer.errors import CaffeTransferError
from caffe_transfer.formats.proto import caffe_pb2 as pb
from tests.torch_data import data_layer, ours, put, theirs, write_lmdb

SIZES = [(9, 8), (12, 7), (7, 15), (9, 8), (30, 11), (7, 7), (8, 40)]
SAME_IN_BATCHES = [(9, 8)] * 5 + [(12, 7)] * 5 + [(7, 15)] * 5
FULLY_CONVOLUTIONAL = """
layer { name: "c" type: "Convolution" bottom: "x" top: "c"
    convolution_param { num_output: 6 kernel_size: 3 pad: 1 weight_filler { type: "xavier" } } }
layer { name: "r" type: "ReLU" bottom: "c" top: "c" }
layer { name: "p" type: "Pooling" bottom: "c" top: "p"
    pooling_param { pool: MAX kernel_size: 3 stride: 2 } }
layer { name: "g" type: "Pooling" bottom: "p" top: "g"
    pooling_param { pool: AVE global_pooling: true } }
layer { name: "i" type: "InnerProduct" bottom: "g" top: "i"
    inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "l" type: "SoftmaxWithLoss" bottom: "i" bottom: "y" top: "l" }
"""
FIXED = """
layer { name: "i" type: "InnerProduct" bottom: "x" top: "i" inner_product_param { num_output: 3 } }
layer { name: "s" type: "Silence" bottom: "y" }
"""


def write_list(folder: Path, sizes: list[tuple[int, int]]) -> None:
    random = np.random.default_rng(0)
    for number, size in enumerate(sizes):
        cv2.imwrite(str(folder / f"{number}.png"), random.integers(0, 256, (*size, 3), np.uint8))
    lines = [f"{number}.png {number % 3}\n" for number in range(len(sizes))]
    (folder / "list.txt").write_text("".join(lines))


def layer_over(
    folder: Path, form: str, sizes: list[tuple[int, int]], transform: str = "", batch: int = 5
) -> str:
    """A layer over images of these sizes, raw, as floats, encoded (".png") or in a list."""
    if form == "list":
        write_list(folder, sizes)
        text = data_layer(folder, transform, "ImageData", batch)
        return text + f'root_folder: "{folder}/" }} }}'
    encoding = form if form.startswith(".") else None
    write_lmdb(folder / "lmdb", encoding, form == "floats", sizes)
    return data_layer(folder, transform, batch=batch) + "} }"


def check(text: str, phase: int, pycaffe: Callable[..., str], folder: Path) -> None:
    for mine, other in zip(ours(text, phase), theirs(text, phase, pycaffe, folder), strict=True):
        np.testing.assert_array_equal(mine, other)


@pytest.mark.parametrize("phase", [pb.TRAIN, pb.TEST])
@pytest.mark.parametrize("form", ["raw", "floats", ".png", "list"])
@pytest.mark.parametrize(
    "transform",
    [
        "crop_size: 7",
        "crop_size: 5 mirror: true scale: 0.3 mean_value: 100 mean_value: 90 mean_value: 80",
    ],
)
def test_each_image_is_cropped_by_its_own_size(
    form: str, transform: str, phase: int, pycaffe: Callable[..., str], tmp_path: Path
) -> None:
    check(layer_over(tmp_path, form, SIZES, transform), phase, pycaffe, tmp_path)


@pytest.mark.parametrize(("sizes", "batch"), [(SIZES, 1), (SAME_IN_BATCHES, 5)])
@pytest.mark.parametrize("form", ["raw", ".png", "list"])
def test_without_crop_each_batch_has_the_size_of_its_images(
    form: str, sizes: list[tuple[int, int]], batch: int, pycaffe: Callable[..., str], tmp_path: Path
) -> None:
    text = layer_over(tmp_path, form, sizes, "mirror: true mean_value: 17", batch)
    check(text, pb.TRAIN, pycaffe, tmp_path)


def test_floats_among_bytes(pycaffe: Callable[..., str], tmp_path: Path) -> None:
    text = layer_over(tmp_path, "raw", SIZES, "crop_size: 5")
    values = np.random.default_rng(1).uniform(0, 255, 3 * 6 * 9)
    floats = pb.Datum(channels=3, height=6, width=9, float_data=values)
    put(tmp_path / "lmdb", b"002", floats.SerializeToString())
    check(text, pb.TRAIN, pycaffe, tmp_path)


def test_a_fully_convolutional_net_follows(pycaffe: Callable[..., str], tmp_path: Path) -> None:
    text = layer_over(tmp_path, "raw", SIZES, "scale: 0.01", batch=1) + FULLY_CONVOLUTIONAL
    mine, other = ours(text, pb.TRAIN, ["l"]), theirs(text, pb.TRAIN, pycaffe, tmp_path, ["l"])
    np.testing.assert_allclose(mine, other, rtol=1e-5)


def test_a_layer_whose_parameters_do_not_fit_another_size(tmp_path: Path) -> None:
    text = layer_over(tmp_path, "raw", SIZES, batch=1) + FIXED
    message = (
        r"layer 'i' \(InnerProduct\) has parameters for bottoms .*\(1, 3, 9, 8\)"
        r".* got \(1, 3, 12, 7\)"
    )
    with pytest.raises(CaffeTransferError, match=message):
        ours(text, pb.TRAIN, ["i"])


@pytest.mark.parametrize(
    ("form", "transform", "message"),
    [
        ("raw", "", r"record 001 of .* has the shape \(3, 12, 7\) and the first one of its "
                    r"batch \(3, 9, 8\); rebuild the database with one size, or set crop_size"),
        ("list", "", r"the image .*1\.png has the shape"),
        (".png", "crop_size: 8", r"record 001 of .* has 12x7 pixels, fewer than the crop of 8"),
        ("raw", "crop_size: 7 mean_file: MEAN",
         r"record 001 .* has the shape \(3, 12, 7\) and the mean .*mean \(3, 9, 8\)"),
    ],
)  # fmt: skip
def test_sizes_that_caffe_refuses(form: str, transform: str, message: str, tmp_path: Path) -> None:
    mean = pb.BlobProto(num=1, channels=3, height=9, width=8, data=[0] * 216)
    (tmp_path / "mean").write_bytes(mean.SerializeToString())
    transform = transform.replace("MEAN", f'"{tmp_path / "mean"}"')
    with pytest.raises(CaffeTransferError, match=message):
        ours(layer_over(tmp_path, form, SIZES, transform), pb.TRAIN)


def test_another_number_of_channels(tmp_path: Path) -> None:
    text = layer_over(tmp_path, "raw", SIZES, "crop_size: 5")
    gray = pb.Datum(channels=1, height=9, width=9, data=bytes(81))
    put(tmp_path / "lmdb", b"003", gray.SerializeToString())
    with pytest.raises(CaffeTransferError, match=r"003 .* has 1 channels and the first image 3"):
        ours(text, pb.TRAIN)


@pytest.mark.parametrize("side", ["new_height: 12", "new_width: 12"])
def test_one_side_without_the_other(side: str, tmp_path: Path) -> None:
    text = layer_over(tmp_path, "list", SIZES, "crop_size: 5")[:-4] + f" {side} }} }}"
    with pytest.raises(CaffeTransferError, match="sets only one of new_height and new_width"):
        ours(text, pb.TRAIN)


def test_two_kinds_of_mean(tmp_path: Path) -> None:
    text = layer_over(tmp_path, "raw", SIZES, 'mean_value: 1 mean_file: "mean"')
    with pytest.raises(CaffeTransferError, match="sets both mean_file and mean_value"):
        ours(text, pb.TRAIN)
