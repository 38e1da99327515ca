"""Logs: golden series from real logs of 2014 and of Caffe 1.0, then all that breaks them."""

import gzip
import itertools
import re
import zlib
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caffe_transfer.report import log_scanner, log_text, logs

DATA = Path(__file__).parent / "data"
FIRST, RESUMED = DATA / "caffe-1.0.log", DATA / "caffe-1.0-resumed.log"

LOG_2014 = b"""\
I0403 06:46:22.569109 23304 solver.cpp:217] Iteration 20, lr = 0.01
I0403 06:46:22.716258 23304 solver.cpp:74] Iteration 20, loss = 6.66556
I0403 06:46:57.979179 23304 solver.cpp:74] Iteration 40, loss = 1.5e-05
I0403 06:46:58.000000 23304 solver.cpp:96] Iteration 40, Testing net
I0403 06:48:00.594405 23304 solver.cpp:123] Test score #0: 0.6138
I0403 06:48:00.611127 23304 solver.cpp:123] Test score #1: 1.73265
"""


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def pairs(series: log_scanner.Series) -> list[tuple[int, float]]:
    return list(zip(series.iterations.tolist(), series.values.tolist(), strict=True))


def line(iteration: int, loss: float, stamp: str) -> str:
    return f"I{stamp} 23304 solver.cpp:74] Iteration {iteration}, loss = {loss}\n"


def test_log_of_2014(tmp_path: Path) -> None:
    log = logs.read_logs([write(tmp_path / "job.o1", LOG_2014)])
    assert pairs(log.train_loss) == [(20, 6.66556), (40, 1.5e-05)]
    assert pairs(log.accuracy) == [(40, 0.6138)]
    assert pairs(log.valid_loss) == [(40, 1.73265)]
    assert log.seconds_per_iteration == pytest.approx(35.262921 / 20)
    assert log.last_iteration == 40
    assert log.problems == ()


def test_log_of_caffe_1_0() -> None:
    log = logs.read_logs([FIRST])
    assert log.train_loss.iterations.tolist() == list(range(0, 61, 5))
    assert log.train_loss.values[[0, 1, -1]].tolist() == [1.10347, 0.934468, 0.26777]
    assert pairs(log.accuracy) == [(0, 0.375), (20, 1.0), (40, 1.0), (60, 1.0)]
    assert pairs(log.valid_loss) == [(0, 1.09303), (20, 0.62014), (40, 0.39236), (60, 0.269879)]
    assert log.last_iteration == 60
    assert log.problems == ()


def test_saved_snapshot_tells_how_far_it_went(tmp_path: Path) -> None:
    text = FIRST.read_bytes()
    cut = text[: text.index(b"Iteration 60, loss")]
    log = logs.read_logs([write(tmp_path / "cut.log", cut[: cut.rindex(b"\n") + 1])])
    assert log.train_loss.iterations[-1] == 55
    assert log.last_iteration == 60


@pytest.mark.parametrize("files", [[FIRST, RESUMED], [RESUMED, FIRST]])
def test_later_time_wins_in_any_order_of_files(files: list[Path]) -> None:
    log = logs.read_logs(files)
    # The resumed run, from iteration 30, drew other images from there on.
    assert pairs(log.valid_loss) == [(0, 1.09303), (20, 0.62014), (40, 0.387451), (60, 0.28144)]
    assert log.train_loss.iterations.tolist() == list(range(0, 61, 5))


def test_years_change_without_being_told(tmp_path: Path) -> None:
    december = line(20, 2.0, "1231 23:59:00.000000") + line(40, 1.9, "1231 23:59:40.000000")
    january = line(40, 1.8, "0101 00:00:20.000000") + line(60, 1.7, "0101 00:01:00.000000")
    new = write(tmp_path / "a.log", january.encode())
    old = write(tmp_path / "b.log", december.encode())
    for files in ([old, new], [new, old]):
        assert pairs(logs.read_logs(files).train_loss) == [(20, 2.0), (40, 1.8), (60, 1.7)]


def test_told_years_come_after_untold_ones(tmp_path: Path) -> None:
    old = write(tmp_path / "a.log", line(20, 2.0, "1231 23:59:00.000000").encode())
    new = write(tmp_path / "b.log", line(20, 1.0, "20260101 00:00:00.000000").encode())
    assert pairs(logs.read_logs([new, old]).train_loss) == [(20, 1.0)]


