"""A small good file of every kind, in one folder, where commands can use them together."""

import contextlib
import gzip
import importlib.util
import io
import json
import shutil
import tarfile
import zipfile
from pathlib import Path

import cv2
import h5py
import numpy as np

from caffe_transfer import paths
from caffe_transfer.caffe_torch.flags import PROGRAM
from caffe_transfer.data_prep import lists, lmdbs, records, sources
from caffe_transfer.data_prep.image_index import ImageIndex
from caffe_transfer.data_prep.lists import ImageList
from caffe_transfer.data_prep.means import write_mean
from caffe_transfer.data_prep.pixel_sum import PixelSum
from caffe_transfer.data_prep.records import MeanRecord
from caffe_transfer.data_prep.views import Base
from caffe_transfer.formats.hashes import sha256
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.prototxt import read_net
from caffe_transfer.formats.resume import Kept, Resume
from caffe_transfer.formats.resume import write as write_resume
from caffe_transfer.nets.cut_record import CutRecord, cut_text
from caffe_transfer.nets.shapes import parameter_shapes
from caffe_transfer.nets.write import write_network
from caffe_transfer.report import results
from caffe_transfer.studies.load import load_study
from caffe_transfer.studies.network import Network
from caffe_transfer.training.transplant import transplant
from tests.images import write_images
from tests.models import write_model
from tests.small_ilsvrc12 import add_devkit
from tests.small_study import write_study

SIZE = 28  # of the small study's images
NETWORK = "results/netbase"  # a network that can be trained
GIVEN = "results/halfmineA"  # a base that was given
LOGGED = "logged/results/half0A"  # one that was trained
# One thread, since a child of a process with threads hangs in PyTorch.
CAFFE_TORCH = "caffe-torch --threads=1 --logtostderr --minloglevel=3"
ALONE = """\
net: "alone.prototxt"
test_iter: 1 test_interval: 2
base_lr: 0.001 lr_policy: "step" gamma: 0.1 stepsize: 2
momentum: 0.9 weight_decay: 0.0005
max_iter: 3 display: 1
snapshot_after_train: false
solver_mode: CPU
random_seed: 1
"""
LOG = """\
I0403 06:46:22.716258 23304 solver.cpp:74] Solving small
I0403 06:46:22.800000 23304 solver.cpp:330] Iteration 0, Testing net (#0)
I0403 06:46:23.000000 23304 solver.cpp:397]     Test net output #0: accuracy = 0.25
I0403 06:46:23.000000 23304 solver.cpp:397]     Test net output #1: loss = 1.38 (* 1 = 1.38 loss)
I0403 06:46:23.100000 23304 solver.cpp:218] Iteration 0 (5.6 iter/s, 3.5s/20 iters), loss = 1.4
I0403 06:46:23.100000 23304 sgd_solver.cpp:105] Iteration 0, lr = 0.001
I0403 06:46:24.100000 23304 solver.cpp:218] Iteration 2 (5.6 iter/s, 3.5s/20 iters), loss = 1e-05
I0403 06:46:25.100000 23304 solver.cpp:106] Iteration 2, Test score #0: 0.0389
I0403 06:46:25.200000 23304 solver.cpp:447] Snapshotting to binary proto file x_iter_2.caffemodel
"""
OLD_NET = """\
name: "old"
layers { layer { name: "data" type: "data" source: "x" batchsize: 4 } top: "data" top: "label" }
layers { layer { name: "conv1" type: "conv" num_output: 4 kernelsize: 2
  weight_filler { type: "gaussian" std: 0.01 } blobs_lr: 1. } bottom: "data" top: "conv1" }
layers { layer { name: "fc2" type: "innerproduct" num_output: 3 } bottom: "conv1" top: "fc2" }
layers { layer { name: "loss" type: "softmax_loss" } bottom: "fc2" bottom: "label" }
"""


def write_samples(folder: Path) -> None:
    """Write all samples into a folder, which is there and empty."""
    _models(folder)
    _networks(folder)
    _database(folder)
    _trained(folder)
    _texts(folder)
    _archives(folder)
    _photos(folder)


