"""LMDBs of Datum records, as Caffe's convert_imageset writes them.

A key is the image's line number in eight digits, "_" and its path, cut where LMDB ends keys; the
numbers of images that cannot be used are skipped.  Pixels are uint8, channels x height x width,
in BGR order.
"""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from caffe_transfer import paths
from caffe_transfer.data_prep.conversion import Conversion
from caffe_transfer.data_prep.left_out import LeftOut, reasons, summary, write_left_out
from caffe_transfer.data_prep.lists import ImageList
from caffe_transfer.data_prep.order import record_order
from caffe_transfer.data_prep.progress import OnStep, silent
from caffe_transfer.data_prep.records import (
    LmdbJob,
    LmdbRecord,
    difference,
    list_sha256,
    made_by_others,
    read_record,
    versions,
    write_record,
)
from caffe_transfer.data_prep.stores import check_names, open_store
from caffe_transfer.data_prep.unfinished import unfinished
from caffe_transfer.errors import BadInput, Incomplete
from caffe_transfer.formats.datum import parsed
from caffe_transfer.formats.hashes import sha256
from caffe_transfer.formats.lmdb import open_records
from caffe_transfer.formats.views import is_view


@dataclass(frozen=True)
class Written:
    """Number of records in a database, and the images that could not be used."""

    count: int
    left_out: tuple[LeftOut, ...]


class EmptyClasses(BadInput):
    """Of some classes no image can be used.

    Attributes:
        left_out: the images of each, by label.
    """

    def __init__(self, left_out: dict[int, list[LeftOut]]) -> None:
        self.left_out = left_out
        first = min(left_out)
        super().__init__(
            f"no image of {len(left_out)} classes can be used, first of class {first}: "
            f"{reasons(left_out[first])}; mend the images"
        )


def write_lmdb(
    images: ImageList,
    root: Path,
    path: Path,
    *,
    size: int | None = None,
    gray: bool = False,
    shuffle: int | None = None,
    whole: ImageList | None = None,
    strict: bool = False,
    keep_classes: bool = False,
    summed: bool = False,
    progress: OnStep = silent,
) -> Written:
    """Write the images of a list as a database, which takes its name when it is whole.

    Beside it stand its record, and the list of the images that were left out, if any were.  What
    was written when it was stopped, killed or failed stays beside it, and the same call goes on
    with that; images that could not be used are tried again.

    Args:
        root: the folder that the list's paths are relative to.
        size: side in pixels to which images are resized, None to keep theirs.
        gray: one channel instead of three.
        shuffle: seed of a random order, None for the list's order.
        whole: a list that `images` are a part of, in the same order; it is shuffled, and they
            follow it.
        strict: an image that cannot be used is an error.
        keep_classes: a class of which no image can be used is an error.
        summed: keep the sum of the images beside the database, for means.write_mean.

    Raises:
        BadInput: `path` exists, the disk is full, images differ in size, none can be used, or,
            if `strict`, one cannot.
        EmptyClasses: no image of a class can be used, if `keep_classes`.
        Busy: another process makes this database.
    """
    if path.exists():
        raise BadInput(f"{path} is there already; remove it or name another database")
    ordered = images.take(record_order(images, shuffle, whole).tolist())
    job = job_of(images, size, gray, shuffle, whole)
    with open_store(root) as store:
        check_names(store, images.paths, root, progress)
        with unfinished(path, job, root) as work:
            conversion = Conversion(ordered, root, size, gray, progress)
            count, left_out = conversion.run(store, work, summed)
            left_out.sort(key=lambda each: each.path)
            check_enough(images, root, path, left_out, strict=strict, keep_classes=keep_classes)
            write_left_out(left_out, paths.left_out(path))
            # Before the database takes its name: one of ours never stands without its record.
            size_of_data = (work.folder / paths.LMDB_DATA).stat().st_size
            record = LmdbRecord(
                **asdict(job), count=count, left_out=len(left_out), bytes=size_of_data
            )
            write_record(path, record)
            work.finish()
    return Written(count, tuple(left_out))


