"""The databases of a study's data sets, and what they had to leave out."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from caffe_transfer import paths
from caffe_transfer.data_prep import lists, lmdbs, splits
from caffe_transfer.data_prep.left_out import (
    LeftOut,
    all_problems,
    read_left_out,
    real_path,
    reasons,
    summary,
)
from caffe_transfer.data_prep.progress import OnStep
from caffe_transfer.data_prep.sources import Source
from caffe_transfer.data_prep.splits import Halves
from caffe_transfer.paths import DataFolder
from caffe_transfer.studies.network import Split
from caffe_transfer.studies.study import Images, Study

# Caffe reads a database in key order and never shuffles: training records are written in a
# random order, which this seed alone decides.
SHUFFLE_SEED = 1


def is_made(name: str, images: Images, data: DataFolder) -> bool:
    """Whether the database is there; one that was made of something else is an error."""
    if not data.lmdb(name).is_dir():
        return False
    lmdbs.check_made_of(
        data.lmdb(name),
        data.list(name),
        size=images.size,
        gray=images.gray,
        shuffle=_shuffle(name),
    )
    return True


def write_databases(
    names: Sequence[str],
    study: Study,
    source: Source,
    halves: Mapping[str, Halves],
    data: DataFolder,
    progress: OnStep,
) -> None:
    """Write databases; classes of which no image can be used are named all at once."""
    problems: dict[str, None] = {}
    for name in names:
        try:
            _write_database(name, study.images, source, data, progress)
        except lmdbs.EmptyClasses as error:
            classes = _classes_of(name, source, halves)
            for label, files in error.left_out.items():
                part = splits.PART_WORDS[part_of(name)]
                what = f"class {classes[label]} has no {part} image that can be used"
                problems[f"{what}: {reasons(_real(files, name, source))}"] = None
    if problems:
        raise all_problems(
            f"the images of study {study.name!r} are not enough",
            list(problems),
            "mend them or add others",
        )


def _classes_of(name: str, source: Source, halves: Mapping[str, Halves]) -> Sequence[str]:
    """The names of a data set's classes, by their labels in it."""
    for key, both in halves.items():
        for side, chosen in both.sides:
            if name.startswith(f"{Split(key).task(side)}_"):
                return [source.classes[label] for label in chosen]
    return source.classes


def _write_database(
    name: str, images: Images, source: Source, data: DataFolder, progress: OnStep
) -> None:
    lmdbs.write_lmdb(
        lists.read(data.list(name)),
        source.folder.images(part_of(name)),
        data.lmdb(name),
        size=images.size,
        gray=images.gray,
        shuffle=_shuffle(name),
        keep_classes=True,
        progress=lambda _step, done, total: progress(name, done, total),
    )


def _real(files: Sequence[LeftOut], name: str, source: Source) -> list[LeftOut]:
    """The same files of a data set with their full paths, in the user's own folder."""
    root = source.folder.images(part_of(name))
    return [LeftOut(real_path(root, each.path), each.fault) for each in files]


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


def part_of(name: str) -> str:
    """ "train" or "valid"."""
    return name.rsplit("_", 1)[1]


def _shuffle(name: str) -> int | None:
    return SHUFFLE_SEED if part_of(name) == "train" else None
