"""Parameters and multiply-adds of nets."""

from pathlib import Path

import pytest
from google.protobuf import text_format

from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.prototxt import read_net
from caffe_transfer.nets.sizes import Cost, image_shape, layer_costs, total


def parsed(text: str) -> pb.NetParameter:
    return text_format.Parse(text, pb.NetParameter())


def test_published_sizes(shared: Path, authors: Path) -> None:
    """SqueezeNet v1.1: 1.24 million parameters (its page); ResNet-50: 3.8 billion multiply-adds
    (He et al., table 1); CaffeNet: 61 million parameters (Krizhevsky et al.: 60)."""
    for path, parameters, multiply_adds in (
        (shared / "nets/squeezenet_v1.1_train_val.prototxt", 1.24e6, None),
        (shared / "nets/ResNet-50-deploy.prototxt", 25.6e6, 3.86e9),
        (authors / "results/half0A/imagenet_train.prototxt", 61.0e6, 0.724e9),
    ):
        net = read_net(path)
        costs = layer_costs(net, image_shape(net))
        whole = total(costs, costs)
        assert whole.parameters == pytest.approx(parameters, rel=0.005)
        if multiply_adds:
            assert whole.multiply_adds == pytest.approx(multiply_adds, rel=0.005)


def test_each_kind_of_layer() -> None:
    net = parsed(
        """
        layer { name: "in" type: "Input" top: "x"
          input_param { shape { dim: 1 dim: 4 dim: 6 dim: 6 } } }
        layer { name: "c" type: "Convolution" bottom: "x" top: "c"
          convolution_param { num_output: 8 kernel_size: 3 group: 2 } }
        layer { name: "s" type: "Scale" bottom: "c" top: "c" scale_param { bias_term: true } }
        layer { name: "d" type: "Deconvolution" bottom: "c" top: "d"
          convolution_param { num_output: 2 kernel_size: 2 stride: 2 bias_term: false } }
        layer { name: "f" type: "InnerProduct" bottom: "d" top: "f"
          inner_product_param { num_output: 5 } }
        layer { name: "in2" type: "Input" top: "v" top: "go"
          input_param { shape { dim: 7 dim: 2 dim: 3 dim: 5 } shape { dim: 7 dim: 2 } } }
        layer { name: "l" type: "Convolution" bottom: "v" top: "l"
          convolution_param { num_output: 4 kernel_size: 2 axis: 2 bias_term: false } }
        layer { name: "r" type: "RNN" bottom: "v" bottom: "go" top: "r"
          recurrent_param { num_output: 6 } }
        layer { name: "e" type: "Embed" bottom: "go" top: "e"
          embed_param { num_output: 3 input_dim: 2 } }
        layer { name: "p" type: "Parameter" top: "p" parameter_param { shape { dim: 9 } } }
        """
    )
    assert layer_costs(net, None) == {
        "c": Cost(8 * 2 * 9 + 8, 8 * 2 * 9 * 4 * 4),
        "s": Cost(16, 0),
        "d": Cost(8 * 2 * 4, 8 * 2 * 4 * 4 * 4),
        "f": Cost(5 * 2 * 8 * 8 + 5, 5 * 2 * 8 * 8),
        "l": Cost(4 * 3 * 2, 4 * 3 * 2 * 2 * 4),
        "r": Cost(6 * 15 + 6 + 2 * 36 + 6, (6 * 15 + 2 * 36) * 2),
        "e": Cost(2 * 3 + 3, 0),
        "p": Cost(9, 0),
    }


@pytest.mark.parametrize(
    ("transform", "shape"),
    [
        ("crop_size: 27", (3, 27, 27)),
        ("crop_size: 27 mean_value: 7", (1, 27, 27)),
        ("crop_size: 27 force_gray: true", (1, 27, 27)),
        ("mean_file: 'mean'", None),
    ],
)
def test_the_size_of_images(transform: str, shape: tuple[int, ...] | None) -> None:
    net = parsed(f'layer {{ type: "Data" top: "x" transform_param {{ {transform} }} }}')
    assert image_shape(net) == shape