@given(
    losses=st.lists(st.floats(1e-6, 100), min_size=1, max_size=60),
    cuts=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=5),
    order=st.randoms(),
)
def test_overlapping_pieces_give_the_whole(
    tmp_path_factory: pytest.TempPathFactory,
    losses: list[float],
    cuts: list[tuple[int, int]],
    order: Random,
) -> None:
    folder = tmp_path_factory.mktemp("pieces")
    lines = [
        line(20 * i, loss, f"0403 06:{i:02d}:00.000000").encode() for i, loss in enumerate(losses)
    ]
    pieces = [lines] + [lines[min(cut) : max(cut)] for cut in cuts]
    order.shuffle(pieces)
    files = [write(folder / f"{i}.log", b"".join(piece)) for i, piece in enumerate(pieces)]
    assert pairs(logs.read_logs(files).train_loss) == [(20 * i, x) for i, x in enumerate(losses)]


@given(st.lists(st.integers(0, 300), max_size=4))
def test_follower_takes_bytes_cut_anywhere(cuts: list[int]) -> None:
    follower = logs.Follower()
    ends = sorted({0, len(LOG_2014), *cuts})
    for start, end in itertools.pairwise(ends):
        follower.feed(LOG_2014[start:end])
    assert (follower.iteration, follower.loss, follower.accuracy) == (40, 1.5e-05, 0.6138)


def test_follower_knows_nothing_before_the_first_line() -> None:
    follower = logs.Follower()
    follower.feed(LOG_2014[:30])
    assert (follower.iteration, follower.loss, follower.accuracy) == (0, None, None)


def test_follower_follows_real_caffe() -> None:
    follower = logs.Follower()
    for byte in FIRST.read_bytes():
        follower.feed(bytes([byte]))
    assert (follower.iteration, follower.loss, follower.accuracy) == (60, 0.26777, 1.0)
    assert follower.resume == "as Caffe"


@pytest.mark.parametrize(
    ("told", "resume"),
    [
        ("Resume: exact", "exact"),
        ("Resume: exact but for what a GPU draws", "exact but for what a GPU draws"),
        ("Resume: as Caffe, data from the first record: there is no file", "as Caffe"),
        ("Resuming from x.solverstate", "as Caffe"),
        ("Net: Resume: exact", "as Caffe"),
    ],
)
def test_follower_knows_what_a_resume_was(told: str, resume: str) -> None:
    prefix = b"I20261127 06:46:22.716258    7 solver.cpp:239] "
    follower = logs.Follower()
    follower.feed(prefix + told.encode() + b"\n")
    assert follower.resume is None
    follower.feed(prefix + b"Starting Optimization\n")
    assert follower.resume == resume
    follower.feed(prefix + b"Resume: exact\n" + prefix + b"Starting Optimization\n")
    assert follower.resume == resume


