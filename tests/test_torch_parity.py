"""Whole trainings by both engines from the same seed: the same weights, data and losses."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="no PyTorch here; pip install 'caffe-transfer[torch]'")

from caffe_transfer.data_prep.prepare import prepare
from caffe_transfer.formats.caffemodel import open_model
from caffe_transfer.nets.write import write_network
from caffe_transfer.paths import NetworkFolder, RunFolder
from caffe_transfer.report import logs
from caffe_transfer.studies.network import Network
from caffe_transfer.studies.solver import SolverSettings
from caffe_transfer.studies.study import Images, Study
from caffe_transfer.training.engine import Engine

ITERATIONS = 50
PROBABILITY_STEP = 2**-24  # of float32 below 1: what a loss near 0 is a multiple of, as -log(p)
BASE_LR = {"mini": 0.002, "caffenet": 0.0005}
IMAGES = {
    "mini": Images(source="list", classes=4, channels=3, size=32, crop=28, scale=0.0078125),
    # Smaller than the 227 of ImageNet, which take minutes; pooling rounds up at this size too.
    "caffenet": Images(source="list", classes=4, channels=3, size=96, crop=83),
}


def prepared(folder: Path, net: str, iterations: int) -> tuple[RunFolder, Study]:
    """A study of one base, and data for it: noise around a colour that tells the class."""
    random, images = np.random.default_rng(0), folder / "given"
    images.mkdir()
    size = IMAGES[net].size
    for number in range(48):
        colour = 60 * (number % 4) + random.integers(-40, 40, (size, size, 3))
        cv2.imwrite(str(images / f"{number}.png"), np.clip(colour, 0, 255).astype(np.uint8))
    listed = "".join(f"{number}.png {number % 4}\n" for number in range(48))
    for name in ("train.txt", "valid.txt"):
        (images / name).write_text(listed)
    study = Study(
        name="parity",
        net=net,
        batch=8,
        test_batch=4,
        images=IMAGES[net],
        solver=SolverSettings(
            base_lr=BASE_LR[net], stepsize=30, max_iter=iterations, test_iter=2,
            test_interval=25, snapshot=1000, display=1,
        ),
        networks=tuple(map(Network.parse, ("half0A", "half0B"))),
    )  # fmt: skip
    run = RunFolder(folder / "run")
    prepare(study, run, images)
    return run, study


def train(run: RunFolder, study: Study, program: Path, dropout: bool) -> NetworkFolder:
    """Train the base with one engine, each in a folder of its own."""
    folder = NetworkFolder(
        write_network(Network.parse("half0A"), study, run.root / program.name)
    )  # fmt: skip
    text = folder.net.read_text().replace("../../data", str(run.data.root))
    if not dropout:
        text = text.replace("dropout_ratio: 0.5", "dropout_ratio: 0")
        text = text.replace("dropout_ratio: 0.2", "dropout_ratio: 0")
    folder.net.write_text(text)
    for path in (folder.snapshots, folder.logs):
        path.mkdir()
    with (folder.logs / "train.log").open("wb") as log:
        subprocess.run(
            Engine(program.name, program).train(folder.solver.name), cwd=folder.root, stderr=log,
            env={"GLOG_logtostderr": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            check=True,
        )  # fmt: skip
    return folder


@pytest.mark.parametrize(("net", "dropout"), [("mini", False), ("mini", True), ("caffenet", False)])
def test_fifty_iterations_have_the_same_losses(
    net: str, dropout: bool, caffe_bin: Path, tmp_path: Path
) -> None:
    run, study = prepared(tmp_path, net, ITERATIONS)
    torch = Path(sys.executable).with_name("caffe-torch")
    theirs, ours = (
        logs.read_logs(logs.log_files(train(run, study, program, dropout).root))
        for program in (caffe_bin, torch)
    )
    assert len(theirs.train_loss) == ITERATIONS + 1
    assert theirs.train_loss.values[-1] < 0.95 * theirs.train_loss.values[0]  # it learns
    for found, wanted in (
        (ours.train_loss, theirs.train_loss),
        (ours.valid_loss, theirs.valid_loss),
    ):
        np.testing.assert_allclose(found.values, wanted.values, rtol=1e-4, atol=PROBABILITY_STEP)
    np.testing.assert_array_equal(ours.accuracy.values, theirs.accuracy.values)


@pytest.mark.parametrize("net", IMAGES)
def test_initial_weights_are_the_same_bytes(net: str, caffe_bin: Path, tmp_path: Path) -> None:
    run, study = prepared(tmp_path, net, 0)
    models = []
    for program in (caffe_bin, Path(sys.executable).with_name("caffe-torch")):
        folder = NetworkFolder(
            write_network(Network.parse("half0A"), study, run.results / program.name)
        )  # fmt: skip
        text = folder.net.read_text().replace("../../data", str(run.data.root))
        folder.net.write_text(text)
        solver = folder.solver.read_text()
        for key in ("snapshot: 1000", "test_iter: 2", "test_interval: 25"):
            solver = solver.replace(key, "")
        folder.solver.write_text(solver)
        folder.snapshots.mkdir()
        argv = Engine("x", program).train(folder.solver.name)
        subprocess.run(argv, cwd=folder.root, check=True, capture_output=True)
        with open_model(folder.snapshots / "net_iter_0.caffemodel") as model:
            models.append(
                {
                    f"{layer.name} {index}": hash(blob.tobytes())
                    for layer in model.with_blobs.values()
                    for index, blob in enumerate(layer.blobs)
                }
            )
    assert len(models[0]) == 16
    assert models[0] == models[1]
