"""The functions behind `import caffe_transfer as ct`: plain arguments in, dataclasses out.

Paths may be strings, engines are named as on the command line, and everything beyond two
arguments is keyword-only.  Errors are those of errors.py.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from threading import Event
from typing import Any, TypeAlias

from caffe_transfer import pipeline
from caffe_transfer.comparison import compare as comparison
from caffe_transfer.comparison import describe as description
from caffe_transfer.comparison import fit as fitting
from caffe_transfer.comparison.compare import Comparison
from caffe_transfer.comparison.describe import Contents
from caffe_transfer.comparison.fit import Fit
from caffe_transfer.formats import caffemodel
from caffe_transfer.formats.caffemodel import Model
from caffe_transfer.nets.write import write_network
from caffe_transfer.old_files import Upgrade, upgrade_file
from caffe_transfer.paths import RESULTS
from caffe_transfer.report.results import Results
from caffe_transfer.report.results import read_results as _read_results
from caffe_transfer.run_options import Callbacks, RunOptions
from caffe_transfer.studies.load import load_study as _load_study
from caffe_transfer.studies.network import Network
from caffe_transfer.studies.study import Study
from caffe_transfer.training.engine import find_engine, will_read_views
from caffe_transfer.training.executor import JobResult
from caffe_transfer.training.local import threads_for
from caffe_transfer.training.preflight import load_network
from caffe_transfer.training.schedule import RETRIES
from caffe_transfer.training.train import OnProgress, Settings, train_network
from caffe_transfer.training.transplant import Transplant, transplant, transplant_into

AnyPath: TypeAlias = str | PathLike[str]


@dataclass(frozen=True)
class TrainedNetwork:
    """A network that is trained to its end.

    Attributes:
        model: its last snapshot.
        frozen: the SHA-256 of each blob of the frozen layers, which training has not changed.
    """

    name: str
    folder: Path
    model: Path
    frozen: Mapping[str, Sequence[str]]

    def as_dict(self) -> dict[str, Any]:
        """The attributes by name."""
        return asdict(self)


def load_study(name_or_path: AnyPath, *, quick: bool = False) -> Study:
    """Read a study: a built-in one by its name, or a TOML file.

    Args:
        quick: apply the study's [quick] table.

    Raises:
        BadInput: there is no such study, or something in it is wrong; names the key.
    """
    return _load_study(str(name_or_path), quick)


def run(
    study: Study | AnyPath,
    out: AnyPath,
    *,
    engine: str | None = None,
    precision: str | None = None,
    gpus: Sequence[str] = (),
    jobs: int | None = None,
    threads: int | None = None,
    images: AnyPath | None = None,
    disk: int | None = None,
    retries: int = RETRIES,
    callbacks: Callbacks | None = None,
    stop: Event | None = None,
) -> list[JobResult]:
    """Do all that a study needs, from images to report; run again, it does what is missing.

    Args:
        out: the run's folder.
        engine: "caffe", "caffe-torch" or a program's path; by default Caffe where there is one.
        precision: of caffe-torch: "fp32", "tf32" or "bf16".
        gpus: device numbers to share among the jobs; () leaves it to the solver.
        jobs: networks trained at once, by default one for each of `gpus`, or one; threads: of
            the BLAS library for each, by default all cores shared among the jobs.
        images: the images' folder or archive, where they are not to be fetched.
        disk: the most bytes of databases at any moment, for an engine that reads no views: some
            are then made when networks need them, and removed after the last.
        retries: how often a network that fails by itself is tried again.
        stop: set it to have the running networks write a snapshot and end.

    Raises:
        Busy: another run works in `out`.
        BadInput: `out` holds a run of another study, or the images cannot be used.
        EngineError: there is no such engine.
    """
    chosen = study if isinstance(study, Study) else load_study(study)
    at_once = jobs or len(gpus) or 1
    options = RunOptions(
        settings=Settings(find_engine(engine, precision), threads=threads or threads_for(at_once)),
        jobs=at_once,
        gpus=tuple(gpus),
        images_from=None if images is None else Path(images),
        disk=disk,
        retries=retries,
    )
    return pipeline.run(chosen, Path(out), options=options, callbacks=callbacks, stop=stop)


def prepare(
    study: Study | AnyPath,
    out: AnyPath,
    *,
    engine: str | None = None,
    images: AnyPath | None = None,
    disk: int | None = None,
    callbacks: Callbacks | None = None,
    stop: Event | None = None,
) -> None:
    """Do what `run` does before training: images, databases, networks' folders; no engine is used.

    Args:
        out: the run's folder; `run` goes on from there.
        engine: as for `run`; it decides whether databases may be views.  One that is not on this
            machine may be named.
        images: the images' folder or archive, where they are not to be fetched.
        disk: as for `run`.
        stop: set it to stop; what is prepared stays.

    Raises:
        Busy: another run works in `out`.
        BadInput: `out` holds a run of another study, the images cannot be used, or the disk is
            too small.
        Interrupted: `stop` was set.
    """
    chosen = study if isinstance(study, Study) else load_study(study)
    pipeline.prepare_run(
        chosen,
        Path(out),
        images_from=None if images is None else Path(images),
        reads_views=will_read_views(engine),
        disk=disk,
        callbacks=callbacks,
        stop=stop,
    )


def generate(
    study: Study | AnyPath,
    network: Network | str | None = None,
    *,
    out: AnyPath = RESULTS,
    dialect: str = "1.0",
) -> list[Path]:
    """Write the folder of one network of a study, or of all; return the folders.

    Args:
        network: by its name, such as "transfer0A0B_1_4"; None for all.
        dialect: "1.0", or "2014" for the authors' files byte for byte.

    Raises:
        BadInput: the network does not fit the study's net, or a folder cannot be written.
    """
    chosen = study if isinstance(study, Study) else load_study(study)
    one = Network.parse(network) if isinstance(network, str) else network
    networks = chosen.networks if one is None else (one,)
    return [write_network(each, chosen, Path(out), dialect) for each in networks]


def train(
    folder: AnyPath,
    *,
    engine: str | None = None,
    precision: str | None = None,
    gpu: str | None = None,
    threads: int | None = None,
    keep_snapshots: str | None = None,
    on_progress: OnProgress = lambda _: None,
    stop: Event | None = None,
) -> TrainedNetwork:
    """Train a network's folder to its end, from where it stopped, and verify its frozen layers.

    Args:
        engine, precision, threads: as for `run`; gpu: device numbers as Caffe takes them.
        keep_snapshots: "last" keeps the last model, "all" every model with its solver state; by
            default as the study of the network's run says, else "last".
        on_progress: called a few times a second with iteration, loss and accuracy.
        stop: set it to have the engine write a snapshot and end.

    Raises:
        Incomplete, BadInput: an input is missing or does not fit.
        Busy: another process trains this folder.
        EngineError: the engine failed.
        Interrupted: `stop` was set.
        FormatError: a frozen blob has changed.
    """
    root = Path(folder)
    settings = Settings(
        find_engine(engine, precision), gpu, threads or threads_for(jobs=1), keep_snapshots
    )
    manifest = train_network(root, settings, on_progress, stop)
    (model,) = manifest["model"]
    return TrainedNetwork(root.name, root, root / model, manifest["frozen"])


def copy_layers(
    source: AnyPath, out: AnyPath, *, n: int | str, into: AnyPath | None = None
) -> Transplant:
    """Copy the blobs of the layers below a cut, byte for byte, from a model into a new one.

    Args:
        n: with `into` a cut of its net, by number or by name; without it the number of weight
            layers, or the name of the last one.
        into: the folder of the network that will load the file: its net must fit.

    Raises:
        BadInput: there is no such cut or layer, or a shape differs; names the layer.
        FormatError: the source is cut off or is no model.
    """
    if into is None:
        return transplant(Path(source), Path(out), n)
    loaded = load_network(Path(into))
    return transplant_into(loaded.target(loaded.below(n)), Path(source), Path(out))


def open_model(path: AnyPath) -> AbstractContextManager[Model]:
    """Open a model of any format that Caffe ever wrote; its blobs are views of the file.

    Raises:
        Incomplete: there is no such file.
        FormatError: it is cut off or is no model.
    """
    return caffemodel.open_model(Path(path))


def compare(
    left: AnyPath, right: AnyPath, *, match_fresh: bool = False, common: bool = False
) -> list[Comparison]:
    """Compare two files of Caffe's, or two trees of them: by bytes, then by meaning.

    Args:
        match_fresh: layer conv4 of one model is layer conv4-new of the other.
        common: leave out the files that only one tree has.

    Raises:
        Incomplete: one of the two is not there.
        BadInput: a file is to be compared with a folder.
    """
    found = comparison.compare(Path(left), Path(right), match_fresh=match_fresh, common=common)
    return list(found)


def describe(
    path: AnyPath, *, stats: bool = False, images: tuple[int, int, int] | None = None
) -> Contents:
    """Read what a caffemodel, solverstate, binaryproto, LMDB or prototxt of any age holds.

    Args:
        stats: read all numbers too; each blob gets its minimum, maximum, mean, zeros, NaNs.
        images: (channels, height, width) of the images that a net sees, where it does not say.

    Raises:
        Incomplete: there is no such file.
        BadInput: it is none of these, or has no blobs for `stats`.
        FormatError: it is broken.
    """
    return description.describe(Path(path), stats=stats, images=images)


def fit(model: AnyPath, net: AnyPath, *, images: tuple[int, int, int] | None = None) -> Fit:
    """Say which parameters of a prototxt's net a model has, lacks, or has in other shapes.

    Args:
        images: as for `describe`; where the net does not say it, axes that depend on it are None
            and taken to fit.

    Raises:
        Incomplete, FormatError: a file is missing or is not what it should be.
        BadInput: a layer does not fit its input.
    """
    return fitting.fit(Path(model), Path(net), images)


def upgrade(old: AnyPath, new: AnyPath) -> Upgrade:
    """Write a net, a solver or a model of any age in the format of Caffe 1.0, as Caffe's tools do.

    Raises:
        Incomplete: there is no file `old`.
        BadInput: `new` is there already or cannot be written, or `old` has no older format.
        FormatError: `old` is broken.
    """
    return upgrade_file(Path(old), Path(new))


def read_results(source: AnyPath) -> Results:
    """Read the results of a run, of a folder of networks with their logs, or of a results.csv.

    Raises:
        BadInput: there is no such folder, or it holds no network.
        FormatError: the file is no table of results.
    """
    return _read_results(Path(source))
