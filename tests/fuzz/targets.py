"""What is given broken files: every reader of the library, and every command that takes files."""

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
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
from tests.fuzz.mutations import OF_BYTES, OF_TEXT, Change, zipped
from tests.fuzz.runner import by_command, by_reader

SLOW = ("report", "new", "run", "data lmdb", "train")  # commands that get fewer inputs
Read = Callable[[Path], object]
_NET = "results/netbase"
_TRAIN = f"train {_NET} --engine ./engine"
OUT = "made"  # what a command writes; removed afterwards


@dataclass(frozen=True)
class Target:
    """What reads a file.

    Attributes:
        name: unique; of a command its line.
        file: the sample that is broken, relative to the folder of samples.
        changes: the ways in which it is broken.
        run: reads the broken file; called in the folder, returns the outcome.
        line: the command line that does the same, for those who look into a failure.
    """

    name: str
    file: str
    changes: dict[str, Change]
    run: Callable[[], str]
    line: str

    @property
    def is_slow(self) -> bool:
        """Whether it takes seconds, and gets fewer inputs."""
        return self.line.startswith(SLOW)

    @property
    def group(self) -> str:
        """The line of the table that counts it."""
        kind = Path(self.file).suffix.removeprefix(".") or "text"
        command = "a reader" if self.line.startswith("python") else self.line.split(" FILE")[0]
        words = command.split()[: 2 if command.startswith(("data", "a ")) else 1]
        return f"{' '.join(words)}: {kind}"


def _command(line: str, file: str, changes: dict[str, Change] = OF_BYTES) -> Target:
    return Target(f"{line} [{file}]", file, changes, partial(by_command, line.split()), line)


def _reader(name: str, read: Read, file: str, changes: dict[str, Change] = OF_BYTES) -> Target:
    root = Path(file)
    call = partial(by_reader, partial(read, root))
    line = f"python -m tests.fuzz --read {name!r} {file}"
    return Target(f"{name} [{file}]", file, changes, call, line)


def _each(
    kinds_of_file: Sequence[str], changes: dict[str, Change], *lines: str
) -> Iterator[Target]:
    for file in kinds_of_file:
        for line in lines:
            yield _command(line.replace("FILE", file), file, changes)


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
    "binary nets": (prototxt.read_net, OF_BYTES, ("V1.caffemodel",)),
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
        _reader(name, read, file, changes)
        for name, (read, changes, files) in READERS.items()
        for file in files
    ]
    models = ("V0.caffemodel", "V1.caffemodel", "V2.caffemodel", "model.caffemodel.h5")
    nets = ("net.prototxt", "old.prototxt", "solver.prototxt", "deploy.prototxt")
    found += _each(
        models, OF_BYTES, "inspect FILE", "inspect FILE --stats", "copy FILE made.caffemodel --n 2",
        "compare FILE V2.caffemodel", "compare V2.caffemodel FILE --match-fresh",
        "inspect FILE --net deploy.prototxt", "upgrade FILE made.caffemodel",
    )  # fmt: skip
    found += _each(
        ("net.solverstate", "net.solverstate.h5", "mean.binaryproto"), OF_BYTES, "inspect FILE",
        "inspect FILE --stats", "compare FILE FILE", "compare made.binaryproto FILE",
    )  # fmt: skip
    found += _each(
        nets, OF_TEXT, "inspect FILE", "inspect FILE --json", "compare FILE net.prototxt",
        "compare old.prototxt FILE", "upgrade FILE made.prototxt",
    )  # fmt: skip
    found += _each(("net.prototxt", "old.prototxt"), OF_TEXT, "cuts FILE --shape 1,28,28")
    found += _each(
        ("template.prototxt.j2", "net.prototxt"), OF_TEXT,
        "generate --net FILE --study small.toml --mode base --split 0 --out made",
    )  # fmt: skip
    found += _each(("list.txt",), OF_TEXT, "compare FILE photos.txt", "data lmdb FILE root made")
    found += _each(
        ("small.toml", "given.toml"), OF_TEXT,
        "generate --study FILE --mode base --split 0 --out made", "generate --study FILE --all "
        "--out made", "run FILE --out made --from given --prepare",
    )  # fmt: skip
    found += _each(
        ("logged/results/half0A/train_val.prototxt", "logged/results/half0A/solver.prototxt"),
        OF_TEXT, "status logged",
    )  # fmt: skip
    found += [
        _command("inspect db", "db/data.mdb"),
        _command("inspect view", "view/records.bin"),
        _command("data mean db made", "db/data.mdb"),
        _command("data mean view made", "db/data.mdb"),
        _command("data lmdb --from-view view made", "db/data.mdb"),
        _command("data lmdb --from-view view made", "view/view.json", OF_TEXT),
        _command("data lmdb --from-view view made", "view/records.bin"),
        _command(_TRAIN, "db/data.mdb"),
        _command(_TRAIN, "made.binaryproto"),
        *(
            _command(_TRAIN, f"{_NET}/{name}", OF_TEXT)
            for name in ("solver.prototxt", "train_val.prototxt", "deploy.prototxt",
                         "manifest.json", "cut.json")
        ),
        _command("status results", f"{_NET}/manifest.json", OF_TEXT),
        _command("status logged", "logged/results/half0A/logs/train.log.gz"),
        _command("report logged --out made", "logged/results/half0A/logs/train.log.gz"),
        _command("report logged --out made --published results.csv", "results.csv", OF_TEXT),
        _command("data fetch tiny-imagenet --from tiny.zip --out made", "tiny.zip"),
        _command("data fetch list --from given --out made", "given/train.txt", OF_TEXT),
        _command("data fetch folder --from photos --out made", "photos/a/photo.png"),
        _command("data split --images fetched --out made --split 0", "fetched/train.txt", OF_TEXT),
        _command(
            "data split --images fetched --out made --split 1", "fetched/classes.txt", OF_TEXT
        ),
        _command("data split --images fetched --out made --custom x A.txt B.txt",
                 "A.txt", OF_TEXT),
        *(
            _command("data lmdb photos.txt photos made --size 8", f"photos/a/photo.{ending}")
            for ending in ("png", "jpg", "webp", "bmp", "tiff")
        ),
        _command("new made.toml --images photos", "photos/a/photo.jpg"),
        _command("new made.toml --images photos --net net.prototxt", "net.prototxt", OF_TEXT),
        _command("new made.toml --images photos --net net.prototxt --weights fitting.caffemodel",
                 "fitting.caffemodel"),
    ]  # fmt: skip
    if importlib.util.find_spec("safetensors"):
        line = "export fitting.caffemodel --net deploy.prototxt --to safetensors made.safetensors"
        found += [_command(line, "fitting.caffemodel"), _command(line, "deploy.prototxt", OF_TEXT)]
    return found
