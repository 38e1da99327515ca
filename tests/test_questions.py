"""What a run asks before it makes anything."""

import os
import shutil
import threading
import time
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from caffe_transfer import pipeline
from caffe_transfer.cli import cli
from caffe_transfer.data_prep.disk import disk_estimate
from caffe_transfer.data_prep.listings import listed_once
from caffe_transfer.errors import BadInput, EngineError, Incomplete, Interrupted
from caffe_transfer.paths import RunFolder
from caffe_transfer.questions import check_engine
from caffe_transfer.run_options import Callbacks, RunOptions
from caffe_transfer.studies.load import load_study
from caffe_transfer.studies.study import Study
from caffe_transfer.training import local, manifest
from caffe_transfer.training.engine import Engine
from caffe_transfer.training.train import Settings
from tests.small_study import TEXT, script, write_study
from tests.test_new_pace import LOG

FOLDER_TEXT = TEXT.replace('"list"', '"folder"')


class Asked:
    """A run that may have to end before it has made anything."""

    def __init__(self, folder: Path) -> None:
        self.file = write_study(folder)
        self.given = folder / "given"
        self.folder = RunFolder(folder / "run")
        self.notes: list[str] = []

    def study(self, text: str = TEXT) -> Study:
        self.file.write_text(text)
        return load_study(str(self.file))

    def run(self, study: Study, engine: Engine, given: Path | None = None) -> None:
        options = RunOptions(
            settings=Settings(engine), images_from=self.given if given is None else given
        )
        callbacks = Callbacks(note=self.notes.append)
        pipeline.run(study, self.folder.root, options=options, callbacks=callbacks)

    def made(self) -> list[str]:
        return [path.name for path in self.folder.root.iterdir() if path != self.folder.lock]


@pytest.fixture
def asked(tmp_path: Path) -> Asked:
    return Asked(tmp_path)


@pytest.fixture
def logs(tmp_path: Path) -> Engine:
    """An engine that logs a few iterations, each of a second, and notes how it was called."""
    (tmp_path / "log").write_text(LOG)
    text = f'[ $1 = --version ] && echo version 1 || echo "$@" >> {tmp_path}/calls\n'
    return script(tmp_path / "logs", f"{text}cat {tmp_path}/log >&2\n")


def calls(folder: Path) -> list[str]:
    """The trainings that were called."""
    path = folder / "calls"
    lines = path.read_text().splitlines() if path.exists() else []
    return [line for line in lines if line.startswith("train ")]


def test_a_gpu_that_is_missing_is_told_before_any_image_is_fetched(
    asked: Asked, caffe_bin: Path
) -> None:
    study = asked.study(TEXT.replace("display = 1", "display = 1\ngpu = true"))
    with pytest.raises(
        EngineError,
        match=r"caffe is built without CUDA; build Caffe with it by `make caffe-gpu`, choose",
    ):
        asked.run(study, Engine("caffe", caffe_bin))
    assert asked.made() == []


def test_an_engine_that_does_not_start(asked: Asked, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"cannot start \S*/no-engine"):
        asked.run(asked.study(), Engine("none", tmp_path / "no-engine"))
    assert asked.made() == []


def test_a_killed_engine(asked: Asked, tmp_path: Path) -> None:
    engine = script(tmp_path / "greedy", "kill -9 $$\n")
    with pytest.raises(EngineError, match=r"greedy cannot train .* \(status -9\); choose another"):
        asked.run(asked.study(), engine)


def test_real_caffe_is_tried_and_then_trains(asked: Asked, caffe_bin: Path) -> None:
    study = asked.study().select("netbase")
    study = replace(study, seconds_per_iteration=900.0)
    engine = Engine("caffe", caffe_bin)
    asked.run(study, engine)
    first, second = asked.notes
    assert first == "trying caffe: netbase, batches of 4"
    assert second.startswith("time: at most ")
    assert second.endswith("s for 1 networks, by this trial, 60 min at the study's own pace")
    asked.run(study, engine)  # nothing is left
    assert len(asked.notes) == 2


def test_it_is_asked_once_for_each_engine_and_device(
    asked: Asked, logs: Engine, tmp_path: Path
) -> None:
    study, stop = asked.study(), threading.Event()

    def ask(engine: Engine, gpu: str | None = None) -> int:
        before = len(calls(tmp_path))
        slots = [Settings(engine, gpu)]
        check_engine(study, asked.folder, slots, asked.notes.append, stop)
        return len(calls(tmp_path)) - before

    assert ask(logs) == 1
    record = asked.folder.network("half0A").manifest
    record.parent.mkdir(parents=True)
    done = {"name": "logs", "version": "version 1"}
    manifest.write(record, {"engine": done, "gpu": None, "max_iter": 4, "finished": "now"})
    assert ask(logs) == 0
    assert ask(logs, gpu="1") == 1
    manifest.write(record, {"engine": done | {"version": "version 0"}, "gpu": None, "max_iter": 4,
                            "finished": "now"})  # fmt: skip
    assert ask(logs) == 1
    record.write_text("no manifest")  # which its training will say
    assert ask(logs) == 1


