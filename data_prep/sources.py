"""Sources of images.  Each is brought into a folder of the same layout, whole or not at all:

train/  valid/         the images, or links to the user's own folders
train.txt  valid.txt   "path label" lines, paths relative to train/ and valid/
classes.txt            the classes' names, by label
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from caffe_transfer.data_prep import fashion_mnist, lists, tiny_imagenet, user_images
from caffe_transfer.data_prep.lists import ImageList
from caffe_transfer.data_prep.progress import OnStep, silent
from caffe_transfer.data_prep.splits import PARTS
from caffe_transfer.errors import BadInput, Incomplete
from caffe_transfer.files import atomic_folder, atomic_text
from caffe_transfer.paths import ImagesFolder

# A source fills a new folder's train/ and valid/ and returns its lists and its classes.
Filler = Callable[[ImagesFolder, Path | None, OnStep], tuple[dict[str, ImageList], list[str]]]
SOURCES: dict[str, Filler] = {
    "fashion-mnist": fashion_mnist.fill,
    "tiny-imagenet": tiny_imagenet.fill,
    "ilsvrc12": user_images.fill_ilsvrc12,
    "folder": user_images.fill_folder,
    "list": user_images.fill_list,
}


@dataclass(frozen=True)
class Source:
    """A source's images on disk.

    Attributes:
        lists: the images of all classes, by part: "train" and "valid".
        classes: names of the classes, by label.
    """

    folder: ImagesFolder
    lists: dict[str, ImageList]
    classes: tuple[str, ...]


def check_source(name: str) -> None:
    """Refuse a source that does not exist.

    Raises:
        BadInput: lists those that do.
    """
    if name not in SOURCES:
        raise BadInput(f"there is no source {name!r}; the sources are {', '.join(SOURCES)}")


def fetch(
    name: str, destination: Path, given: Path | None = None, progress: OnStep = silent
) -> Source:
    """Bring the images of a source into `destination`, unless they are there already.

    Args:
        name: one of SOURCES.
        given: a folder or archive of the images; required for a user's own.

    Raises:
        BadInput: the source is unknown, or `given` is not what it needs.
        Incomplete: `given` is missing, or the download failed; says what to do.
    """
    check_source(name)
    if given is not None and not given.exists():
        raise Incomplete(f"there is no {given}; check what --from names")
    if not destination.is_dir():
        destination.parent.mkdir(parents=True, exist_ok=True)
        with atomic_folder(destination) as temporary:
            folder = ImagesFolder(temporary)
            found, classes = SOURCES[name](folder, given and given.absolute(), progress)
            for part in PARTS:
                found[part].check_files(folder.images(part))
                found[part].check_labels(len(classes))
                lists.write(found[part], folder.list(part))
            atomic_text(folder.classes, "".join(f"{each}\n" for each in classes))
    return read_source(destination)


def read_source(destination: Path) -> Source:
    """The images that `fetch` has brought into a folder.

    Raises:
        Incomplete: there are none.
    """
    folder = ImagesFolder(destination)
    if not folder.classes.is_file():
        raise Incomplete(
            f"{destination} holds no images with their lists; make it with caffe-transfer data "
            "fetch"
        )
    return Source(
        folder,
        {part: lists.read(folder.list(part)) for part in PARTS},
        tuple(folder.classes.read_text().splitlines()),
    )
