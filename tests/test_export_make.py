"""Whole exports: judged by real Caffe, onnxruntime, safetensors' reader and plain PyTorch."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="no PyTorch here; pip install 'caffe-transfer[export]'")
pytest.importorskip("safetensors", reason="pip install 'caffe-transfer[export]'")
pytest.importorskip("onnxscript", reason="pip install 'caffe-transfer[export]'")
pytest.importorskip("onnxruntime", reason="pip install 'caffe-transfer[export]'")

import onnx
import onnxruntime
from google.protobuf import text_format
from safetensors import safe_open

from caffe_transfer.errors import BadInput
from caffe_transfer.export import check, packages, to_onnx
from caffe_transfer.export.deploy import Deploy, read_deploy
from caffe_transfer.export.make import Exported, Format, export
from caffe_transfer.export.weights import Array, read_weights
from caffe_transfer.formats.hashes import sha256
from tests.export_nets import FAMILIES, REFERENCE, run_caffe

PyCaffe = Callable[..., str]
# A process that sees torch and the two files of a folder alone, folder after folder.
FRESH = """
import importlib, json, sys, traceback
sys.modules["caffe_transfer"] = None
import numpy as np, torch
def run(folder):
    sys.modules.pop("net", None)
    importlib.invalidate_caches()
    from net import load, OUTPUTS
    state = torch.load(folder + "/net.pt", weights_only=True)
    assert all(type(value) is torch.Tensor for value in state.values())
    with torch.no_grad():
        found = load()(*(torch.from_numpy(each) for each in np.load(folder + "/in.npz").values()))
    found = [found] if isinstance(found, torch.Tensor) else found
    np.savez(folder + "/out.npz", **{name: top.numpy() for name, top in zip(OUTPUTS, found)})
for line in sys.stdin:
    folder = line.strip()
    sys.path.insert(0, folder)
    try:
        run(folder)
        print(json.dumps(""), flush=True)
    except BaseException:
        print(json.dumps(traceback.format_exc()), flush=True)
    sys.path.remove(folder)
