"""Labels of ILSVRC2012's validation images, as they are published."""

import csv
import gzip
import io
import tarfile
from pathlib import Path
from typing import Any

from caffe_transfer.data_prep.names import shown
from caffe_transfer.data_prep.splits import ilsvrc12_synsets
from caffe_transfer.errors import BadInput, FormatError, Incomplete
from caffe_transfer.reading import reading
from caffe_transfer.units import size

DEVKIT = "ILSVRC2012_devkit_t12"
KAGGLE = "LOC_val_solution.csv"
_DEVKIT_TAR = f"{DEVKIT}.tar.gz"
_TRUTH, _META = "ILSVRC2012_validation_ground_truth.txt", "meta.mat"
# Bytes, far above the publisher's.  What is packed in meta.mat may unpack to a thousand times more.
_MOST_OF_DEVKIT, _MOST_OF_META = 256 << 20, 4 << 20
_FOLDERS = ("", f"{DEVKIT}/data", DEVKIT, "data")


def valid_name(number: int) -> str:
    """The name of a validation image; they are counted from 1."""
    return f"ILSVRC2012_val_{number:08d}.JPEG"


def published_labels(root: Path) -> dict[str, int] | None:
    """Labels of the validation images by name, from the devkit or Kaggle's list; None without them.

    Raises:
        FormatError: a file is damaged.
        BadInput: one cannot be read.
        Incomplete: a part of the devkit is missing.
    """
    try:
        return _published_labels(root)
    except OSError as error:
        raise BadInput(f"{shown(error.filename)} cannot be read: {error.strerror}") from error


def _published_labels(root: Path) -> dict[str, int] | None:
    truth = _devkit_file(root, _TRUTH)
    if truth is not None:
        return _from_devkit(root, *truth)
    if (root / KAGGLE).is_file():
        return _from_kaggle(root / KAGGLE)
    return None


def _devkit_file(root: Path, name: str) -> tuple[str, bytes] | None:
    """A file of the devkit, unpacked or not: what to call it, and its bytes."""
    for folder in _FOLDERS:
        path = root / folder / name
        if path.is_file():
            return shown(path), path.read_bytes()
    packed = root / _DEVKIT_TAR
    if not packed.is_file():
        return None
    with reading(packed, "a whole .tar.gz", "fetch it again"):
        with gzip.open(packed) as file:
            content = file.read(_MOST_OF_DEVKIT + 1)
        if len(content) > _MOST_OF_DEVKIT:
            raise FormatError(
                f"{shown(packed)} unpacks to more than {size(_MOST_OF_DEVKIT)}, which the devkit "
                "does not; fetch it again"
            )
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as devkit:
            for member in devkit:
                if Path(member.name).name == name and (found := devkit.extractfile(member)):
                    return f"{shown(packed)}/{name}", found.read()
    raise FormatError(f"{shown(packed)} holds no {name}; fetch it again")


def _from_devkit(root: Path, source: str, truth: bytes) -> dict[str, int]:
    meta = _devkit_file(root, _META)
    if meta is None:
        raise Incomplete(
            f"{source} numbers the classes as the devkit's {_META} does; put that or {_DEVKIT_TAR} "
            "beside it"
        )
    label_of = _labels_by_id(*meta)
    lines = truth.split()
    strange = next((line for line in lines if line not in label_of), None)
    if strange is not None:
        raise FormatError(
            f"{source} holds {strange.decode(errors='replace')!r}, which {meta[0]} does not name; "
            "fetch the devkit again"
        )
    return {valid_name(number): label_of[line] for number, line in enumerate(lines, 1)}


def _labels_by_id(source: str, content: bytes) -> dict[bytes, int]:
    """The devkit's own numbers of the classes, whose order is not that of the synsets."""
    from scipy.io import loadmat

    labels = {synset: label for label, synset in enumerate(ilsvrc12_synsets())}
    if len(content) > _MOST_OF_META:
        raise FormatError(f"{source} is not the devkit's {_META}; fetch it again")
    with reading(source, f"the devkit's {_META}", "fetch it again"):
        file: Any = io.BytesIO(content)  # scipy's types know of paths alone
        rows = loadmat(file, squeeze_me=True)["synsets"]
        pairs = zip(rows["ILSVRC2012_ID"], rows["WNID"], strict=True)
        # Higher synsets such as "animal" follow the 1000.
        found = {b"%d" % int(row): labels[str(wnid)] for row, wnid in pairs if str(wnid) in labels}
    if len(found) != len(labels):
        raise FormatError(
            f"{source} names {len(found)} of the {len(labels)} classes of ILSVRC2012; take the "
            f"one of {DEVKIT}"
        )
    return found


def _from_kaggle(path: Path) -> dict[str, int]:
    """Lines "ILSVRC2012_val_00048981,n03995372 85 1 499 272" below a heading."""
    labels = {synset: label for label, synset in enumerate(ilsvrc12_synsets())}
    kind = "Kaggle's list of validation images and their classes"
    with reading(path, kind, "fetch it again"):
        rows = list(csv.reader(path.read_text(encoding="utf-8").splitlines()))[1:]
        return {f"{name}.JPEG": labels[boxes.split()[0]] for name, boxes in rows}
