"""Small nets as users would bring them, of every age and family, for images of 16 x 16."""

from pathlib import Path

import lmdb
import numpy as np

from caffe_transfer.formats.datum import datum
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.nets.edit import DataSettings
from tests.test_shapes import conv, fc, layer, pool

SIZE, CROP = 20, 16
SETTINGS = DataSettings(
    train_source="../db", valid_source="../db", batch=4, test_batch=4, channels=3, size=SIZE,
    mean_file="../mean.binaryproto", mean_values=(120.0,),
)  # fmt: skip

_READ = 'transform_param { crop_size: 16 mirror: true } data_param { source: "x" batch_size: 9 }'
DATA = layer("Data", "", "data label", f"include {{ phase: TRAIN }} {_READ}") + layer(
    "Data", "", "data label", f"include {{ phase: TEST }} {_READ.replace('true', 'false')}"
)
INPUT = 'input: "data" input_dim: 1 input_dim: 3 input_dim: 16 input_dim: 16\n'
LEARN = 'weight_filler { type: "msra" } bias_filler { type: "constant" value: 0.1 }'
TESTED = "include { phase: TEST }"


def learned(bottom: str, top: str, settings: str) -> str:
    return conv(bottom, top, f"{settings} {LEARN}")


def classifier(bottom: str, top: str, outputs: int = 1000) -> str:
    return fc(bottom, top, f"num_output: {outputs} {LEARN}")


def normalized(bottom: str, top: str = "", settings: str = "") -> str:
    """BatchNorm, Scale and ReLU, in place or into a blob."""
    top = top or bottom
    in_place = f'bottom: "{top}" top: "{top}"'
    return (
        f'layer {{ name: "{top}/bn" type: "BatchNorm" bottom: "{bottom}" top: "{top}" {settings} }}'
        f'layer {{ name: "{top}/scale" type: "Scale" {in_place} '
        "scale_param { bias_term: true } }"
        f'layer {{ name: "{top}/relu" type: "ReLU" {in_place} }}\n'
    )


def ending(scores: str, name: str = "loss", weight: float = 1) -> str:
    """A loss and accuracies, as zoo nets end."""
    bottoms = f"{scores} label"
    return (
        layer("SoftmaxWithLoss", bottoms, f"{name}", f"loss_weight: {weight}")
        + layer("Accuracy", bottoms, f"{name}/top-1", TESTED)
        + layer("Accuracy", bottoms, f"{name}/top-5", TESTED + " accuracy_param { top_k: 5 }")
    )


def inception(bottom: str, name: str) -> str:
    return (
        learned(bottom, f"{name}/1x1", "num_output: 4 kernel_size: 1")
        + learned(bottom, f"{name}/reduce", "num_output: 3 kernel_size: 1")
        + learned(f"{name}/reduce", f"{name}/3x3", "num_output: 5 kernel_size: 3 pad: 1")
        + layer("Concat", f"{name}/1x1 {name}/3x3", f"{name}/output")
        + f'layer {{ name: "{name}/relu" type: "ReLU" bottom: "{name}/output" '
        f'top: "{name}/output" }}\n'
    )


def head(bottom: str, name: str) -> str:
    return (
        pool(bottom, f"{name}/pool", "pool: AVE kernel_size: 4 stride: 4")
        + fc(f"{name}/pool", f"{name}/fc", f"num_output: 7 {LEARN}")
        + classifier(f"{name}/fc", f"{name}/classifier")
        + ending(f"{name}/classifier", f"a_{name}", 0.3)
    )


def dense(bottom: str, name: str) -> str:
    return (
        normalized(bottom, f"{name}/norm")
        + learned(f"{name}/norm", f"{name}/conv", "num_output: 4 kernel_size: 3 pad: 1")
        + layer("Concat", f"{bottom} {name}/conv", f"{name}/concat")
    )


