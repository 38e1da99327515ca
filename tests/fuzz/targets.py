"""What is given broken files: every reader of the library, and every command that takes files."""

import importlib.util
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from caffe_transfer.caffe_torch import datum
from caffe_transfer.comparison.compare import compare
from caffe_transfer.data_prep import (
    ilsvrc12_truth,
    left_out,
    lists,
    pixel_sum,
    records,
    sources,
    splits,
    tars,
)  # fmt: skip
from caffe_transfer.data_prep.image_index import ImageIndex
from caffe_transfer.data_prep.stores import open_store
from caffe_transfer.formats import (
    binaryproto,
    caffemodel,
    fatbin,
    kinds,
    lmdb,
    prototxt,
    resume,
    solverstate,
    views,
)
from caffe_transfer.formats.caffemodel import Blob
from caffe_transfer.formats.hashes import blob_hashes
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.nets import cut_record
from caffe_transfer.nets.sources import source_of
from caffe_transfer.report import logs, results
from caffe_transfer.report.settings import SettingsReader
from caffe_transfer.studies.load import load_study
from caffe_transfer.studies.solver import keys_of_file
from caffe_transfer.training import given, init_weights, manifest, preflight, snapshots
from tests.fuzz.mutations import OF_BYTES, OF_SETTINGS, OF_TEXT, Change, zipped
from tests.fuzz.samples import CAFFE_TORCH
from tests.fuzz.target import Read, Target, of_command, of_each, of_engine, of_reader

_NET = "results/netbase"
_TRAIN = f"train {_NET} --engine ./engine"
OUT = "made"  # what a command writes; removed afterwards


def _model(path: Path) -> None:
    with caffemodel.open_model(path) as model:
        for layer in model.layers:
            for blob in layer.blobs:
                _read_blob(blob)
    blob_hashes(path, ["conv1"])


def _read_blob(blob: Blob) -> None:
    blob.tobytes()


def _state(path: Path) -> None:
    with solverstate.open_state(path) as state:
        for blob in state.history:
            _read_blob(blob)


def _records(path: Path) -> None:
    lmdb.check_lmdb(path.parent, shape=(1, 28, 28), crop=20, classes=4)
    with lmdb.open_records(path.parent) as found:
        list(reversed(found))


def _torch_records(path: Path) -> None:
    for each in islice(datum.records(path.parent, pb.TransformationParameter()), 30):
        each.decode()


def _view(path: Path) -> None:
    view = path.parent.with_name("view")
    views.read_view(view)
    lmdb.count(view)
    lmdb.check_lmdb(view)


def _preflight(path: Path) -> None:
    root = path if path.is_dir() else Path(_NET)
    loaded = preflight.load_network(root)
    preflight.check_inputs(loaded)
    _ = loaded.inputs, loaded.frozen, loaded.copied
    loaded.target()


def _store(path: Path) -> None:
    for each in tars.members(path):
        if "\n" not in each.name:  # or else no list can name it
            with open_store(path) as store:
                store.read(each.name)


def _index(path: Path) -> None:
    index = ImageIndex.read(path, path.parent)
    for name in index.names():
        index.find(name)
        index.own_path(name)


def _study_net(path: Path) -> None:
    study = load_study(str(path))
    source = source_of(study)
    for network in islice(study.networks, 3):
        source.plain(network)


def _settings(path: Path) -> None:
    SettingsReader().read(path.parent)


