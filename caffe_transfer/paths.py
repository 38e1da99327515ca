"""The names of all files and folders, and where the package's own files lie.

A run's folder:

    study.toml  lock  run.log  images/  data/  results/NETWORK/  report/  slurm/
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
STUDY_SUFFIX = ".toml"
HDF5_SUFFIX = ".h5"  # of models and solver states
RESUME_SUFFIX = ".resume"

# Names that the authors gave, kept in dialect 2014.
TRAIN_2014 = "imagenet_train.prototxt"
VAL_2014 = "imagenet_val.prototxt"
SOLVER_2014 = "imagenet_solver.prototxt"
TRAIN_LINK_2014 = "imagenet_train_leveldb"
VAL_LINK_2014 = "imagenet_val_leveldb"
DATA_2014 = "../../ilsvrc12/data"
BASENET_LINK = "basenet"

LOCK = "lock"
REPORT = "report"
RESULTS = "results"

# Names that LMDB gives, in a database's folder.
LMDB_DATA = "data.mdb"
LMDB_LOCK = "lock.mdb"

# Names in the folder of a view, which lies where a database would.
VIEW = "view.json"
VIEW_RECORDS = "records.bin"

_LOG_NAME = re.compile(r".+\.(o[0-9A-Z]+|log(\..+)?)(\.gz)?")


def is_log(name: str) -> bool:
    """Whether a file's name is one that logs have: a cluster's `job.o1234`, glog's, our own."""
    return _LOG_NAME.fullmatch(name) is not None


def _beside(name: str) -> Path:
    """A top-level folder: inside the package in a wheel, beside it in a checkout."""
    packaged = PACKAGE / name
    return packaged if packaged.is_dir() else PACKAGE.parent / name


def templates() -> Path:
    """The folder of the nets' Jinja templates."""
    return _beside("templates")


def solvers() -> Path:
    """The folder of the solvers' Jinja templates."""
    return _beside("solvers")


def built_in_studies() -> Path:
    """The folder of the studies that come with the package."""
    return PACKAGE / "studies"


def caffe_prefix() -> Path:
    """Where `make caffe` installs: $CAFFE_PREFIX, else a folder of the user's cache."""
    if prefix := os.environ.get("CAFFE_PREFIX"):
        return Path(prefix)
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "caffe-transfer" / "caffe"


def default_run(study: str) -> Path:
    """The folder of a study's run where the user names none.

    Beside a study's file, under its name without the ending; for a built-in study under its name
    in the current folder.
    """
    path = Path(study)
    return path.with_suffix("") if path.suffix == STUDY_SUFFIX else path


def _with_ending(path: Path, ending: str) -> Path:
    """The file or folder of a name with one more ending."""
    return path.with_name(f"{path.name}{ending}")


def record(path: Path) -> Path:
    """The record of what a database or a mean was made of, beside it: lmdb.json beside lmdb."""
    return _with_ending(path, ".json")


def resume_file(state: Path) -> Path:
    """What a solver state lacks for an exact resume, beside it: net_iter_9.solverstate.resume."""
    return _with_ending(state, RESUME_SUFFIX)


def left_out(path: Path) -> Path:
    """The list of images that a database lacks, beside it: lmdb.left_out.txt beside lmdb."""
    return _with_ending(path, ".left_out.txt")


def image_index(images: Path) -> Path:
    """Where images lie that are no files of their names, beside them."""
    return _with_ending(images, ".index.npz")


def unfinished(database: Path) -> Path:
    """The folder in which a database grows, beside it: lmdb.unfinished beside lmdb."""
    return _with_ending(database, ".unfinished")


def kept_view(database: Path) -> Path:
    """The view that a database was copied from, beside it: lmdb.view beside lmdb."""
    return _with_ending(database, ".view")


def pixel_sum(database: Path) -> Path:
    """The sum of a database's images, beside it until the mean is made of it."""
    return _with_ending(database, ".sum.npz")


def lock_beside(path: Path) -> Path:
    """The lock file of a file or folder, beside it."""
    return _with_ending(path, ".lock")


def is_of_lock(name: str) -> bool:
    """Whether a file is a run's or a network's lock, or one of its records."""
    return name == LOCK or name.startswith(f"{LOCK}.")


