"""Nets of old formats, as real Caffe's own upgrade understands them."""

import subprocess
from pathlib import Path

import pytest
from google.protobuf import text_format

from caffe_transfer.errors import FormatError
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.upgrade import upgrade_net, upgrade_solver
from caffe_transfer.nets.render import parsed_net, render
from caffe_transfer.studies.load import paper
from caffe_transfer.studies.network import Network

# Every type and every setting that V0 had.
V0 = """
layers { layer { name: "d" type: "data" source: "db" batchsize: 2 rand_skip: 3 scale: 0.5
  meanfile: "m" cropsize: 7 mirror: true } top: "data" top: "label" }
layers { layer { name: "i" type: "images" source: "l" batchsize: 2 rand_skip: 1
  shuffle_images: true new_height: 8 new_width: 9 } top: "i" top: "il" }
layers { layer { name: "w" type: "window_data" source: "l" batchsize: 4 det_fg_threshold: 0.6
  det_bg_threshold: 0.2 det_fg_fraction: 0.3 det_context_pad: 1 det_crop_mode: "square" }
  top: "w" top: "wl" }
layers { layer { name: "h" type: "hdf5_data" source: "h5" batchsize: 2 } top: "h" }
layers { layer { name: "p" type: "padding" pad: 2 } bottom: "data" top: "p" }
layers { layer { name: "c" type: "conv" num_output: 4 kernelsize: 3 stride: 2 group: 2
  biasterm: true weight_filler { type: "gaussian" std: 0.1 } bias_filler { value: 1 }
  blobs_lr: 1 blobs_lr: 2 weight_decay: 1 weight_decay: 0 } bottom: "p" top: "c" }
layers { layer { name: "r" type: "relu" } bottom: "c" top: "c" }
layers { layer { name: "pool" type: "pool" pool: AVE kernelsize: 2 stride: 2 pad: 1 }
  bottom: "c" top: "pool" }
layers { layer { name: "n" type: "lrn" local_size: 3 alpha: 0.1 beta: 0.7 k: 2 }
  bottom: "pool" top: "n" }
layers { layer { name: "cat" type: "concat" concat_dim: 1 } bottom: "n" bottom: "pool" top: "cat" }
layers { layer { name: "f" type: "innerproduct" num_output: 5 biasterm: false
  weight_filler { type: "xavier" } } bottom: "cat" top: "f" }
layers { layer { name: "drop" type: "dropout" dropout_ratio: 0.4 } bottom: "f" top: "f" }
layers { layer { name: "b" type: "bnll" } bottom: "f" top: "b" }
layers { layer { name: "s" type: "sigmoid" } bottom: "b" top: "s" }
layers { layer { name: "t" type: "tanh" } bottom: "s" top: "t" }
layers { layer { name: "fl" type: "flatten" } bottom: "t" top: "fl" }
layers { layer { name: "soft" type: "softmax" } bottom: "fl" top: "soft" }
layers { layer { name: "acc" type: "accuracy" } bottom: "soft" bottom: "label" }
layers { layer { name: "info" type: "infogain_loss" source: "mat" } bottom: "soft" bottom: "label" }
layers { layer { name: "loss" type: "softmax_loss" } bottom: "fl" bottom: "label" }
layers { layer { name: "split" type: "split" } bottom: "t" top: "t1" top: "t2" }
layers { layer { name: "e" type: "euclidean_loss" } bottom: "t1" bottom: "t2" }
layers { layer { name: "im" type: "im2col" } bottom: "data" top: "im" }
layers { layer { name: "mll" type: "multinomial_logistic_loss" } bottom: "soft" bottom: "label" }
"""
V1_SHARED = """
input: "data" input_dim: 1 input_dim: 3 input_dim: 8 input_dim: 8
layers { name: "d" type: DATA top: "x" top: "label" data_param { source: "db" batch_size: 2
  scale: 0.1 mean_file: "m" crop_size: 4 mirror: true backend: LMDB } include { phase: TEST } }
layers { name: "a" type: CONVOLUTION bottom: "data" top: "a" param: "w" param: "b"
  blob_share_mode: PERMISSIVE blob_share_mode: STRICT blobs_lr: 1 blobs_lr: 2 weight_decay: 1
  convolution_param { num_output: 2 kernel_size: 3 } }
layers { name: "l" type: EUCLIDEAN_LOSS bottom: "a" bottom: "a" loss_weight: 0.5 }
"""
BATCH_NORM = """
layer { name: "bn" type: "BatchNorm" bottom: "a" top: "a"
  param { lr_mult: 1 } param { lr_mult: 1 } param { lr_mult: 1 } }
input: "a" input_shape { dim: 1 dim: 2 }
"""
V1_ALL = "".join(
    f'layers {{ name: "{name}" type: {name} bottom: "x" top: "{name}" }}\n'
    for name in pb.V1LayerParameter.LayerType.keys()  # noqa: SIM118, the enum is no dict
)


