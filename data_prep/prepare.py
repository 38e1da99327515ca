"""Everything that a study's networks read: images, lists, databases, the mean."""

import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from caffe_transfer import paths
from caffe_transfer.data_prep import lists, splits
from caffe_transfer.data_prep.databases import (
    is_made,
    left_out_warnings,
    replace_views,
    write_databases,
)
from caffe_transfer.data_prep.left_out import read_left_out
from caffe_transfer.data_prep.lists import ImageList
from caffe_transfer.data_prep.plan import data_sets, plans
from caffe_transfer.data_prep.progress import OnStep, silent, stoppable
from caffe_transfer.data_prep.sources import Source, fetch
from caffe_transfer.data_prep.splits import Halves, whole_of
from caffe_transfer.data_prep.study_mean import (
    clear_sums,
    is_mean_made,
    parts_of_whole,
    write_study_mean,
)
from caffe_transfer.data_prep.unfinished import clear_finished
from caffe_transfer.errors import BadInput
from caffe_transfer.nets.render import reads_mean
from caffe_transfer.paths import DataFolder, RunFolder
from caffe_transfer.studies.network import NATMAN, Split
from caffe_transfer.studies.study import Images, Study


def prepare(
    study: Study,
    run: RunFolder,
    given: Path | None = None,
    progress: OnStep = silent,
    stop: threading.Event | None = None,
    views: bool = False,
) -> list[str]:
    """Make what is missing of the data that the study's networks read.

    Args:
        views: data sets that are part of another's database may be views of it, and stay so.
        given: the images' folder or archive; None for the study's own, or to fetch them.
        stop: set it to end where a later call can go on.

    Returns:
        sentences on the images that were left out, now or by an earlier run, if any were.

    Raises:
        Incomplete, BadInput: as data_prep.sources.fetch and data_prep.lmdbs.write_lmdb do; or the
            study does not fit its source; or a database or the mean that is there was made of
            something else.
        Busy: another process makes one of the databases.
        Interrupted: `stop` was set.
    """
    progress = stoppable(progress, stop)
    source = fetch(
        study.images.source,
        run.images,
        given or (Path(study.images.path) if study.images.path else None),
        progress,
        valid_fraction=study.images.valid_fraction,
    )
    halves = _checked_halves(study, source)
    images = _limited(source, study.images)
    _write_lists(study, source, halves, images, run.data)
    wanted = list(data_sets(study))
    there = [name for name in _and_whole_ones(wanted) if is_made(name, study.images, run.data)]
    for name in there:
        clear_finished(run.data.lmdb(name))
    todo = list(plans(study, there))
    known = {*wanted, *there, *(name for plan in todo for name in plan.converted)}
    wants_mean = reads_mean(study) and not is_mean_made(study.images, run.data)
    parts = parts_of_whole(known, run.data, halves) if wants_mean else []
    summed = parts if study.images.mean is None else []
    write_databases(todo, study, source, halves, run.data, summed, progress)
    if wants_mean:
        write_study_mean(parts, study.images, source, run.data, progress)
    clear_sums(there, run.data)  # of one that was killed before it did so
    if not views:
        replace_views(wanted, run.data, progress)
    return left_out_warnings(wanted, source, run.data)


def _and_whole_ones(names: Collection[str]) -> Iterable[str]:
    """The data sets, and those that hold all images, of which others can be taken."""
    return dict.fromkeys([*names, *(whole_of(part) for part in splits.PARTS)])


def validation_warnings(study: Study, data: DataFolder) -> list[str]:
    """A sentence for each number of tested images that validation sets are no divisors of.

    Caffe's next test goes on where the last one stopped, so that tests then score different or
    unevenly repeated images.  The lists must have been written.
    """
    uneven: dict[tuple[int, int], dict[str, int]] = {}
    names = {network.valid_data for network in study.networks}
    images = {name: _count(name, data) for name in names}
    for network in study.networks:
        count = images[network.valid_data]
        batches = study.solver_of(network).test_iter
        if count and batches * study.test_batch % count:
            uneven.setdefault((batches, study.test_batch), {})[network.valid_data] = count
    return [
        f"each test reads test_iter x test_batch = {batches} x {batch} = {batches * batch} images, "
        f"which is no multiple of the images in {_counted(counts)}; tests score different images"
        for (batches, batch), counts in uneven.items()
    ]


def _count(name: str, data: DataFolder) -> int:
    """Images of a data set, without those that its database lacks."""
    return lists.count(data.list(name)) - len(read_left_out(paths.left_out(data.lmdb(name))))


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} ({count})" for name, count in counts.items())


def _checked_halves(study: Study, source: Source) -> dict[str, Halves]:
    """The tasks of each split that the study names, checked against the source's classes."""
    count = len(source.classes)
    if count != study.images.classes:
        raise BadInput(
            f"study {study.name!r} has images.classes = {study.images.classes}, but its source "
            f"{study.images.source} has {count} classes; correct the study, or correct the images "
            f"and remove {source.folder.root} to have them listed anew"
        )
    halves = {}
    for key in dict.fromkeys([*study.splits, *study.custom_splits]):
        try:
            halves[key] = _halves_of(Split(key), study, source.classes)
        except BadInput as error:
            raise BadInput(f"split {key} of study {study.name!r}: {error}") from error
    if NATMAN in halves:
        sizes = tuple(len(chosen) for _, chosen in halves[NATMAN].sides)
        if sizes != study.images.natman_classes:
            raise BadInput(
                f"study {study.name!r} has images.natman_classes = "
                f"{list(study.images.natman_classes or ())}, but its source has {sizes[0]} natural "
                f"and {sizes[1]} man-made classes; set natman_classes = {list(sizes)}"
            )
    return halves


def _halves_of(split: Split, study: Study, classes: Sequence[str]) -> Halves:
    custom = study.custom_splits.get(split.key)
    if custom is None:
        return splits.halves_of(split, classes)
    a, b = custom.A.classes, custom.B.classes
    return splits.halves_of(split, classes, a, b, overlap=custom.may_overlap)


def _limited(source: Source, images: Images) -> dict[str, ImageList]:
    limits = {"train": images.train_per_class, "valid": images.valid_per_class}
    return {
        part: whole if limits[part] is None else whole.first_of_each_class(limits[part] or 0)
        for part, whole in source.lists.items()
    }


def _write_lists(
    study: Study,
    source: Source,
    halves: Mapping[str, Halves],
    images: dict[str, ImageList],
    data: DataFolder,
) -> None:
    splits.write_whole(images, data)
    for key in study.splits:
        splits.write_split(Split(key), halves[key], images, source.classes, data)
    for network in study.networks:
        if network.per_class is not None:
            splits.write_reduced(network.per_class, images["train"], data)
