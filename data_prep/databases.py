"""The databases and views of a study's data sets, and what they had to leave out."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

from caffe_transfer import paths
from caffe_transfer.data_prep import lists, lmdbs, splits
from caffe_transfer.data_prep.conversion import CONVERTING
from caffe_transfer.data_prep.copies import write_copy
from caffe_transfer.data_prep.left_out import (
    LeftOut,
    all_problems,
    read_left_out,
    reasons,
    summary,
)
from caffe_transfer.data_prep.lists import ImageList
from caffe_transfer.data_prep.order import record_order
from caffe_transfer.data_prep.plan import Plan, data_sets, part_of
from caffe_transfer.data_prep.progress import OnStep, named
from caffe_transfer.data_prep.sources import Source
from caffe_transfer.data_prep.splits import Halves, whole_of
from caffe_transfer.data_prep.stores import own_paths
from caffe_transfer.data_prep.views import Base, make_room
from caffe_transfer.errors import Incomplete
from caffe_transfer.formats.lmdb import open_records
from caffe_transfer.formats.views import is_view
from caffe_transfer.paths import DataFolder
from caffe_transfer.studies.network import Split
from caffe_transfer.studies.study import Images, Study

# Caffe reads a database in key order and never shuffles: training records are written in a
# random order.  This seed decides that of the whole training set, whose parts follow it.
SHUFFLE_SEED = 1


def is_made(name: str, images: Images, data: DataFolder) -> bool:
    """Whether the database is there, or a view in its place.

    Raises:
        BadInput: it was made of something else; FormatError: it is a view of what is another
            database now.
    """
    path = data.lmdb(name)
    if not path.is_dir():
        return False
    lmdbs.check_made_of(
        path,
        data.list(name),
        size=images.size,
        gray=images.gray,
        shuffle=_shuffle(name),
        whole=data.list(whole_of("train")) if part_of(name) == "train" else None,
    )
    if is_view(path):
        try:
            with open_records(path):
                pass
        except Incomplete:  # without its database, a view is made as quickly as it is removed
            return False
    return True


def write_databases(
    plans: Sequence[Plan],
    study: Study,
    source: Source,
    halves: Mapping[str, Halves],
    data: DataFolder,
    summed: Collection[str],
    progress: OnStep,
) -> None:
    """Write databases and views; classes of which no image can be used are named all at once.

    Args:
        summed: those whose images are summed for the mean.
    """
    makers = _Makers(study, source, data, summed, progress)
    for step in (makers.convert, makers.take):
        problems: dict[str, None] = {}
        for plan in plans:
            for name, make in step(plan):
                try:
                    make()
                except lmdbs.EmptyClasses as error:
                    problems |= dict.fromkeys(_without_images(error, name, source, halves))
        if problems:
            raise all_problems(
                f"the images of study {study.name!r} are not enough",
                list(problems),
                "mend these, or add others and name another --out",
            )


def _without_images(
    error: lmdbs.EmptyClasses, name: str, source: Source, halves: Mapping[str, Halves]
) -> Iterator[str]:
    """A sentence for each class of a data set of which no image can be used."""
    classes = _classes_of(name, source, halves)
    for label, files in error.left_out.items():
        part = splits.PART_WORDS[part_of(name)]
        what = f"class {classes[label]} has no {part} image that can be used"
        yield f"{what}: {reasons(_real(files, name, source))}"


def replace_views(names: Collection[str], data: DataFolder, progress: OnStep) -> None:
    """Put databases in the places of views, for an engine that knows no views."""
    for name in names:
        if is_view(path := data.lmdb(name)):
            write_copy(path, path, _named(name, progress))


def _classes_of(name: str, source: Source, halves: Mapping[str, Halves]) -> Sequence[str]:
    """The names of a data set's classes, by their labels in it."""
    for key, both in halves.items():
        for side, chosen in both.sides:
            if name.startswith(f"{Split(key).task(side)}_"):
                return [source.classes[label] for label in chosen]
    return source.classes


