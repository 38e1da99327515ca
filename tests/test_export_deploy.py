"""The net that is exported: which inputs, which outputs, without what."""

from collections.abc import Callable
from pathlib import Path

import pytest
from google.protobuf import text_format

from caffe_transfer.errors import BadInput, CaffeTransferError
from caffe_transfer.export.deploy import Deploy, deployed, read_deploy
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.prototxt import read_net
from caffe_transfer.nets.shapes import Shape
from tests.edit_nets import DATA, INPUT
from tests.test_shapes import conv, fc, layer, pool, source

TEST, TRAIN = "include { phase: TEST }", "include { phase: TRAIN }"
TRUNK = conv("data", "conv1", "num_output: 4 kernel_size: 3") + layer("ReLU", "conv1", "conv1")
SCORES = TRUNK + fc("conv1", "fc2", "num_output: 5")
LOSS = layer("SoftmaxWithLoss", "fc2 label", "loss")


def made(text: str, shape: Shape | None = None) -> Deploy:
    return deployed(text_format.Parse(text, pb.NetParameter()), shape)


def layers(deploy: Deploy) -> list[str]:
    return [each.name for each in deploy.net.layer]


def test_a_net_for_training_ends_with_what_its_loss_reads() -> None:
    found = made(DATA + SCORES + LOSS + layer("Accuracy", "fc2 label", "accuracy", TEST))
    assert found.inputs == {"data": (1, 3, 16, 16)}
    assert found.outputs == ("fc2",)
    assert layers(found) == ["data", "conv1", "conv1", "fc2"]
    assert found.dropped == ("loss", "accuracy")
    assert found.source is not None
    assert found.source.transform_param.crop_size == 16
    assert not any(each.include or each.exclude or each.loss_weight for each in found.net.layer)


def test_a_net_for_deployment_stays_as_it_is() -> None:
    found = made(source("data", 10, 3, 16, 16) + SCORES + layer("Softmax", "fc2", "prob"))
    assert found.inputs == {"data": (10, 3, 16, 16)}
    assert found.outputs == ("prob",)
    assert found.scores == ("fc2",)
    assert (found.dropped, found.source) == ((), None)


