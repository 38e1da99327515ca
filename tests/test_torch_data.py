"""Layers that bring data: the batches of real Caffe, number for number."""

import zlib
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import h5py
import lmdb
import numpy as np
import pytest

pytest.importorskip("torch", reason="no PyTorch here; pip install 'caffe-transfer[torch]'")

import torch

from caffe_transfer.caffe_torch import prefetch, transform
from caffe_transfer.caffe_torch.datum import records
from caffe_transfer.errors import CaffeTransferError
from caffe_transfer.formats.proto import caffe_pb2 as pb
from tests.images import write_images
from tests.torch_data import data_layer, ours, put, theirs, write_lmdb

HDF5_DATA = (
    'layer {{ name: "d" type: "HDF5Data" top: "x" hdf5_data_param {{ source: "{source}" '
    "batch_size: 2 }} }}"
)


@pytest.mark.parametrize("phase", [pb.TRAIN, pb.TEST])
@pytest.mark.parametrize(
    ("form", "settings"),
    [
        ("raw", ""),
        ("raw", "crop_size: 5 mirror: true scale: 0.3 mean_value: 100 mean_value: 90 "
                "mean_value: 80"),
        ("raw", "mirror: true mean_value: 17"),
        ("raw", "crop_size: 7 mean_file: MEAN"),
        ("raw", "crop_size: 8 mirror: true mean_file: MEAN scale: 0.0078125"),
        (".png", "crop_size: 5 mirror: true mean_file: MEAN"),
        (".png", "force_gray: true scale: 2"),
        ("floats", "crop_size: 6 mirror: true"),
    ],
)  # fmt: skip
def test_batches_are_those_of_caffe(
    form: str, settings: str, phase: int, pycaffe: Callable[..., str], tmp_path: Path
) -> None:
    write_lmdb(tmp_path / "lmdb", form if form[0] == "." else None, form == "floats")
    values = np.random.default_rng(1).uniform(0, 255, 3 * 9 * 8)
    mean = pb.BlobProto(num=1, channels=3, height=9, width=8, data=values)
    (tmp_path / "mean").write_bytes(mean.SerializeToString())
    text = data_layer(tmp_path, settings.replace("MEAN", f'"{tmp_path / "mean"}"')) + "} }"
    for mine, other in zip(ours(text, phase), theirs(text, phase, pycaffe, tmp_path), strict=True):
        np.testing.assert_array_equal(mine, other)


