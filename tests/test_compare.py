"""Two files or two trees: the bytes, then the meaning."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from caffe_transfer.comparison import compare as compare_module
from caffe_transfer.comparison.blobs import BlobComparison
from caffe_transfer.comparison.compare import SAME, Verdict, compare, model_and_net
from caffe_transfer.errors import BadInput, Incomplete
from caffe_transfer.formats.caffemodel import open_model
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.nets import write as network_folder
from caffe_transfer.studies.load import paper
from tests.models import write_model
from tests.small_study import SmallRun


def verdicts(left: Path, right: Path, **options: Any) -> dict[str, Verdict]:
    return {each.name: each.verdict for each in compare(left, right, **options)}


def line(blob: BlobComparison) -> str:
    return f"{blob.name} {blob.shape_texts[0]} {blob.different} differ, at most by {blob.largest:g}"


def one(left: Path, right: Path, **options: Any) -> tuple[Verdict, list[str]]:
    (found,) = compare(left, right, **options)
    return found.verdict, [*found.lines, *map(line, found.blobs)]


@pytest.mark.parametrize("form", ["V0", "V1"])
def test_formats_of_one_model_mean_the_same(tmp_path: Path, form: str) -> None:
    write_model(tmp_path / "a.caffemodel")
    write_model(tmp_path / "caffe_train_iter_10", form)
    verdict, lines = one(tmp_path / "a.caffemodel", tmp_path / "caffe_train_iter_10")
    assert verdict is Verdict.SAME_MEANING
    assert lines[0].startswith("conv1 0 4x3x2x2 0 differ")


def test_hdf5_too(tmp_path: Path) -> None:
    arrays = write_model(tmp_path / "a.caffemodel")
    with h5py.File(tmp_path / "a.caffemodel.h5", "w") as file:
        for layer, blobs in arrays.items():
            for index, blob in enumerate(blobs):
                file[f"data/{layer}/{index}"] = blob
    verdict, _ = one(tmp_path / "a.caffemodel", tmp_path / "a.caffemodel.h5")
    assert verdict is Verdict.SAME_MEANING


def test_models_that_differ_say_where(tmp_path: Path) -> None:
    write_model(tmp_path / "a.caffemodel")
    net = pb.NetParameter.FromString((tmp_path / "a.caffemodel").read_bytes())
    net.layer[2].blobs[1].data[0] += 1
    (tmp_path / "b.caffemodel").write_bytes(net.SerializeToString())
    (found,) = compare(tmp_path / "a.caffemodel", tmp_path / "b.caffemodel")
    assert found.verdict is Verdict.DIFFERENT
    (changed,) = [blob for blob in found.blobs if not blob.identical]
    assert (changed.name, changed.different) == ("conv2 1", 1)
    assert changed.largest == pytest.approx(1)


def test_fresh_layers_match_on_request(tmp_path: Path) -> None:
    write_model(tmp_path / "a.caffemodel")
    write_model(tmp_path / "b.caffemodel", suffixes={"fc3": "-new"})
    files = tmp_path / "a.caffemodel", tmp_path / "b.caffemodel"
    assert one(*files)[0] is Verdict.DIFFERENT
    assert one(*files, match_fresh=True)[0] is Verdict.SAME_MEANING


def test_prototxts_are_compared_by_what_they_say(tmp_path: Path) -> None:
    (tmp_path / "a.prototxt").write_text('layers { name: "r" type: RELU bottom: "x" top: "x" }\n')
    (tmp_path / "b.prototxt").write_text('layer { type: "ReLU" name: "r" bottom: "x" top: "x" }\n')
    (tmp_path / "c.prototxt").write_text('layer { type: "TanH" name: "r" bottom: "x" top: "x" }\n')
    verdict, lines = one(tmp_path / "a.prototxt", tmp_path / "b.prototxt")
    assert verdict is Verdict.SAME_MEANING
    assert lines == [
        "line 1:",
        '-layers { name: "r" type: RELU bottom: "x" top: "x" }',
        '+layer { type: "ReLU" name: "r" bottom: "x" top: "x" }',
    ]
    assert one(tmp_path / "a.prototxt", tmp_path / "c.prototxt")[0] is Verdict.DIFFERENT


def test_solvers_too(tmp_path: Path) -> None:
    (tmp_path / "a.prototxt").write_text("base_lr: 0.01\nsolver_type: ADAM\n")
    (tmp_path / "b.prototxt").write_text('type: "Adam"\nbase_lr: 1e-2\n')
    (tmp_path / "c.prototxt").write_text('type: "Adam"\nbase_lr: 1e-3\n')
    assert one(tmp_path / "a.prototxt", tmp_path / "b.prototxt")[0] is Verdict.SAME_MEANING
    assert one(tmp_path / "b.prototxt", tmp_path / "c.prototxt")[0] is Verdict.DIFFERENT


def test_lists_show_the_first_difference(tmp_path: Path) -> None:
    lines = [f"image{n} {n}" for n in range(5000)]
    (tmp_path / "a.txt").write_text("\n".join(lines))
    (tmp_path / "b.txt").write_text("\n".join(lines[:4000] + lines[4001:]))
    assert one(tmp_path / "a.txt", tmp_path / "b.txt") == (
        Verdict.DIFFERENT, ["line 4001:", "-image4000 4000"],
    )  # fmt: skip
    (tmp_path / "b.txt").write_text("\n".join(lines[:4000]))
    assert "... from line 4001 on" in one(tmp_path / "a.txt", tmp_path / "b.txt")[1]
    (tmp_path / "b.txt").write_text("\r\n".join(lines))
    assert one(tmp_path / "a.txt", tmp_path / "b.txt")[1] == ["only line ends differ"]


def test_solver_states_and_means_of_real_trainings(small_run: SmallRun) -> None:
    small_run.train("half0A")
    snapshots = small_run.folder.network("half0A").snapshots
    first, last = snapshots / "net_iter_2.solverstate", snapshots / "net_iter_4.solverstate"
    verdict, lines = one(first, last)
    assert verdict is Verdict.DIFFERENT
    assert lines[0] == "iteration 2 and 4"
    assert one(first, first)[0] is Verdict.IDENTICAL
    mean = small_run.folder.data.mean
    other = small_run.folder.root / "other.binaryproto"
    changed = pb.BlobProto.FromString(mean.read_bytes())
    changed.data[0] += 1
    other.write_bytes(changed.SerializeToString())
    verdict, lines = one(mean, other)
    assert verdict is Verdict.DIFFERENT
    assert lines[0].startswith("mean 0 1x1x28x28 1 differ, at most by 1")


def test_the_generated_study_against_the_authors(authors: Path, tmp_path: Path) -> None:
    study = paper()
    for network in study.networks:
        network_folder.write_network(network, study, tmp_path, "2014")
    found = verdicts(authors / "results", tmp_path, common=True)
    prototxts = {n: v for n, v in found.items() if n.endswith(".prototxt")}
    assert len(prototxts) >= 3 * 34
    assert set(prototxts.values()) == {Verdict.IDENTICAL}
    assert set(found.values()) <= SAME


def test_a_tree_goes_on_after_what_is_broken(tmp_path: Path) -> None:
    left, right = tmp_path / "a", tmp_path / "b"
    left.mkdir()
    write_model(left / "good.caffemodel")
    write_model(left / "cut.caffemodel")
    (left / "wrong-length.caffemodel").write_bytes(
        (left / "good.caffemodel").read_bytes().replace(b"conv1", b"conv1\xff", 1)
    )
    (left / "garbage.prototxt").write_bytes(bytes(range(256)))
    (left / "mean.binaryproto").write_bytes(b"\xff\xff")
    (left / "s.solverstate").write_bytes(b"\xff\xff")
    (left / "only").write_text("here")
    os.symlink("loop", left / "loop")
    os.symlink(".", left / "self")
    os.symlink("nowhere", left / "dangling")
    shutil.copytree(left, right, symlinks=True)
    (right / "only").unlink()
    (right / "too").write_text("here")
    write_model(right / "good.caffemodel", seed=1)
    for name in ("cut.caffemodel", "wrong-length.caffemodel", "mean.binaryproto"):
        (right / name).write_bytes((right / name).read_bytes()[:-1])
    (right / "garbage.prototxt").write_text("name: 'x'")
    (right / "s.solverstate").write_text("x")
    (right / "self").unlink()
    os.symlink("..", right / "self")
    assert verdicts(left, right) == {
        "cut.caffemodel": Verdict.BROKEN,
        "dangling": Verdict.IDENTICAL,
        "garbage.prototxt": Verdict.BROKEN,
        "good.caffemodel": Verdict.DIFFERENT,
        "loop": Verdict.IDENTICAL,
        "mean.binaryproto": Verdict.BROKEN,
        "only": Verdict.ONLY_LEFT,
        "s.solverstate": Verdict.BROKEN,
        "self": Verdict.DIFFERENT,
        "too": Verdict.ONLY_RIGHT,
        "wrong-length.caffemodel": Verdict.BROKEN,
    }
    for each in compare(left, right, common=True):
        if each.verdict is Verdict.BROKEN:
            assert len(each.lines) == 1
            assert each.name in each.lines[0]
    assert "only" not in verdicts(left, right, common=True)


def test_a_link_means_what_a_file_with_its_target_means(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    os.symlink("../base", tmp_path / "a/link")
    (tmp_path / "b/link").write_text("../base")
    assert verdicts(tmp_path / "a", tmp_path / "b") == {"link": Verdict.SAME_MEANING}
    (tmp_path / "base").write_bytes(b"x" * 5000)
    (tmp_path / "b/link").write_bytes(b"x" * 5000)
    assert verdicts(tmp_path / "a", tmp_path / "b") == {"link": Verdict.IDENTICAL}


def test_a_file_of_3_gb_that_claims_to_be_a_model_is_refused_at_once(tmp_path: Path) -> None:
    for name in ("a.caffemodel", "b.caffemodel", "huge_a", "huge_b"):
        with (tmp_path / name).open("wb") as file:
            file.write(b"\x0a" if name.startswith("a") else b"\x12")
            file.truncate(3 << 30)  # a hole: it takes no disk
    verdict, lines = one(tmp_path / "a.caffemodel", tmp_path / "b.caffemodel")
    assert verdict is Verdict.BROKEN
    assert lines[0].startswith(str(tmp_path / "a.caffemodel"))
    with (tmp_path / "huge_a").open("r+b") as file:
        file.write(b"\x01")
    assert one(tmp_path / "huge_a", tmp_path / "huge_b")[0] is Verdict.DIFFERENT


def test_a_model_and_a_prototxt_are_a_question_of_their_own(tmp_path: Path) -> None:
    write_model(tmp_path / "m")
    (tmp_path / "n.prototxt").write_text("")
    model, net = tmp_path / "m", tmp_path / "n.prototxt"
    assert model_and_net(model, net) == model_and_net(net, model) == (model, net)
    assert model_and_net(model, model) is None
    assert model_and_net(tmp_path, net) is None


def test_what_cannot_be_compared(tmp_path: Path) -> None:
    with pytest.raises(Incomplete, match=r"there is no .*none; check the name"):
        compare(tmp_path, tmp_path / "none")
    (tmp_path / "file").write_text("x")
    with pytest.raises(BadInput, match="are a folder and a file; compare two of a kind"):
        compare(tmp_path, str(tmp_path / "file"))


def test_comparisons_as_dictionaries_of_plain_values(tmp_path: Path) -> None:
    write_model(tmp_path / "a.caffemodel")
    write_model(tmp_path / "b.caffemodel", seed=1)
    (found,) = compare(str(tmp_path / "a.caffemodel"), tmp_path / "b.caffemodel")
    plain = found.as_dict()
    assert (type(plain["verdict"]), type(plain["kind"])) == (str, str)
    assert (plain["verdict"], plain["kind"]) == ("different", "caffemodel")
    assert plain["blobs"][0] == found.blobs[0].as_dict()
    assert plain["blobs"][0]["shapes"] == ((4, 3, 2, 2), (4, 3, 2, 2))
    assert json.dumps(plain)


def test_a_snapshot_of_real_caffe_and_its_numbers_in_hdf5(small_run: SmallRun) -> None:
    """Another format and legacy shapes make no difference to the numbers."""
    small_run.train("half0A")
    model = small_run.folder.network("half0A").snapshots / "net_iter_4.caffemodel"
    copy = small_run.folder.root / "copy.caffemodel.h5"
    with open_model(model) as source, h5py.File(copy, "w") as file:
        for layer in source.with_blobs.values():
            for index, blob in enumerate(layer.blobs):
                file[f"data/{layer.name}/{index}"] = np.array(blob.values).reshape(blob.shape)
    verdict, lines = one(model, copy)
    assert verdict is Verdict.SAME_MEANING
    assert len(lines) == 16


def test_progress_counts_bytes_and_ends_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare_module, "CHUNK_BYTES", 1000)
    (tmp_path / "far").write_bytes(b"4" * 9000)
    for side in ("x", "y"):
        folder = tmp_path / side
        folder.mkdir()
        (folder / "large").write_bytes(b"1" * 3500)
        (folder / "small").write_bytes(b"2" * 10)
        (folder / "zero").write_bytes(b"")
    (tmp_path / "x/alone").write_bytes(b"3" * 500)
    (tmp_path / "x/link").symlink_to("../far")
    shutil.copy(tmp_path / "far", tmp_path / "y/link")
    seen: list[tuple[int, int]] = []
    found = list(compare(tmp_path / "x", tmp_path / "y", progress=lambda *each: seen.append(each)))
    assert len(found) == 5
    total = 3500 + 10 + len("../far")
    assert seen[:4] == [(each, total) for each in (1000, 2000, 3000, 3499)]
    assert seen == sorted(seen)
    assert [each for each in seen if each[0] == total] == [(total, total)] == seen[-1:]
    seen.clear()
    (nothing,) = compare(
        tmp_path / "x/zero", tmp_path / "y/zero", progress=lambda *each: seen.append(each)
    )
    assert (nothing.verdict, seen) == (Verdict.IDENTICAL, [])


def test_pipes_and_loops_of_links_are_broken(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    (tmp_path / "loop.txt").symlink_to("loop.txt")
    (tmp_path / "list.txt").write_text("a.png 0\n" * 5000)  # no link of a checkout without them
    for name, why in (("pipe.txt", "is a pipe or a device"), ("loop.txt", "symbolic link")):
        for left, right in ((name, "list.txt"), ("list.txt", name)):
            (found,) = compare(tmp_path / left, tmp_path / right)
            assert found.verdict is Verdict.BROKEN
            assert why in found.lines[0]