def _models(folder: Path) -> None:
    for form in ("V0", "V1", "V2"):
        write_model(folder / f"{form}.caffemodel", form)
    transplant(folder / "V2.caffemodel", folder / "model.caffemodel.h5", 3)
    state = pb.SolverState(iter=4, current_step=1, learned_net="net_iter_4.caffemodel")
    for number in range(3):
        state.history.add(shape=pb.BlobShape(dim=[2, 3]), data=[number] * 6)
    (folder / "net.solverstate").write_bytes(state.SerializeToString())
    with h5py.File(folder / "net.solverstate.h5", "w") as file:
        file["iter"], file["current_step"], file["learned_net"] = 4, 1, "net_iter_4.caffemodel.h5"
        for number in range(3):
            file[f"history/{number}"] = np.full((2, 3), number, np.float32)
    mean = pb.BlobProto(num=1, channels=1, height=SIZE, width=SIZE, data=[3.5] * SIZE**2)
    (folder / "mean.binaryproto").write_bytes(mean.SerializeToString())
    kept = Kept([["Data data"]], "cpu", [], {"0/0/state/place": np.array(3)})
    with (folder / "net.solverstate.resume").open("wb") as file:
        write_resume(Resume("0" * 64, "1" * 64, kept), file)
    shutil.copy(Path(__file__).parents[1] / "data" / "cuda-13.0.fatbin", folder / "cuda.fatbin")


def _networks(folder: Path) -> None:
    study = load_study(str(write_study(folder)))
    write_network(Network.parse("netbase"), study, folder / "results")
    root = folder / NETWORK
    for name, file in (("net", "train_val"), ("deploy", "deploy"), ("solver", "solver")):
        shutil.copy(root / f"{file}.prototxt", folder / f"{name}.prototxt")
    for name in ("net", "deploy"):
        content = read_net(folder / f"{name}.prototxt").SerializeToString()
        (folder / f"{name}.binary").write_bytes(content)
    (folder / "old.prototxt").write_text(OLD_NET)
    text = (folder / "small.toml").read_text().replace('"mini"', '"net.prototxt"')
    (folder / "given.toml").write_text(text)
    template = paths.templates() / "mini.prototxt.j2"
    (folder / "template.prototxt.j2").write_text(template.read_text())
    fitting = pb.NetParameter(name="fitting")
    for name, shapes in parameter_shapes(read_net(folder / "deploy.prototxt")).items():
        blobs = (np.zeros(shape, np.float32) for shape in shapes)
        fitting.layer.add(name=name, type="InnerProduct").blobs.extend(
            pb.BlobProto(shape=pb.BlobShape(dim=each.shape), data=each.ravel()) for each in blobs
        )
    (folder / "fitting.caffemodel").write_bytes(fitting.SerializeToString())
    (root / "cut.json").write_text(cut_text(CutRecord(3, "conv3", ("conv1",))))
    manifest = {"network": "netbase", "max_iter": 4, "runs": [], "inputs": {}, "random_seed": 1}
    (root / "manifest.json").write_text(json.dumps(manifest))
    engine = folder / "engine"
    engine.write_text("#!/bin/sh\n[ $1 = --version ] && echo caffe version 1.0.0\n")
    engine.chmod(0o755)
    (root / "snapshots").mkdir()
    for kind, name in (("caffemodel", "V2.caffemodel"), ("solverstate", "net.solverstate")):
        shutil.copy(folder / name, root / "snapshots" / f"net_iter_2.{kind}")
    (folder / GIVEN).mkdir()
    shutil.copy(folder / "V2.caffemodel", folder / GIVEN / "given.caffemodel")
    record = {"model": "given.caffemodel", "sha256": sha256(folder / "V2.caffemodel"), "names": {}}
    (folder / GIVEN / "manifest.json").write_text(json.dumps({"given": record}))


def _trained(folder: Path) -> None:
    """What caffe-torch trains in this folder alone, with snapshots after two iterations."""
    text = (folder / NETWORK / "train_val.prototxt").read_text()
    (folder / "alone.prototxt").write_text(text.replace("../../", ""))
    (folder / "alone_solver.prototxt").write_text(ALONE)
    shutil.copy(Path(__file__).with_name("zoo.prototxt"), folder)
    (folder / "flags.txt").write_text(
        "--model=alone.prototxt\n--weights=kept_iter_2.caffemodel\n# one batch\n--iterations=1\n"
        f"other\n--noflag\n{PROGRAM}\n"
    )
    if importlib.util.find_spec("torch"):
        from caffe_transfer.caffe_torch import command

        with contextlib.chdir(folder):
            for form in ("BINARYPROTO", "HDF5"):
                kept = f'snapshot: 2 snapshot_prefix: "kept" snapshot_format: {form}\n'
                Path("kept.prototxt").write_text(ALONE + kept)
                command.main([*CAFFE_TORCH.split()[1:], "train", "--solver=kept.prototxt"])