READERS: dict[str, tuple[Read, dict[str, Change], tuple[str, ...]]] = {
    "models": (_model, OF_BYTES, (
        "V0.caffemodel", "V1.caffemodel", "V2.caffemodel", "model.caffemodel.h5")),
    "states": (_state, OF_BYTES, ("net.solverstate", "net.solverstate.h5")),
    "resume files": (resume.read, OF_BYTES, ("net.solverstate.resume",)),
    "code for GPUs": (fatbin.read_gpu_code, OF_BYTES, ("cuda.fatbin",)),
    "kinds": (kinds.kind_of, OF_BYTES, ("V2.caffemodel", "net.solverstate.h5")),
    "blobs": (binaryproto.read_blob, OF_BYTES, ("mean.binaryproto",)),
    "nets": (prototxt.read_net, OF_TEXT, ("net.prototxt", "old.prototxt")),
    "binary nets": (prototxt.read_net, OF_BYTES, ("V1.caffemodel", "net.binary")),
    "solvers": (prototxt.read_solver, OF_TEXT, ("solver.prototxt",)),
    "solvers of studies": (keys_of_file, OF_TEXT, ("solver.prototxt",)),
    "prototxts": (prototxt.read_prototxt, OF_TEXT, ("solver.prototxt", "deploy.prototxt")),
    "databases": (_records, OF_BYTES, ("db/data.mdb",)),
    "databases of caffe-torch": (_torch_records, OF_BYTES, ("db/data.mdb",)),
    "views": (_view, OF_TEXT, ("view/view.json",)),
    "records of views": (_view, OF_BYTES, ("view/records.bin",)),
    "databases of views": (_view, OF_BYTES, ("db/data.mdb",)),
    "preflight": (_preflight, OF_TEXT, (
        f"{_NET}/solver.prototxt", f"{_NET}/train_val.prototxt", f"{_NET}/deploy.prototxt",
        f"{_NET}/cut.json", f"{_NET}/manifest.json")),
    "studies": (_study_net, OF_TEXT, ("small.toml", "given.toml")),
    "image lists": (lists.read, OF_TEXT, ("list.txt",)),
    "classes": (splits.read_classes, OF_TEXT, ("classes.txt",)),
    "sources": (lambda path: sources.read_source(path.parent), OF_TEXT, (
        "fetched/classes.txt", "fetched/train.txt")),
    "images left out": (left_out.read_left_out, OF_TEXT, ("left_out.txt",)),
    "records of databases": (
        lambda path: records.read_record(path.with_suffix(""), records.LmdbRecord), OF_TEXT,
        ("db.json",)),
    "records of means": (
        lambda path: records.read_record(path.with_suffix(""), records.MeanRecord), OF_TEXT,
        ("averaged.json",)),
    "sums of pixels": (pixel_sum.PixelSum.load, OF_BYTES, ("sum.npz",)),
    "indices of images": (_index, OF_BYTES, ("index.npz",)),
    "tars": (_store, OF_BYTES, ("images.tar",)),
    "devkits": (lambda path: ilsvrc12_truth.published_labels(path.parent), OF_BYTES, (
        "devkit/ILSVRC2012_devkit_t12.tar.gz",)),
    "lists of Kaggle": (lambda path: ilsvrc12_truth.published_labels(path.parent), OF_TEXT, (
        "kaggle/LOC_val_solution.csv",)),
    "tables of results": (results.read_results, OF_TEXT, ("results.csv",)),
    "logs": (lambda path: logs.read_logs([path]), OF_TEXT, ("train.log",)),
    "packed logs": (lambda path: logs.read_logs([path]), OF_BYTES, ("train.log.gz",)),
    "logs within gzip": (
        lambda path: logs.read_logs([path]),
        {name: zipped(change) for name, change in OF_TEXT.items()}, ("train.log.gz",)),
    "settings of networks": (_settings, OF_TEXT, (
        f"{_NET}/solver.prototxt", f"{_NET}/train_val.prototxt", f"{_NET}/manifest.json")),
    "cuts": (cut_record.read_cut, OF_TEXT, (f"{_NET}/cut.json",)),
    "manifests": (manifest.read, OF_TEXT, (f"{_NET}/manifest.json",)),
    "given bases": (lambda path: given.read_given(path.parent), OF_TEXT, (
        "results/halfmineA/manifest.json",)),
    "trained models": (lambda path: init_weights.trained_model(path.parent), OF_TEXT, (
        "results/halfmineA/manifest.json",)),
    "snapshots": (lambda path: snapshots.newest_complete(path.parent), OF_BYTES, (
        f"{_NET}/snapshots/net_iter_2.caffemodel",
        f"{_NET}/snapshots/net_iter_2.solverstate")),
    "trees": (lambda path: list(compare(path.parent, Path(_NET))), OF_TEXT, (
        "other/solver.prototxt", "other/manifest.json")),
}  # fmt: skip


