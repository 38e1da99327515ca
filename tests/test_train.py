"""One network in real Caffe: train, resume, stop, prove that frozen layers stayed."""

import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from caffe_transfer.errors import (
    BadInput,
    Busy,
    EngineError,
    FormatError,
    Incomplete,
    Interrupted,
)
from caffe_transfer.formats.hashes import blob_hashes
from caffe_transfer.lock import locked
from caffe_transfer.paths import NetworkFolder
from caffe_transfer.studies.write import study_text
from caffe_transfer.training import manifest, snapshots, train
from caffe_transfer.training.engine import Engine
from caffe_transfer.training.preflight import load_network
from caffe_transfer.training.snapshots import is_complete, newest_complete
from caffe_transfer.training.status import State, network_status
from caffe_transfer.training.train import Settings, TrainingProgress, train_network
from tests.small_study import SmallRun, script

NO_ENGINE = Engine("none", Path("/nonexistent"))


def model(run: SmallRun, name: str) -> Path:
    newest = newest_complete(run.folder.network(name).snapshots)
    assert newest is not None
    return newest.model


def test_a_base_is_trained_to_its_end(small_run: SmallRun) -> None:
    result, seen = small_run.train("half0A")
    assert result["finished"]
    assert result["random_seed"] == 60038528
    assert result["engine"] == {"name": "caffe", "version": "caffe version 1.0.0"}
    assert set(result["inputs"]) == {
        "solver.prototxt", "train_val.prototxt", "../../data/mean.binaryproto",
        "../../data/half0A_train/lmdb", "../../data/half0A_valid/lmdb",
    }  # fmt: skip
    assert (seen[-1].iteration, seen[-1].max_iter) == (4, 4)
    assert 0 <= seen[-1].accuracy <= 1
    assert seen[-1].loss > 0


def test_what_is_finished_is_not_trained_again(small_run: SmallRun) -> None:
    first, _ = small_run.train("half0A")
    again, seen = small_run.train("half0A", engine=NO_ENGINE)
    assert again == first
    assert seen == []


def test_frozen_layers_are_proven_and_the_others_learn(small_run: SmallRun) -> None:
    small_run.train("half0A")
    result, _ = small_run.train("transfer0A0B_1_3")
    frozen = blob_hashes(model(small_run, "half0A"), ["conv1", "conv2", "conv3"])
    assert result["frozen"] == frozen
    after = blob_hashes(model(small_run, "transfer0A0B_1_3"), ["conv4"])
    assert after != blob_hashes(model(small_run, "half0A"), ["conv4"])


def test_fine_tuned_layers_start_copied_and_learn(small_run: SmallRun) -> None:
    small_run.train("half0A")
    result, _ = small_run.train("transfer-ft0A0B_1_3")
    folder = small_run.folder.network("transfer-ft0A0B_1_3")
    layers = ["conv1", "conv2", "conv3"]
    before = blob_hashes(model(small_run, "half0A"), layers)
    assert blob_hashes(folder.init, layers) == before
    after = blob_hashes(model(small_run, "transfer-ft0A0B_1_3"), layers)
    assert all(after[layer] != before[layer] for layer in layers)
    assert result["frozen"] == {}


def test_random_frozen_filters_are_proven_too(small_run: SmallRun) -> None:
    result, _ = small_run.train("nolearn_1_2")
    assert list(result["frozen"]) == ["conv1", "conv2"]
    init = small_run.folder.network("nolearn_1_2").init
    assert blob_hashes(init, ["conv3"]) != blob_hashes(model(small_run, "nolearn_1_2"), ["conv3"])


def test_a_frozen_blob_that_changed_is_found(small_run: SmallRun) -> None:
    small_run.train("half0A")
    small_run.train("transfer0A0B_1_3")
    path = model(small_run, "transfer0A0B_1_3")
    content = bytearray(path.read_bytes())
    content[content.index(b"conv1") + 200] ^= 1  # inside conv1's weights
    path.write_bytes(content)
    with pytest.raises(FormatError, match="layer conv1 was to be frozen, but differs"):
        small_run.train("transfer0A0B_1_3")


def test_without_its_base_a_transfer_waits(small_run: SmallRun) -> None:
    with pytest.raises(Incomplete, match=r"base half0A is not trained .* caffe-transfer train "):
        small_run.train("transfer0A0B_1_3")