def _database(folder: Path) -> None:
    """A database and a view of it, and the data that the network reads."""
    images = write_images(folder / "root", count=12, classes=4)
    lists.write(images, folder / "list.txt")
    lmdbs.write_lmdb(
        images, folder / "root", folder / "db", size=SIZE, gray=True, shuffle=1, whole=images
    )
    half = images.relabel([1, 3])
    base = Base(folder / "db", images, images.permutation(1))
    base.take(half, folder / "view", lmdbs.job_of(half, SIZE, True, 1, images))
    write_mean([folder / "db"], folder / "made.binaryproto")
    record = MeanRecord({"whole": None}, SIZE, 1, sha256(folder / "made.binaryproto"), {})
    records.write_record(folder / "averaged", record)
    sources.fetch("list", folder / "fetched", folder / "given")
    data = folder / "data"
    for name in ("whole_train", "whole_valid"):
        (data / name).mkdir(parents=True)
        (data / name / "lmdb").symlink_to("../../db")
    (data / "mean.binaryproto").symlink_to("../made.binaryproto")
    total = PixelSum()
    total.add(np.ones((1, 2, 2), np.uint8), "one", b"00000000_one")
    total.save(folder / "sum.npz")


def _texts(folder: Path) -> None:
    (folder / "classes.txt").write_text("cat\ndog\nbär\n0\n")
    (folder / "A.txt").write_text("0\n1\n")
    (folder / "B.txt").write_text("2\n3\n")
    (folder / "left_out.txt").write_text('truncated\t1.png\ndamaged\t"a\\n.png"\n')
    (folder / "train.log").write_text(LOG * 3)
    (folder / "train.log.gz").write_bytes(gzip.compress((LOG * 3).encode(), mtime=0))
    logged = folder / LOGGED
    (logged / "logs").mkdir(parents=True)
    shutil.copy(folder / "train.log.gz", logged / "logs" / "train.log.gz")
    shutil.copy(folder / "net.prototxt", logged / "train_val.prototxt")
    shutil.copy(folder / "solver.prototxt", logged / "solver.prototxt")
    (folder / "other").mkdir()
    for name in ("solver.prototxt", "manifest.json"):
        shutil.copy(folder / NETWORK / name, folder / "other" / name)
    names = ("half0A", "half0B", "transfer0A0B_1_3", "transfer0A0A_1_3")
    rows = [
        results.Row(Network.parse(name), 4, True, 0.5, 0.5, 1.3, 1.2, False, valid_images=50)
        for name in names
    ]
    results.write_csv(folder / "results.csv", rows)


def _archives(folder: Path) -> None:
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w") as tar:
        _add(tar, "1.JPEG", b"\xff\xd8 one")
    with tarfile.open(folder / "images.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        _add(tar, "n01440764/1.JPEG", b"\xff\xd8 one")
        _add(tar, "n01440764/" + "long" * 60 + ".JPEG", b"\xff\xd8 two")
        _add(tar, "n01443537.tar", inner.getvalue())
    ImageIndex.of_tar(folder / "images.tar").write(folder / "index.npz")
    with zipfile.ZipFile(folder / "tiny.zip", "w", zipfile.ZIP_DEFLATED) as zipped:
        root = "tiny-imagenet-200/"
        zipped.writestr(root + "wnids.txt", "n01\nn02\n")
        for number, synset in enumerate(("n01", "n02")):
            zipped.writestr(f"{root}train/{synset}/images/{synset}_0.JPEG", bytes(100))
            zipped.writestr(f"{root}val/images/val_{number}.JPEG", bytes(100))
        rows = "".join(f"val_{number}.JPEG\tn0{number + 1}\t0\t0\t1\t1\n" for number in range(2))
        zipped.writestr(root + "val/val_annotations.txt", rows)
    (folder / "devkit").mkdir()
    add_devkit(folder / "devkit")
    (folder / "kaggle").mkdir()
    (folder / "kaggle" / "LOC_val_solution.csv").write_text(
        "ImageId,PredictionString\nILSVRC2012_val_00000001,n01440764 85 1 499 272\n"
    )


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def _photos(folder: Path) -> None:
    """A folder of images, one folder a class, and their list."""
    names = []
    for label, one in enumerate("abcd"):
        (folder / "photos" / one).mkdir(parents=True)
        for number, ending in enumerate(("png", "jpg", "webp", "bmp", "tiff")):
            pixels = np.random.default_rng([label, number]).integers(0, 256, (24, 20, 3), np.uint8)
            names.append(f"{one}/photo.{ending}")
            cv2.imwrite(str(folder / "photos" / names[-1]), pixels)
    labels = tuple(number // 5 for number in range(len(names)))
    lists.write(ImageList(tuple(names), labels), folder / "photos.txt")
