"""What others do to a run's folder while it is worked on, or between two runs.

Two machines in one folder, folders that move, clocks that jump, files that are exchanged.
"""

import os
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from caffe_transfer.cli import cli
from caffe_transfer.data_prep.lists import ImageList
from caffe_transfer.data_prep.lmdbs import write_lmdb
from caffe_transfer.errors import BadInput, Busy, EngineError, FormatError, Interrupted
from caffe_transfer.lock_records import records
from caffe_transfer.paths import RunFolder
from caffe_transfer.pipeline import prepare_run
from caffe_transfer.studies.study import Study
from caffe_transfer.training import snapshots
from caffe_transfer.training.engine import CAFFE, CAFFE_TORCH, Engine, find_engine
from caffe_transfer.training.snapshots import newest_complete
from tests.kill.checks import listing, problems
from tests.kill.subject import REPLAY, Reference, Subject
from tests.replay_engine import MARK, replay_script
from tests.small_study import SmallRun
from tests.test_lock import machine_at_work

BASE, TRANSFER, RANDOM = "half0A", "transfer0A0B_1_3", "nolearn_1_2"


@pytest.fixture
def small(prepared: tuple[Path, Study], tmp_path: Path) -> SmallRun:
    """A run's folder with data, whose engine takes two seconds for a training."""
    root, study = prepared
    shutil.copytree(root, tmp_path / "run", symlinks=True)
    return SmallRun(
        tmp_path / "run", study, Engine("replay", replay_script(tmp_path / "e", None, 2))
    )


def stop_in_the_middle(run: SmallRun, name: str) -> None:
    """Train a network until its first snapshot."""
    folder, stop = run.folder.network(name), threading.Event()
    run.write(name)

    def watch() -> None:
        while not snapshots.snapshots(folder.snapshots):
            time.sleep(0.02)
        stop.set()

    thread = threading.Thread(target=watch)
    thread.start()
    with pytest.raises(Interrupted):
        run.train(name, stop)
    thread.join()


def contents(root: Path) -> dict[str, bytes]:
    """The files of a folder, without those of locks."""
    found = (path for path in root.rglob("*") if path.is_file() and "lock" not in path.name)
    return {str(path.relative_to(root)): path.read_bytes() for path in found}


def test_another_machine_trains_the_network(small: SmallRun) -> None:
    small.write(BASE)
    before = contents(small.folder.root)
    with (
        machine_at_work(small.folder.network(BASE).lock),
        pytest.raises(Busy, match=r"works in .*half0A \(process 17 on node7 since 2026"),
    ):
        small.train(BASE)
    assert contents(small.folder.root) == before


def test_another_machine_works_in_the_run(small: SmallRun) -> None:
    before = contents(small.folder.root)
    with (
        machine_at_work(small.folder.lock),
        pytest.raises(Busy, match=r"works in .*run \(process 17 on node7 since 2026"),
    ):
        prepare_run(small.study, small.folder.root)
    assert contents(small.folder.root) == before


@pytest.mark.parametrize("seconds", [-1e8, 1e8])
def test_files_from_the_past_and_the_future(small: SmallRun, seconds: float) -> None:
    """A server's clock may differ from this machine's, and both may be set."""
    stop_in_the_middle(small, BASE)
    then = time.time() + seconds
    for path in small.folder.root.rglob("*"):
        os.utime(path, (then, then), follow_symlinks=False)
    before = contents(small.folder.data.root)
    newest = newest_complete(small.folder.network(BASE).snapshots)
    assert newest is not None
    manifest, _ = small.train(BASE)
    assert manifest["finished"]
    assert manifest["runs"][-1]["from_iteration"] == newest.iteration
    assert "changed_inputs" not in manifest["runs"][-1]
    prepare_run(small.study, small.folder.root)
    assert contents(small.folder.data.root) == before
    assert records(small.folder.lock) == []


def swap_database(path: Path) -> None:
    """Put a database of other images, of as many bytes, in a database's place."""
    size = (path / "data.mdb").stat().st_size
    images = path.parent / "others"
    images.mkdir()
    names = [f"{number:04d}.png" for number in range(8)]
    for number, name in enumerate(names):
        cv2.imwrite(str(images / name), np.full((28, 28), number, np.uint8))
    shutil.rmtree(path)
    write_lmdb(ImageList(tuple(names), (0, 1) * 4), images, path, size=28, gray=True)
    assert (path / "data.mdb").stat().st_size == size