def separable(bottom: str, name: str) -> str:
    depth, point = f"{name}/dw", f"{name}/pw"
    return (
        learned(bottom, depth, "num_output: 6 group: 6 kernel_size: 3 pad: 1")
        + normalized(depth)
        + learned(depth, point, "num_output: 6 kernel_size: 1")
        + normalized(point)
    )


def shared(bottom: str, top: str) -> str:
    """A convolution whose parameters are w and b, whichever layer has them."""
    settings = f"convolution_param {{ num_output: 4 kernel_size: 3 {LEARN} }}"
    names = 'param { name: "w" lr_mult: 1 } param { name: "b" lr_mult: 2 }'
    return layer("Convolution", bottom, top, f"{names} {settings}")


def v1_layer(kind: str, wires: str, name: str, settings: str = "") -> str:
    bottoms = " ".join(f'bottom: "{blob}"' for blob in wires.split())
    return f'layers {{ name: "{name}" type: {kind} {bottoms} top: "{name}" {settings} }}\n'


def v0_layer(kind: str, wires: str, name: str, settings: str = "") -> str:
    bottoms = " ".join(f'bottom: "{blob}"' for blob in wires.split())
    own = f'layer {{ name: "{name}" type: "{kind}" {settings} }}'
    return f'layers {{ {own} {bottoms} top: "{name}" }}\n'


GLOBAL = "batch_norm_param { use_global_stats: true }"

