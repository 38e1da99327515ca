"""A small ILSVRC2012 in the forms that people have: 1000 classes, two training images of each.

Every image is a file of its own name's bytes.
"""

import io
import tarfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import savemat

from caffe_transfer.data_prep.ilsvrc12_truth import valid_name
from caffe_transfer.data_prep.lists import ImageList
from caffe_transfer.data_prep.splits import ilsvrc12_synsets

SYNSETS = ilsvrc12_synsets()
VALID_COUNT = 1000
# In the order of Caffe's list, which is not that of the numbers.
TRAIN = ImageList(
    tuple(f"{synset}/{synset}_{number}.JPEG" for synset in SYNSETS for number in (1009, 10095)),
    tuple(label for label in range(1000) for _ in range(2)),
)
VALID = ImageList(
    tuple(valid_name(number) for number in range(1, VALID_COUNT + 1)),
    tuple(number * 7 % 1000 for number in range(VALID_COUNT)),
)
Files = Mapping[str, bytes]


def content(name: str) -> bytes:
    """The bytes of an image."""
    return Path(name).name.encode()


def write_files(root: Path, files: Files) -> None:
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def tar_bytes(files: Files, style: int = tarfile.GNU_FORMAT) -> bytes:
    """An uncompressed tar."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=style) as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return file.getvalue()


def images(names: Iterable[str]) -> dict[str, bytes]:
    return {name: content(name) for name in names}


def _class_tars() -> dict[str, bytes]:
    by_class: dict[str, dict[str, bytes]] = {synset: {} for synset in reversed(SYNSETS)}
    for name in reversed(TRAIN.paths):
        synset, base = name.split("/")
        by_class[synset][base] = content(name)
    return {f"{synset}.tar": tar_bytes(files) for synset, files in by_class.items()}


def _shards(listed: ImageList) -> dict[str, bytes]:
    shards: list[dict[str, bytes]] = [{}, {}]
    for row, (name, label) in enumerate(zip(listed.paths, listed.labels, strict=True)):
        key = Path(name).stem
        shards[row % 2] |= {f"{key}.jpg": content(name), f"{key}.cls": b"%d" % label}
    return {f"{number:06d}.tar": tar_bytes(files) for number, files in enumerate(shards)}


def devkit_files() -> dict[str, bytes]:
    """The devkit, whose numbers of the classes are not their labels; higher synsets come last."""
    ids = {label: (label * 3) % 1000 + 1 for label in range(1000)}
    rows = [(number, SYNSETS[label]) for label, number in ids.items()] + [(1001, "n00001740")]
    rows.sort()
    synsets = np.array(rows, dtype=[("ILSVRC2012_ID", object), ("WNID", object)])
    file = io.BytesIO()
    meta: Any = file  # scipy's types know of paths alone
    savemat(meta, {"synsets": synsets.reshape(-1, 1)})
    truth = "".join(f"{ids[label]}\n" for label in VALID.labels)
    return {
        "ILSVRC2012_validation_ground_truth.txt": truth.encode(),
        "meta.mat": file.getvalue(),
    }


def add_devkit(root: Path) -> None:
    """Beside the images, packed."""
    files = {f"ILSVRC2012_devkit_t12/data/{name}": data for name, data in devkit_files().items()}
    with tarfile.open(root / "ILSVRC2012_devkit_t12.tar.gz", "w:gz") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


def _kaggle_list() -> bytes:
    rows = zip(VALID.paths, VALID.labels, strict=True)
    lines = [f"{Path(name).stem},{SYNSETS[label]} 1 2 3 4 {SYNSETS[0]} 5" for name, label in rows]
    return "\n".join(["ImageId,PredictionString", *reversed(lines)]).encode()


def train_folder(root: Path) -> None:
    write_files(root / "train", images(TRAIN.paths))


def valid_folders(root: Path) -> None:
    rows = zip(VALID.paths, VALID.labels, strict=True)
    write_files(root / "val", images(f"{SYNSETS[label]}/{name}" for name, label in rows))


def _publishers_train(root: Path) -> None:
    write_files(root, {"ILSVRC2012_img_train.tar": tar_bytes(_class_tars())})


def publishers_valid(root: Path) -> None:
    write_files(root, {"ILSVRC2012_img_val.tar": tar_bytes(images(reversed(VALID.paths)))})


def _flat_valid(root: Path) -> None:
    write_files(root / "val", images(VALID.paths))
    write_files(root / "ILSVRC2012_devkit_t12/data", devkit_files())


def _valid_and_list(root: Path) -> None:
    publishers_valid(root)
    (root / "val.txt").write_text(VALID.text)


def _kaggle_valid(root: Path) -> None:
    write_files(root / "ILSVRC/Data/CLS-LOC/val", images(VALID.paths))
    write_files(root, {"LOC_val_solution.csv": _kaggle_list()})


def _devkit_and_tar(root: Path) -> None:
    publishers_valid(root)
    add_devkit(root)


TRAIN_FORMS: dict[str, Callable[[Path], None]] = {
    "folders": train_folder,
    "publisher's tar": _publishers_train,
    "tars of classes": lambda root: write_files(root / "ILSVRC2012_img_train", _class_tars()),
    "one folder": lambda root: write_files(
        root / "train", images(Path(name).name for name in TRAIN.paths)
    ),
    "one tar of folders": lambda root: write_files(
        root, {"train.tar": tar_bytes(images(f"./train/{name}" for name in TRAIN.paths))}
    ),
    "shards": lambda root: write_files(root / "train", _shards(TRAIN)),
    "Kaggle's": lambda root: write_files(root / "ILSVRC/Data/CLS-LOC/train", images(TRAIN.paths)),
}
VALID_FORMS: dict[str, Callable[[Path], None]] = {
    "folders": valid_folders,
    "publisher's tar and devkit": _devkit_and_tar,
    "publisher's tar and Caffe's list": _valid_and_list,
    "one folder and devkit": _flat_valid,
    "shards": lambda root: write_files(root / "val", _shards(VALID)),
    "Kaggle's": _kaggle_valid,
}
