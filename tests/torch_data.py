"""Nets that read images, run by us and by real Caffe, for tests of data layers."""

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import lmdb
import numpy as np
import numpy.typing as npt
import torch
from google.protobuf import text_format

from caffe_transfer.caffe_torch.net import Net
from caffe_transfer.caffe_torch.rng import Rng
from caffe_transfer.formats.proto import caffe_pb2 as pb

BATCHES = 3
READ = """
import sys, caffe, numpy
caffe.set_random_seed(5)
net = caffe.Net(sys.argv[1], int(sys.argv[2]))
found = []
for _ in range(int(sys.argv[4])):
    net.forward()
    found += [net.blobs[name].data.copy() for name in sys.argv[5:]]
numpy.savez(sys.argv[3], *found)
"""


def write_lmdb(
    path: Path, encoding: str | None = None, floats: bool = False,
    sizes: Sequence[tuple[int, int]] = ((9, 8),) * 7,
) -> None:  # fmt: skip
    """Records of 3 channels, raw, encoded or as floats; by default seven of 9x8 pixels."""
    random = np.random.default_rng(0)
    with lmdb.open(str(path), map_size=1 << 20) as environment, environment.begin(write=True) as w:
        for number, (height, width) in enumerate(sizes):
            image = random.integers(0, 256, (height, width, 3), np.uint8)
            datum = pb.Datum(channels=3, height=height, width=width, label=number % 3)
            if encoding:
                datum.encoded = True
                datum.data = cv2.imencode(encoding, image)[1].tobytes()
            elif floats:
                datum.float_data.extend(image.transpose(2, 0, 1).ravel() / 7)
            else:
                datum.data = image.transpose(2, 0, 1).tobytes()
            w.put(f"{number:03}".encode(), datum.SerializeToString())


def put(path: Path, key: bytes, value: bytes) -> None:
    with lmdb.open(str(path)) as environment, environment.begin(write=True) as writing:
        writing.put(key, value)


def data_layer(folder: Path, transform: str = "", kind: str = "Data", batch: int = 5) -> str:
    """The text of a layer that reads `lmdb` or `list.txt`, without its closing braces."""
    source = folder / ("lmdb" if kind == "Data" else "list.txt")
    setting = "data_param { backend: LMDB" if kind == "Data" else "image_data_param {"
    return (
        f'layer {{ name: "d" type: "{kind}" top: "x" top: "y" transform_param {{ {transform} }} '
        f'{setting} source: "{source}" batch_size: {batch} '
    )


def ours(text: str, phase: int, blobs: Sequence[str] = ("x", "y")) -> list[npt.NDArray[np.float32]]:
    """The blobs of each of a few batches; outputs of the net."""
    param = text_format.Parse(text, pb.NetParameter())
    net = Net(param, pb.NetState(phase=phase), Rng(5), torch.device("cpu"))  # type: ignore[arg-type]
    try:
        batches = [net.forward().blobs for _ in range(BATCHES)]
    finally:
        net.close()
    return [batch[name].numpy() for batch in batches for name in blobs]


def theirs(
    text: str, phase: int, pycaffe: Callable[..., str], folder: Path,
    blobs: Sequence[str] = ("x", "y"),
) -> list[npt.NDArray[np.float32]]:  # fmt: skip
    """The same by real Caffe."""
    (folder / "net.prototxt").write_text(text)
    pycaffe(READ, folder / "net.prototxt", str(phase), folder / "out.npz", str(BATCHES), *blobs)
    found = np.load(folder / "out.npz")
    return [found[name] for name in found.files]
