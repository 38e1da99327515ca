"""What is told about images."""

from pathlib import Path

import numpy as np
from google.protobuf import text_format

from caffe_transfer.export.deploy import deployed
from caffe_transfer.export.preprocessing import preprocessing
from caffe_transfer.formats.proto import caffe_pb2 as pb
from tests.edit_nets import DATA
from tests.test_shapes import conv, layer, source

NET = conv("data", "conv1", "num_output: 2 kernel_size: 3")


def told(text: str, net: Path, shape: tuple[int, ...] | None = None) -> dict[str, object]:
    deploy = deployed(text_format.Parse(text, pb.NetParameter()), shape)
    return preprocessing(deploy, net)


def reading(transform: str) -> str:
    return layer(
        "Data", "", "data", f'data_param {{ source: "x" }} transform_param {{{transform}}}'
    )


def test_mean_values_crop_and_scale(tmp_path: Path) -> None:
    text = reading("crop_size: 16 mean_value: 103.94 mean_value: 116.78 scale: 0.017") + NET
    found = told(text, tmp_path / "net.prototxt")
    assert found.pop("steps")
    assert found == {
        "channel_order": "BGR", "mean_values": [103.94, 116.78], "crop": 16, "scale": 0.017,
    }  # fmt: skip


def test_a_mean_image_is_looked_for_beside_the_net(tmp_path: Path) -> None:
    text = reading('crop_size: 16 mean_file: "mean.binaryproto"') + NET
    found = told(text, tmp_path / "net.prototxt")
    assert (found["mean_file"], found["mean_values_of_file"]) == ("mean.binaryproto", None)
    values = np.repeat(np.array([10.0, 20.0, 30.5]), 4)
    blob = pb.BlobProto(num=1, channels=3, height=2, width=2, data=values)
    (tmp_path / "mean.binaryproto").write_bytes(blob.SerializeToString())
    found = told(text, tmp_path / "net.prototxt")
    assert found["mean_values_of_file"] == [10.0, 20.0, 30.5]


def test_gray_images(tmp_path: Path) -> None:
    found = told(reading("scale: 0.00390625") + NET, tmp_path / "net.prototxt", (1, 28, 28))
    assert (found["channel_order"], found["crop"], found["scale"]) == ("gray", None, 0.00390625)


def test_a_deploy_net_does_not_say(tmp_path: Path) -> None:
    text = source("data", 1, 3, 16, 16) + NET
    assert "does not say" in str(told(text, tmp_path / "net.prototxt")["note"])
    assert told(DATA + NET, tmp_path / "net.prototxt")["crop"] == 16
