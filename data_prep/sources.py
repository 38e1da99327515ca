"""Sources of images.  Each is brought into a folder of the same layout, whole or not at all:

train/  valid/         the images, or links to the user's own folders and tars
*.index.npz            where images lie that are no files of their names; where there are any
train.txt  valid.txt   "path label" lines, paths relative to train/ and valid/
classes.txt            the classes' names, by label
left_out.txt           files of the user's that are not listed, and why; where there are any
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from caffe_transfer.data_prep import fashion_mnist, ilsvrc12, lists, tiny_imagenet, user_images
from caffe_transfer.data_prep.lists import ImageList
from caffe_transfer.data_prep.progress import OnStep, silent
from caffe_transfer.data_prep.splits import PARTS
from caffe_transfer.data_prep.stores import check_names, open_store
from caffe_transfer.errors import BadInput, Incomplete
from caffe_transfer.files import atomic_folder, atomic_text, writing
from caffe_transfer.paths import ImagesFolder
from caffe_transfer.reading import reading, refuse_endless

FOLDER = "folder"  # the one source whose images may have to be divided
FETCHED = ("fashion-mnist", "tiny-imagenet")  # the others' images are the user's own
# A source fills a new folder's train/ and valid/ and returns its lists and its classes.
Filler = Callable[[ImagesFolder, Path | None, OnStep], tuple[dict[str, ImageList], list[str]]]
SOURCES: dict[str, Filler] = {
    "fashion-mnist": fashion_mnist.fill,
    "tiny-imagenet": tiny_imagenet.fill,
    "ilsvrc12": ilsvrc12.fill,
    FOLDER: user_images.fill_folder,
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


def check_given(name: str, given: Path | None) -> None:
    """Refuse a folder or archive of images that is missing.

    Args:
        name: one of SOURCES.

    Raises:
        Incomplete: it does not exist, or is needed and not named.
    """
    if given is None and name not in FETCHED:
        raise Incomplete(
            f"the images of source {name} are your own: name their folder with --from or "
            "images.path"
        )
    if given is not None and not given.exists():
        raise Incomplete(f"there is no {given}; check what --from or images.path names")


def fetch(
    name: str,
    destination: Path,
    given: Path | None = None,
    progress: OnStep = silent,
    *,
    valid_fraction: float | None = None,
) -> Source:
    """Bring the images of a source into `destination`, unless they are there already.

    Args:
        name: one of SOURCES.
        given: a folder or archive of the images; required for a user's own.
        valid_fraction: share of each class for validation; for a folder that is not divided.

    Raises:
        BadInput: the source is unknown, `given` is not what it needs, or the source is divided
            already.
        Incomplete: `given` is missing, or the download failed; says what to do.
    """
    filler = _filler(name, valid_fraction)
    if not destination.is_dir():
        if given is not None:  # or else the source says what it needs
            refuse_endless(given)
            check_given(name, given)
        # A folder's images have just been seen, all of them.
        _bring(filler, destination, given and given.absolute(), progress, check=name != FOLDER)
    return read_source(destination)


def _bring(
    filler: Filler, destination: Path, given: Path | None, progress: OnStep, *, check: bool
) -> None:
    """Fill a new folder; `check` that the images that its lists name are there."""
    with writing(destination):
        destination.parent.mkdir(parents=True, exist_ok=True)
    with atomic_folder(destination) as temporary:
        folder = ImagesFolder(temporary)
        found, classes = filler(folder, given, progress)
        for part in PARTS:
            if check:
                root = folder.images(part)
                with open_store(root) as store:
                    check_names(store, found[part].paths, root.resolve(), progress)
            found[part].check_labels(len(classes))
            lists.write(found[part], folder.list(part))
        atomic_text(folder.classes, "".join(f"{each}\n" for each in classes))


def _filler(name: str, valid_fraction: float | None) -> Filler:
    check_source(name)
    if valid_fraction is None:
        return SOURCES[name]
    if name != FOLDER:
        raise BadInput(f"source {name} has validation images of its own; leave valid_fraction out")
    return partial(user_images.fill_folder, valid_fraction=valid_fraction)


def read_source(destination: Path) -> Source:
    """The images that `fetch` has brought into a folder.

    Raises:
        Incomplete: there are none.
        FormatError: one of its lists is damaged.
    """
    folder = ImagesFolder(destination)
    if not folder.classes.is_file():
        raise Incomplete(
            f"{destination} holds no images with their lists; make it with caffe-transfer data "
            "fetch"
        )
    with reading(folder.classes, "a list of classes", f"remove {destination} to fetch it anew"):
        text = folder.classes.read_text(encoding="utf-8")
    return Source(
        folder,
        {part: lists.read(folder.list(part)) for part in PARTS},
        tuple(text.removesuffix("\n").split("\n")),
    )
