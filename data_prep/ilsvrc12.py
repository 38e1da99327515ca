"""ILSVRC2012 as people have it, which stays where it is: nothing is unpacked or copied.

The folder that --from names holds, each in any of its forms:

=========== ============================================================================
training    train/ or ILSVRC2012_img_train/ of folders WNID/, of tars WNID.tar or of shards;
            ILSVRC2012_img_train.tar, the publisher's tar of 1000 tars; train.tar
validation  val/, valid/ or ILSVRC2012_img_val/ of 50,000 files, of folders WNID/ (PyTorch), of
            tars or of shards; ILSVRC2012_img_val.tar; val.tar or valid.tar
Kaggle      the same two as ILSVRC/Data/CLS-LOC/train and val
lists       Caffe's train.txt, val.txt or valid.txt; where one is there, it decides
labels      of validation images in no folder of a class: val.txt, or else the .cls files of
            shards, ILSVRC2012_devkit_t12 (.tar.gz, unpacked, or its two files
            ILSVRC2012_validation_ground_truth.txt and meta.mat), or LOC_val_solution.csv
=========== ============================================================================

Shards are WebDataset's tars of KEY.jpg and KEY.cls, where a KEY is an image's name in ImageNet.

Whatever the form, the lists are the same: WNID/FILE in the order of the names as strings, as in
Caffe's train.txt, where n01440764_1009.JPEG stands before n01440764_10095.JPEG; and the
validation images by number, as in Caffe's val.txt.  A training set may lack images; a class without
any is an error, and so is another number of validation images than 50,000, unless a list decides.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from caffe_transfer.data_prep import lists
from caffe_transfer.data_prep.folders import PART_NAMES
from caffe_transfer.data_prep.ilsvrc12_scan import UNKNOWN, Scan, label_by_class_files, scan, twice
from caffe_transfer.data_prep.ilsvrc12_truth import DEVKIT, KAGGLE, published_labels, valid_name
from caffe_transfer.data_prep.left_out import LeftOut, all_problems, write_left_out
from caffe_transfer.data_prep.lists import ImageList
from caffe_transfer.data_prep.names import shown
from caffe_transfer.data_prep.progress import OnStep
from caffe_transfer.data_prep.splits import PART_WORDS, ilsvrc12_synsets
from caffe_transfer.data_prep.stores import open_store
from caffe_transfer.data_prep.tars import ENDING
from caffe_transfer.data_prep.user_images import LISTS, Found, first_of, needed_folder
from caffe_transfer.errors import Incomplete
from caffe_transfer.paths import ImagesFolder, image_index

VALID_COUNT = 50_000
_PUBLISHED = {"train": "ILSVRC2012_img_train", "valid": "ILSVRC2012_img_val"}
_KAGGLE = {"train": "ILSVRC/Data/CLS-LOC/train", "valid": "ILSVRC/Data/CLS-LOC/val"}


def fill(folder: ImagesFolder, given: Path | None, progress: OnStep) -> Found:
    """Bring ILSVRC2012 into a source's folder: links, an index where one is needed, and lists.

    Raises:
        Incomplete: `given` is None, one of the parts is missing, or the labels of the validation
            images are.
        FormatError: a tar or a list of labels is damaged.
        BadInput: the images cannot be used; names all problems.
    """
    root = needed_folder(given, "a folder with ILSVRC2012's images, in a form of docs/imagenet.md")
    places = {part: first_of(root, _forms(part)) for part in PART_NAMES}
    found: dict[str, ImageList] = {}
    problems: list[str] = []
    left_out: list[LeftOut] = []
    # Validation images first: they are few, and what their labels lack shows soon.
    for part in ("valid", "train"):
        folder.images(part).symlink_to(places[part])
        listed = _listed(root, part)
        if listed is not None and _are_there(listed, places[part]):
            found[part] = listed
            continue
        scanned = scan(places[part], part, progress)
        _raise_faults(root, scanned)
        again = twice(scanned)
        problems += [again] if again else []
        if listed is None:
            problems += _labelled(root, scanned)
            left_out += scanned.left_out
        found[part] = listed if listed is not None else _image_list(scanned)
        progress(f"listing {part} images", len(found[part]), len(found[part]))
        if not problems and not scanned.is_plain:
            scanned.draft.index().write(image_index(folder.images(part)))
    if problems:
        raise all_problems(f"{shown(root)} cannot be used", problems, "correct the images")
    write_left_out(left_out, folder.left_out)
    return found, list(ilsvrc12_synsets())


def _forms(part: str) -> tuple[str, ...]:
    """The paths under which a part's images may lie."""
    names = (*PART_NAMES[part], _PUBLISHED[part])
    return (*names, *(f"{name}{ENDING}" for name in names), _KAGGLE[part])


