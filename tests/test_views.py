"""Views: what a database of their own would give, by the bytes and by the losses."""

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import lmdb
import numpy as np
import pytest

from caffe_transfer import paths
from caffe_transfer.comparison.contents import DatabaseContents
from caffe_transfer.comparison.describe import describe
from caffe_transfer.data_prep import lists, lmdbs
from caffe_transfer.data_prep.copies import write_copy
from caffe_transfer.data_prep.lists import ImageList
from caffe_transfer.data_prep.means import write_mean
from caffe_transfer.data_prep.order import record_order
from caffe_transfer.data_prep.views import Base, make_room
from caffe_transfer.errors import BadInput, CaffeTransferError, FormatError, Incomplete
from caffe_transfer.formats.lmdb import check_lmdb, count, open_records
from caffe_transfer.formats.views import View, is_view, read_view, write_view
from tests.images import write_images

SEED = 1


class Sets:
    """A whole database and a view of its odd classes; two images cannot be used."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "images"
        self.whole = write_images(self.root, count=24, broken=5, classes=4)
        self.path, self.view = folder / "whole/lmdb", folder / "half/lmdb"
        self.half = self.whole.relabel([1, 3])
        self.convert(self.whole, self.path)
        self.path.parent.mkdir(exist_ok=True)

    def convert(self, images: ImageList, path: Path) -> None:
        path.parent.mkdir(exist_ok=True)
        lmdbs.write_lmdb(images, self.root, path, size=8, shuffle=SEED, whole=self.whole)

    def take(self, images: ImageList | None = None) -> None:
        base = Base(self.path, self.whole, self.whole.permutation(SEED))
        images = images or self.half
        base.take(images, self.view, lmdbs.job_of(images, 8, False, SEED, self.whole))


@pytest.fixture
def sets(tmp_path: Path) -> Sets:
    made = Sets(tmp_path)
    made.take()
    return made


def stored(path: Path) -> list[tuple[bytes, bytes]]:
    with lmdb.open(str(path), readonly=True, lock=False) as env, env.begin() as transaction:
        return list(transaction.cursor())


def read(path: Path) -> list[tuple[bytes, int | None]]:
    with open_records(path) as records:
        return [(bytes(key), label) for key, _, label in records]


def test_a_view_has_the_records_in_the_order_of_the_whole(sets: Sets) -> None:
    labels = dict(zip(sets.half.paths, sets.half.labels, strict=True))
    wanted = [key for key, _ in stored(sets.path) if key.decode().split("_", 1)[1] in labels]
    found = read(sets.view)
    assert [key for key, _ in found] == wanted
    assert [label for _, label in found] == [labels[k.decode().split("_", 1)[1]] for k in wanted]
    with open_records(sets.view) as records:
        assert [bytes(key) for key, *_ in reversed(records)] == wanted[::-1]
    assert count(sets.view) == len(wanted) == check_lmdb(sets.view, shape=(3, 8, 8), classes=2)
    with pytest.raises(BadInput, match=r"half/lmdb, a view of .*whole/lmdb has the label 1, but"):
        check_lmdb(sets.view, classes=1)


def test_a_copy_has_the_records_of_a_conversion(sets: Sets, tmp_path: Path) -> None:
    sets.convert(sets.half, tmp_path / "own/lmdb")
    assert write_copy(sets.view, tmp_path / "copy") == len(stored(tmp_path / "own/lmdb")) == 11
    assert stored(tmp_path / "copy") == stored(tmp_path / "own/lmdb")
    ours, theirs = (
        json.loads(paths.record(path).read_text())
        for path in (tmp_path / "copy", tmp_path / "own/lmdb")
    )
    assert {**ours, "bytes": 0} == {**theirs, "bytes": 0}
    left_out = paths.left_out(tmp_path / "own/lmdb").read_text()
    assert left_out == paths.left_out(sets.view).read_text()
    assert left_out == paths.left_out(tmp_path / "copy").read_text()


def test_a_copy_is_what_convert_imageset_makes_of_the_ordered_list(
    sets: Sets, tmp_path: Path, caffe_prefix: Path
) -> None:
    ordered = sets.half.take(record_order(sets.half, SEED, sets.whole).tolist())
    lists.write(ordered, tmp_path / "list.txt")
    subprocess.run(
        [
            caffe_prefix / "bin/convert_imageset", "--resize_height=8", "--resize_width=8",
            f"{sets.root}/", tmp_path / "list.txt", tmp_path / "theirs",
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    write_copy(sets.view, tmp_path / "copy")
    assert stored(tmp_path / "copy") == stored(tmp_path / "theirs")


def test_a_view_of_what_convert_imageset_made_in_its_own_order(
    sets: Sets, tmp_path: Path, caffe_prefix: Path
) -> None:
    turned = sets.whole.take(range(len(sets.whole) - 1, -1, -1))
    lists.write(turned, tmp_path / "list.txt")
    shutil.rmtree(sets.path)
    paths.record(sets.path).unlink()
    subprocess.run(
        [
            caffe_prefix / "bin/convert_imageset", "--resize_height=8", "--resize_width=8",
            f"{sets.root}/", tmp_path / "list.txt", sets.path,
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    sets.take()
    names = [key.decode().split("_", 1)[1] for key, _ in read(sets.view)]
    chosen = set(sets.half.paths)
    assert names == [n for n in turned.paths if n in chosen and n != sets.whole.paths[5]]


def test_a_list_that_names_an_image_twice(tmp_path: Path) -> None:
    sets = Sets(tmp_path)
    twice = ImageList(sets.whole.paths * 2, sets.whole.labels + (7,) * len(sets.whole))
    shutil.rmtree(sets.path)
    lmdbs.write_lmdb(twice, sets.root, sets.path, size=8, shuffle=SEED)
    part = twice.relabel([1, 7])
    Base(sets.path, twice, twice.permutation(SEED)).take(
        part, sets.view, lmdbs.job_of(part, 8, False, SEED, twice)
    )
    lmdbs.write_lmdb(part, sets.root, tmp_path / "own", size=8, shuffle=SEED, whole=twice)
    write_copy(sets.view, tmp_path / "copy")
    assert stored(tmp_path / "copy") == stored(tmp_path / "own")


def test_a_copy_takes_the_place_of_its_view(sets: Sets, tmp_path: Path) -> None:
    write_copy(sets.view, tmp_path / "copy")
    write_copy(sets.view, sets.view)
    assert not is_view(sets.view)
    assert stored(sets.view) == stored(tmp_path / "copy")
    assert sorted(each.name for each in sets.view.parent.iterdir()) == [
        "lmdb", "lmdb.json", "lmdb.left_out.txt", "lmdb.view",
    ]  # fmt: skip


def test_a_copy_that_was_stopped_goes_on(
    sets: Sets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("caffe_transfer.data_prep.lmdb_writer.COMMIT_RECORDS", 3)
    write_copy(sets.view, tmp_path / "copy")
    monkeypatch.setattr("caffe_transfer.data_prep.copies.paced", lambda progress: progress)

    def stop(_step: str, done: int, _total: int) -> None:
        if done == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_copy(sets.view, sets.view, stop)
    assert is_view(sets.view)
    assert len(stored(paths.unfinished(sets.view))) == 6
    seen: list[int] = []
    write_copy(sets.view, sets.view, lambda _step, done, _total: seen.append(done))
    assert seen == list(range(7, 12))
    assert stored(sets.view) == stored(tmp_path / "copy")


def test_the_whole_again_is_a_link(sets: Sets) -> None:
    shutil.rmtree(sets.view)
    sets.take(sets.whole)
    assert sets.view.is_symlink()
    assert sets.view.samefile(sets.path)
    assert paths.record(sets.view).read_bytes() == paths.record(sets.path).read_bytes()
    assert check_lmdb(sets.view) == check_lmdb(sets.path)
    shutil.rmtree(sets.path)
    make_room(sets.view)
    assert not sets.view.is_symlink()
    sets.view.symlink_to("/mnt/none")
    with pytest.raises(BadInput, match="half/lmdb is a link to /mnt/none, which is not there; put"):
        make_room(sets.view)


def test_mean_and_description(sets: Sets, tmp_path: Path) -> None:
    write_copy(sets.view, tmp_path / "copy")
    write_mean([sets.view], tmp_path / "of_view")
    write_mean([tmp_path / "copy"], tmp_path / "of_copy")
    assert (tmp_path / "of_view").read_bytes() == (tmp_path / "of_copy").read_bytes()
    found = describe(sets.view)
    assert isinstance(found, DatabaseContents)
    assert (found.view_of, found.records) == (str(sets.path), 11)
    assert found.first is not None
    assert (found.first.encoded, found.first.shape) == (False, (3, 8, 8))
    assert found.first.label == read(sets.view)[0][1]


def test_it_moves_with_its_database(sets: Sets, tmp_path: Path) -> None:
    before = read(sets.view)
    (tmp_path / "moved").mkdir()
    for name in ("whole", "half"):
        (tmp_path / name).rename(tmp_path / "moved" / name)
    assert read(tmp_path / "moved/half/lmdb") == before


def rewrite(view: View, **changes: Any) -> None:
    """Write other arrays into a view, as another program may."""
    write_view(replace(view, **changes), view.path)


def test_a_database_that_is_gone_or_another(sets: Sets, tmp_path: Path) -> None:
    sets.path.rename(tmp_path / "away")
    with pytest.raises(Incomplete, match=r"half/lmdb is a view of .*whole/lmdb, which is not ther"):
        count(sets.view)
    lmdbs.write_lmdb(sets.half, sets.root, sets.path, size=8)
    with pytest.raises(FormatError, match=r"a view of another database .* of another size; put"):
        count(sets.view)
    shutil.rmtree(sets.path)
    paths.record(sets.path).unlink()
    lmdbs.write_lmdb(sets.whole, sets.root, sets.path, size=8)
    with pytest.raises(FormatError, match=r"of another order; put the old one back, or remove"):
        count(sets.view)


def test_damaged_views(sets: Sets) -> None:
    view = read_view(sets.view)
    nothing = np.array([], np.uint32)
    changed: tuple[dict[str, Any], ...] = (
        {"numbers": view.numbers[::-1]}, {"numbers": view.numbers[:-1]},
        {"labels": -1 - view.labels}, {"gaps": np.array([99], np.uint32)},
        {"numbers": nothing, "labels": nothing.astype(np.int32)},
    )  # fmt: skip
    for changes in changed:
        rewrite(view, **changes)
        with pytest.raises(FormatError, match=r"remove (it|\S*half/lmdb) to make it anew"):
            count(sets.view)
    rewrite(view)
    for name in (paths.VIEW_RECORDS, paths.VIEW):
        content = (sets.view / name).read_bytes()
        for at in range(0, len(content), 23):
            flipped = bytearray(content)
            flipped[at] ^= 1
            (sets.view / name).write_bytes(flipped)
            try:
                found = read(sets.view)
            except CaffeTransferError:
                continue
            assert name == paths.VIEW  # its versions, or spaces
            (sets.view / name).write_bytes(content)
            assert found == read(sets.view)
        (sets.view / name).write_bytes(content)
    for text in ("", "[]", "{}", '{"database": "x", "identity": 3}', "[" * 5000):
        (sets.view / paths.VIEW).write_text(text)
        with pytest.raises(
            FormatError, match=r"view\.json is not a view: .*; remove .* to make it anew"
        ):
            count(sets.view)


def test_records_that_the_database_lacks(sets: Sets) -> None:
    view = read_view(sets.view)
    rewrite(view, numbers=np.array([*view.numbers[:-1], 24], np.uint32))
    with pytest.raises(FormatError, match=r"half/lmdb names record 24, which .*whole/lmdb does no"):
        count(sets.view)
    lacking = sets.whole.permutation(SEED).tolist().index(5)
    numbers = np.unique([*view.numbers.tolist(), lacking]).astype(np.uint32)
    rewrite(view, numbers=numbers, labels=np.zeros(len(numbers), np.int32))
    with pytest.raises(FormatError, match=rf"names record {lacking}, which"):
        read(sets.view)


def test_bases_that_do_not_fit(sets: Sets) -> None:
    with pytest.raises(BadInput, match=r"whole/lmdb has a record 0.*, which is no image of its da"):
        Base(sets.path, sets.half, sets.half.permutation(SEED))
    other = ImageList((*sets.half.paths, "none.png"), (*sets.half.labels, 0))
    with pytest.raises(BadInput, match=r"image none\.png is not in the whole"):
        sets.take(other)
    with pytest.raises(BadInput, match=r"whole/lmdb is no view; name a folder that holds view"):
        write_copy(sets.path, sets.view)
    with pytest.raises(BadInput, match=r"whole/lmdb is there already"):
        write_copy(sets.view, sets.path)


def test_a_path_that_is_too_long_is_no_view() -> None:
    assert not is_view(Path("a" * 5000))
