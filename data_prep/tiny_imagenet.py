"""Tiny ImageNet: 200 classes of ILSVRC, 64x64, 500 training and 50 validation images a class."""

import zipfile
from collections.abc import Iterable
from pathlib import Path

from caffe_transfer.data_prep.download import download
from caffe_transfer.data_prep.lists import ImageList
from caffe_transfer.data_prep.names import shown
from caffe_transfer.data_prep.progress import OnStep
from caffe_transfer.errors import Incomplete
from caffe_transfer.files import writing
from caffe_transfer.paths import ImagesFolder
from caffe_transfer.reading import reading
from caffe_transfer.units import size

ADDRESS = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
ROOT = "tiny-imagenet-200/"
# Bytes, far above the publisher's largest file and all of them together.
_MOST_OF_FILE, _MOST_OF_ALL = 8 << 20, 1 << 30
_NOT_THE_ZIP = "name the publisher's tiny-imagenet-200.zip with --from"


def fill(
    folder: ImagesFolder, given: Path | None, progress: OnStep
) -> tuple[dict[str, ImageList], list[str]]:
    """Unpack the publisher's zip; labels are in the order of the synsets, as in ILSVRC.

    Returns:
        the "train" and "valid" lists, and the synsets by label.

    Raises:
        Incomplete: it could not be downloaded.
        BadInput: the file is not the publisher's zip, or is truncated.
    """
    archive = given or folder.root / "download.zip"
    if given is None:
        try:
            download(ADDRESS, archive, progress)
        except Incomplete as error:
            raise Incomplete(f"{error}; {_NOT_THE_ZIP}") from error
    with (
        reading(archive, "the publisher's zip", _NOT_THE_ZIP),
        zipfile.ZipFile(archive) as zipped,
    ):
        _check_sizes(zipped)
        classes = sorted(zipped.read(ROOT + "wnids.txt").decode().split())
        label = {name: index for index, name in enumerate(classes)}
        found = {
            "train": _train_list(zipped, label),
            "valid": _valid_list(zipped, label),
        }
        _check_names(name for images in found.values() for name in images.paths)
        _unpack(zipped, folder, found, progress)
    if given is None:
        archive.unlink()
    return found, classes


def _check_sizes(zipped: zipfile.ZipFile) -> None:
    """Refuse a zip that unpacks to more than it could, were it the publisher's."""
    sizes = [each.file_size for each in zipped.infolist()]
    if max(sizes, default=0) > _MOST_OF_FILE or sum(sizes) > _MOST_OF_ALL:
        raise ValueError(
            f"it unpacks to {size(sum(sizes))}, one file to {size(max(sizes))}, which is too much"
        )


def _check_names(names: Iterable[str]) -> None:
    """Refuse names that lead out of the folder into which a zip is unpacked."""
    for name in names:
        if name.startswith("/") or ".." in name.split("/"):
            raise ValueError(f"the name {shown(name)} leads out of its folder")


def _train_list(zipped: zipfile.ZipFile, label: dict[str, int]) -> ImageList:
    prefix = ROOT + "train/"
    names = [
        name.removeprefix(prefix)
        for name in zipped.namelist()
        if name.startswith(prefix) and name.endswith(".JPEG")
    ]
    names.sort(key=lambda name: (name.split("/")[0], _number(name)))
    return ImageList(tuple(names), tuple(label[name.split("/")[0]] for name in names))


def _number(name: str) -> int:
    return int(name.rsplit("_", 1)[1].removesuffix(".JPEG"))


def _valid_list(zipped: zipfile.ZipFile, label: dict[str, int]) -> ImageList:
    rows = zipped.read(ROOT + "val/val_annotations.txt").decode().splitlines()
    images = [row.split("\t")[:2] for row in rows]
    return ImageList(
        tuple(f"images/{name}" for name, _ in images),
        tuple(label[synset] for _, synset in images),
    )


def _unpack(
    zipped: zipfile.ZipFile,
    folder: ImagesFolder,
    found: dict[str, ImageList],
    progress: OnStep,
) -> None:
    inside = {"train": ROOT + "train/", "valid": ROOT + "val/"}
    total, done = sum(map(len, found.values())), 0
    for part, images in found.items():
        for name in images.paths:
            content = zipped.read(inside[part] + name)
            target = folder.images(part) / name
            with writing(folder.root):
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
            done += 1
            if done % 1000 == 0 or done == total:
                progress("unpacking Tiny ImageNet", done, total)