@pytest.mark.parametrize(
    "settings",
    ["", "mean_value: 17", "mean_value: 1 mean_value: 2 mean_value: 3", "mean_file: MEAN"],
)
@pytest.mark.parametrize("crop", ["crop_size: 5", ""])
def test_large_images_are_transformed_alike(
    crop: str, settings: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_lmdb(tmp_path / "lmdb")
    values = np.random.default_rng(1).uniform(0, 255, 3 * 9 * 8)
    mean = pb.BlobProto(num=1, channels=3, height=9, width=8, data=values)
    (tmp_path / "mean").write_bytes(mean.SerializeToString())
    settings = settings.replace("MEAN", f'"{tmp_path / "mean"}"')
    text = data_layer(tmp_path, f"{crop} {settings} mirror: true scale: 0.3") + "} }"
    small = ours(text, pb.TRAIN)
    monkeypatch.setattr(transform, "_LARGE", 1)
    for one, other in zip(ours(text, pb.TRAIN), small, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("more", ["", "shuffle: true", "rand_skip: 4", "is_color: false"])
def test_image_lists_are_read_as_caffe_reads_them(
    more: str, pycaffe: Callable[..., str], tmp_path: Path
) -> None:
    images = write_images(tmp_path / "images", count=7)
    (tmp_path / "list.txt").write_text("".join(
        f"{path} {label}\n" for path, label in zip(images.paths, images.labels, strict=True)
    ))  # fmt: skip
    settings = f'root_folder: "{tmp_path}/images/" new_height: 12 new_width: 10 {more} }} }}'
    text = data_layer(tmp_path, "crop_size: 8 mirror: true", "ImageData") + settings
    for mine, other in zip(
        ours(text, pb.TRAIN), theirs(text, pb.TRAIN, pycaffe, tmp_path), strict=True
    ):
        np.testing.assert_array_equal(mine, other)


def test_memory_is_kept_and_not_written_before_the_gpu_has_copied_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_lmdb(tmp_path / "lmdb")
    used: list[int] = []
    waits: list[int] = []

    def sent(slot: prefetch._Slot) -> None:
        used.append(slot._bytes.data_ptr())
        slot.labels.fill_(-1)
        before = slot.labels.clone()

        def synchronize() -> None:
            assert slot.labels.equal(before)  # nothing is written before
            waits.append(1)

        slot._sent = Mock(synchronize=synchronize)

    monkeypatch.setattr(prefetch._Slot, "sent", sent)
    monkeypatch.setattr("tests.torch_data.BATCHES", 12)
    batches = ours(data_layer(tmp_path) + "} }", pb.TRAIN)
    assert len(batches) == 2 * 12
    assert len(set(used)) == prefetch._AHEAD
    assert len(waits) >= 12 - prefetch._AHEAD


def test_rows_of_hdf5_files(pycaffe: Callable[..., str], tmp_path: Path) -> None:
    for number in (1, 2):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file["x"] = np.arange(12, dtype=np.float32).reshape(4, 3) * number
            file["y"] = np.arange(4, dtype=np.float32)
    (tmp_path / "list").write_text(f"{tmp_path}/1.h5\n{tmp_path}/2.h5\n")
    text = (
        'layer { name: "d" type: "HDF5Data" top: "x" top: "y" hdf5_data_param { '
        f'source: "{tmp_path}/list" batch_size: 3 BATCH }} }}'
    )
    plain = text.replace("BATCH", "")
    for mine, other in zip(
        ours(plain, pb.TRAIN), theirs(plain, pb.TRAIN, pycaffe, tmp_path), strict=True
    ):
        np.testing.assert_array_equal(mine, other)
    shuffled = ours(text.replace("BATCH", "shuffle: true"), pb.TRAIN)
    assert [batch.shape for batch in shuffled[:2]] == [(3, 3), (3,)]


def test_dummy_data(pycaffe: Callable[..., str], tmp_path: Path) -> None:
    text = (
        'layer { name: "d" type: "DummyData" top: "x" top: "y" dummy_data_param { '
        'shape { dim: 2 dim: 3 } shape { dim: 4 } data_filler { type: "gaussian" std: 2 } '
        'data_filler { type: "constant" value: 3 } } }'
    )
    for mine, other in zip(
        ours(text, pb.TRAIN), theirs(text, pb.TRAIN, pycaffe, tmp_path), strict=True
    ):
        np.testing.assert_array_equal(mine, other)


def test_two_layers_read_one_database(tmp_path: Path) -> None:
    write_lmdb(tmp_path / "lmdb")
    text = data_layer(tmp_path) + "} }"
    other = text.replace('"d"', '"e"').replace('top: "x" top: "y"', 'top: "z"')
    batches = ours(text + "\n" + other, pb.TRAIN)
    assert batches[0].shape == (5, 3, 9, 8)


@pytest.mark.parametrize(
    ("transform", "ending", "message"),
    [
        ("crop_size: 12", "", "layer 'd' crops to 12, but its images have 9x8 pixels"),
        ("mean_value: 1 mean_value: 2", "", "layer 'd' has 2 mean values for 3 channels"),
        ("mean_file: WRONG", "", r"has the shape \(1, 2, 2\), its images \(3, 9, 8\)"),
        ("", "backend: LEVELDB", "reads a LevelDB, which is not supported"),
    ],
)
def test_what_does_not_fit(transform: str, ending: str, message: str, tmp_path: Path) -> None:
    write_lmdb(tmp_path / "lmdb")
    wrong = pb.BlobProto(num=1, channels=1, height=2, width=2, data=[0] * 4)
    (tmp_path / "wrong").write_bytes(wrong.SerializeToString())
    text = data_layer(tmp_path, transform.replace("WRONG", f'"{tmp_path / "wrong"}"'))
    if ending:
        text = text.replace("backend: LMDB", ending)
    with pytest.raises(CaffeTransferError, match=message):
        ours(text + "} }", pb.TRAIN)


def test_databases_that_hold_no_images(tmp_path: Path) -> None:
    text = data_layer(tmp_path) + "} }"
    with pytest.raises(CaffeTransferError, match="lmdb"):
        ours(text, pb.TRAIN)
    with lmdb.open(str(tmp_path / "lmdb")):
        pass
    with pytest.raises(CaffeTransferError, match="is an empty database"):
        ours(text, pb.TRAIN)
    for value, message in (
        (b"\xff\xff", r"record 0 of .* is not a Datum"),
        (pb.Datum(channels=3, height=9, width=8, data=b"short").SerializeToString(),
         r"record 0 of .* holds no complete image"),
        (pb.Datum(encoded=True, data=b"no image").SerializeToString(), "holds no complete image"),
    ):  # fmt: skip
        put(tmp_path / "lmdb", b"0", value)
        with pytest.raises(CaffeTransferError, match=message):
            ours(text, pb.TRAIN)


def test_a_broken_record_further_on_is_told_when_it_is_reached(tmp_path: Path) -> None:
    write_lmdb(tmp_path / "lmdb")
    put(tmp_path / "lmdb", b"006", b"\xff\xff")
    with pytest.raises(CaffeTransferError, match=r"record 006 of .* is not a Datum"):
        ours(data_layer(tmp_path) + "} }", pb.TRAIN)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ('type: "HDF5Data" top: "x" hdf5_data_param { source: "none" }',
         "there is no file none; correct it, or the source of layer"),
        ('type: "ImageData" top: "x" top: "y" image_data_param { source: "none" }',
         "there is no file none; correct it, or the source of the ImageData layer"),
        ('type: "DummyData" top: "x" top: "y" dummy_data_param { shape {} shape {} shape {} }',
         "needs one shape, or one for each top"),
        ('type: "Input" top: "x" top: "y" input_param { shape {} shape {} shape {} }',
         "has 3 shapes for 2 tops"),
        ('type: "MemoryData" top: "x" top: "y" memory_data_param { batch_size: 1 channels: 1 '
         "height: 1 width: 1 }", "is filled by a program, and none has done so"),
    ],
)  # fmt: skip
def test_layers_without_their_data(layer: str, message: str) -> None:
    with pytest.raises(CaffeTransferError, match=message):
        ours(f'layer {{ name: "d" {layer} }}', pb.TRAIN)


