"""The user's own images.  They stay where they are: the source's folder links to them."""

from pathlib import Path

from caffe_transfer.data_prep import lists
from caffe_transfer.data_prep.lists import ImageList
from caffe_transfer.data_prep.progress import OnStep
from caffe_transfer.data_prep.splits import PARTS, ilsvrc12_synsets, read_classes
from caffe_transfer.errors import BadInput, Incomplete
from caffe_transfer.paths import ImagesFolder

IMAGE_ENDINGS = {".jpeg", ".jpg", ".png", ".bmp", ".ppm", ".pgm", ".tif", ".tiff", ".webp"}
_FOLDERS = {"train": ("train",), "valid": ("valid", "val")}
_LISTS = {"train": ("train.txt",), "valid": ("valid.txt", "val.txt")}
Found = tuple[dict[str, ImageList], list[str]]


def fill_ilsvrc12(folder: ImagesFolder, given: Path | None, progress: OnStep) -> Found:
    """ILSVRC2012: folders train/ and val/ with Caffe's lists train.txt and val.txt beside them.

    Raises:
        Incomplete: `given` is None, or one of them is missing.
    """
    root = _needed(given, "a folder with train/, val/, train.txt and val.txt")
    found = _link_and_read(folder, root, {part: _first(root, _FOLDERS[part]) for part in PARTS})
    return found, list(ilsvrc12_synsets())


def fill_list(folder: ImagesFolder, given: Path | None, progress: OnStep) -> Found:
    """Lists train.txt and valid.txt of "path label" lines, paths relative to their folder.

    classes.txt, if there, names the classes, one a line; otherwise labels are the names.

    Raises:
        Incomplete: `given` is None, or a list is missing.
    """
    root = _needed(given, "a folder with train.txt and valid.txt")
    found = _link_and_read(folder, root, dict.fromkeys(PARTS, root))
    names = root / folder.classes.name
    count = max(images.class_count for images in found.values())
    return found, list(read_classes(names)) if names.is_file() else list(map(str, range(count)))


def fill_folder(folder: ImagesFolder, given: Path | None, progress: OnStep) -> Found:
    """One folder a class: train/CLASS/* and valid/CLASS/*, classes sorted by name.

    Raises:
        Incomplete: `given` is None, or one of the two is missing.
        BadInput: there are no images, or valid/ has a class that train/ lacks.
    """
    root = _needed(given, "a folder with train/CLASS/ and valid/CLASS/")
    folders = {part: _first(root, _FOLDERS[part]) for part in PARTS}
    classes = sorted(each.name for each in folders["train"].iterdir() if each.is_dir())
    found = {}
    for part, images in folders.items():
        folder.images(part).symlink_to(images)
        found[part] = _images_by_class(images, classes)
        progress(f"listing {part} images", len(found[part]), len(found[part]))
    return found, classes


def _images_by_class(root: Path, classes: list[str]) -> ImageList:
    label = {name: index for index, name in enumerate(classes)}
    rows: list[tuple[int, str]] = []
    for each in sorted(root.iterdir()):
        if not each.is_dir():
            continue
        if each.name not in label:
            raise BadInput(f"{each} is a class without training images; add or remove it")
        names = (f"{each.name}/{image.name}" for image in each.iterdir()
                 if image.suffix.lower() in IMAGE_ENDINGS)  # fmt: skip
        rows += [(label[each.name], name) for name in sorted(names)]
    if not rows:
        raise BadInput(f"{root} holds no images in folders, one a class")
    return ImageList(tuple(name for _, name in rows), tuple(index for index, _ in rows))


def _link_and_read(
    folder: ImagesFolder, root: Path, images: dict[str, Path]
) -> dict[str, ImageList]:
    found = {}
    for part in PARTS:
        folder.images(part).symlink_to(images[part])
        found[part] = lists.read(_first(root, _LISTS[part]))
    return found


def _needed(given: Path | None, what: str) -> Path:
    if given is None:
        raise Incomplete(f"the images are your own: name them with --from, {what}")
    if not given.is_dir():
        raise BadInput(f"{given} is not {what}")
    return given


def _first(root: Path, names: tuple[str, ...]) -> Path:
    for name in names:
        if (root / name).exists():
            return root / name
    raise Incomplete(f"{root} lacks {' or '.join(names)}; add it")