"""


@dataclass(frozen=True)
class Reference:
    """A net, a model that Caffe saved for it, and what Caffe computes."""

    net: Path
    model: Path
    deploy: Deploy
    inputs: dict[str, Array]
    outputs: dict[str, Array]

    def export(self, to: Format, name: str) -> Exported:
        return export(self.model, self.net, to, self.model.with_name(name))


def reference(pycaffe: PyCaffe, folder: Path, net: Path, batch: int | None = None) -> Reference:
    """What Caffe computes with random weights, which it saves.

    Args:
        batch: of the sample; None: as the net declares it.
    """
    deploy = read_deploy(net)
    if batch is not None:
        deploy = deploy.with_batch(batch) or deploy
    model, plain = folder / "net.caffemodel", folder / "plain.prototxt"
    plain.write_text(text_format.MessageToString(deploy.net))
    inputs = check.sample(deploy)
    return Reference(
        net, model, deploy, inputs, run_caffe(pycaffe, plain, model, inputs, deploy.outputs)
    )


RunFresh = Callable[[Path, dict[str, Array]], dict[str, Array]]


@pytest.fixture(scope="module")
def run_fresh() -> Iterator[RunFresh]:
    """Runs what was exported into a folder, on an input, in a process that imports torch once."""
    process = subprocess.Popen(
        [sys.executable, "-c", FRESH], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    requests, answers = process.stdin, process.stdout
    assert requests is not None
    assert answers is not None

    def run(folder: Path, inputs: dict[str, Array]) -> dict[str, Array]:
        np.savez(folder / "in.npz", **inputs)  # type: ignore[arg-type]
        requests.write(f"{folder}\n")
        requests.flush()
        error = json.loads(answers.readline())
        assert not error, error
        return dict(np.load(folder / "out.npz"))

    yield run
    requests.close()
    assert process.wait(timeout=60) == 0
    answers.close()


@pytest.mark.parametrize("family", FAMILIES)
def test_every_layer_type_computes_what_caffe_does(
    pycaffe: PyCaffe, run_fresh: RunFresh, tmp_path: Path, family: str
) -> None:
    net = tmp_path / "net.prototxt"
    net.write_text(FAMILIES[family])
    known = reference(pycaffe, tmp_path, net)
    assert not any(np.isnan(each).any() for each in known.outputs.values())
    done = known.export(Format.PYTORCH, "net.pt")
    assert done.files == (tmp_path / "net.pt", tmp_path / "net.py")
    check.difference(run_fresh(tmp_path, known.inputs), known.outputs, "PyTorch")
    done = known.export(Format.ONNX, "net.onnx")
    assert done.any_batch == (family != "sequences")
    assert done.measured == "onnxruntime"
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    assert [each.name for each in session.get_inputs()] == list(known.deploy.inputs)
    names = [each.name for each in session.get_outputs()]
    assert names == list(known.deploy.outputs)
    found = session.run(None, known.inputs)
    check.difference(dict(zip(names, found, strict=True)), known.outputs, "ONNX")


def zoo(name: str, request: pytest.FixtureRequest) -> Path:
    """A published net, from beside Caffe or from the shared folder."""
    if name.startswith("bvlc"):
        prefix: Path = request.getfixturevalue("caffe_prefix")
        path = prefix / "share/caffe/models" / name
    else:
        path = request.getfixturevalue("shared") / "nets" / name
    if not path.exists():
        pytest.skip(f"no {name} here")
    return path


@pytest.mark.parametrize(
    "name",
    [
        "bvlc_googlenet/deploy.prototxt", "bvlc_reference_caffenet/train_val.prototxt",
        "ResNet-50-deploy.prototxt",
    ],
)  # fmt: skip
def test_published_nets_in_pytorch(
    pycaffe: PyCaffe,
    run_fresh: RunFresh,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    name: str,
) -> None:
    net = tmp_path / "published.prototxt"
    # Layers that hold most of the numbers and all of the time have fewer outputs.
    net.write_text(zoo(name, request).read_text().replace("num_output: 4096", "num_output: 64"))
    known = reference(pycaffe, tmp_path, net, batch=1)
    done = known.export(Format.PYTORCH, "net.pt")
    assert done.difference is not None
    assert done.difference < check.TOLERANCE
    check.difference(run_fresh(tmp_path, known.inputs), known.outputs, "PyTorch")


def test_a_published_net_in_onnx(
    pycaffe: PyCaffe, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    known = reference(pycaffe, tmp_path, zoo("squeezenet_v1.1_train_val.prototxt", request), 3)
    assert known.export(Format.ONNX, "net.onnx").any_batch
    found = onnxruntime.InferenceSession(tmp_path / "net.onnx").run(None, known.inputs)
    check.difference({"pool10": found[0]}, known.outputs, "ONNX")
    model = onnx.load(tmp_path / "net.onnx")
    onnx.checker.check_model(model)
    about = {each.key: each.value for each in model.metadata_props}
    assert json.loads(about["preprocessing"])["mean_values"] == [104, 117, 123]
    assert about["source_sha256"] == sha256(known.model)


@pytest.fixture(scope="module")
def learned(pycaffe: PyCaffe, tmp_path_factory: pytest.TempPathFactory) -> Reference:
    """A small net of layers with parameters, and a model of it."""
    folder = tmp_path_factory.mktemp("learned")
    net = folder / "net.prototxt"
    net.write_text(FAMILIES["learned"])
    return reference(pycaffe, folder, net)


@pytest.fixture
def trained(learned: Reference, tmp_path: Path) -> Reference:
    """A copy of it for one test."""
    net, model = (Path(shutil.copy(each, tmp_path)) for each in (learned.net, learned.model))
    return replace(learned, net=net, model=model)


def test_safetensors_hold_the_weights_and_what_they_are(trained: Reference) -> None:
    done = trained.export(Format.SAFETENSORS, "net.safetensors")
    known = read_weights(trained.model, trained.deploy, trained.net)
    with safe_open(done.files[0], "numpy") as file:
        about = file.metadata()
        assert set(file.keys()) == {each.name for each in known}
        tensors = json.loads(about["tensors"])
        for each in known:
            np.testing.assert_array_equal(file.get_tensor(each.name), each.values)
            assert tensors[each.name] == {
                "layer": each.layer, "type": each.type, "blob": each.index,
                "shape": list(each.values.shape), "meaning": each.meaning,
            }  # fmt: skip
    assert about["source"] == "net.caffemodel"
    assert about["source_sha256"] == sha256(trained.model)
    assert "BGR" in json.loads(about["preprocessing"])["note"]
    assert json.loads(about["outputs"]) == list(trained.deploy.outputs)
    assert done.parameters == sum(each.values.size for each in known)


@pytest.mark.parametrize("to", [*Format])
def test_what_is_there_stays(trained: Reference, to: Format) -> None:
    name = {"safetensors": "a.safetensors", "pytorch": "a.pt", "onnx": "a.onnx"}[to]
    out = trained.model.with_name(name)
    out.write_text("mine")
    with pytest.raises(BadInput, match=f"{name} is there already; remove it or name another"):
        trained.export(to, name)
    assert out.read_text() == "mine"
    with pytest.raises(BadInput, match=r"net.txt does not end in \."):
        trained.export(to, "net.txt")


def test_a_module_that_is_there_stays(trained: Reference) -> None:
    trained.model.with_name("mine.py").write_text("mine")
    with pytest.raises(BadInput, match=r"mine\.py is there already"):
        trained.export(Format.PYTORCH, "mine.pt")
    assert not trained.model.with_name("mine.pt").exists()


def test_what_computes_something_else_is_not_written(
    trained: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "TOLERANCE", -1.0)
    for to, name in ((Format.PYTORCH, "a.pt"), (Format.ONNX, "a.onnx")):
        with pytest.raises(BadInput, match="does not compute what caffe-torch does: output"):
            trained.export(to, name)
    left = {path.name for path in trained.model.parent.iterdir()}
    assert not left & {"a.pt", "a.py", "a.onnx"}


@pytest.mark.parametrize(
    ("to", "module"),
    [("safetensors", "safetensors"), ("pytorch", "torch"), ("onnx", "onnxscript")],
)
def test_a_missing_package_is_named(
    trained: Reference, monkeypatch: pytest.MonkeyPatch, to: str, module: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    name = {"safetensors": "a.safetensors", "pytorch": "a.pt", "onnx": "a.onnx"}[to]
    with pytest.raises(BadInput, match=rf"needs the package {module}, .* 'caffe-transfer\[export"):
        trained.export(Format(to), name)


def test_without_onnxruntime_the_module_is_checked(
    trained: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(to_onnx, "optional", lambda _: None)
    done = trained.export(Format.ONNX, "a.onnx")
    assert (done.measured, done.difference) == ("", None)
    assert packages.optional("no_such_package") is None


def test_a_net_that_is_in_one_batch_only(pycaffe: PyCaffe, tmp_path: Path) -> None:
    net = tmp_path / "net.prototxt"
    net.write_text(
        FAMILIES["values"].split("layer {")[0]
        + 'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 4 dim: 6 } } }'
        'layer { name: "r" type: "Reshape" bottom: "data" top: "r" '
        "reshape_param { shape { dim: 4 dim: 3 dim: 2 } } }"
    )
    pycaffe(REFERENCE, net, tmp_path / "net.caffemodel")
    done = export(tmp_path / "net.caffemodel", net, Format.ONNX, tmp_path / "net.onnx")
    assert not done.any_batch