def real_upgrade(caffe_prefix: Path, text: str, folder: Path) -> pb.NetParameter:
    (folder / "old").write_text(text)
    subprocess.run(
        [caffe_prefix / "bin/upgrade_net_proto_text", folder / "old", folder / "new"],
        check=True,
        capture_output=True,
    )
    return text_format.Parse((folder / "new").read_text(), pb.NetParameter())


@pytest.mark.parametrize(
    "text", [V0, V1_SHARED, BATCH_NORM, V1_ALL], ids=["V0", "V1", "batch norm", "V1 types"]
)
def test_equals_real_caffes_upgrade(text: str, caffe_prefix: Path, tmp_path: Path) -> None:
    ours = upgrade_net(text_format.Parse(text, pb.NetParameter()))
    assert ours == real_upgrade(caffe_prefix, text, tmp_path)


@pytest.mark.parametrize("name", ["netbase", "half0A", "transfer0A0B_1_4", "nolearn_1_3"])
def test_nets_of_2014_equal_real_caffes_upgrade(
    name: str, caffe_prefix: Path, tmp_path: Path
) -> None:
    texts = render(Network.parse(name), paper(), "2014")
    for file in ("imagenet_train.prototxt", "imagenet_val.prototxt"):
        ours = upgrade_net(text_format.Parse(texts[file], pb.NetParameter()))
        assert ours == real_upgrade(caffe_prefix, texts[file], tmp_path)


def test_a_net_of_today_stays_as_it_is() -> None:
    net = parsed_net(render(Network.parse("half0A"), paper()))
    assert upgrade_net(net) == net


def test_the_solvers_type_becomes_a_name() -> None:
    old = pb.SolverParameter(solver_type=pb.SolverParameter.RMSPROP, base_lr=0.5)
    assert upgrade_solver(old) == pb.SolverParameter(type="RMSProp", base_lr=0.5)
    assert old.HasField("solver_type")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('layers { layer { name: "x" type: "cnov" } }', "my net: layer 'x' has the unknown type"),
        ('layers { layer { name: "x" type: "relu" pad: 1 } }', "of type 'relu' cannot have pad"),
        ('layers { name: "x" } layer { name: "y" }', "my net has both 'layer' and 'layers'"),
        (
            'layers { layer { name: "p" type: "padding" pad: 1 } bottom: "a" top: "p" }'
            'layers { layer { name: "x" type: "relu" } bottom: "p" }',
            "layer 'x' reads a padding layer, but is neither",
        ),
    ],
)
def test_what_no_caffe_knew(text: str, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        upgrade_net(text_format.Parse(text, pb.NetParameter()), "my net")


@pytest.mark.parametrize("shapes", ["input_shape { dim: 1 }", "input_dim: [1, 3, 8, 8]"])
def test_an_input_without_its_shape(shapes: str) -> None:
    net = text_format.Parse(f'input: "a" input: "b" {shapes}', pb.NetParameter())
    with pytest.raises(FormatError, match=r"^x has 2 inputs, but shapes for 1 of them; give"):
        upgrade_net(net, "x")
