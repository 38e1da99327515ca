"""The text of a module, and its state_dict."""

from pathlib import Path

import numpy as np
import pytest
from google.protobuf import text_format

pytest.importorskip("torch", reason="no PyTorch here; pip install 'caffe-transfer[export]'")

from caffe_transfer.export.deploy import Deploy, deployed
from caffe_transfer.export.module import Module, make_module
from caffe_transfer.export.to_pytorch import built, module_path
from caffe_transfer.export.weights import Weight, names
from caffe_transfer.formats.proto import caffe_pb2 as pb
from tests.test_shapes import conv, fc, layer, pool, source


def deploy_of(text: str, name: str = "") -> Deploy:
    net = text_format.Parse(text, pb.NetParameter())
    net.name = name
    return deployed(net)


def module_of(deploy: Deploy) -> Module:
    weights = [
        Weight("", each.name, each.type, index, "", np.ones(shape, np.float32))
        for each, _, found in deploy.walk()
        for index, (shape, _) in enumerate(zip(found.parameters, names(each), strict=False))
    ]
    return make_module(deploy, weights)


def test_a_person_can_read_it() -> None:
    text = module_of(deploy_of(
        source("data", 1, 3, 9, 9)
        + conv("data", "conv1/3x3", "num_output: 4 kernel_size: 3")
        + layer("ReLU", "conv1/3x3", "conv1/3x3")
        + pool("conv1/3x3", "pool1", "kernel_size: 3 stride: 2")
        + fc("pool1", "fc", "num_output: 2"),
        "Small Net",
    )).text("small.pt", {"net": "Small Net", "preprocessing": {"crop": None}})  # fmt: skip
    assert text.startswith(
        '"""Small Net of Caffe in PyTorch.\n\nNeeds torch alone.  `load()` gives the net with the '
        "weights of the file beside this one.  It takes\ndata of the shape batch x 3 x 9 x 9, "
        'float32; it gives fc.\n"""\n'
    )
    assert 'WEIGHTS = Path(__file__).with_name("small.pt")\nNET = "Small Net"\n' in text
    assert 'PREPROCESSING = {\n    "crop": None,\n}\n\n\nclass SmallNet(nn.Module):' in text
    assert (
        """
        self.conv1_3x3 = nn.Conv2d(3, 4, 3)
        self.fc = nn.Linear(36, 2)

    def forward(self, data: Tensor) -> Tensor:
        conv1_3x3 = self.conv1_3x3(data)  # 4 x 7 x 7
        conv1_3x3 = F.relu(conv1_3x3)  # 4 x 7 x 7
        pool1 = F.max_pool2d(conv1_3x3, 3, 2, ceil_mode=True)  # 4 x 3 x 3
        fc = self.fc(pool1.flatten(1))  # 2
        return fc
"""
        in text
    )


def test_long_lines_are_wrapped() -> None:
    blobs = [f"a_blob_with_a_rather_long_name_{index}" for index in range(6)]
    text = source("data", 1, 3, 9, 9) + layer("Split", "data", " ".join(blobs))
    made = module_of(deploy_of(text + layer("Concat", " ".join(blobs), "all")))
    assert max(map(len, made.text("w.pt", {}).splitlines())) <= 100
    built(made, {})


@pytest.mark.parametrize(
    "name", ["Scale", "torch", 'a """ quote\\', "nn", "self", "Path", "Sequence", "NET", ""]
)  # fmt: skip
def test_names_that_mean_something_else(name: str) -> None:
    text = source("torch", 1, 3, 4, 4) + fc("torch", "forward", "num_output: 2")
    deploy = deploy_of(text + layer("Scale", "forward", "training"), name)
    made = module_of(deploy)
    net = built(made, {"net": name})
    assert set(net.state_dict()) == set(made.state) == {
        "forward_2.weight", "forward_2.bias", "training_2.gamma",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("out", "module"),
    [("a/net.pt", "a/net.py"), ("my-net.1.pth", "my_net_1.py"), ("torch.pt", "torch_net.py"),
     ("json.pt", "json_net.py"), ("2014.pt", "n2014.py")],
)  # fmt: skip
def test_a_module_can_be_imported(out: str, module: str) -> None:
    assert module_path(Path(out)) == Path(module)