@pytest.mark.parametrize(("form", "is_encoded"), [(None, False), (".png", True)])
def test_only_what_takes_long_to_decode_gets_several_threads(
    form: str | None, is_encoded: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: range(16))
    write_lmdb(tmp_path / "lmdb", form)
    source = records(  # its records are views of what is open while it lives
        tmp_path / "lmdb", pb.TransformationParameter()
    )
    first = next(source)
    assert first.is_encoded == is_encoded
    on_gpu, on_cpu = (
        prefetch.threads_for(torch.device(device), encoded=first.is_encoded)
        for device in ("cuda", "cpu")
    )
    assert on_gpu == (8 if is_encoded else 1)
    assert on_cpu == 1


def _array(value: object) -> Callable[[h5py.File], None]:
    return lambda file: file.create_dataset("x", data=value)


def _link_to_itself(file: h5py.File) -> None:
    file["x"] = h5py.SoftLink("/x")


def _without_numbers(file: h5py.File) -> None:
    file["x"] = h5py.Empty("f4")


@pytest.mark.parametrize(
    ("fill", "message"),
    [
        (_array(1.0), r"d\.h5 is not a whole HDF5 file with the tops of layer 'd': "),
        (_without_numbers, "is not a whole HDF5 file"),
        (_link_to_itself, "is not a whole HDF5 file"),
        (_array(np.zeros((0, 3))), "layer 'd' .* needs the same number of rows in all datasets"),
        (lambda file: file.create_group("x"), "it has a group where an array should be"),
    ],
)
def test_broken_hdf5_files(fill: Callable[[h5py.File], None], message: str, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "d.h5", "w") as file:
        fill(file)
    (tmp_path / "list").write_text(f"{tmp_path}/d.h5\n")
    with pytest.raises(CaffeTransferError, match=message):
        ours(HDF5_DATA.format(source=tmp_path / "list"), pb.TRAIN)


def test_a_list_of_hdf5_files_that_is_not_text(tmp_path: Path) -> None:
    (tmp_path / "list").write_bytes(b"\xff.h5\n")
    with pytest.raises(CaffeTransferError, match="is not a list of HDF5 files: not all of"):
        ours(HDF5_DATA.format(source=tmp_path / "list"), pb.TRAIN)


def _png(side: int) -> bytes:
    """The head of a PNG with these sides, and no pixels."""
    head = b"IHDR" + side.to_bytes(4, "big") * 2 + b"\x08\0\0\0\0"
    checked = (13).to_bytes(4, "big") + head + zlib.crc32(head).to_bytes(4, "big")
    return b"\x89PNG\r\n\x1a\n" + checked


@pytest.mark.parametrize(
    ("name", "content", "size", "message"),
    [
        ("large.png", _png(65535), 0, r"layer 'd' .* cannot decode the image .*large\.png"),
        ("empty.png", b"", 0, r"empty\.png is not an image that OpenCV decodes"),
        ("text.png", b"text", 0, r"layer 'd' \(ImageData\) cannot decode the image .*text\.png"),
        ("\x1b[31m.png", None, 0, r"there is no file .*\\x1b\[31m\.png; check the name"),
        ("0.png", None, 4_000_000, r"0\.png is not an image that OpenCV decodes: .*memory"),
    ],
)
def test_broken_images(
    name: str, content: bytes | None, size: int, message: str, tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    write_images(tmp_path / "images", count=1)
    if content is not None:
        (tmp_path / "images" / name).write_bytes(content)
    (tmp_path / "list.txt").write_text(f"{name} 0\n")
    settings = f'root_folder: "{tmp_path}/images/" new_height: {size} new_width: {size} }} }}'
    with pytest.raises(CaffeTransferError, match=message):
        ours(data_layer(tmp_path, "", "ImageData") + settings, pb.TRAIN)
    assert capfd.readouterr().err == ""  # OpenCV tells nothing by itself