def test_blocks_do_not_change_the_series(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.log.gz", gzip.compress(FIRST.read_bytes()))
    whole = logs.read_logs([path])
    monkeypatch.setattr("caffe_transfer.report.log_text._BLOCK", 100)
    monkeypatch.setattr("caffe_transfer.report.log_text._COMPRESSED", 7)
    pieces = logs.read_logs([path])
    for name in ("train_loss", "accuracy", "valid_loss"):
        assert pairs(getattr(pieces, name)) == pairs(getattr(whole, name))


def test_only_the_first_test_net_counts(tmp_path: Path) -> None:
    text = b"".join(
        b"I0403 06:48:0%d.5 1 s.cpp:1] %s\n" % (second, what)
        for second, what in enumerate(
            [
                b"Iteration 100, Testing net (#0)",
                b"    Test net output #0: loss = 2 (* 1 = 2 loss)",
                b"    Test net output #1: top-1 = 0.5",
                b"    Test net output #2: top-5 = 0.75",
                b"Iteration 100, Testing net (#1)",
                b"    Test net output #0: loss = 7 (* 1 = 7 loss)",
                b"    Test net output #1: top-1 = 0.1",
            ]
        )
    ).replace(b".5 1", b".500000 1")
    log = logs.read_logs([write(tmp_path / "a.log", text)])
    assert pairs(log.accuracy) == [(100, 0.5)]
    assert pairs(log.valid_loss) == [(100, 2.0)]


def test_diverged_loss_is_kept_as_it_is(tmp_path: Path) -> None:
    text = LOG_2014.replace(b"6.66556", b"nan").replace(b"1.5e-05", b"-nan")
    values = logs.read_logs([write(tmp_path / "a.log", text)]).train_loss.values
    assert len(values) == 2
    assert np.isnan(values).all()


def test_no_files_and_empty_files(tmp_path: Path) -> None:
    empty = write(tmp_path / "empty.o1", b"")
    zipped = write(tmp_path / "empty.o2.gz", gzip.compress(b""))
    for files in ([], [empty, zipped]):
        log = logs.read_logs(files)
        assert len(log.train_loss) == len(log.accuracy) == len(log.valid_loss) == 0
        assert log.seconds_per_iteration is None
        assert log.problems == ()


def test_cut_gzip_is_named_and_its_start_read(tmp_path: Path) -> None:
    data = gzip.compress(FIRST.read_bytes())
    cut = write(tmp_path / "cut.o7.gz", data[: len(data) * 4 // 5])
    log = logs.read_logs([cut, RESUMED])
    assert log.problems == (f"{cut} is cut off; only what is there was read",)
    assert pairs(log.accuracy) == [(0, 0.375), (40, 1), (60, 1)]


@pytest.mark.parametrize("where", [0.8, 1])
def test_broken_gzip_is_named_and_its_start_read(tmp_path: Path, where: float) -> None:
    data = bytearray(gzip.compress(FIRST.read_bytes()))
    end = int(len(data) * where)
    data[end - 8 : end] = bytes(8)
    broken = write(tmp_path / "broken.o7.gz", bytes(data))
    log = logs.read_logs([broken])
    assert log.problems == (f"{broken} is broken inside; only what comes before was read",)
    assert pairs(log.accuracy)[0] == (0, 0.375)


@given(st.data())
def test_of_a_broken_gzip_all_is_read_that_zlib_finds_byte_by_byte(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    text = FIRST.read_bytes()
    cut = data.draw(st.integers(0, len(text)))
    content = bytearray(gzip.compress(text[:cut]) + gzip.compress(text[cut:]))
    at = data.draw(st.integers(2, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    path = write(tmp_path_factory.mktemp("gzip") / "a.gz", bytes(content))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_text, "_COMPRESSED", 300)
        blocks = log_text.LineBlocks(path)
        found = b"".join(blocks)
    expected, member = b"", zlib.decompressobj(31)
    try:
        for byte in content:
            if member.eof:
                member = zlib.decompressobj(31)
            expected += member.decompress(bytes([byte]))
    except zlib.error:
        # ISA-L overlooks reserved bits of a header, on which no text depends: all of it is read.
        assert blocks.problem is not None or found.startswith(text[: text.rfind(b"\n") + 1])
    # ISA-L may find the error a little later than zlib does.
    assert found.startswith(expected[: expected.rfind(b"\n") + 1])


WORDS = st.one_of(
    st.from_regex(r"[0-9]{1,20}(\.[0-9]{0,18})?", fullmatch=True),
    st.floats().map(lambda value: f"{value:.6g}"),
    st.sampled_from(["", "-5", "1.2.3", "1e-05", "-nan", "x", ".5", "99999999", "5:", "7,", "1_0"]),
)


@given(st.lists(WORDS, min_size=1))
def test_numbers_are_read_as_python_reads_them(words: list[str]) -> None:
    line, at = b"", []
    for word in words:
        at.append(len(line))
        line += word.encode() + b" "
    text = np.frombuffer(log_text.padded(line, len(line)), np.uint8)
    values, good = log_text.numbers(text, np.array(at), np.float64)
    whole, digits = log_text.numbers(text, np.array(at), np.int64)
    for index, word in enumerate(words):
        number = re.match(r"[0-9+\-.einfa]*", word)
        assert number is not None
        try:
            expected = float(number[0])
        except ValueError:
            assert not good[index]
        else:
            assert good[index]
            np.testing.assert_equal(values[index], expected)
        assert digits[index] == (number[0].isdigit() and len(number[0]) <= 15)
        if digits[index]:
            assert whole[index] == int(number[0])


def test_gzip_of_several_members_and_padding(tmp_path: Path) -> None:
    first, second = LOG_2014.splitlines(keepends=True)[:3], LOG_2014.splitlines(keepends=True)[3:]
    data = gzip.compress(b"".join(first)) + gzip.compress(b"".join(second)) + b"\0" * 100
    log = logs.read_logs([write(tmp_path / "a.gz", data)])
    assert pairs(log.accuracy) == [(40, 0.6138)]
    assert log.problems == ()


def test_binary_garbage_between_lines(tmp_path: Path) -> None:
    garbage = bytes(range(256)) * 40
    first, *rest = LOG_2014.splitlines(keepends=True)
    text = garbage + b"\n" + first + garbage + b"\n" + b"".join(rest) + garbage
    log = logs.read_logs([write(tmp_path / "a.log", text)])
    assert pairs(log.accuracy) == [(40, 0.6138)]
    assert log.train_loss.iterations.tolist() == [20, 40]


@pytest.mark.parametrize(
    "bad",
    [
        b"I0403 06:46:22.716258 23304 solver.cpp:74] Iteration x, loss = 1\n",
        b"I0403 06:46:22.716258 23304 solver.cpp:74] Iteration 20, loss = ?\n",
        b"I0403 06:46:22.716258 23304 solver.cpp:74] Iteration 20, loss = 1.2.3\n",
        b"I1303 06:46:22.716258 23304 solver.cpp:74] Iteration 20, loss = 1\n",
        b"I04 Iteration 20, loss = 1\n",
        b"] Iteration 20, loss = 1\n",
        b", loss = \n",
        b"Test score #0: 0.5\n",
        b"I0403 06:46:22.716258 23304 solver.cpp:74] Iteration 20, loss = 1",  # no line's end
    ],
)
def test_bad_line_is_left_out(tmp_path: Path, bad: bytes) -> None:
    log = logs.read_logs([write(tmp_path / "a.log", LOG_2014.replace(b"Iteration 20", b"") + bad)])
    assert pairs(log.train_loss) == [(40, 1.5e-05)]
    assert pairs(log.accuracy) == [(40, 0.6138)]


@pytest.mark.parametrize("text", [b"epoch 1 loss 0.5\n" * 9, b"\x00" * 5000 + b"\n"])
def test_log_from_another_program_is_named(tmp_path: Path, text: bytes) -> None:
    path = write(tmp_path / "other.log", text)
    log = logs.read_logs([path, FIRST])
    assert log.problems == (f"{path} holds no line of a Caffe log; it was left out",)
    assert log.last_iteration == 60


def test_unreadable_file_is_named(tmp_path: Path) -> None:
    log = logs.read_logs([tmp_path / "gone.log", FIRST])
    assert log.problems == (
        f"{tmp_path}/gone.log cannot be read (No such file or directory); it was left out",
    )
    assert len(log.accuracy) == 4


def test_log_files_of_both_dialects(tmp_path: Path) -> None:
    names = ["140403_06_half0A.o227963.gz", "job.o1", "catlog.oMANUAL.gz", "logs/train-1.log"]
    for name in [*names, "imagenet_solver.prototxt", "caffe_iter_10.solverstate", "notes.txt"]:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    found = logs.log_files(tmp_path)
    assert sorted(str(path.relative_to(tmp_path)) for path in found) == sorted(names)
    assert logs.log_files(tmp_path / "none") == []


def test_authors_logs(authors: Path) -> None:
    log = logs.read_logs(logs.log_files(authors / "results" / "half0A"))
    assert log.train_loss.iterations.tolist() == list(range(20, 450001, 20))
    assert log.accuracy.iterations.tolist() == list(range(1000, 450001, 1000))
    assert pairs(log.accuracy)[-1] == (450000, 0.614559)
    assert dict(pairs(log.train_loss))[280020] == 0.452318  # after the restart, not before
    assert log.seconds_per_iteration == pytest.approx(35.2 / 20, rel=0.01)
    assert log.problems == ()


def test_years_before_caffe_are_taken_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "train.log"
    path.write_text(
        "I00010403 06:46:22.716258 233 solver.cpp:218] Iteration 0, loss = 2\n"
        "I0403 06:46:22.716258 233 solver.cpp:218] Iteration 2, loss = 1\n"
        "I1203 06:46:22.716258 233 solver.cpp:218] Iteration 4, loss = 1\n"
    )
    assert logs.read_logs([path]).last_iteration == 4


def test_numbers_that_no_training_reaches(tmp_path: Path) -> None:
    """Python refuses to convert thousands of digits."""
    path, many = tmp_path / "train.log", b"9" * 5000
    head = b"I0403 06:46:22.716258 23304 solver.cpp:447] "
    path.write_bytes(
        head + b"Snapshotting to binary proto file net_iter_" + many + b".caffemodel\n"
        + head + b"Iteration 0, Testing net (#" + many + b")\n"
        + head + b"Snapshotting to binary proto file net_iter_20.caffemodel\n"
    )  # fmt: skip
    assert logs.read_logs([path]).last_iteration == 20