def check_enough(
    images: ImageList,
    root: Path,
    path: Path,
    left_out: Sequence[LeftOut],
    *,
    strict: bool,
    keep_classes: bool,
) -> None:
    """Check that not too many images were left out, as `write_lmdb` does.

    Raises:
        EmptyClasses, BadInput: as `write_lmdb` does.
    """
    if left_out and strict:
        raise BadInput(
            f"{path} is to hold every image, but {summary(left_out)}; mend them, take them from "
            "the list, or leave --strict out"
        )
    if keep_classes and (empty := _empty_classes(images, left_out)):
        raise EmptyClasses(empty)
    if len(left_out) == len(images):
        raise BadInput(
            f"no image of {len(images)} under {root} can be used: {reasons(left_out)}; mend the "
            "images"
        )


def job_of(
    images: ImageList, size: int | None, gray: bool, shuffle: int | None, whole: ImageList | None
) -> LmdbJob:
    """What a database is to be made of; arguments as for `write_lmdb`."""
    return LmdbJob(
        list_sha256=list_sha256(images),
        size=size,
        channels=_channels(gray),
        shuffle=shuffle,
        order_of=_order_of(images, whole),
        versions=versions(),
    )


def _order_of(images: ImageList, whole: ImageList | None) -> str | None:
    """What a record says of the order; a list that is the whole is shuffled by itself."""
    return None if whole is None or whole.paths == images.paths else list_sha256(whole)


def check_made_of(
    path: Path,
    image_list: Path,
    *,
    size: int | None,
    gray: bool,
    shuffle: int | None,
    whole: Path | None = None,
) -> None:
    """Check that `write_lmdb` would make the database `path` again, or one with a view's records.

    A database without a record is trusted, if its first image has the size.  One that was shuffled
    by itself, as they all were once, is in as good a random order as one that follows `whole`.

    Args:
        image_list, whole: the lists' files, as lists.write wrote them.

    Raises:
        BadInput: it was made of something else; says of what, and what to do.
        FormatError: the record cannot be read, or is another database's; or there is none, and the
            database is damaged.
    """
    record = read_record(path, LmdbRecord)
    if record is None:
        _check_first(path, size, gray)
        return
    content = path / (paths.VIEW_RECORDS if is_view(path) else paths.LMDB_DATA)
    if not content.is_file() or record.bytes != content.stat().st_size:
        raise made_by_others(path, "database")
    remedy = f"remove {path} to make it anew, or name another --out"
    if record.list_sha256 != sha256(image_list):
        raise BadInput(f"{path} was made from other images than {image_list} lists; {remedy}")
    wanted = {"size": size, "channels": _channels(gray), "shuffle": shuffle}
    if found := difference(record, wanted):
        raise BadInput(f"{path} was made {found}; {remedy}")
    if record.order_of is not None and (whole is None or record.order_of != sha256(whole)):
        raise BadInput(f"{path} was made in the order of another list than {whole}; {remedy}")


def _check_first(path: Path, size: int | None, gray: bool) -> None:
    """Check that the first image of a database has the size, if all are to have one."""
    # A view whose database is not there is made anew anyway.
    with suppress(Incomplete), open_records(path) as records:
        key, value, _ = next(iter(records), (b"", b"", 0))
        found = parsed(bytes(value), f"record {bytes(key).decode(errors='replace')} of {path}")
        shape, wanted = (found.channels, found.height, found.width), (_channels(gray), size, size)
        if found.data and not found.encoded and size is not None and shape != wanted:
            raise BadInput(
                f"{path} holds images of {'x'.join(map(str, shape))}, and "
                f"{'x'.join(map(str, wanted))} is wanted; remove it to make it anew, or name "
                "another --out"
            )


def _channels(gray: bool) -> int:
    return 1 if gray else 3


def _empty_classes(images: ImageList, left_out: Sequence[LeftOut]) -> dict[int, list[LeftOut]]:
    """The classes of which all images were left out, and those, by label."""
    label = dict(zip(images.paths, images.labels, strict=True))
    lost = Counter(label[each.path] for each in left_out)
    there = Counter(images.labels)
    empty = {each for each, count in lost.items() if count == there[each]}
    found: dict[int, list[LeftOut]] = {}
    for each in left_out:
        if label[each.path] in empty:
            found.setdefault(label[each.path], []).append(each)
    return found