def _listed(root: Path, part: str) -> ImageList | None:
    path = next((root / name for name in LISTS[part] if (root / name).exists()), None)
    return None if path is None else lists.read(path)


def _are_there(listed: ImageList, place: Path) -> bool:
    """Whether the images are files of their names in a folder."""
    if not place.is_dir():
        return False
    with open_store(place) as store:
        return not store.missing(listed.paths)


def _raise_faults(root: Path, scanned: Scan) -> None:
    """Tell of damaged tars alone: what else is missing may be their fault."""
    if len(scanned.faults) == 1:
        raise scanned.faults[0]
    if scanned.faults:
        raise all_problems(
            f"{shown(root)} cannot be used",
            [str(fault) for fault in scanned.faults],
            "mend all of them",
        )


def _labelled(root: Path, scanned: Scan) -> list[str]:
    """Label what has no label yet; the problems of a part that no list describes."""
    problems = [
        f"{shown(scanned.root / name)} is of none of the {len(ilsvrc12_synsets())} classes"
        for name in sorted(scanned.strange)
    ]
    if not scanned.draft.names:
        return [*problems, f"{shown(scanned.root)} holds no images of ILSVRC2012"]
    if scanned.part == "valid":
        return [*problems, *_label_valid(root, scanned)]
    return [*problems, *_empty_classes(scanned)]


def _label_valid(root: Path, scanned: Scan) -> Iterator[str]:
    yield from _wrong_names(scanned)
    label_by_class_files(scanned)
    if UNKNOWN not in scanned.labels:
        return
    published = published_labels(root)
    if published is None:
        raise Incomplete(
            f"the labels of the images in {shown(scanned.root)} are not known; put "
            f"{DEVKIT}.tar.gz, Kaggle's {KAGGLE} or Caffe's val.txt into {shown(root)}"
        )
    without = [
        name
        for name, label in zip(scanned.draft.names, scanned.labels, strict=True)
        if label == UNKNOWN and name not in published
    ]
    scanned.labels[:] = _filled(scanned, published)
    if without:
        yield f"{len(without)} validation images have no label, first {shown(min(without))}"


def _filled(scanned: Scan, published: Mapping[str, int]) -> Iterator[int]:
    for name, label in zip(scanned.draft.names, scanned.labels, strict=True):
        yield published.get(name, UNKNOWN) if label == UNKNOWN else label


def _wrong_names(scanned: Scan) -> Iterator[str]:
    """What is missing of the validation images, and what is none of them."""
    expected = {valid_name(number) for number in range(1, VALID_COUNT + 1)}
    there = set(scanned.draft.names)
    if missing := expected - there:
        yield (
            f"{shown(scanned.root)} lacks {len(missing)} of the {VALID_COUNT} validation images, "
            f"first {min(missing)} (a val.txt without them makes do with the others)"
        )
    if others := there - expected:
        count = "1 image" if len(others) == 1 else f"{len(others)} images"
        yield (
            f"{shown(scanned.root)} has {count} named otherwise than ILSVRC2012's, first "
            f"{shown(min(others))}"
        )


def _empty_classes(scanned: Scan) -> Iterator[str]:
    there = set(scanned.labels)
    for label, synset in enumerate(ilsvrc12_synsets()):
        if label not in there:
            yield f"class {synset} has no {PART_WORDS[scanned.part]} images"


def _image_list(scanned: Scan) -> ImageList:
    """Sorted by name: those of training begin with synsets, whose order is that of the labels."""
    names, labels = scanned.draft.names, scanned.labels
    order = sorted(range(len(names)), key=names.__getitem__)
    return ImageList(tuple(names[row] for row in order), tuple(labels[row] for row in order))
