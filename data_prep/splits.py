"""Splits of the classes into two tasks A and B, and the lists of their images.

Paper section 4 and the authors' ilsvrc12/make_reduced_dataset.py: a class's new label is its
rank within its task, and the images keep their order.  A user's own tasks may have classes in
common, hold all of them, or have none, where a base is given instead of trained.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TypeAlias

import numpy as np

from caffe_transfer.data_prep import lists
from caffe_transfer.data_prep.lists import ImageList
from caffe_transfer.data_prep.names import canonical, shown
from caffe_transfer.errors import BadInput
from caffe_transfer.files import atomic_text
from caffe_transfer.paths import DataFolder
from caffe_transfer.reading import reading
from caffe_transfer.studies.network import MAX_SPLIT_SEED, NATMAN, Split, is_split
from caffe_transfer.studies.study import ALL

# ILSVRC2012 class indices of living things, plants, food and landscapes: the authors'
# half_nat_idx.txt.
NATURAL = frozenset([*range(398), *range(936, 959), 970, *range(972, 999)])

PARTS = ("train", "valid")
PART_WORDS = {"train": "training", "valid": "validation"}
# The classes of a task as a user gives them, by name or label; None where no images are needed.
Task: TypeAlias = Sequence[str] | None


@dataclass(frozen=True)
class Halves:
    """The old labels of task A and task B, in the order of their new labels.

    A task that needs no images has no classes.
    """

    a: tuple[int, ...]
    b: tuple[int, ...]

    @property
    def sides(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """The tasks that have images, with their letters."""
        both = ("A", self.a), ("B", self.b)
        return tuple((side, chosen) for side, chosen in both if chosen)


@cache
def ilsvrc12_synsets() -> tuple[str, ...]:
    """The 1000 classes of ILSVRC2012 as WordNet synsets such as n01440764, by label."""
    return tuple((files("caffe_transfer.data_prep") / "ilsvrc12_synsets.txt").read_text().split())


def _no_seed(key: object) -> BadInput:
    return BadInput(f"split {key} is not a seed from 0 to {MAX_SPLIT_SEED}; name another")


def random_halves(seed: int, class_count: int) -> Halves:
    """Two random halves of the classes; for 1000 classes, exactly the authors'.

    The authors' program seeded numpy with a list: [seed] gives other halves than seed.

    Raises:
        BadInput: fewer than two classes, or a seed that numpy does not take.
    """
    if not 0 <= seed <= MAX_SPLIT_SEED:
        raise _no_seed(seed)
    if class_count < 2:
        raise BadInput(f"{class_count} classes cannot be split into two tasks; 2 are needed")
    random = np.random.RandomState([seed])
    chosen = random.choice(np.arange(class_count), class_count // 2, replace=False)
    a = sorted(int(label) for label in chosen)
    return Halves(tuple(a), tuple(sorted(set(range(class_count)) - set(a))))


def natural_man_made(classes: Sequence[str]) -> Halves:
    """A natural, B man-made, as in the authors' files; their paper's text has them swapped.

    Raises:
        BadInput: a class is not an ILSVRC2012 synset, or all are of one kind.
    """
    index = {synset: label for label, synset in enumerate(ilsvrc12_synsets())}
    for name in classes:
        if name not in index:
            raise BadInput(
                f"class {name!r} is not one of the 1000 ILSVRC2012 synsets, so it is not known "
                "whether it is natural or man-made; use a random or a custom split"
            )
    natural = tuple(i for i, name in enumerate(classes) if index[name] in NATURAL)
    man_made = tuple(i for i, name in enumerate(classes) if index[name] not in NATURAL)
    if not natural or not man_made:
        raise BadInput("the classes are all natural or all man-made; use a random split")
    return Halves(natural, man_made)


def custom(a: Task, b: Task, classes: Sequence[str], *, overlap: bool = False) -> Halves:
    """Two tasks of chosen classes, each given by name or by label, or "all" of them.

    Args:
        a, b: None for a task without images.
        overlap: the tasks may have classes in common.

    Raises:
        BadInput: a class is unknown, named twice, or in both tasks without `overlap`, or a task is
            empty, or neither has images.
    """
    if a is None and b is None:
        raise BadInput("neither task has classes; give those of one")
    halves = Halves(_labels("A", a, classes), _labels("B", b, classes))
    both = set(halves.a) & set(halves.b)
    if both and not overlap:
        raise BadInput(
            f"class {classes[min(both)]} is in both tasks; leave it in one, or say that they may "
            "overlap"
        )
    return halves


def _labels(side: str, names: Task, classes: Sequence[str]) -> tuple[int, ...]:
    if names is None:
        return ()
    if names == ALL:
        return tuple(range(len(classes)))
    index = {str(label): label for label in range(len(classes))}
    index |= {canonical(name): label for label, name in enumerate(classes)}
    unknown = [name for name in names if canonical(name) not in index]
    if unknown:
        raise BadInput(
            f"task {side} names the class {', '.join(map(repr, unknown))}, which is not among the "
            f"{len(classes)} classes {', '.join(map(shown, classes[:5]))}, ..."
        )
    labels = sorted(index[canonical(name)] for name in names)
    if not labels or len(set(labels)) != len(labels):
        raise BadInput(f"task {side} has no classes, or one of them twice; correct its list")
    return tuple(labels)


def read_classes(path: Path) -> tuple[str, ...]:
    """Read a list of classes: names or labels, one a line.

    Raises:
        Incomplete: there is no such file.
        BadInput: it cannot be read as text, or is empty.
    """
    with reading(path, "a list of classes", "write one a line, in UTF-8"):
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    names = tuple(canonical(line.strip()) for line in lines if line.strip())
    if not names:
        raise BadInput(f"{path} lists no classes; write one a line")
    return names


def halves_of(
    split: Split,
    classes: Sequence[str],
    a: Task = None,
    b: Task = None,
    *,
    overlap: bool = False,
) -> Halves:
    """The tasks of a split of `classes`.

    Args:
        a, b, overlap: the tasks of a custom split, as for `custom`.

    Raises:
        BadInput: the classes cannot be split so.
    """
    if split.kind == "random":
        if not is_split(split.key):
            raise _no_seed(split.key)
        return random_halves(int(split.key), len(classes))
    if split.kind == NATMAN:
        return natural_man_made(classes)
    if not re.fullmatch("[a-z]+", split.key):
        raise BadInput(f"a custom split is named by letters a-z, not {split.key!r}")
    if a is None and b is None:
        raise BadInput(
            f"split {split.key!r} is neither a seed nor {NATMAN}; give its two class lists"
        )
    return custom(a, b, classes, overlap=overlap)


def write_split(
    split: Split,
    halves: Halves,
    images: dict[str, ImageList],
    classes: Sequence[str],
    data: DataFolder,
) -> None:
    """Write <task>_<part>/files.txt for the tasks with images, and the map of old to new labels.

    Args:
        images: "train" and "valid" lists over all classes.
        classes: the classes' names by old label, for the map.
    """
    rows = ["# task old_label new_label class\n"]
    for side, chosen in halves.sides:
        task = split.task(side)
        for part, whole in images.items():
            _write_if_changed(whole.relabel(chosen), data.list(f"{task}_{part}"))
        rows += [f"{task} {old} {new} {classes[old]}\n" for new, old in enumerate(chosen)]
    atomic_text(data.labels(f"half{split.key}"), "".join(rows))


def write_all(
    images: dict[str, ImageList],
    classes: Sequence[str],
    data: DataFolder,
    keys: Sequence[str] = (),
    chosen: tuple[str, str, str] | None = None,
    per_class: Sequence[int] = (),
) -> list[Path]:
    """Write the lists of all classes, of each split and of each reduced set.

    Args:
        keys: splits by seed or name.
        chosen: a custom split: its name, and the files that list the classes of A and of B.
        per_class: images of each class in the reduced sets.

    Returns:
        all lists that are in `data` now.

    Raises:
        BadInput: the classes cannot be split so.
    """
    write_whole(images, data)
    tasks: dict[str, tuple[Task, Task]] = dict.fromkeys(keys, (None, None))
    if chosen is not None:
        name, a, b = chosen
        tasks[name] = read_classes(Path(a)), read_classes(Path(b))
    for key, both in tasks.items():
        split = Split(key)
        write_split(split, halves_of(split, classes, *both), images, classes, data)
    for count in per_class:
        write_reduced(count, images["train"], data)
    return sorted(data.root.glob("*/files.txt"))


def write_whole(images: dict[str, ImageList], data: DataFolder) -> None:
    """Write the lists over all classes: whole_train/files.txt and whole_valid/files.txt."""
    for part, whole in images.items():
        _write_if_changed(whole, data.list(whole_of(part)))


def whole_of(part: str) -> str:
    """The name of the data set that holds all images of a part."""
    return f"whole_{part}"


def reduced_name(per_class: int) -> str:
    """The name of a reduced data set, such as reduced-0010."""
    return f"reduced-{per_class:04d}"


def write_reduced(per_class: int, train: ImageList, data: DataFolder) -> None:
    """Write reduced-<k>_train/files.txt: the first k images of each class.

    Raises:
        BadInput: k is below 1.
    """
    if per_class < 1:
        raise BadInput(f"a reduced set of {per_class} images a class is empty; give 1 or more")
    name = f"{reduced_name(per_class)}_train"
    _write_if_changed(train.first_of_each_class(per_class), data.list(name))


def _write_if_changed(images: ImageList, path: Path) -> None:
    # An unchanged list keeps its time stamp, so that make-like tools do not rebuild from it.
    if not path.is_file() or path.read_bytes() != images.content:
        lists.write(images, path)
