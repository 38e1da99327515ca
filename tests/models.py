"""Small models for tests, in every binary format."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from caffe_transfer.formats.proto import caffe_pb2 as pb

Arrays = Sequence[np.ndarray[tuple[int, ...], np.dtype[np.float32]]]
V0_TYPES = {"Convolution": "conv", "InnerProduct": "innerproduct", "ReLU": "relu"}
V1_TYPES = {"Convolution": "CONVOLUTION", "InnerProduct": "INNER_PRODUCT", "ReLU": "RELU"}
LAYERS = {
    "conv1": ("Convolution", [(4, 3, 2, 2), (4,)]),
    "relu1": ("ReLU", []),
    "conv2": ("Convolution", [(5, 4, 1, 1), (5,)]),
    "fc3": ("InnerProduct", [(2, 20), (2,)]),
}


def random_arrays(seed: int = 0) -> dict[str, Arrays]:
    """Parameters for LAYERS."""
    random = np.random.default_rng(seed)
    return {
        name: [random.standard_normal(shape, np.float32) for shape in shapes]
        for name, (_, shapes) in LAYERS.items()
    }


def write_model(
    path: Path, form: str = "V2", seed: int = 0, suffixes: dict[str, str] | None = None
) -> dict[str, Arrays]:
    """Write LAYERS with random parameters as a model in format V0, V1 or V2."""
    net, arrays = pb.NetParameter(name="small"), random_arrays(seed)
    for name, (kind, _) in LAYERS.items():
        full = name + (suffixes or {}).get(name, "")
        if form == "V2":
            net.layer.add(name=full, type=kind, blobs=[_blob(a, form) for a in arrays[name]])
        elif form == "V1":
            layer = net.layers.add(name=full, blobs=[_blob(a, form) for a in arrays[name]])
            layer.type = getattr(pb.V1LayerParameter, V1_TYPES[kind])
        else:
            net.layers.add(
                layer=pb.V0LayerParameter(
                    name=full, type=V0_TYPES[kind], blobs=[_blob(a, form) for a in arrays[name]]
                )
            )
    path.write_bytes(net.SerializeToString())
    return arrays


def _blob(array: np.ndarray[tuple[int, ...], np.dtype[np.float32]], form: str) -> pb.BlobProto:
    if form == "V2":
        return pb.BlobProto(shape=pb.BlobShape(dim=array.shape), data=array.ravel())
    num, channels, height, width = (1,) * (4 - array.ndim) + array.shape
    return pb.BlobProto(num=num, channels=channels, height=height, width=width, data=array.ravel())
