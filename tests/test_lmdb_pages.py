"""The pages of databases: what LMDB writes passes, what it would die of does not reach it."""

import random
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import lmdb
import pytest

from caffe_transfer.errors import FormatError
from caffe_transfer.formats import lmdb_pages
from caffe_transfer.formats.lmdb import open_lmdb
from caffe_transfer.formats.lmdb_pages import check_pages
from caffe_transfer.paths import LMDB_DATA
from tests.broken_lmdbs import PAGE, SHAPES, write

ROOT = Path(__file__).parent.parent


def content(path: Path) -> list[tuple[bytes, bytes]]:
    with open_lmdb(path) as environment, environment.begin() as reading:
        return list(reading.cursor())


@pytest.mark.parametrize("seed", range(30))
def test_whatever_lmdb_writes_passes(seed: int, tmp_path: Path) -> None:
    """Several transactions of insertions, deletions and other values, small and large."""
    chosen, keys = random.Random(seed), list[bytes]()
    largest = chosen.choice([50, 600, 3000, 20_000])
    longest, writemap = chosen.choice([10, 40, 300]), chosen.random() < 0.3
    for number in range(chosen.randint(1, 6)):
        with (
            lmdb.open(str(tmp_path / "db"), 1 << 27, sync=False, writemap=writemap) as environment,
            environment.begin(write=True) as writing,
        ):
            for _ in range(chosen.randint(0, 300)):
                value = bytes(chosen.randint(0, largest))
                if not keys or chosen.random() < 0.65:
                    keys.append(bytes(chosen.choices(b"abc\0\xff", k=chosen.randint(1, longest))))
                    writing.put(keys[-1], value)
                elif chosen.random() < 0.6:
                    writing.delete(chosen.choice(keys))
                else:
                    writing.put(chosen.choice(keys), value)
            if chosen.random() < 0.1:
                for key in keys:
                    writing.delete(key)
        check_pages(tmp_path / "db" / LMDB_DATA)
        with lmdb.open(str(tmp_path / "db")) as environment:
            (tmp_path / f"copy{number}").mkdir()
            environment.copy(str(tmp_path / f"copy{number}"), compact=chosen.random() < 0.5)
        check_pages(tmp_path / f"copy{number}" / LMDB_DATA)


def test_one_wrong_bit_is_refused_or_changes_nothing() -> None:
    """In a process of its own, whose children would die of what is not caught."""
    pytest.importorskip("torch", reason="no PyTorch here; pip install 'caffe-transfer[torch]'")
    command = [sys.executable, "-m", "tests.broken_lmdbs", "70", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def zero(page: int) -> Callable[[bytearray], None]:
    def change(content: bytearray) -> None:
        content[page * PAGE : (page + 1) * PAGE] = bytes(PAGE)

    return change


def swap(content: bytearray) -> None:
    content[2 * PAGE : 4 * PAGE] = content[3 * PAGE : 4 * PAGE] + content[2 * PAGE : 3 * PAGE]


def cut(size: int) -> Callable[[bytearray], None]:
    def change(content: bytearray) -> None:
        del content[size:]

    return change


@pytest.mark.parametrize("shape", SHAPES.values(), ids=list(SHAPES))
@pytest.mark.parametrize(
    "damage",
    [zero(0), zero(1), swap, cut(0), cut(100), cut(PAGE), cut(2 * PAGE), cut(-1), cut(-9000)],
)
@pytest.mark.parametrize("read_all_below", [0, lmdb_pages.READ_ALL_BELOW])
def test_damaged_files(
    damage: Callable[[bytearray], None], shape: tuple[int, int, int], read_all_below: int,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(lmdb_pages, "READ_ALL_BELOW", read_all_below)
    write(tmp_path / "db", shape)
    good = content(tmp_path / "db")
    file = tmp_path / "db" / LMDB_DATA
    changed = bytearray(file.read_bytes())
    damage(changed)
    file.write_bytes(changed)
    try:
        found = content(tmp_path / "db")
    except FormatError:
        pass
    else:  # pages that nothing uses
        assert found == good


def test_each_page_zeroed(tmp_path: Path) -> None:
    write(tmp_path / "db", SHAPES["in pages of their own"])
    good = content(tmp_path / "db")
    file = tmp_path / "db" / LMDB_DATA
    whole, refused = file.read_bytes(), 0
    for page in range(len(whole) // PAGE):
        changed = bytearray(whole)
        zero(page)(changed)
        file.write_bytes(changed)
        try:
            assert content(tmp_path / "db") == good
        except FormatError:
            refused += 1
    assert refused > 40  # of 40 records, their leaves and the metas


def root(content: bytearray) -> int:
    """The page in which the tree of records begins: of the later of the two metas."""
    metas = [content[start : start + PAGE] for start in (0, PAGE)]
    newer = max(metas, key=lambda meta: struct.unpack_from("<Q", meta, 144))
    return int(struct.unpack_from("<Q", newer, 128)[0])


def test_a_damaged_page_is_named(tmp_path: Path) -> None:
    write(tmp_path / "db", SHAPES["in leaves"])
    file = tmp_path / "db" / LMDB_DATA
    changed = bytearray(file.read_bytes())
    page = root(changed)
    changed[page * PAGE + 12] ^= 0x40  # where its offsets end
    file.write_bytes(changed)
    with pytest.raises(FormatError, match=rf"page {page} of .*data.mdb is damaged \(.*make the "):
        content(tmp_path / "db")


def test_other_kinds_of_databases(tmp_path: Path) -> None:
    with lmdb.open(str(tmp_path / "named"), max_dbs=2) as environment:
        inner = environment.open_db(b"inner", dupsort=True)
        with environment.begin(write=True, db=inner) as writing:
            writing.put(b"1", b"2")
    with pytest.raises(FormatError, match=r"a record is of another kind"):
        content(tmp_path / "named")
    write(tmp_path / "reversed", SHAPES["in leaves"])
    file = tmp_path / "reversed" / LMDB_DATA
    changed = bytearray(file.read_bytes())
    for meta in (0, PAGE):
        changed[meta + 92] |= 2  # MDB_REVERSEKEY
    file.write_bytes(changed)
    with pytest.raises(FormatError, match="holds no plain records of images; make the database"):
        content(tmp_path / "reversed")


def test_a_file_is_checked_once_and_again_when_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "db", SHAPES["in leaves"])
    checked: list[Path] = []
    monkeypatch.setattr("caffe_transfer.formats.lmdb.check_pages", checked.append)
    content(tmp_path / "db")
    content(tmp_path / "db")
    assert len(checked) == 1
    with lmdb.open(str(tmp_path / "db")) as environment, environment.begin(write=True) as writing:
        writing.put(b"another", b"one")
    content(tmp_path / "db")
    assert len(checked) == 2


def test_what_lmdb_raises_while_reading(tmp_path: Path) -> None:
    write(tmp_path / "db", SHAPES["in leaves"])
    message = "db cannot be read: .*; make it anew"
    with pytest.raises(FormatError, match=message), open_lmdb(tmp_path / "db"):
        raise lmdb.CorruptedError("mdb_get")