def test_an_exchanged_database_is_recorded(small: SmallRun) -> None:
    stop_in_the_middle(small, BASE)
    swap_database(small.folder.data.lmdb("half0A_train"))
    manifest, _ = small.train(BASE)
    last = manifest["runs"][-1]
    assert last["changed_inputs"] == ["../../data/half0A_train/lmdb"]


def test_the_command_says_what_was_exchanged(
    small: SmallRun, capsys: pytest.CaptureFixture[str]
) -> None:
    stop_in_the_middle(small, BASE)
    net = small.folder.network(BASE).net
    net.write_text(net.read_text().replace('name: "mini half0A"', 'name: "mini half0A"\n'))
    argv = ["train", str(net.parent), "--engine", str(small.settings.engine.program)]
    cli.main(argv, standalone_mode=False)
    said = capsys.readouterr().out
    assert (
        "train_val.prototxt was another before the training was resumed, so that the results are "
        "of both\n" in said
    )


def test_an_exchanged_prototxt_is_refused_by_a_run(small: SmallRun) -> None:
    stop_in_the_middle(small, BASE)
    other = replace(small.study, solver=replace(small.study.solver, base_lr=0.5))
    with pytest.raises(BadInput, match=r"half0A was trained with another solver\.prototxt; name"):
        SmallRun(small.folder.root, other, small.settings.engine).write(BASE)


@pytest.mark.parametrize("name", [TRANSFER, RANDOM])
def test_exchanged_weights_of_frozen_layers_are_refused_at_once(small: SmallRun, name: str) -> None:
    small.train(BASE)
    stop_in_the_middle(small, name)
    init = small.folder.network(name).init
    content = bytearray(init.read_bytes())
    content[content.index(b"conv1") + 200] ^= 1  # inside conv1's weights
    init.write_bytes(content)
    began = len(list(small.folder.network(name).logs.iterdir()))
    with pytest.raises((BadInput, FormatError), match=r"init\.caffemodel"):
        small.train(name)
    assert len(list(small.folder.network(name).logs.iterdir())) == began


def test_an_exchanged_base_is_refused(small: SmallRun) -> None:
    small.train(BASE)
    stop_in_the_middle(small, TRANSFER)
    base = newest_complete(small.folder.network(BASE).snapshots)
    assert base is not None
    content = bytearray(base.model.read_bytes())
    content[content.index(b"conv1") + 200] ^= 1
    base.model.write_bytes(content)
    with pytest.raises(BadInput, match=r"init\.caffemodel does not hold the layers conv1 to conv3"):
        small.train(TRANSFER)


def wait_until(true: Callable[[], object]) -> None:
    end = time.monotonic() + 120
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_run_that_is_moved(reference: Reference, tmp_path: Path) -> None:
    """While a training runs, and again between two runs."""
    subject = Subject(tmp_path / "study", REPLAY, 3)
    running = subject.start("run")
    wait_until(lambda: list(subject.folder.results.glob(f"*/{MARK}")))
    old, new = subject.folder.root, tmp_path / "study/moved"
    old.rename(new)
    assert running.wait(120) == 2
    assert "Traceback" not in subject.last_words()
    assert "networks are not trained" in subject.last_words()
    wait_until(lambda: not subject.processes())
    subject.folder = RunFolder(new)
    assert subject.start("run").wait(120) == 0, subject.last_words()
    assert problems(subject, reference.subject) == []
    subject.folder = RunFolder(new.rename(tmp_path / "study/again"))
    before = listing(subject.folder.root)
    for command in ("status", "run"):
        assert subject.start(command).wait(120) == 0, subject.last_words()
    assert listing(subject.folder.root) == before
    assert problems(subject, reference.subject) == []


@pytest.mark.parametrize("name", [CAFFE, CAFFE_TORCH])
def test_a_database_that_breaks_under_a_training(
    name: str, small_run: SmallRun, tmp_path: Path
) -> None:
    """The engine dies of it; what it has trained so far is kept."""
    solver = replace(small_run.study.solver, max_iter=100_000, snapshot=20)
    run = SmallRun(
        small_run.folder.root, replace(small_run.study, solver=solver), find_engine(name)
    )
    folder = run.folder.network(BASE)

    def cut() -> None:
        wait_until(lambda: newest_complete(folder.snapshots))
        os.truncate(run.folder.data.lmdb("half0A_train") / "data.mdb", 8192)

    thread = threading.Thread(target=cut)
    thread.start()
    with pytest.raises(
        EngineError, match=f"^{name} ended with status -7: a file that it reads, such"
    ):
        run.train(BASE)
    thread.join()
    assert newest_complete(folder.snapshots)
    with pytest.raises(FormatError, match=r"page \d+ of .*lmdb/data\.mdb is damaged"):
        run.train(BASE)