def test_resumes_from_the_newest_complete_snapshot(small_run: SmallRun) -> None:
    result, _ = small_run.train("half0A")
    folder = small_run.folder.network("half0A")
    result.pop("finished")
    manifest.write(folder.manifest, result)
    state = folder.snapshots / "net_iter_4.solverstate"
    whole = state.read_bytes()
    state.write_bytes(whole[: len(whole) // 2])
    result, seen = small_run.train("half0A")
    runs = result["runs"]
    assert [run["from_iteration"] for run in runs] == [0, 2]
    assert "--snapshot=snapshots/net_iter_2.solverstate" in runs[1]["argv"]
    assert seen[-1].iteration == 4
    assert len(list(folder.logs.iterdir())) == 2


def test_stop_leaves_a_snapshot_and_goes_on_from_it(small_run: SmallRun) -> None:
    root = small_run.write("half0A")
    solver = NetworkFolder(root).solver
    long = solver.read_text().replace("max_iter: 4", "max_iter: 100000")
    solver.write_text(long.replace("snapshot: 2", "snapshot: 100000"))
    stop = threading.Event()

    def report(progress: TrainingProgress) -> None:
        if progress.iteration >= 3:
            stop.set()

    with pytest.raises(Interrupted, match=r"^stopped at iteration \d+ of 100000"):
        train_network(root, small_run.settings, report, stop)
    newest = newest_complete(NetworkFolder(root).snapshots)
    assert newest is not None
    assert newest.iteration >= 3
    solver.write_text(long.replace("max_iter: 100000", f"max_iter: {newest.iteration + 3}"))
    result = train_network(root, small_run.settings, lambda _: None)
    assert result["runs"][-1]["from_iteration"] == newest.iteration
    assert result["finished"]


def test_a_failing_engine_is_quoted(small_run: SmallRun) -> None:
    root = small_run.write("half0A")
    net = NetworkFolder(root).net
    net.write_text(net.read_text().replace('type: "LRN"', 'type: "LNR"'))
    with pytest.raises(EngineError) as error:
        train_network(root, small_run.settings, lambda _: None)
    message = str(error.value)
    assert "caffe ended with status -6: " in message
    assert "Unknown layer type: LNR" in message
    assert str(next(NetworkFolder(root).logs.iterdir())) in message


def test_an_engine_that_ends_early(small_run: SmallRun, tmp_path: Path) -> None:
    engine = script(tmp_path / "lazy", "echo version 1")
    with pytest.raises(EngineError, match="lazy ended before iteration 4"):
        small_run.train("half0A", engine=engine)
    with pytest.raises(EngineError, match="cannot start /nonexistent"):
        small_run.train("half0B", engine=NO_ENGINE)


def test_two_processes_never_train_one_folder(small_run: SmallRun) -> None:
    root = small_run.write("half0A")
    with (
        locked(NetworkFolder(root).lock),
        pytest.raises(Busy, match=r"another process works in .*half0A"),
    ):
        train_network(root, small_run.settings, lambda _: None)


def test_an_engine_that_outlives_its_parent_keeps_the_lock(
    small_run: SmallRun, tmp_path: Path
) -> None:
    root = small_run.write("half0A")
    engine = script(tmp_path / "orphan", "[ $1 = --version ] || sleep 3 & echo version 1")
    with pytest.raises(EngineError, match="ended before"):
        train_network(root, Settings(engine), lambda _: None)
    with pytest.raises(Busy):
        train_network(root, small_run.settings, lambda _: None)
    time.sleep(3.2)
    assert train_network(root, small_run.settings, lambda _: None)["finished"]


def test_a_renamed_folder_keeps_its_proof(small_run: SmallRun) -> None:
    small_run.train("half0A")
    for name, frozen in (("transfer0A0B_1_3", 3), ("nolearn_1_2", 2)):
        root = small_run.write(name)
        mine = root.rename(root.with_name(f"mine-{name}"))
        result = train_network(mine, small_run.settings, lambda _: None)
        assert len(result["frozen"]) == frozen
        path = next((mine / "snapshots").glob("*_4.caffemodel"))
        content = bytearray(path.read_bytes())
        content[content.index(b"conv1") + 200] ^= 1  # inside conv1's weights
        path.write_bytes(content)
        with pytest.raises(FormatError, match="layer conv1 was to be frozen, but differs"):
            train_network(mine, small_run.settings, lambda _: None)


def test_other_nets_are_trained_plainly(small_run: SmallRun) -> None:
    root = small_run.write("half0A")
    net = root / "train_val.prototxt"
    net.write_text(net.read_text().replace("mini half0A", "my own net"))
    result = train_network(root, small_run.settings, lambda _: None)
    assert result["finished"]
    assert load_network(root).network is None


def keeping_last(run: SmallRun) -> Settings:
    return replace(run.settings, keep_snapshots=None)


def names(root: Path) -> set[str]:
    return {path.name for path in NetworkFolder(root).snapshots.iterdir()}


def test_a_trained_network_keeps_its_model_alone(small_run: SmallRun) -> None:
    root = small_run.write("half0A")
    (root / "snapshots").mkdir()
    others = {"best.caffemodel", "other_iter_2.caffemodel", "net_iter_2.txt"}
    for name in others:
        (root / "snapshots" / name).touch()
    settings = keeping_last(small_run)
    first = train_network(root, settings, lambda _: None)
    assert names(root) == {"net_iter_4.caffemodel", *others}
    assert list(first["model"]) == ["snapshots/net_iter_4.caffemodel"]
    again = train_network(root, replace(settings, engine=NO_ENGINE), lambda _: None)
    assert again == first

    transfer = small_run.write("transfer0A0B_1_3")
    result = train_network(transfer, settings, lambda _: None)
    frozen = blob_hashes(root / "snapshots/net_iter_4.caffemodel", ["conv1", "conv2", "conv3"])
    assert result["frozen"] == frozen
    path = transfer / "snapshots/net_iter_4.caffemodel"
    content = bytearray(path.read_bytes())
    content[content.index(b"conv1") + 200] ^= 1
    path.write_bytes(content)
    with pytest.raises(FormatError, match="layer conv1 was to be frozen, but differs"):
        train_network(transfer, settings, lambda _: None)


def test_what_a_killed_process_left_of_a_trained_network_goes(small_run: SmallRun) -> None:
    small_run.train("half0A")
    folder = small_run.folder.network("half0A")
    kept = names(folder.root)
    assert len(kept) == 4
    train_network(folder.root, keeping_last(small_run), lambda _: None)
    assert names(folder.root) == kept  # it was asked to keep all
    record = manifest.read(folder.manifest)
    manifest.write(folder.manifest, {**record, "keep_snapshots": "last"})
    small_run.train("half0A", engine=NO_ENGINE)
    assert names(folder.root) == {"net_iter_4.caffemodel"}


def test_the_study_of_the_run_says_what_is_kept(small_run: SmallRun) -> None:
    study = replace(small_run.study, keep_snapshots="all")
    small_run.folder.study.write_text(study_text(study))
    root = small_run.write("half0A")
    train_network(root, keeping_last(small_run), lambda _: None)
    assert len(names(root)) == 4


def test_in_training_the_newest_two_pairs_are_kept(
    small_run: SmallRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "SNAPSHOT_POLL_SECONDS", 0)
    monkeypatch.setattr(snapshots, "SETTLED_SECONDS", 0)
    root = small_run.write("half0A")
    solver = NetworkFolder(root).solver
    text = solver.read_text().replace("max_iter: 4", "max_iter: 100000")
    solver.write_text(text.replace("snapshot: 2", "snapshot: 50"))
    stop = threading.Event()

    def report(progress: TrainingProgress) -> None:
        if progress.iteration >= 500:
            stop.set()

    with pytest.raises(Interrupted):
        train_network(root, keeping_last(small_run), report, stop)
    pairs = snapshots.snapshots(root / "snapshots")
    assert [is_complete(pair) for pair in pairs] == [True, True]
    assert len(names(root)) == 4
    assert pairs[0].iteration >= 500
    assert pairs[0].iteration - pairs[1].iteration <= 50


@pytest.mark.parametrize("keep", ["last", "all"])
def test_max_iter_raised_after_the_end(small_run: SmallRun, keep: str) -> None:
    root = small_run.write("half0A")
    settings = replace(small_run.settings, keep_snapshots=keep)
    train_network(root, settings, lambda _: None)
    solver = NetworkFolder(root).solver
    solver.write_text(solver.read_text().replace("max_iter: 4", "max_iter: 6"))
    assert network_status(root).state is State.STOPPED
    if keep == "all":
        result = train_network(root, settings, lambda _: None)
        assert result["runs"][-1]["from_iteration"] == 4
        assert list(result["model"]) == ["snapshots/net_iter_6.caffemodel"]
    else:
        before = names(root)
        with pytest.raises(
            BadInput, match="to iteration 4, and without its solver state it cannot"
        ):
            train_network(root, settings, lambda _: None)
        with pytest.raises(Incomplete, match="base half0A is not trained to its end"):
            small_run.train("transfer0A0B_1_3")
        assert names(root) == before


def test_a_trained_base_whose_model_is_gone(small_run: SmallRun) -> None:
    small_run.train("half0A")
    model(small_run, "half0A").unlink()
    assert small_run.train("half0A", engine=NO_ENGINE)[0]["finished"]
    with pytest.raises(Incomplete, match=r"net_iter_4.caffemodel of the trained network half0A is"):
        small_run.train("transfer0A0B_1_3")
