"""Everything that a study's networks read: images, lists, databases, the mean."""

from pathlib import Path

from caffe_transfer.data_prep import lists, lmdbs, means, splits
from caffe_transfer.data_prep.lists import ImageList
from caffe_transfer.data_prep.progress import OnStep, silent
from caffe_transfer.data_prep.sources import Source, fetch
from caffe_transfer.paths import DataFolder, RunFolder
from caffe_transfer.studies.network import Mode, Network, Split
from caffe_transfer.studies.study import Images, Study

# Caffe reads a database in key order and never shuffles: training records are written in a
# random order, which this seed alone decides.
SHUFFLE_SEED = 1
# Images of each class in the sources that are known: training, validation.
_PER_CLASS = {"fashion-mnist": (6000, 1000), "tiny-imagenet": (500, 50), "ilsvrc12": (1281, 50)}
_RECORD_OVERHEAD = 64


def prepare(
    study: Study, run: RunFolder, given: Path | None = None, progress: OnStep = silent
) -> list[Path]:
    """Make what is missing of the data that the study's networks read.

    Args:
        given: the images' folder or archive, where they are not to be fetched.

    Returns:
        the images that were left out because they are broken.

    Raises:
        Incomplete, BadInput: as data_prep.sources.fetch and data_prep.lmdbs.write_lmdb do.
    """
    broken = []
    source = fetch(study.images.source, run.images, given, progress)
    images = _limited(source, study.images)
    _write_lists(study, source, images, run.data)
    wanted = data_sets(study)
    for name in wanted:
        broken += _write_database(name, study.images, source, run.data, progress)
    if not run.data.mean.is_file():
        means.write_mean(
            [run.data.lmdb(name) for name in _mean_sets(study, wanted)], run.data.mean, progress
        )
    return broken


def data_sets(study: Study) -> tuple[str, ...]:
    """The names of the data sets that the study's networks read."""
    names = [n for each in study.networks for n in (each.train_data, each.valid_data)]
    return tuple(dict.fromkeys(names))


def _mean_sets(study: Study, wanted: tuple[str, ...]) -> tuple[str, ...]:
    """The training sets that together hold every class: one mean for all, as the authors'."""
    whole = Network(mode=Mode.BASE).train_data
    if whole in wanted:
        return (whole,)
    split = Split(study.splits[0])
    return tuple(f"{split.task(side)}_train" for side in "AB")


def disk_estimate(study: Study) -> int | None:
    """Bytes of the study's databases, None where the number of images is not known."""
    counts = _PER_CLASS.get(study.images.source)
    if counts is None:
        return None
    limits = (study.images.train_per_class, study.images.valid_per_class)
    train, valid = (min(c, limit or c) for c, limit in zip(counts, limits, strict=True))
    classes = {}
    for network in study.networks:
        outputs = study.outputs(network)
        each = min(train, network.per_class or train)
        classes[network.train_data] = outputs * each
        classes[network.valid_data] = outputs * valid
    record = study.images.channels * study.images.size**2 + _RECORD_OVERHEAD
    return sum(classes.values()) * record


def _limited(source: Source, images: Images) -> dict[str, ImageList]:
    limits = {"train": images.train_per_class, "valid": images.valid_per_class}
    return {
        part: whole if limits[part] is None else whole.first_of_each_class(limits[part] or 0)
        for part, whole in source.lists.items()
    }


def _write_lists(
    study: Study, source: Source, images: dict[str, ImageList], data: DataFolder
) -> None:
    splits.write_whole(images, data)
    for key in study.splits:
        split = Split(key)
        halves = splits.halves_of(split, source.classes, study.custom_splits.get(key))
        splits.write_split(split, halves, images, source.classes, data)
    for network in study.networks:
        if network.per_class is not None:
            splits.write_reduced(network.per_class, images["train"], data)


def _write_database(
    name: str, images: Images, source: Source, data: DataFolder, progress: OnStep
) -> list[Path]:
    if data.lmdb(name).is_dir():
        return []
    part = name.rsplit("_", 1)[1]
    listed = lists.read(data.list(name))
    root = source.folder.images(part)
    written = lmdbs.write_lmdb(
        listed.shuffled(SHUFFLE_SEED) if part == "train" else listed,
        root,
        data.lmdb(name),
        size=images.size,
        gray=images.channels == 1,
        progress=lambda _step, done, total: progress(name, done, total),
    )
    return [root / image for image in written.broken]