def test_old_formats_are_upgraded(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(
        'name: "old" ' + INPUT + 'layers { layer { name: "conv1" type: "conv" num_output: 2 '
        'kernelsize: 3 } bottom: "data" top: "conv1" }'
        'layers { layer { name: "prob" type: "softmax" } bottom: "conv1" top: "prob" }'
    )
    found = read_deploy(path)
    assert found.inputs == {"data": (1, 3, 16, 16)}
    assert found.outputs == ("prob",)


def test_auxiliary_losses_go_with_their_branches() -> None:
    branch = fc("conv1", "side", "num_output: 5")
    weak = layer("SoftmaxWithLoss", "side label", "side_loss", "loss_weight: 0.3")
    found = made(DATA + TRUNK + branch + weak + fc("conv1", "fc2", "num_output: 5") + LOSS)
    assert found.outputs == ("fc2",)
    assert found.dropped == ("side", "side_loss", "loss")


def test_losses_of_one_weight_leave_several_outputs() -> None:
    other = fc("conv1", "fc3", "num_output: 2") + layer("EuclideanLoss", "fc3 label", "loss3")
    found = made(DATA + SCORES + LOSS + other)
    assert found.outputs == ("fc2", "fc3")


def test_without_a_loss_in_test_the_accuracy_tells_the_scores() -> None:
    loss = layer("SoftmaxWithLoss", "fc2 label", "loss", TRAIN)
    found = made(DATA + SCORES + loss + layer("Accuracy", "fc2 label", "accuracy", TEST))
    assert found.outputs == ("fc2",)


def test_a_softmax_beside_the_loss_is_the_output() -> None:
    assert made(DATA + SCORES + LOSS + layer("Softmax", "fc2", "prob", TEST)).outputs == ("prob",)


def test_a_softmax_for_the_accuracy_alone_is_not() -> None:
    measured = layer("Softmax", "fc2", "prob") + layer("Accuracy", "prob label", "accuracy")
    found = made(DATA + SCORES + LOSS + measured)
    assert found.outputs == ("fc2",)
    assert found.dropped == ("loss", "prob", "accuracy")


def test_what_is_made_of_labels_is_no_output() -> None:
    labels = layer("Power", "label", "doubled", "power_param { scale: 2 }")
    assert made(DATA + SCORES + LOSS + labels).outputs == ("fc2",)


def test_what_is_silenced_is_no_output_and_what_is_written_is_one() -> None:
    end = layer("Silence", "label", "") + layer("HDF5Output", "fc2 label", "")
    found = made(source("data", 2, 3, 16, 16) + source("label", 2) + SCORES + end)
    assert found.outputs == ("fc2",)
    assert list(found.inputs) == ["data"]


def test_labels_may_stand_first_in_a_loss() -> None:
    assert made(DATA + SCORES + layer("EuclideanLoss", "label fc2", "loss")).outputs == ("fc2",)


def test_a_pair_of_features_is_two_outputs() -> None:
    pair = source("data", 2, 3, 16, 16) + source("other", 2, 3, 16, 16) + source("same", 2)
    other = conv("other", "conv2", "num_output: 4 kernel_size: 3")
    features = fc("conv1", "a", "num_output: 2") + fc("conv2", "b", "num_output: 2")
    found = made(pair + TRUNK + other + features + layer("ContrastiveLoss", "a b same", "loss"))
    assert found.outputs == ("a", "b")
    assert list(found.inputs) == ["data", "other"]


def test_images_without_a_crop_need_a_shape() -> None:
    read = layer("Data", "", "data label", 'data_param { source: "x" batch_size: 9 }')
    with pytest.raises(BadInput, match="give --shape CHANNELS,HEIGHT,WIDTH"):
        made(read + SCORES + LOSS)
    assert made(read + SCORES + LOSS, (1, 28, 20)).inputs == {"data": (1, 1, 28, 20)}


@pytest.mark.parametrize(
    ("text", "shape", "message"),
    [
        (DATA + SCORES + LOSS, (3, 20, 20), r"'data' \(Data\) crops images to 16 x 16"),
        (source("data", 1, 3, 16, 16) + SCORES, (3, 20, 20), "declares the shape 3,16,16; leave"),
        (SCORES, None, "reads blob 'data', which no layer before it makes in phase TEST"),
        (source("data", 1, 3, 16, 16), None, "it computes nothing in phase TEST"),
        (layer("Python", "", "data", 'python_param { module: "m" layer: "L" }') + SCORES, None,
         r"layer 'data' \(Python\) reads inputs of unknown shapes; put Input layers"),
        (layer("HDF5Data", "", "data more", "hdf5_data_param { batch_size: 2 }") + SCORES
         + layer("Eltwise", "fc2 more", "sum"), (3, 16, 16),
         "reads several inputs, data, more, of unknown shapes"),
    ],
)  # fmt: skip
def test_what_cannot_be_exported(text: str, shape: Shape | None, message: str) -> None:
    with pytest.raises(BadInput, match=message) as caught:
        made(text, shape)
    assert "\n" not in str(caught.value)


def test_errors_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(source("data", 1, 3, 2, 2) + SCORES)
    with pytest.raises(BadInput, match=rf"^{path}: layer 'conv1' .* larger than its input"):
        read_deploy(path)
    with pytest.raises(CaffeTransferError, match="there is no"):
        read_deploy(tmp_path / "none.prototxt")


def test_batches_of_another_size() -> None:
    deploy = made(source("data", 10, 3, 16, 16) + SCORES)
    other = deploy.with_batch(2)
    assert other is not None
    assert other.inputs == {"data": (2, 3, 16, 16)}
    assert [found.tops for _, _, found in other.walk()][-1] == ((2, 5),)
    fixed = layer("Reshape", "fc2", "rows", "reshape_param { shape { dim: 10 dim: 5 } }")
    assert made(source("data", 10, 3, 16, 16) + SCORES + fixed).with_batch(2) is None
    whole = fc("fc2", "all", "num_output: 2 axis: 0")
    assert made(source("data", 10, 3, 16, 16) + SCORES + whole).with_batch(2) is None
    two = source("data", 10, 3, 16, 16) + source("rois", 3, 5) + SCORES
    assert made(two + pool("data", "p", "kernel_size: 2")).inputs.keys() == {"data"}
    assert made(two + layer("ReLU", "rois", "r")).with_batch(2) is None


def test_caffe_runs_the_exported_net(
    pycaffe: Callable[..., str], caffe_prefix: Path, tmp_path: Path
) -> None:
    model = caffe_prefix / "share/caffe/models/bvlc_googlenet"
    if not model.is_dir():
        pytest.skip("no nets beside this Caffe")
    found = read_deploy(model / "train_val.prototxt")
    theirs = read_net(model / "deploy.prototxt")
    assert layers(found)[1:] == [each.name for each in theirs.layer[1:-1]]
    assert found.outputs == ("loss3/classifier",)
    (tmp_path / "net.prototxt").write_text(text_format.MessageToString(found.net))
    code = "import caffe, sys; print(caffe.Net(sys.argv[1], caffe.TEST).outputs)"
    assert pycaffe(code, tmp_path / "net.prototxt").strip() == "['loss3/classifier']"
