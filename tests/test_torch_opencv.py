"""Forward passes of whole nets, judged by OpenCV's dnn module."""

from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="no PyTorch here; pip install 'caffe-transfer[torch]'")

import torch

from caffe_transfer.caffe_torch.layers.base import to_channels_last
from caffe_transfer.caffe_torch.layers.inputs import Input
from caffe_transfer.caffe_torch.net import Net
from caffe_transfer.caffe_torch.rng import Rng
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.prototxt import read_net
from caffe_transfer.formats.writer import write_net
from caffe_transfer.nets.render import render
from caffe_transfer.studies.load import load_study
from caffe_transfer.studies.network import Network


@pytest.mark.parametrize("study", ["paper", "fashion-mnist", "tiny-imagenet"])
def test_opencv_gives_the_same_probabilities(study: str, tmp_path: Path) -> None:
    if not hasattr(cv2, "dnn") or not hasattr(cv2.dnn, "readNetFromCaffe"):
        pytest.skip("this OpenCV does not read Caffe's models; pip install 'opencv-python<5'")
    files = render(Network.parse("half0A"), load_study(study))
    deploy, model = tmp_path / "deploy.prototxt", tmp_path / "net.caffemodel"
    deploy.write_text(files[deploy.name])
    net = Net(read_net(deploy), pb.NetState(phase=pb.TEST), Rng(3), torch.device("cpu"))
    for parameter in net.parameters:  # deploy nets have no fillers
        with torch.no_grad():
            scale = 0.1 if parameter.value.dim() == 1 else parameter.value[0].numel() ** -0.5
            parameter.value.normal_(0, scale, generator=torch.Generator().manual_seed(1))
    with model.open("wb") as file:
        write_net(net.settings(), net.blobs(), file)
    source = net.layers[0]
    assert isinstance(source, Input)
    shape = source.values[0].shape
    images = np.random.default_rng(0).uniform(-100, 100, shape).astype(np.float32)
    source.values[0] = to_channels_last(torch.from_numpy(images))
    with torch.no_grad():
        (ours,) = net.forward().blobs.values()
    other = cv2.dnn.readNetFromCaffe(str(deploy), str(model))
    other.setInput(images)
    theirs = other.forward()
    assert ours.shape == theirs.shape
    assert theirs.max() > 1.5 / theirs.shape[1]  # not all alike
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=0, atol=1e-5 * theirs.max())
