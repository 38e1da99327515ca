"""Studies whose databases have a limit: the same models, and never more on the disk."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest

from caffe_transfer import paths
from caffe_transfer.data_prep.copies import write_copy
from caffe_transfer.data_prep.plan import data_sets
from caffe_transfer.data_prep.progress import OnStep
from caffe_transfer.data_prep.removable import sizes_of
from caffe_transfer.errors import BadInput
from caffe_transfer.formats.views import is_view
from caffe_transfer.paths import RunFolder
from caffe_transfer.pipeline import prepare_run, run
from caffe_transfer.report.results import read_results
from caffe_transfer.run_options import Callbacks, RunOptions
from caffe_transfer.studies.load import load_study
from caffe_transfer.training import local, manifest
from caffe_transfer.training.engine import CAFFE, Engine
from caffe_transfer.training.executor import JobResult, Outcome
from caffe_transfer.training.train import Settings
from tests.images import write_images
from tests.small_study import TEXT, script, write_study

STUDY = (
    TEXT.replace('splits = ["0"]', 'splits = ["0", "1"]')
    .replace('["AB"]', '["AB", "BA"]')
    .replace("[false, true]", "[false]")
)


class Given:
    """A study of two splits of databases that are much larger than what surrounds their records.

    Attributes:
        sizes: what its databases take.
    """

    def __init__(self, root: Path) -> None:
        self.file, self.images = write_study(root, STUDY), root / "given"
        self.study = load_study(str(self.file))
        shutil.rmtree(self.images / "all")
        images = write_images(self.images / "all", count=800, classes=4)
        lines = [
            f"all/{name} {label}\n" for name, label in zip(images.paths, images.labels, strict=True)
        ]
        (self.images / "train.txt").write_text("".join(lines))
        (self.images / "valid.txt").write_text("".join(lines[:200]))
        folder = RunFolder(root / "measured")
        prepare_run(self.study, folder.root, images_from=self.images)
        self.sizes = sizes_of(data_sets(self.study), folder.data)

    def limit(self, halves: int) -> int:
        """Room for the whole and some halves, as a prepared run has it."""
        taken = self.sizes.taken
        one = max(taken[f"half{s}{side}_train"] + taken[f"half{s}{side}_valid"]
                  for s in "01" for side in "AB")  # fmt: skip
        return self.sizes.kept + halves * one


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Given:
    return Given(tmp_path_factory.mktemp("bounded"))


def disk(folder: RunFolder) -> int:
    """What all databases take now, whole or not, under whatever name."""
    found = 0
    for root, _, names in os.walk(folder.data.root):
        if paths.LMDB_DATA in names:
            with suppress(FileNotFoundError):  # just removed
                found += Path(root, paths.LMDB_DATA).stat().st_size
    return found


@contextmanager
def watched(folder: RunFolder) -> Iterator[list[int]]:
    """Look at the disk all the time."""
    seen, end = [0], threading.Event()

    def look() -> None:
        while not end.wait(0.005):
            seen.append(disk(folder))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        end.set()
        thread.join()


class Runs:
    """Runs of one study, each in a folder of its own."""

    def __init__(self, given: Given, root: Path, engine: Engine) -> None:
        self.study, self.images, self.limit = given.study, given.images, given.limit
        self.root, self.engine = root, engine

    def run(
        self,
        name: str,
        limit: int | None,
        jobs: int = 1,
        ended: Callable[[JobResult], None] = lambda _: None,
        stop: threading.Event | None = None,
        step: Callable[[str, int, int], None] = lambda *_: None,
    ) -> list[JobResult]:
        settings = Settings(self.engine, threads=1, keep_snapshots="all")
        return run(
            self.study,
            self.root / name,
            options=RunOptions(settings=settings, images_from=self.images, disk=limit, jobs=jobs),
            callbacks=Callbacks(ended=ended, step=step),
            stop=stop,
        )

    def snapshots(self, name: str) -> dict[str, bytes]:
        folder = RunFolder(self.root / name)
        models = folder.results.rglob("net_iter_*.caffemodel")
        return {str(path.relative_to(folder.root)): path.read_bytes() for path in models}

    def views(self, name: str) -> dict[str, bool]:
        data = RunFolder(self.root / name).data
        return {each: is_view(data.lmdb(each)) for each in data_sets(self.study) if "half" in each}


@pytest.fixture
def runs(given: Given, tmp_path: Path, caffe_bin: Path) -> Runs:
    return Runs(given, tmp_path, Engine(CAFFE, caffe_bin))


@pytest.fixture(scope="module")
def free(given: Given, tmp_path_factory: pytest.TempPathFactory, caffe_bin: Path) -> Runs:
    """The run "free", which has no limit."""
    runs = Runs(given, tmp_path_factory.mktemp("unlimited"), Engine(CAFFE, caffe_bin))
    runs.run("free", None, jobs=2)
    return runs


@pytest.fixture
def fake(given: Given, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runs:
    """Networks whose training does nothing."""
    monkeypatch.setattr(local, "train_network", lambda *_: None)
    monkeypatch.setattr("caffe_transfer.questions.check_engine", lambda *_: None)
    nothing = Mock(problems=())
    monkeypatch.setattr("caffe_transfer.pipeline.make_report", lambda *_, **__: nothing)
    return Runs(given, tmp_path, script(tmp_path / "engine", "exit 0\n"))


@pytest.mark.parametrize(("halves", "jobs"), [(1, 1), (2, 2)])
def test_real_caffe_trains_the_same_models_within_a_limit(
    runs: Runs, free: Runs, halves: int, jobs: int
) -> None:
    limit = runs.limit(halves)
    assert disk(RunFolder(free.root / "free")) > limit
    with watched(RunFolder(runs.root / "bounded")) as seen:
        results = runs.run("bounded", limit, jobs)
    assert {result.outcome for result in results} == {Outcome.DONE}
    assert 0.8 * limit < max(seen) <= limit
    assert all(runs.views("bounded").values())
    assert not any(free.views("free").values())
    snapshots = free.snapshots("free")
    assert len(snapshots) == 2 * len(runs.study.networks)
    assert runs.snapshots("bounded") == snapshots
    rows, others = (read_results(path).rows for path in (runs.root / "bounded", free.root / "free"))
    assert rows == others
    assert all(row.valid_images for row in rows)


# The same study with slow copies and slow trainings, told of on standard output.
SLOW = """
import sys, time
from pathlib import Path
from caffe_transfer.data_prep import copies, lmdb_writer
from caffe_transfer.pipeline import run
from caffe_transfer.run_options import Callbacks, RunOptions
from caffe_transfer.studies.load import load_study
from caffe_transfer.training.engine import Engine
from caffe_transfer.training.train import Settings
lmdb_writer.COMMIT_RECORDS = 20
real = copies.relabelled
def slow(*given):
    time.sleep(0.001)
    return real(*given)