@dataclass(frozen=True)
class _Makers:
    """What makes the data sets of a plan, one after the other."""

    study: Study
    source: Source
    data: DataFolder
    summed: Collection[str]
    progress: OnStep

    def convert(self, plan: Plan) -> Iterator[tuple[str, Callable[[], object]]]:
        """Those that are made from images, by name."""
        for name in plan.converted:
            yield name, partial(self._convert, name)

    def take(self, plan: Plan) -> Iterator[tuple[str, Callable[[], object]]]:
        """Those that are taken from the database of another."""
        if plan.base is None:
            return
        images = lists.read(self.data.list(plan.base))
        order = record_order(images, _shuffle(plan.base), self._whole(plan.base))
        base = Base(self.data.lmdb(plan.base), images, order)
        for name in plan.taken:
            yield name, partial(self._take, name, base)

    def _convert(self, name: str) -> None:
        make_room(self.data.lmdb(name))
        images = self.study.images
        lmdbs.write_lmdb(
            lists.read(self.data.list(name)),
            self.source.folder.images(part_of(name)),
            self.data.lmdb(name),
            size=images.size,
            gray=images.gray,
            shuffle=_shuffle(name),
            whole=self._whole(name),
            # Others may be taken from it without the classes that have no images.
            keep_classes=name in data_sets(self.study),
            summed=name in self.summed,
            progress=_named(name, self.progress),
        )

    def _take(self, name: str, base: Base) -> None:
        images = lists.read(self.data.list(name))
        settings = self.study.images
        job = lmdbs.job_of(
            images, settings.size, settings.gray, _shuffle(name), self._whole(name)
        )  # fmt: skip
        base.take(images, self.data.lmdb(name), job)

    def _whole(self, name: str) -> ImageList | None:
        """The list whose order a training set follows."""
        return self._whole_train if part_of(name) == "train" else None

    @cached_property
    def _whole_train(self) -> ImageList:
        return lists.read(self.data.list(whole_of("train")))


def _named(name: str, progress: OnStep) -> OnStep:
    """Progress in a data set's database, under its name."""

    of_database = named(name, progress)

    def told(step: str, done: int, total: int) -> None:
        if step == CONVERTING:
            progress(name, done, total)
        else:
            of_database(step, done, total)

    return told


def _real(files: Sequence[LeftOut], name: str, source: Source) -> list[LeftOut]:
    """The same files of a data set with their full paths, in the user's own folder."""
    places = own_paths(source.folder.images(part_of(name)), [each.path for each in files])
    return [LeftOut(path, each.fault) for path, each in zip(places, files, strict=True)]


def left_out_warnings(names: Sequence[str], source: Source, data: DataFolder) -> list[str]:
    """One sentence on all files that were left out, and one on each class that lost many."""
    files = {each.path: each for each in read_left_out(source.folder.left_out)}
    lists_of_files = [source.folder.left_out] if files else []
    lost: dict[str, set[str]] = {part: set() for part in splits.PARTS}
    for name in names:
        found = read_left_out(paths.left_out(data.lmdb(name)))
        files |= {each.path: each for each in _real(found, name, source)}
        lost[part_of(name)] |= {each.path for each in found}
        lists_of_files += [paths.left_out(data.lmdb(name))] if found else []
    if not files:
        return []
    where = ", ".join(map(str, lists_of_files[:2]))
    more = f" and {len(lists_of_files) - 2} more" if len(lists_of_files) > 2 else ""
    first = f"{summary(list(files.values()))}; see {where}{more}"
    return [first, *_small_classes(lost, source)]


def _small_classes(lost: Mapping[str, set[str]], source: Source) -> Iterator[str]:
    for part, images in source.lists.items():
        total = Counter(images.labels)
        pairs = zip(images.paths, images.labels, strict=True)
        missing = Counter(label for path, label in pairs if path in lost[part])
        for label in sorted(missing):
            if 2 * missing[label] > total[label]:
                yield (
                    f"class {source.classes[label]} lost {missing[label]} of its {total[label]} "
                    f"{splits.PART_WORDS[part]} images; mend them, or its results say little"
                )


def _shuffle(name: str) -> int | None:
    return SHUFFLE_SEED if part_of(name) == "train" else None
