"""The user's own images.  They stay where they are: the source's folder links to them."""

from pathlib import Path

from caffe_transfer.data_prep import lists
from caffe_transfer.data_prep.left_out import all_problems, write_left_out
from caffe_transfer.data_prep.listings import forget_listings, listing_of
from caffe_transfer.data_prep.lists import ImageList
from caffe_transfer.data_prep.names import shown
from caffe_transfer.data_prep.progress import OnStep
from caffe_transfer.data_prep.splits import PARTS, read_classes
from caffe_transfer.errors import BadInput, Incomplete
from caffe_transfer.paths import ImagesFolder

_MOST_CLASSES = 1_000_000
LISTS = {"train": ("train.txt",), "valid": ("valid.txt", "val.txt")}
Found = tuple[dict[str, ImageList], list[str]]


def fill_list(folder: ImagesFolder, given: Path | None, progress: OnStep) -> Found:
    """Lists train.txt and valid.txt of "path label" lines, paths relative to their folder.

    classes.txt, if there, names the classes, one a line; otherwise labels are the names.

    Raises:
        Incomplete: `given` is None, or a list is missing.
        BadInput: a label is far too large.
    """
    root = needed_folder(given, "a folder with train.txt and valid.txt")
    found = _link_and_read(folder, root, dict.fromkeys(PARTS, root))
    names = root / folder.classes.name
    if names.is_file():
        return found, list(read_classes(names))
    count = max(images.class_count for images in found.values())
    if count > _MOST_CLASSES:
        raise BadInput(
            f"a list in {shown(root)} has the label {count - 1}; number the classes from 0, up to "
            f"{_MOST_CLASSES:,} of them"
        )
    return found, list(map(str, range(count)))


def fill_folder(
    folder: ImagesFolder,
    given: Path | None,
    progress: OnStep,
    *,
    valid_fraction: float | None = None,
) -> Found:
    """One folder a class: train/CLASS/ and valid/CLASS/, or CLASS/ alone; see folders.py.

    Args:
        valid_fraction: share of each class for validation, where the folder is not divided.

    Raises:
        Incomplete: `given` is None, or one of train/ and valid/ is missing.
        BadInput: the images cannot be used; names all problems.
    """
    root = needed_folder(given, "a folder with train/CLASS/ and valid/CLASS/, or with CLASS/ alone")
    found = listing_of(root, valid_fraction)
    forget_listings()
    if found.problems:
        raise all_problems(f"{shown(root)} cannot be used", found.problems, "correct the folders")
    for part, images in found.roots.items():
        folder.images(part).symlink_to(images)
        progress(f"listing {part} images", len(found.lists[part]), len(found.lists[part]))
    write_left_out(found.left_out, folder.left_out)
    return dict(found.lists), list(found.classes)


def _link_and_read(
    folder: ImagesFolder, root: Path, images: dict[str, Path]
) -> dict[str, ImageList]:
    found = {}
    for part in PARTS:
        folder.images(part).symlink_to(images[part])
        found[part] = lists.read(first_of(root, LISTS[part]))
    return found


def needed_folder(given: Path | None, what: str) -> Path:
    """The folder that the user gave.

    Raises:
        Incomplete: none was given.
        BadInput: it is none.
    """
    if given is None:
        raise Incomplete(f"the images are your own: name them with --from, {what}")
    if not given.is_dir():
        raise BadInput(f"{given} is not {what}")
    return given


def first_of(root: Path, names: tuple[str, ...]) -> Path:
    """The first of the names that is there.

    Raises:
        Incomplete: none is.
    """
    for name in names:
        if (root / name).exists():
            return root / name
    raise Incomplete(f"{root} lacks {' or '.join(names)}; add it")
