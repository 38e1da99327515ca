"""Nets that are exported in tests: all layer types by families, and what real Caffe makes of them.

A family has one net with many outputs, since an ONNX export takes a second whatever the net.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from caffe_transfer.export.weights import Array
from tests.test_shapes import conv, fc, layer, pool, source

IMAGES = source("data", 4, 6, 13, 12)


def _each(settings: Mapping[str, str], bottoms: str = "data") -> str:
    """A layer of each type, which reads the same bottoms."""
    return "".join(layer(kind, bottoms, kind.lower(), given) for kind, given in settings.items())


FAMILIES = {
    "values": IMAGES + _each({
        "AbsVal": "", "BNLL": "", "Clip": "clip_param { min: -20 max: 30 }",
        "ELU": "elu_param { alpha: 0.5 }", "Exp": "exp_param { base: 2 scale: 0.01 shift: 1 }",
        "Power": "power_param { power: 2 scale: 0.1 shift: -1 }", "Sigmoid": "",
        "Swish": "swish_param { beta: 0.3 }", "TanH": "", "Threshold": "",
        "ReLU": "relu_param { negative_slope: 0.1 }", "MVN": "mvn_param { across_channels: true }",
        "Softmax": "", "Dropout": "",
        "Reduction": "reduction_param { operation: SUMSQ axis: 1 coeff: 0.5 }",
        "ArgMax": "argmax_param { axis: 1 }",
    }) + layer("Log", "absval", "log", "log_param { shift: 1 base: 10 }"),
    "windows": IMAGES
    + "".join(
        pool("data", f"{method}{index}", f"pool: {method} {windows}")
        for method in ("MAX", "AVE")
        for index, windows in enumerate((
            "kernel_size: 3 stride: 2", "kernel_size: 3 stride: 2 pad: 1",
            "kernel_size: 2 stride: 2 pad: 1", "kernel_h: 4 kernel_w: 3 stride: 3 pad: 2",
            "kernel_size: 3 stride: 2 round_mode: FLOOR", "global_pooling: true",
        ))
    )
    + layer("LRN", "data", "across", "lrn_param { local_size: 5 alpha: 0.1 k: 2 }")
    + layer("LRN", "data", "within",
            "lrn_param { local_size: 3 alpha: 0.01 norm_region: WITHIN_CHANNEL }")
    + layer("SPP", "data", "spp", "spp_param { pyramid_height: 2 }")
    + layer("Im2col", "data", "windows", "convolution_param { kernel_size: 3 stride: 2 pad: 1 }"),
    "learned": IMAGES
    + conv("data", "conv", "num_output: 6 kernel_size: 3 group: 3 stride: 2 pad: 1")
    + conv("data", "dilated", "num_output: 4 kernel_size: 3 dilation: 2 bias_term: false")
    + conv("conv", "up", "num_output: 4 kernel_h: 3 kernel_w: 2 stride: 2 group: 2",
           "Deconvolution")
    + layer("BatchNorm", "conv", "norm", "batch_norm_param { eps: 0.01 }")
    + layer("Scale", "norm", "norm", "scale_param { bias_term: true }").replace('"norm"', '"s"', 1)
    + layer("PReLU", "norm", "norm").replace('"norm"', '"p"', 1)
    + layer("PReLU", "dilated", "shared", "prelu_param { channel_shared: true }")
    + layer("Bias", "up", "shifted")
    + fc("shifted", "fc", "num_output: 5")
    + fc("norm", "turned", "num_output: 3 transpose: true axis: -1 bias_term: false"),
    "moves": IMAGES
    + layer("Slice", "data", "a b", "slice_param { slice_point: 2 }")
    + layer("Split", "a", "c d")
    + layer("Concat", "b c", "joined")
    + layer("Eltwise", "a c d", "summed", "eltwise_param { coeff: 1 coeff: -0.5 coeff: 2 }")
    + layer("Eltwise", "a c", "product", "eltwise_param { operation: PROD }")
    + layer("Eltwise", "summed d", "most", "eltwise_param { operation: MAX }")
    + layer("Flatten", "joined", "flat", "flatten_param { axis: 2 }")
    + layer("Reshape", "b", "rows", "reshape_param { shape { dim: 0 dim: -1 dim: 2 } }")
    + pool("data", "small", "kernel_size: 6 stride: 5")
    + layer("Crop", "joined small", "cropped", "crop_param { axis: 2 offset: 1 offset: 2 }")
    + layer("Tile", "a", "tiled", "tile_param { axis: 1 tiles: 3 }")
    + layer("Parameter", "", "factors", "parameter_param { shape { dim: 6 } }")
    + layer("Scale", "data factors", "weighed", "scale_param { axis: 1 }")
    + layer("Silence", "data small", ""),
    "sequences": source("words", 3, 2) + source("cont", 3, 2) + source("rows", 2)
    + layer("Embed", "words", "embed", "embed_param { num_output: 4 input_dim: 3 }")
    + layer("LSTM", "embed cont", "lstm", "recurrent_param { num_output: 3 }")
    + layer("RNN", "lstm cont", "rnn", "recurrent_param { num_output: 2 }")
    + layer("BatchReindex", "rnn rows", "chosen"),
}  # fmt: skip

REFERENCE = """
import sys, caffe, numpy as np
net = caffe.Net(sys.argv[1], caffe.TEST)
random = np.random.RandomState(1)
for name, blobs in net.params.items():
    kind = net.layer_dict[name].type
    for index, blob in enumerate(blobs):
        shape = blob.data.shape
        if kind == "BatchNorm":
            blob.data[...] = (random.normal(0, 1, shape), random.uniform(2, 6, shape), 2.0)[index]
        elif len(shape) > 1:
            blob.data[...] = random.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape)
        else:
            blob.data[...] = random.uniform(0.1, 0.3, shape)
net.save(sys.argv[2])
if len(sys.argv) > 3:
    for name, values in np.load(sys.argv[3]).items():
        net.blobs[name].reshape(*values.shape)
        net.blobs[name].data[...] = values
    net.reshape()
    net.forward()
    np.savez(sys.argv[4], **{name: net.blobs[name].data for name in sys.argv[5:]})
"""


def run_caffe(
    pycaffe: Callable[..., str], net: Path, model: Path, inputs: Mapping[str, Array],
    outputs: tuple[str, ...],
) -> dict[str, Array]:  # fmt: skip
    """Let Caffe save a model with random weights, and return what it computes with them."""
    given, found = model.with_name("given.npz"), model.with_name("found.npz")
    np.savez(given, **dict(inputs))  # type: ignore[arg-type]
    pycaffe(REFERENCE, net, model, given, found, *outputs)
    return dict(np.load(found))