copies.relabelled = slow
def say(*what):
    print(*what, flush=True)
run(
    load_study(sys.argv[3]), Path("bounded"),
    options=RunOptions(settings=Settings(Engine("caffe", Path(sys.argv[1])), keep_snapshots="all"),
                       images_from=Path(sys.argv[4]), disk=int(sys.argv[2])),
    callbacks=Callbacks(step=lambda name, done, total: say("step", name, done),
                        network=lambda each: say("network", each.name, each.iteration),
                        ended=lambda result: say("ended", result.name)),
)
say("all")
"""


def test_killed_again_and_again(given: Given, runs: Runs, free: Runs) -> None:
    """In preparing, in a copy, in training, while databases go."""
    # A base that was killed has unused pages.
    limit = int(1.2 * runs.limit(1))
    assert limit < runs.limit(2)
    folder = RunFolder(runs.root / "bounded")
    argv = [sys.executable, "-c", SLOW, str(runs.engine.program), str(limit), str(given.file),
            str(given.images)]  # fmt: skip
    with watched(folder) as seen:
        for moment in (
            "step whole_train", "copying images", "network half", "ended half", "copying images",
            "ended transfer",
        ):  # fmt: skip
            process = subprocess.Popen(
                argv, cwd=runs.root, stdout=subprocess.PIPE, text=True, start_new_session=True
            )
            assert process.stdout is not None
            assert any(moment in line for line in process.stdout), moment
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    results = runs.run("bounded", limit)
    assert {result.outcome for result in results} == {Outcome.DONE}
    assert max(seen) <= limit
    assert all(runs.views("bounded").values())
    left = [path.parent.name for path in folder.data.root.rglob(paths.LMDB_DATA)]
    assert sorted(set(left)) == ["lmdb"]
    assert disk(folder) == sizes_of(data_sets(runs.study), folder.data).kept
    ours, unbroken_models = runs.snapshots("bounded"), free.snapshots("free")
    # Caffe that goes on from a snapshot begins the database anew.
    unbroken = [
        network.name
        for network in runs.study.networks
        if all(
            not each["from_iteration"]
            for each in manifest.read(folder.network(network.name).manifest)["runs"]
        )
    ]
    assert len(unbroken) > len(runs.study.networks) // 2
    bases = [name for name in unbroken if name.startswith(("half", "net", "nolearn"))]
    for name in bases:
        model = f"results/{name}/snapshots/net_iter_4.caffemodel"
        assert ours[model] == unbroken_models[model]


def test_a_stopped_run_goes_on_and_copies_nothing_twice(fake: Runs) -> None:
    limit = fake.limit(1)
    stop = threading.Event()
    copied: list[tuple[str, int]] = []

    def step(name: str, done: int, total: int) -> None:
        if "copying" in name:
            copied.append((name, done))
            if len(copied) == 1:
                stop.set()

    results = fake.run("run", limit, stop=stop, step=step)
    assert {result.outcome for result in results if result.name.startswith("half")} == {
        Outcome.STOPPED
    }
    assert copied
    results = fake.run("run", limit)
    assert {result.outcome for result in results} == {Outcome.DONE}


def test_a_copy_that_fails_fails_its_network_alone(
    fake: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(view: Path, path: Path, progress: OnStep) -> None:
        if path.parent.name == "half0A_train":
            raise BadInput("no space left")
        write_copy(view, path, progress)

    monkeypatch.setattr("caffe_transfer.training.bounded.write_copy", failing)
    results = {result.name: result for result in fake.run("run", fake.limit(2), jobs=3)}
    assert results["half0A"] == JobResult("half0A", Outcome.FAILED, "no space left")
    assert results["half1A"].outcome is Outcome.DONE
    assert results["transfer0A0B_1_3"].outcome is Outcome.SKIPPED


def test_databases_that_cannot_be_removed_fail_the_network_that_needs_the_room(
    fake: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(path: Path) -> None:
        raise BadInput(f"cannot write {path.parent.name}")

    monkeypatch.setattr("caffe_transfer.training.bounded.remove_database", failing)
    results = fake.run("run", fake.limit(1))
    assert {each.outcome for each in results} == {Outcome.DONE, Outcome.FAILED, Outcome.SKIPPED}
    failed = [each.reason for each in results if each.outcome is Outcome.FAILED]
    assert all(reason.startswith("cannot write half") for reason in failed)


def test_a_limit_that_comes_later_or_is_lifted(fake: Runs) -> None:
    folder = RunFolder(fake.root / "run")
    fake.run("run", None)
    assert not any(fake.views("run").values())
    limit = fake.limit(1)
    prepare_run(fake.study, folder.root, reads_views=False, disk=limit)
    assert disk(folder) <= limit
    fake.run("run", limit)
    assert all(fake.views("run").values())
    prepare_run(fake.study, folder.root, reads_views=False)
    assert not any(fake.views("run").values())


def test_trained_networks_need_no_databases(fake: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = fake.limit(1)
    monkeypatch.setattr("caffe_transfer.training.manifest.is_trained", lambda *_: True)
    made: list[Path] = []
    monkeypatch.setattr(
        "caffe_transfer.training.bounded.write_copy", lambda _, path, __: made.append(path)
    )
    fake.run("run", limit)
    assert made == []


def test_a_limit_for_all_of_them_makes_all_beforehand(fake: Runs) -> None:
    fake.run("run", fake.limit(5))
    assert not any(fake.views("run").values())


def test_a_limit_that_is_too_small(fake: Runs) -> None:
    limit = fake.limit(0)
    with pytest.raises(
        BadInput,
        match=r"are too few for the databases of study 'small': .* stay from beginning to end, "
        r"and network half\S+ reads .* kB more; give --disk \d+\.\d (kB|MB) or more$",
    ):
        fake.run("run", limit)
    with pytest.raises(BadInput, match="of which none can be removed; give --disk"):
        prepare_run(fake.study, fake.root / "views", images_from=fake.images, disk=1000)


def test_a_built_in_study_is_refused_before_anything_is_made(fake: Runs, tmp_path: Path) -> None:
    fake.study = load_study("fashion-mnist")
    with pytest.raises(BadInput, match=r"^10\.0 kB are too few for .* 'fashion-mnist'"):
        fake.run("demo", 10_000)
    fake.study = replace(fake.study, images=replace(fake.study.images, databases="view"))
    with pytest.raises(BadInput, match="of which none can be removed; give --disk"):
        prepare_run(fake.study, tmp_path / "demo", disk=10_000)
    assert [path.name for path in (tmp_path / "demo").iterdir()] == ["lock"]