def lock_record(lock: Path) -> Path:
    """Who holds a lock, beside its file: lock.held beside lock."""
    return _with_ending(lock, ".held")


def lock_heir(lock: Path, name: str) -> Path:
    """Who took a lock from the dead holder of a name, beside its file."""
    return _with_ending(lock, f".after-{name}")


def image_list(database: Path) -> Path:
    """The list of the images that a database was made of, beside it: files.txt beside lmdb."""
    return database.with_name("files.txt")


@dataclass(frozen=True)
class RunFolder:
    """The files of one run of a study."""

    root: Path

    @property
    def study(self) -> Path:
        return self.root / "study.toml"

    @property
    def lock(self) -> Path:
        return self.root / LOCK

    @property
    def log(self) -> Path:
        return self.root / "run.log"

    @property
    def images(self) -> Path:
        return self.root / "images"

    @property
    def data(self) -> "DataFolder":
        return DataFolder(self.root / "data")

    @property
    def results(self) -> Path:
        return self.root / RESULTS

    @property
    def report(self) -> Path:
        return self.root / REPORT

    @property
    def slurm(self) -> Path:
        return self.root / "slurm"

    @property
    def slurm_jobs(self) -> Path:
        return self.slurm / "jobs.json"

    def slurm_log(self, job: str) -> Path:
        """What a job has printed; submitit gives this name."""
        return self.slurm / f"{job}_0_log.out"

    def network(self, name: str) -> "NetworkFolder":
        return NetworkFolder(self.results / name)


@dataclass(frozen=True)
class ImagesFolder:
    """A source's images; a part is "train" or "valid"."""

    root: Path

    def images(self, part: str) -> Path:
        return self.root / part

    def list(self, part: str) -> Path:
        return self.root / f"{part}.txt"

    @property
    def classes(self) -> Path:
        return self.root / "classes.txt"

    @property
    def left_out(self) -> Path:
        return self.root / "left_out.txt"


@dataclass(frozen=True)
class DataFolder:
    """Lists, databases and the mean of a study's data sets."""

    root: Path

    def list(self, data_name: str) -> Path:
        return image_list(self.lmdb(data_name))

    def lmdb(self, data_name: str) -> Path:
        return self.root / data_name / "lmdb"

    def labels(self, split: str) -> Path:
        return self.root / f"{split}_labels.txt"

    @property
    def mean(self) -> Path:
        return self.root / "mean.binaryproto"


@dataclass(frozen=True)
class NetworkFolder:
    """The files of one network."""

    root: Path

    @classmethod
    def names(cls) -> "NetworkFolder":
        """The same files as bare names."""
        return cls(Path())

    @property
    def net(self) -> Path:
        return self.root / "train_val.prototxt"

    @property
    def solver(self) -> Path:
        return self.root / "solver.prototxt"

    @property
    def deploy(self) -> Path:
        return self.root / "deploy.prototxt"

    @property
    def cut(self) -> Path:
        return self.root / "cut.json"

    @property
    def basenet(self) -> Path:
        return self.root / BASENET_LINK

    @property
    def init(self) -> Path:
        return self.root / "init.caffemodel"

    @property
    def snapshots(self) -> Path:
        return self.root / "snapshots"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def manifest(self) -> Path:
        return self.root / "manifest.json"

    @property
    def failure(self) -> Path:
        return self.root / "failure.txt"

    @property
    def lock(self) -> Path:
        return self.root / LOCK


@dataclass(frozen=True)
class ReportFolder:
    """The files of a report."""

    root: Path

    @property
    def results(self) -> Path:
        return self.root / "results.csv"

    @property
    def table(self) -> Path:
        return self.root / "table.md"

    @property
    def decomposition(self) -> Path:
        return self.root / "decomposition.csv"

    @property
    def page(self) -> Path:
        return self.root / "index.html"

    def figure(self, name: str, suffix: str) -> Path:
        return self.root / f"{name}.{suffix}"


# Relative to a network's folder, where the engine runs.
SNAPSHOT_PREFIX = "snapshots/net"


def data_seen_from_network() -> DataFolder:
    """The data folder of a run, as seen from a network's folder in results/."""
    return DataFolder(Path("../../data"))