def targets() -> list[Target]:
    """All of them, in an order that never changes."""
    found = [
        of_reader(name, read, file, changes)
        for name, (read, changes, files) in READERS.items()
        for file in files
    ]
    models = ("V0.caffemodel", "V1.caffemodel", "V2.caffemodel", "model.caffemodel.h5")
    nets = ("net.prototxt", "old.prototxt", "solver.prototxt", "deploy.prototxt")
    found += of_each(
        models, OF_BYTES, "inspect FILE", "inspect FILE --stats", "copy FILE made.caffemodel --n 2",
        "compare FILE V2.caffemodel", "compare V2.caffemodel FILE --match-fresh",
        "inspect FILE --net deploy.prototxt", "upgrade FILE made.caffemodel",
    )  # fmt: skip
    found += of_each(
        ("net.solverstate", "net.solverstate.h5", "mean.binaryproto"), OF_BYTES, "inspect FILE",
        "inspect FILE --stats", "compare FILE FILE", "compare made.binaryproto FILE",
    )  # fmt: skip
    found += of_each(
        nets, OF_TEXT, "inspect FILE", "inspect FILE --json", "compare FILE net.prototxt",
        "compare old.prototxt FILE", "upgrade FILE made.prototxt",
    )  # fmt: skip
    found += of_each(("net.prototxt", "old.prototxt"), OF_TEXT, "cuts FILE --shape 1,28,28")
    found += of_each(
        ("template.prototxt.j2", "net.prototxt"), OF_TEXT,
        "generate --net FILE --study small.toml --mode base --split 0 --out made",
    )  # fmt: skip
    found += of_each(("list.txt",), OF_TEXT, "compare FILE photos.txt", "data lmdb FILE root made")
    found += of_each(
        ("small.toml", "given.toml"), OF_TEXT,
        "generate --study FILE --mode base --split 0 --out made", "generate --study FILE --all "
        "--out made", "run FILE --out made --from given --prepare",
    )  # fmt: skip
    found += of_each(
        ("logged/results/half0A/train_val.prototxt", "logged/results/half0A/solver.prototxt"),
        OF_TEXT, "status logged",
    )  # fmt: skip
    found += [
        of_command("cuts net.binary --shape 1,28,28", "net.binary"),
        of_command("inspect fitting.caffemodel --net deploy.binary", "deploy.binary"),
        of_command("inspect db", "db/data.mdb"),
        of_command("inspect view", "view/records.bin"),
        of_command("data mean db made", "db/data.mdb"),
        of_command("data mean view made", "db/data.mdb"),
        of_command("data lmdb --from-view view made", "db/data.mdb"),
        of_command("data lmdb --from-view view made", "view/view.json", OF_TEXT),
        of_command("data lmdb --from-view view made", "view/records.bin"),
        of_command(_TRAIN, "db/data.mdb"),
        of_command(_TRAIN, "made.binaryproto"),
        *(
            of_command(_TRAIN, f"{_NET}/{name}", OF_TEXT)
            for name in ("solver.prototxt", "train_val.prototxt", "deploy.prototxt",
                         "manifest.json", "cut.json")
        ),
        of_command("status results", f"{_NET}/manifest.json", OF_TEXT),
        of_command("status logged", "logged/results/half0A/logs/train.log.gz"),
        of_command("report logged --out made", "logged/results/half0A/logs/train.log.gz"),
        of_command("report logged --out made --published results.csv", "results.csv", OF_TEXT),
        of_command("data fetch tiny-imagenet --from tiny.zip --out made", "tiny.zip"),
        of_command("data fetch list --from given --out made", "given/train.txt", OF_TEXT),
        of_command("data fetch folder --from photos --out made", "photos/a/photo.png"),
        *(
            of_command(f"data split --images fetched --out made --split {split}", file, OF_TEXT)
            for split, file in enumerate(("fetched/train.txt", "fetched/classes.txt"))
        ),
        of_command("data split --images fetched --out made --custom x A.txt B.txt",
                 "A.txt", OF_TEXT),
        *(
            of_command("data lmdb photos.txt photos made --size 8", f"photos/a/photo.{ending}")
            for ending in ("png", "jpg", "webp", "bmp", "tiff")
        ),
        of_command("new made.toml --images photos", "photos/a/photo.jpg"),
        of_command("new made.toml --images photos --net net.prototxt", "net.prototxt", OF_TEXT),
        of_command("new made.toml --images photos --net net.prototxt --weights fitting.caffemodel",
                 "fitting.caffemodel"),
    ]  # fmt: skip
    if importlib.util.find_spec("safetensors"):
        line = "export fitting.caffemodel --net deploy.prototxt --to safetensors made.safetensors"
        found += [
            of_command(line, "fitting.caffemodel"),
            of_command(line, "deploy.prototxt", OF_TEXT),
        ]
    if importlib.util.find_spec("torch"):
        found += _engine_targets()
    return found


def _engine_targets() -> Iterator[Target]:
    """The commands of caffe-torch."""
    train = f"{CAFFE_TORCH} train --solver=alone_solver.prototxt"
    yield of_engine(train, "alone_solver.prototxt", OF_TEXT)
    yield of_engine(train, "alone.prototxt", OF_TEXT)
    resumed = f"{train} --snapshot=kept_iter_2.solverstate"
    yield of_engine(resumed, "alone_solver.prototxt", OF_SETTINGS)
    yield of_engine(resumed, "alone.prototxt", OF_SETTINGS)
    yield of_engine(train, "db/data.mdb")
    yield of_engine(train, "made.binaryproto")
    for ending in ("", ".h5"):
        model, state = (f"kept_iter_2.{kind}{ending}" for kind in ("caffemodel", "solverstate"))
        yield of_engine(f"{train} --weights={model}", model)
        for each in (model, state, f"{state}.resume"):
            yield of_engine(f"{train} --snapshot={state}", each)
    tested = f"{CAFFE_TORCH} test --model=alone.prototxt --weights=kept_iter_2.caffemodel"
    yield of_engine(f"{tested} --iterations=1", "alone.prototxt", OF_TEXT)
    for phase in ("TRAIN", "TEST"):
        timed = f"{CAFFE_TORCH} time --model=zoo.prototxt --iterations=1 --phase={phase}"
        yield of_engine(timed, "zoo.prototxt", OF_SETTINGS)
    yield of_engine(f"{CAFFE_TORCH} test --flagfile=flags.txt", "flags.txt", OF_TEXT)
