"""How many images the tasks of a new study have, and how they are tested."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from caffe_transfer.data_prep.left_out import all_problems
from caffe_transfer.data_prep.names import shown
from caffe_transfer.data_prep.splits import random_halves
from caffe_transfer.data_prep.survey import ClassCount, Survey
from caffe_transfer.errors import BadInput

SPLIT_SEED = 0  # of the two halves
FEWEST_OF_HALVES = 4  # classes, so that each half has two
FEWEST_OF_TASK = 2
# A validation set that is cut down to equal classes keeps at least this share of its images.
_KEPT = 0.5
_GOOD_BATCH = 16  # smaller ones waste time


@dataclass(frozen=True)
class Tasks:
    """The classes of the tasks that networks are trained on; the first is that of the results."""

    target: tuple[ClassCount, ...]
    other: tuple[ClassCount, ...] | None = None

    @property
    def target_training_images(self) -> int:
        """Training images of the target task."""
        return sum(each.train for each in self.target)

    @property
    def fewest_training_images(self) -> int:
        """Training images of the smaller task."""
        return min(sum(each.train for each in task) for task in self._all)

    def valid_counts(self, per_class: int | None) -> list[int]:
        """Validation images of each task with at most so many of each class."""
        return [sum(_limited(each.valid, per_class) for each in task) for task in self._all]

    @property
    def _all(self) -> list[tuple[ClassCount, ...]]:
        return [self.target] if self.other is None else [self.target, self.other]


@dataclass(frozen=True)
class Testing:
    """How often which images are tested.

    Attributes:
        images: that a test reads: all of the target task's.
        per_class: validation images of each class are cut down to so many; None for all.
        even: whether the other task's tests, too, read each of its images equally often.
    """

    test_batch: int
    test_iter: int
    per_class: int | None
    even: bool

    @property
    def images(self) -> int:
        return self.test_batch * self.test_iter


def tasks_of(found: Survey, given_base: bool) -> Tasks:
    """The tasks of a study: B of two random halves, and A; or all classes beside a given base.

    Raises:
        BadInput: the images cannot be used, or there are too few classes; names all problems.
    """
    problems = [*found.problems, *_emptied(found.classes)]
    if problems:
        raise all_problems(f"{shown(found.folder)} cannot be used", problems, "correct the folders")
    count = len(found.classes)
    if given_base:
        if count < FEWEST_OF_TASK:
            raise BadInput(_too_few(found, f"a study with --weights needs {FEWEST_OF_TASK}"))
        return Tasks(found.classes)
    if count < FEWEST_OF_HALVES:
        raise BadInput(
            _too_few(
                found,
                f"a study of two halves of the classes needs {FEWEST_OF_HALVES}, one with "
                f"--weights {FEWEST_OF_TASK}",
            )
        )
    halves = random_halves(SPLIT_SEED, count)
    a, b = (tuple(found.classes[label] for label in each) for _, each in halves.sides)
    return Tasks(target=b, other=a)


def _emptied(classes: Iterable[ClassCount]) -> list[str]:
    """Classes of which broken files leave nothing."""
    return [
        f"class {each.name} has no {part} image that can be used"
        for each in classes
        for part, count in (("training", each.train), ("validation", each.valid))
        if not count
    ]


def _too_few(found: Survey, needed: str) -> str:
    count = len(found.classes)
    names = ", ".join(each.name for each in found.classes)
    word = "class" if count == 1 else "classes"
    return f"{shown(found.folder)} has {count} {word}, {names}; {needed}; add folders, one a class"


def whole_tests(tasks: Tasks, largest_batch: int) -> Testing:
    """A test that reads every validation image of the target task exactly once.

    Where that cannot be, validation sets are cut down to the same number of images a class: as
    many as leave a number with a divisor that can be a batch, and both halves alike.
    """
    whole = tasks.valid_counts(None)[0]
    for smallest_batch in (_GOOD_BATCH, 2, 1):
        found = list(_testings(tasks, smallest_batch, largest_batch))
        if found:
            even = found[-1]
            return even if even.even and even.images >= _KEPT * whole else found[0]
    raise AssertionError("a batch of one image divides every number")


def _testings(tasks: Tasks, smallest_batch: int, largest_batch: int) -> Iterator[Testing]:
    """Ways to test, those with most images first, up to one that is even for both tasks."""
    most = max(each.valid for each in tasks.target)
    for limit in range(most, 0, -1):
        per_class = None if limit == most else limit
        counts = tasks.valid_counts(per_class)
        batch = _largest_divisor(counts[0], largest_batch)
        if batch >= min(smallest_batch, counts[0], largest_batch):
            even = all(counts[0] % count == 0 for count in counts)
            yield Testing(batch, counts[0] // batch, per_class, even)
            if even:
                return


def _largest_divisor(count: int, most: int) -> int:
    return max(each for each in range(1, min(count, most) + 1) if count % each == 0)


def _limited(count: int, most: int | None) -> int:
    return count if most is None else min(count, most)