def test_all_jobs_are_tried_at_once_on_their_devices(
    asked: Asked, logs: Engine, tmp_path: Path
) -> None:
    study = replace(asked.study(), seconds_per_iteration=3.0)
    slots = local.slots(Settings(logs), jobs=3, gpus=("0", "1"))
    check_engine(study, asked.folder, slots, asked.notes.append, threading.Event())
    assert sorted(call.rpartition(" ")[2] for call in calls(tmp_path)) == [
        "--gpu=0", "--gpu=0", "--gpu=1",
    ]  # fmt: skip
    first, second = asked.notes
    assert first == "trying logs: netbase, batches of 4 on GPU 0, 1, 3 at once"
    # 6 networks of 4 iterations and 3 tests, at a second an iteration.
    assert "for 6 networks, by this trial, 24 s at the study's own pace" in second


def test_a_trial_is_stopped_at_once(asked: Asked, tmp_path: Path) -> None:
    engine = script(tmp_path / "slow", "exec sleep 600\n")
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()
    started = time.monotonic()
    with pytest.raises(Interrupted, match="stopped while the engine was tried; run the same"):
        check_engine(asked.study(), asked.folder, [Settings(engine)], print, stop)
    assert time.monotonic() - started < 30


def test_a_disk_that_is_too_small(
    asked: Asked, logs: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9 - 5000, 5000))
    with pytest.raises(
        BadInput,
        match=r"needs 2\.\d MB more of disk \(databases unknown, snapshots 2\.\d MB "
        r"in all\), and .*run has 5\.0 kB left; free some space, or name",
    ):
        asked.run(asked.study(), logs)
    assert asked.made() == []
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 0, 10**9))
    pipeline.prepare_run(asked.study(), asked.folder.root, images_from=asked.given)


def test_images_that_are_not_there(asked: Asked, logs: Engine, tmp_path: Path) -> None:
    with pytest.raises(Incomplete, match=r"there is no .*none; check what --from"):
        asked.run(asked.study(), logs, tmp_path / "none")
    with pytest.raises(Incomplete, match="of source list are your own: name their folder with"):
        pipeline.prepare_run(asked.study(), asked.folder.root)
    assert asked.made() == []
    assert calls(tmp_path) == []


def test_folders_of_other_classes(asked: Asked, logs: Engine, tmp_path: Path) -> None:
    for part in ("train", "valid"):
        for name in "abc":
            folder = tmp_path / "photos" / part / name
            folder.mkdir(parents=True)
            shutil.copy(next((asked.given / "all").rglob("*.[jJp]*")), folder)
    with pytest.raises(BadInput, match=r"images.classes = 4, but .*photos has 3 classes"):
        asked.run(asked.study(FOLDER_TEXT), logs, tmp_path / "photos")
    assert asked.made() == []
    assert calls(tmp_path) == []


class TestAFolderIsListedOnce:
    """By each command, however often it asks."""

    @pytest.fixture
    def text(self, asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
        photos = tmp_path / "photos"
        for number in range(32):
            folder = photos / f"class{number % 4}"
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(asked.given / "all/0.png", folder / f"{number}.png")
        self.scanned: list[str] = []
        scandir = os.scandir

        def counting(path: str) -> object:
            self.scanned.append(str(path))
            return scandir(path)

        monkeypatch.setattr(os, "scandir", counting)
        return FOLDER_TEXT.replace("[images]", f"[images]\npath = '{photos}'")

    def times(self) -> set[int]:
        return {self.scanned.count(each) for each in self.scanned if "photos/class" in each}

    def test_before_it_is_fetched(self, asked: Asked, text: str) -> None:
        study, steps = asked.study(text), set()

        def stop(step: str, _done: int, _total: int) -> None:
            steps.add(step)
            if step.endswith("looking for images"):  # as each conversion does
                raise Interrupted("enough")

        with pytest.raises(Interrupted):
            pipeline.prepare_run(study, asked.folder.root, callbacks=Callbacks(step=stop))
        assert asked.folder.images.is_dir()
        assert self.times() == {1}

    def test_by_a_dry_run(self, asked: Asked, text: str) -> None:
        asked.study(text)
        result = CliRunner().invoke(cli, ["run", str(asked.file), "--dry-run"])
        assert result.exit_code == 0
        assert self.times() == {1}

    def test_and_anew_by_the_next(self, asked: Asked, text: str) -> None:
        study = asked.study(text)
        for _ in range(2):
            with listed_once():
                disk_estimate(study, views=True)
                disk_estimate(study, views=True)
        assert self.times() == {2}
        disk_estimate(study, views=True)
        assert self.times() == {3}
