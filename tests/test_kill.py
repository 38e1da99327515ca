"""Kills and signals at random points of a small study, in short; `make kill` is the long form.

And the campaign itself: that it would notice what it looks for.
"""

import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from caffe_transfer.paths import RunFolder
from tests.kill.campaign import Campaign, table
from tests.kill.checks import listing, problems
from tests.kill.points import ENGINE, PROGRAM, Point, area_of
from tests.kill.strikes import Strike, Struck, strike, wrong_end
from tests.kill.subject import REPLAY, Reference, Subject

SEED, STUDIES = 3, 2


def test_studies_that_are_struck_end_as_if_nothing_had_happened(
    reference: Reference, tmp_path: Path
) -> None:
    told: list[str] = []
    campaign = Campaign(tmp_path, SEED, reference, told.append)
    for number in range(STUDIES):
        campaign.study(number)
    assert campaign.tally.failures == [], told
    assert len(campaign.tally.struck) >= STUDIES
    assert f"on {STUDIES} studies" in table(campaign.tally)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("point", "signals", "status"),
    [
        (Point(PROGRAM, "lists", 7, PROGRAM, "KILL"), "KILL", -signal.SIGKILL),
        (Point(PROGRAM, "databases", 40, PROGRAM, "INT"), "INT INT INT", 130),
    ],
)
def test_a_strike_at_a_chosen_file(point: Point, signals: str, status: int, tmp_path: Path) -> None:
    subject = Subject(tmp_path / "study", REPLAY, 0.2)
    gaps = (0.0,) * (len(signals.split()) - 1)
    struck = strike(subject, Strike("run", PROGRAM, signals, gaps, point, 0.0))
    assert (struck.where, struck.status) == (point.area, status)
    assert wrong_end(struck) is None


@pytest.mark.parametrize("name", ["ENOSPC", "ENOSPC..."])
def test_a_write_that_fails(name: str, reference: Reference, tmp_path: Path) -> None:
    subject = Subject(tmp_path / "study", REPLAY, 0.2)
    point = Point(PROGRAM, "lists", 7, PROGRAM, name)
    struck = strike(subject, Strike("run", PROGRAM, name, (), point, 0.0))
    assert (struck.where, struck.status) == ("lists", 2)
    assert "No space left on device" in struck.said
    assert wrong_end(struck) is None
    assert subject.start("run").wait() == 0, subject.last_words()
    assert problems(subject, reference.subject) == []


def test_a_kill_at_each_of_the_last_steps_of_the_mean(reference: Reference, tmp_path: Path) -> None:
    """Between the mean, its record and the sum that it is made of."""
    count = reference.events[PROGRAM, "means"]
    subject = Subject(tmp_path / "study", REPLAY, 0.2)
    for number in range(count - 4, count + 1):
        point = Point(PROGRAM, "means", number, PROGRAM, "KILL")
        shutil.rmtree(subject.folder.data.root, ignore_errors=True)
        struck = strike(subject, Strike("prepare", PROGRAM, "KILL", (), point, 0.0))
        assert struck.status == -signal.SIGKILL, (number, struck)
        assert subject.start("prepare").wait() == 0, subject.last_words()
        for name in listing(subject.folder.data.root):
            theirs = reference.subject.folder.data.root / name
            assert theirs.exists(), (number, name)
        assert subject.folder.data.mean.with_name("mean.binaryproto.json").exists(), number


def finished(reference: Reference, root: Path) -> Subject:
    """A study of its own with a copy of the reference's finished run."""
    subject = Subject(root / "study", REPLAY, 0.2)
    shutil.copytree(reference.subject.folder.root, subject.folder.root, symlinks=True)
    return subject


def test_what_is_looked_for_would_be_noticed(reference: Reference, tmp_path: Path) -> None:
    subject = finished(reference, tmp_path)
    assert problems(subject, reference.subject) == []
    run = subject.folder
    (run.root / "data/.mean.binaryproto.1.2@host.part").touch()
    (run.root / "lock.held").touch()
    (run.root / "images/classes.txt").unlink()
    (subject.scratch / "left").touch()
    with (run.data.lmdb("whole_train") / "data.mdb").open("ab") as file:
        file.write(b"x")
    base = run.network("half0A")
    manifest = json.loads(base.manifest.read_text())
    base.manifest.write_text(json.dumps(manifest | {"finished": None}))
    transfer = run.network("transfer0A0B_1_3")
    (model,) = json.loads(transfer.manifest.read_text())["model"]
    content = bytearray((transfer.root / model).read_bytes())
    content[content.index(b"conv1") + 200] ^= 1
    (transfer.root / model).write_bytes(content)
    found = problems(subject, reference.subject)
    for text in (
        "left over: data/.mean.binaryproto.1.2@host.part",
        "left over: lock.held",
        "missing: images/classes.txt",
        "left over in TMPDIR: left",
        "other bytes than in a run that nothing struck: data/whole_train/lmdb/data.mdb",
        "half0A is not trained to its end",
        "transfer0A0B_1_3: frozen layers differ",
    ):
        assert any(text in problem for problem in found), (text, found)


@pytest.mark.parametrize(
    ("victim", "signals", "where", "status", "said", "wrong"),
    [
        (PROGRAM, "INT INT", "training", -2, "", "status -2, not 0 or 130"),
        (PROGRAM, "TERM", "training", 130, "", "status 130 without a sentence"),
        (PROGRAM, "TERM", "training", 130, "caffe-transfer: stopped", None),
        (PROGRAM, "KILL", "training", 2, "caffe-transfer: x", "status 2, not -9 or 0"),
        (ENGINE, "KILL", "training", 2, "caffe-transfer: x", "status 2, not 0"),
        (ENGINE, "KILL", "start", 2, "caffe-transfer: x", None),
        (PROGRAM, "INT", "training", 130, "Traceback", "a traceback"),
        (PROGRAM, "INT", None, 2, "caffe-transfer: x", "status 2, not 0"),
    ],
)
def test_wrong_ends(
    victim: str, signals: str, where: str | None, status: int, said: str, wrong: str | None
) -> None:
    chosen = Strike("run", victim, signals, (0.0,), None, 0.0)
    assert wrong_end(Struck(chosen, where, status, 0.0, said)) == wrong


@pytest.mark.parametrize(
    ("path", "area"),
    [
        ("study.toml", "start"),
        ("lock.held", "start"),
        (".images.0.1@host.part/train", "images"),
        ("data/half0A_train/files.txt", "lists"),
        ("data/half0A_train/.files.txt.0.1@host.part", "lists"),
        ("data/half0A_train/lmdb.unfinished/data.mdb", "databases"),
        ("data/.mean.binaryproto.0.1@host.part", "means"),
        ("results/half0A/.solver.prototxt.0.1@host.part", "networks' folders"),
        ("results/nolearn_1_2/.init.caffemodel.0.1@host.part/net.solverstate", "first weights"),
        ("results/half0A/snapshots/net_iter_4.caffemodel", "training"),
        ("results/half0A/.manifest.json.0.1@host.part", "training"),
        ("report/.figure2.png.0.1@host.part", "report"),
    ],
)
def test_areas(path: str, area: str) -> None:
    assert area_of(path) == area


def test_processes_are_found_by_their_run(tmp_path: Path) -> None:
    subject = Subject(tmp_path / "study", REPLAY, 0.2)
    assert subject.processes() == []
    running = subject.start("run")
    end = time.monotonic() + 10
    while running.pid not in subject.processes():  # its environment is there soon after its start
        assert time.monotonic() < end
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    assert RunFolder(subject.folder.root) == subject.folder
