"""Which images of ILSVRC2012 a folder or a tar holds, under the names that Caffe's lists have.

An image's class is the folder or the tar WNID that it lies in, or else, for training, what its own
name begins with, as n01440764_10026.JPEG does.  No image is opened.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from caffe_transfer.data_prep import tars
from caffe_transfer.data_prep.folders import (
    entries_of,
    fault_of,
    files_below,
    is_folder,
    is_image_name,
    is_system_file,
)
from caffe_transfer.data_prep.image_index import Draft, Holder, holder_of_tar
from caffe_transfer.data_prep.left_out import Fault, LeftOut
from caffe_transfer.data_prep.names import shown
from caffe_transfer.data_prep.progress import OnStep, paced, silent
from caffe_transfer.data_prep.splits import ilsvrc12_synsets
from caffe_transfer.errors import BadInput, FormatError

UNKNOWN = -1  # the label of a validation image that lies in no folder of a class
_LABELS = {synset: label for label, synset in enumerate(ilsvrc12_synsets())}
_SYNSET = re.compile(r"n\d{8}")
_JPEG_ENDINGS = {".jpg", ".jpeg"}
_CLASS_ENDING = ".cls"
_NOTES = {_CLASS_ENDING, ".json", ".txt"}  # what WebDataset's shards hold beside each image


@dataclass
class Scan:
    """The images of one part, "train" or "valid".

    Attributes:
        root: the folder or tar that holds them.
        draft: their names and places.
        labels: one for each name of the draft, or UNKNOWN.
        is_plain: every image is a file of its name below the root.
        strange: folders of images, or images in none, that are of no class; relative to the root.
        left_out: files that are no images by their names, with their full paths.
        faults: what is wrong with tars.
        class_files: the files KEY.cls of shards by key, with the row of their tar.
    """

    root: Path
    part: str
    draft: Draft = field(default_factory=Draft)
    labels: list[int] = field(default_factory=list)
    is_plain: bool = True
    strange: set[str] = field(default_factory=set)
    left_out: list[LeftOut] = field(default_factory=list)
    faults: list[FormatError] = field(default_factory=list)
    class_files: dict[str, tuple[int, tars.Member]] = field(default_factory=dict)


def scan(root: Path, part: str, progress: OnStep) -> Scan:
    """Find the images of a part in a folder, in tars in a folder, or in a tar.

    Raises:
        BadInput: something cannot be read.
    """
    found = Scan(root, part)
    try:
        if root.is_dir():
            _scan_folder(found, progress)
        else:
            _scan_tar(found, "", progress)
    except OSError as error:
        raise BadInput(
            f"{shown(error.filename)} cannot be read: {error.strerror}; name another folder"
        ) from error
    return found


def _scan_folder(found: Scan, progress: OnStep) -> None:
    within, folder = [], None
    for entry in _files(found.root, paced(progress)):
        path = entry.path.removeprefix(f"{found.root}{os.sep}")
        if path.endswith(tars.ENDING):
            within.append(path)
        elif fault := fault_of(entry, path):
            found.left_out.append(LeftOut(entry.path, fault))
        else:
            if folder != (folder := os.path.dirname(path)):
                found.draft.holders.append(Holder(folder))
            _add(found, path)
    for number, path in enumerate(within, 1):
        _scan_tar(found, path, silent)
        progress(f"reading tars in {shown(found.root)}", number, len(within))


def _files(root: Path, progress: OnStep) -> Iterator[os.DirEntry[str]]:
    """All files below a folder; told of what lies in the folder itself."""
    status, entries = os.stat(root), entries_of(root)
    for number, entry in enumerate(entries, 1):
        if is_folder(entry):
            yield from files_below(entry.path, frozenset([(status.st_dev, status.st_ino)]))
        else:
            yield entry
        progress(f"looking through {shown(root)}", number, len(entries))


def _scan_tar(found: Scan, tar: str, progress: OnStep) -> None:
    """Look through a tar, whose path is relative to the root: "" for the root itself."""
    found.is_plain = False
    found.draft.holders.append(holder_of_tar(found.root, tar))
    folder = tar.removesuffix(tars.ENDING)
    try:
        for member in tars.members(found.root / tar, progress):
            stem, ending = os.path.splitext(os.path.join(folder, member.name))
            base = os.path.basename(member.name)
            if is_system_file(base):
                continue
            if ending == _CLASS_ENDING:
                row = len(found.draft.holders) - 1
                found.class_files[os.path.basename(stem)] = row, member
            elif fault := _fault_of(member.name):
                found.left_out.append(LeftOut(os.path.join(found.root, tar, member.name), fault))
            elif ending not in _NOTES:
                # Shards have the publisher's names in another case of letters.
                jpeg = ".JPEG" if ending.lower() in _JPEG_ENDINGS else ending
                _add(found, stem + jpeg, member)
    except FormatError as error:
        found.faults.append(error)


def _fault_of(name: str) -> Fault | None:
    """Why a file in a tar is not listed."""
    if not is_image_name(name) and os.path.splitext(name)[1] not in _NOTES:
        return Fault.OTHER_ENDING
    return Fault.LINE_BREAK if "\n" in os.path.basename(name) else None


def _add(found: Scan, path: str, member: tars.Member | None = None) -> None:
    """Add an image of the last holder; a file of its own where it is no member of a tar."""
    name, label = _name_and_label(path, found.part)
    if name is None:
        found.strange.add(os.path.dirname(path) or path)
        return
    found.is_plain &= name == path
    found.labels.append(label)
    if member is None:
        found.draft.add(name)
    else:
        found.draft.add(name, member.offset, member.size)


def _name_and_label(path: str, part: str) -> tuple[str | None, int]:
    """The name in a list: WNID/FILE for training, FILE for validation; None where it has no class.

    Args:
        path: tars in it count as folders.
    """
    folder, base = os.path.split(path)
    synset = os.path.basename(folder)
    if not _SYNSET.fullmatch(synset):
        if part == "valid":
            return base, UNKNOWN
        synset = base.partition("_")[0]
    label = _LABELS.get(synset)
    if label is None:
        return None, UNKNOWN
    return (f"{synset}/{base}" if part == "train" else base), label


def twice(found: Scan) -> str | None:
    """A sentence on the images that are there more than once; None if there are none."""
    if len(set(found.draft.names)) == len(found.draft.names):
        return None
    first: dict[str, int] = {}
    again = [
        (name, row)
        for row, name in enumerate(found.draft.names)
        if first.setdefault(name, row) != row
    ]
    name, row = again[0]
    holder_of = found.draft.places["holder"]
    one, other = (
        shown(found.root / found.draft.holders[holder_of[each]].path) for each in (first[name], row)
    )
    count = "1 image is" if len(again) == 1 else f"{len(again)} images are"
    return f"{count} there twice, first {shown(name)}: in {one} and in {other}"


def label_by_class_files(found: Scan) -> None:
    """Label images of shards by the class's number in the file beside each.

    Raises:
        FormatError: one does not hold a class's number.
    """
    for row, name in enumerate(found.draft.names):
        if found.labels[row] == UNKNOWN and (key := os.path.splitext(name)[0]) in found.class_files:
            holder, member = found.class_files[key]
            found.labels[row] = _class_in(found.root / found.draft.holders[holder].path, member)


def _class_in(tar: Path, member: tars.Member) -> int:
    try:
        with tar.open("rb") as file:
            text = os.pread(file.fileno(), min(member.size, 20), member.offset).strip()
    except OSError as error:
        raise BadInput(f"{shown(tar)} cannot be read: {error.strerror}") from error
    if not re.fullmatch(rb"[0-9]{1,9}", text) or int(text) >= len(_LABELS):
        raise FormatError(
            f"{shown(tar)}: {shown(member.name)} holds no class's number from 0 to "
            f"{len(_LABELS) - 1}; make the shards anew"
        )
    return int(text)