USERS_NETS = {
    "GoogLeNet": (
        DATA
        + learned("data", "conv1", "num_output: 6 kernel_size: 3")
        + inception("conv1", "a") + head("a/output", "loss1")
        + inception("a/output", "b") + head("b/output", "loss2")
        + inception("b/output", "c")
        + layer("Dropout", "c/output", "drop")
        + classifier("drop", "loss3/classifier") + ending("loss3/classifier", "loss3")
    ),
    "DenseNet": (
        DATA
        + learned("data", "conv0", "num_output: 4 kernel_size: 3 pad: 1")
        + dense("conv0", "one") + dense("one/concat", "two")
        + normalized("two/concat", "last")
        + pool("last", "whole", "pool: AVE global_pooling: true")
        + classifier("whole", "scores") + ending("scores")
    ),
    "MobileNet": (
        INPUT
        + learned("data", "conv1", "num_output: 6 kernel_size: 3 stride: 2") + normalized("conv1")
        + separable("conv1", "one") + separable("one/pw", "two")
        + pool("two/pw", "whole", "pool: AVE global_pooling: true")
        + conv("whole", "fc7", "num_output: 1000 kernel_size: 1")
        + layer("Softmax", "fc7", "prob")
    ),
    "ResNet": (
        INPUT
        + conv("data", "conv1", "num_output: 4 kernel_size: 3 pad: 1 bias_term: false")
        + normalized("conv1", settings=GLOBAL)
        + conv("conv1", "left", "num_output: 4 kernel_size: 3 pad: 1 bias_term: false")
        + normalized("left", settings=GLOBAL)
        + layer("Eltwise", "conv1 left", "sum") + layer("ReLU", "sum", "relu")
        + conv("relu", "conv2", "num_output: 5 kernel_size: 3 stride: 2")
        + normalized("conv2", settings=GLOBAL)
        + fc("conv2", "scores", "num_output: 1000")
    ),
    "NIN": (
        DATA
        + learned("data", "conv1", "num_output: 6 kernel_size: 5 stride: 2")
        + layer("ReLU", "conv1", "relu1")
        + learned("relu1", "cccp1", "num_output: 6 kernel_size: 1")
        + learned("cccp1", "cccp2", "num_output: 1000 kernel_size: 3")
        + pool("cccp2", "pool2", "pool: AVE global_pooling: true") + ending("pool2")
    ),
    "BatchNorm twice, for each phase": (
        DATA
        + learned("data", "conv1", "num_output: 4 kernel_size: 3")
        + 'layer { name: "bn1" type: "BatchNorm" bottom: "conv1" top: "bn1"'
        "  batch_norm_param { use_global_stats: false } include { phase: TRAIN }"
        "  param { lr_mult: 0 } param { lr_mult: 0 } param { lr_mult: 0 } }"
        'layer { name: "bn1" type: "BatchNorm" bottom: "conv1" top: "bn1"'
        "  batch_norm_param { use_global_stats: true } include { phase: TEST }"
        "  param { lr_mult: 0 } param { lr_mult: 0 } param { lr_mult: 0 } }"
        + learned("bn1", "conv2", "num_output: 4 kernel_size: 3")
        + layer("PReLU", "conv2", "prelu2")
        + classifier("prelu2", "scores") + ending("scores")
    ),
    "a train_net alone": (
        layer("Data", "", "images class", _READ)
        + learned("images", "conv1", "num_output: 4 kernel_size: 3")
        + normalized("conv1", settings="batch_norm_param { use_global_stats: false }")
        + learned("conv1", "conv2", "num_output: 4 kernel_size: 3")
        + normalized("conv2", settings="batch_norm_param { use_global_stats: false }")
        + layer("Slice", "conv2", "Part rest")
        + classifier("rest", "scores")
        + layer("SoftmaxWithLoss", "scores class", "out chances", "loss_weight: [2, 0]")
    ),
    "halves that share weights": (
        DATA
        + layer("Slice", "data", "up down", "slice_param { axis: 2 }")
        + shared("up", "conv1") + shared("down", "conv1_p")
        + layer("Concat", "conv1 conv1_p", "both")
        + learned("both", "conv2", "num_output: 4 kernel_size: 3")
        + classifier("conv2", "scores") + ending("scores")
    ),
    "V1": (
        'input: "data" input_dim: 10 input_dim: 3 input_dim: 16 input_dim: 16\n'
        + v1_layer("CONVOLUTION", "data", "conv1", "blobs_lr: 1 blobs_lr: 2 weight_decay: 1"
                   " weight_decay: 0 convolution_param { num_output: 4 kernel_size: 3 }")
        + v1_layer("RELU", "conv1", "relu1")
        + v1_layer("LRN", "relu1", "norm1")
        + v1_layer("INNER_PRODUCT", "norm1", "fc2", "inner_product_param { num_output: 9 }")
        + v1_layer("INNER_PRODUCT", "fc2", "fc3", "inner_product_param { num_output: 1000 }")
        + v1_layer("SOFTMAX", "fc3", "prob")
    ),
    "V0": (
        'layers { layer { name: "data" type: "data" source: "x" batchsize: 8 cropsize: 16'
        ' mirror: true meanfile: "y" } top: "data" top: "label" }\n'
        + v0_layer("padding", "data", "pad1", "pad: 1")
        + v0_layer("conv", "pad1", "conv1", f"num_output: 4 kernelsize: 3 {LEARN} blobs_lr: 1."
                   " blobs_lr: 2. weight_decay: 1. weight_decay: 0.")
        + v0_layer("relu", "conv1", "relu1")
        + v0_layer("conv", "relu1", "conv2", f"num_output: 4 kernelsize: 3 {LEARN}")
        + v0_layer("innerproduct", "conv2", "fc3", f"num_output: 1000 {LEARN}")
        + 'layers { layer { name: "loss" type: "softmax_loss" } bottom: "fc3" bottom: "label" }\n'
    ),
}  # fmt: skip


def write_database(path: Path, size: int = SIZE, count: int = 8, classes: int = 4) -> None:
    """An LMDB of random images."""
    random = np.random.default_rng(0)
    with lmdb.open(str(path), map_size=1 << 28) as environment, environment.begin(write=True) as t:
        for number in range(count):
            pixels = random.integers(0, 256, (3, size, size), np.uint8)
            t.put(b"%08d" % number, datum(pixels, number % classes))


def one_phase(net: pb.NetParameter, phase: int) -> list[str]:
    """The names of the layers that a phase has."""
    return [
        each.name for each in net.layer
        if not each.include or any(rule.phase == phase for rule in each.include)
    ]  # fmt: skip
