"""Networks to time: folders as `generate` writes them, with databases of random images."""

import subprocess
from pathlib import Path

import cv2
import numpy as np

from benchmarks.timing import environment
from caffe_transfer.data_prep.prepare import prepare
from caffe_transfer.nets.write import write_network
from caffe_transfer.paths import NetworkFolder, RunFolder
from caffe_transfer.report import logs
from caffe_transfer.studies.load import load_study
from caffe_transfer.studies.network import Network
from caffe_transfer.studies.study import Study
from caffe_transfer.training.engine import Engine

STUDY = """
name = "benchmark"
net = "{net}"
batch = {batch}
test_batch = 8
[images]
source = "list"
classes = {classes}
channels = {channels}
size = {size}
crop = {crop}
mirror = true
[solver]
base_lr = 0.0001
stepsize = 1000
max_iter = {iterations}
test_iter = 1
test_interval = 100000
snapshot = 100000
display = {display}
gpu = {gpu}
[[networks]]
mode = "base"
whole = true
splits = ["0"]
[[networks]]
mode = "transfer"
splits = ["0"]
pairs = ["AB"]
n = [5]
"""
CAFFENET = {"net": "caffenet", "classes": 1000, "channels": 3, "size": 256, "crop": 227}
MINI = {"net": "mini", "classes": 10, "channels": 1, "size": 28, "crop": 0}


def prepared(
    folder: Path, kind: dict[str, object], batch: int, iterations: int, images: int,
    display: int = 1, gpu: bool = False,
) -> tuple[RunFolder, Study]:  # fmt: skip
    """Write a study and its databases of `images` random images into `folder`."""
    given = folder / "given"
    given.mkdir(parents=True)
    random = np.random.default_rng(0)
    for number in range(images):
        pixels = random.integers(0, 256, (int(str(kind["size"])),) * 2 + (3,), np.uint8)
        cv2.imwrite(str(given / f"{number}.bmp"), pixels)
    classes = int(str(kind["classes"]))
    # Every class is named, so that random halves can be drawn.
    lines = [f"{n % images}.bmp {n % classes}\n" for n in range(max(images, classes))]
    for name in ("train.txt", "valid.txt"):
        (given / name).write_text("".join(lines))
    path = folder / "benchmark.toml"
    switch = "true" if gpu else "false"
    path.write_text(STUDY.format(
        **kind, batch=batch, iterations=iterations, display=display, gpu=switch
    ))  # fmt: skip
    study, run = load_study(str(path)), RunFolder(folder / "run")
    prepare(study, run, given)
    return run, study


def network(run: RunFolder, study: Study, name: str, as_name: str) -> NetworkFolder:
    """Write one network's folder in `as_name`, ready for an engine, without validation."""
    folder = NetworkFolder(write_network(Network.parse(name), study, run.root / as_name))
    for path in (folder.snapshots, folder.logs):
        path.mkdir(exist_ok=True)
    kept = [line for line in folder.solver.read_text().splitlines() if not line.startswith("test_")]
    folder.solver.write_text("\n".join(kept) + "\nsnapshot_after_train: false\n")
    net = folder.net.read_text().replace("../../data", str(run.data.root))
    folder.net.write_text(net)
    return folder


def seconds_per_step(folder: NetworkFolder, engine: Engine, threads: int) -> float:
    """Train, and return the median duration of a step according to the log.

    Raises:
        RuntimeError: there were too few iterations for the log to show times.
    """
    for old in folder.logs.iterdir():
        old.unlink()
    with (folder.logs / "train.log").open("wb") as log:
        subprocess.run(
            engine.train(folder.solver.name), cwd=folder.root, stderr=log, check=True,
            env=environment(threads),
        )  # fmt: skip
    found = logs.read_logs(logs.log_files(folder.root)).seconds_per_iteration
    if found is None:
        raise RuntimeError(f"{folder.logs} shows no times; run more --iterations")
    return found
