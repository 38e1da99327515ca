"""`copy`, `compare`, `inspect` and `upgrade` as a user calls them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from caffe_transfer.formats.proto import caffe_pb2 as pb
from tests.models import write_model
from tests.small_study import SmallRun


def call(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "caffe_transfer", *map(str, arguments)],
        capture_output=True, text=True, check=False, cwd=cwd,
    )  # fmt: skip


def test_copy_prints_what_became_of_the_layers(tmp_path: Path) -> None:
    write_model(tmp_path / "a.caffemodel")
    done = call("copy", "a.caffemodel", "b.caffemodel", "--n", "2", cwd=tmp_path)
    assert done.stdout == "copied   conv1 conv2\nignored  fc3\n"
    assert (tmp_path / "b.caffemodel").exists()


def test_what_copy_writes_as_hdf5_is_read_by_the_other_commands(tmp_path: Path) -> None:
    write_model(tmp_path / "a.caffemodel")
    for name in ("b.h5", "c.caffemodel.h5"):
        assert call("copy", "a.caffemodel", name, "--n", "2", cwd=tmp_path).returncode == 0
    done = call("inspect", "b.h5", cwd=tmp_path)
    assert done.stdout.startswith("caffemodel, format HDF5"), done.stderr
    done = call("compare", "--meaning", "b.h5", "c.caffemodel.h5", cwd=tmp_path)
    assert done.returncode == 0, done.stdout


def test_copy_into_a_network(small_run: SmallRun) -> None:
    small_run.train("half0A")
    root = small_run.write("transfer0A0B_1_3")
    base = root / "basenet/snapshots/net_iter_4.caffemodel"
    done = call("copy", base, root / "init.caffemodel", "--n", "3", "--into", root)
    assert done.stdout == (
        "copied   conv1 conv2 conv3\nfresh    conv4 conv5 fc6 fc7 fc8\n"
        "ignored  conv4 conv5 fc6 fc7 fc8\n"
    )


def test_copy_prints_all_names_wrapped(tmp_path: Path) -> None:
    net = pb.NetParameter()
    names = [f"inception_{n}/5x5_reduce" for n in range(40)]
    for name in names:
        net.layer.add(name=name, type="Convolution").blobs.add(data=[1])
    (tmp_path / "a.caffemodel").write_bytes(net.SerializeToString())
    done = call("copy", "a.caffemodel", "b.caffemodel", "--n", "20", cwd=tmp_path)
    copied, ignored = done.stdout.split("ignored  ")
    assert copied.removeprefix("copied   ").split() == names[:20]
    assert ignored.split() == names[20:]
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_compare_of_models_shows_what_differs(tmp_path: Path) -> None:
    for name, options in {"a": {}, "b": {"form": "V1"}, "c": {}}.items():
        write_model(tmp_path / f"{name}.caffemodel", **options)  # type: ignore[arg-type]
    net = pb.NetParameter.FromString((tmp_path / "c.caffemodel").read_bytes())
    net.layer[2].blobs[1].data[0] += 1
    (tmp_path / "c.caffemodel").write_bytes(net.SerializeToString())
    same = call("compare", "a.caffemodel", "a.caffemodel", cwd=tmp_path)
    assert (same.stdout, same.returncode) == (
        "identical          a.caffemodel and a.caffemodel\n", 0,
    )  # fmt: skip
    meaning = call("compare", "a.caffemodel", "b.caffemodel", cwd=tmp_path)
    assert meaning.returncode == 1
    assert meaning.stdout == (
        "same meaning       a.caffemodel and b.caffemodel\n    6 blobs: 6 identical\n"
    )
    done = call("compare", "--meaning", "a.caffemodel", "b.caffemodel", cwd=tmp_path)
    assert done.returncode == 0
    different = call("compare", "--meaning", "a.caffemodel", "c.caffemodel", cwd=tmp_path)
    assert different.returncode == 1
    head, summary, columns, *rows = different.stdout.splitlines()
    assert head == "different          a.caffemodel and c.caffemodel"
    assert summary.strip() == ("6 blobs: 5 identical, 1 with other numbers; at most by 1 (conv2 1)")
    assert columns.split() == ["blob", "shape", "differ", "largest", "ulps"]
    assert [row.split()[:5] for row in rows] == [["conv2", "1", "5", "1", "1"]]
    everything = call("compare", "--all", "a.caffemodel", "c.caffemodel", cwd=tmp_path)
    assert len(everything.stdout.splitlines()) == 3 + 6
    brief = call("compare", "--brief", "a.caffemodel", "c.caffemodel", cwd=tmp_path)
    assert brief.stdout.splitlines() == [f"{head}: {summary.strip()}"]


def test_compare_counts_nans_and_shows_other_shapes(tmp_path: Path) -> None:
    write_model(tmp_path / "a.caffemodel")
    net = pb.NetParameter.FromString((tmp_path / "a.caffemodel").read_bytes())
    net.layer[0].blobs[1].data[0] = float("nan")
    net.layer[2].blobs[1].shape.dim[:] = [3]
    del net.layer[2].blobs[1].data[3:]
    (tmp_path / "b.caffemodel").write_bytes(net.SerializeToString())
    lines = call("compare", "a.caffemodel", "b.caffemodel", cwd=tmp_path).stdout.splitlines()
    assert [line.split() for line in lines[-3:]] == [
        ["blob", "shape", "differ", "largest", "ulps", "NaN"],
        ["conv1", "1", "4", "1", "0", "0", "1"],
        ["conv2", "1", "5", "and", "3", "-", "-", "-", "0"],
    ]


def test_compare_for_machines_and_of_trees(tmp_path: Path) -> None:
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        write_model(tmp_path / folder / "a.caffemodel", seed=len(folder))
    write_model(tmp_path / "y/b.caffemodel")
    done = call("compare", "x", "y", cwd=tmp_path)
    assert done.stdout.splitlines() == [
        "2 files: 1 identical, 1 only in the second", "only in the second b.caffemodel",
    ]  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == "comparing: 0.6 kB\n"
    assert call("compare", "x/a.caffemodel", "y/a.caffemodel", cwd=tmp_path).stderr == ""
    assert (
        "identical          a.caffemodel" in call("compare", "--all", "x", "y", cwd=tmp_path).stdout
    )
    common = call("compare", "x", "y", "--common", cwd=tmp_path)
    assert (common.stdout, common.returncode) == ("1 file: 1 identical\n", 0)
    (tmp_path / "y/a.caffemodel").write_bytes(b"cut")
    broken = call("compare", "x", "y", "--brief", cwd=tmp_path)
    assert "y/a.caffemodel is not a whole" in broken.stdout
    found = json.loads(call("compare", "x", "y", "--json", cwd=tmp_path).stdout.splitlines()[0])
    assert (found["verdict"], found["kind"]) == ("broken", "file")
    assert "y/a.caffemodel is not a whole" in found["lines"][0]
    (tmp_path / "empty").mkdir()
    assert call("compare", "empty", "empty", cwd=tmp_path).stdout == "no files\n"


NET = """
layer { name: "d" type: "Input" top: "d" input_param { shape { dim: 1 dim: 3 dim: 3 dim: 3 } } }
layer { name: "conv1" type: "Convolution" bottom: "d" top: "c"
  convolution_param { num_output: 4 kernel_size: 2 } }
"""


@pytest.mark.parametrize(
    ("old", "new", "status", "said"),
    [
        ("", "", 0,
         ["unexpected, only in the model:", "conv2 0  5x4x1x1", "Caffe loads it, and ignores"]),
        ('"conv1"', '"new"', 1, ["missing, only in the net:", "new 0  4x3x2x2", "draws what is"]),
        ("kernel_size: 2", "kernel_size: 3", 1,
         ["misshapen, in the model and in the net:", "conv1 0  4x3x2x2  4x3x3x3", "refuses"]),
        ('"Input" top: "d" input_param { shape { dim: 1 dim: 3 dim: 3 dim: 3 } }',
         '"Data" top: "d" data_param { batch_size: 1 source: "none" }', 0,
         ["1 blobs fit, 1 as far as their shapes are known", "conv1 0  4x3x2x2  4x?x2x2",
          "provided", "--shape C,H,W"]),
        ("kernel_size: 2", "kernel_size: 2 bias_term: false", 1,
         ["Caffe refuses to load it: another number of blobs in conv1"]),
    ],
)  # fmt: skip
def test_what_fits(tmp_path: Path, old: str, new: str, status: int, said: list[str]) -> None:
    write_model(tmp_path / "m.caffemodel")
    (tmp_path / "n.prototxt").write_text(NET.replace(old, new) if old else NET)
    for arguments in (
        ["inspect", "m.caffemodel", "--net", "n.prototxt"],
        ["compare", "m.caffemodel", "n.prototxt"],
        ["compare", "n.prototxt", "m.caffemodel"],
    ):
        done = call(*arguments, cwd=tmp_path)
        assert done.returncode == status
        verdict = "does not fit" if status else "fits"
        assert done.stdout.startswith(f"{verdict:18} m.caffemodel and n.prototxt: ")
        for part in said:
            assert part in done.stdout
        found = json.loads(call(*arguments, "--json", cwd=tmp_path).stdout)
        assert found["fits"] is (status == 0)
    brief = call("compare", "m.caffemodel", "n.prototxt", "--brief", cwd=tmp_path)
    assert brief.stdout.count("\n") == 1


def test_inspect_numbers_layers_and_gives_statistics(tmp_path: Path) -> None:
    write_model(tmp_path / "m.caffemodel")
    plain = call("inspect", "m.caffemodel", cwd=tmp_path).stdout.splitlines()
    assert plain[:2] == [
        "caffemodel, format V2, name 'small', 119 parameters", "3 of 4 layers have parameters",
    ]  # fmt: skip
    assert [line.split() for line in plain[2:5]] == [
        ["n", "layer", "type", "parameters", "shapes"],
        ["1", "conv1", "Convolution", "52", "4x3x2x2", "+", "4"],
        ["2", "conv2", "Convolution", "25", "5x4x1x1", "+", "5"],
    ]
    net = pb.NetParameter.FromString((tmp_path / "m.caffemodel").read_bytes())
    net.layer[2].blobs[1].data[:] = [float("nan"), float("inf"), 0, -1, 2]
    (tmp_path / "m.caffemodel").write_bytes(net.SerializeToString())
    done = call("inspect", "m.caffemodel", "--stats", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stderr == "warning: layer conv2, blob 1 has 1 NaN and 1 infinite numbers\n"
    rows = [line.split() for line in done.stdout.splitlines()]
    assert ["1", "5", "-1", "2", "0.3333", "1", "1", "1"] in rows
    found = json.loads(call("inspect", "m.caffemodel", "--stats", "--json", cwd=tmp_path).stdout)
    assert found["layers"][2]["n"] == 2
    assert found["layers"][2]["blobs"][1]["statistics"] == {
        "least": -1, "most": 2, "mean": pytest.approx(1 / 3), "zeros": 1, "nans": 1,
        "infinities": 1,
    }  # fmt: skip


def test_long_names_fit_into_80_columns_and_stay_whole_in_a_pipe(tmp_path: Path) -> None:
    names = ["inception_4e/3x3_reduce", "a_name_of_more_than_eighty_letters" * 3]
    for name, widest in ((names[0], 80), (names[1], 200)):
        text = NET.replace('"conv1"', f'"{name}"') + (
            'layer { name: "loss" type: "SoftmaxWithLoss" bottom: "c" bottom: "c" top: "loss"\n'
            "  include { phase: TRAIN } }"
        )
        (tmp_path / "n.prototxt").write_text(text)
        done = call("inspect", "n.prototxt", cwd=tmp_path)
        lines = done.stdout.splitlines()
        assert lines[0] == "net '', format V2, 3 layers, 52 parameters"
        assert any(name in line and "1x4x2x2" in line for line in lines)
        assert max(map(len, lines)) <= widest


def test_inspect_of_nets_and_solvers(tmp_path: Path) -> None:
    (tmp_path / "n.prototxt").write_text(
        'layer { name: "data" type: "Data" top: "data" top: "label"\n'
        '  data_param { source: "none" batch_size: 7 } }\n'
        'layer { name: "f" type: "InnerProduct" bottom: "data" top: "f" param { lr_mult: 0 }\n'
        "  inner_product_param { num_output: 2 bias_term: false } }"
    )
    done = call("inspect", "n.prototxt", cwd=tmp_path)
    assert done.stdout == (
        "net '', format V2, 2 layers, ? parameters\n"
        "n  layer  type          output   parameters\n"
        "   data   Data          7x?x?x?\n"
        "                        7\n"
        "1  f      InnerProduct  7x2              ?*\n"
        "* frozen: training leaves it as it is\n"
        "note: layer data: none is not here, and the net does not say the size of its\n"
        "      images; give it with --shape C,H,W; what depends on it is shown as ?\n"
    )
    given = call("inspect", "n.prototxt", "--shape", "1,2,3", cwd=tmp_path).stdout
    assert "12*" in given
    assert "note" not in given
    (tmp_path / "s.prototxt").write_text('net: "n.prototxt" max_iter: 3')
    solver = call("inspect", "s.prototxt", cwd=tmp_path).stdout
    assert solver == 'solver of n.prototxt, 3 iterations\n  max_iter: 3\n  net: "n.prototxt"\n'


def test_inspect_of_what_a_run_leaves(small_run: SmallRun) -> None:
    small_run.train("half0A")
    folder, data = small_run.folder.network("half0A"), small_run.folder.data
    state = call("inspect", folder.snapshots / "net_iter_4.solverstate").stdout.splitlines()
    assert state[0].startswith("solverstate, iteration 4, step 0, of snapshots/net_iter_4.caffe")
    assert state[2].split() == ["0", "16x1x5x5"]
    stats = call("inspect", folder.snapshots / "net_iter_4.solverstate", "--stats").stdout
    assert "0  16x1x5x5" in stats
    assert call("inspect", data.mean, "--stats").stdout.startswith("binaryproto 1x1x28x28, mean of")
    lines = call("inspect", data.lmdb("half0A_train")).stdout.splitlines()
    assert lines[0] == "LMDB, 8 records"
    assert "raw, 1x28x28, label " in lines[1]


def test_upgrade_says_what_it_did(tmp_path: Path) -> None:
    write_model(tmp_path / "old", "V1")
    done = call("upgrade", "old", "new.caffemodel", cwd=tmp_path)
    assert done.stdout == "model in format V1: upgraded to V2, 4 layers, new.caffemodel\n"
    done = call("upgrade", "new.caffemodel", "again.caffemodel", cwd=tmp_path)
    assert done.stdout == "model in format V2, which is current: copied, again.caffemodel\n"
    (tmp_path / "s").write_text("solver_type: ADAM  # fast\n")
    done = call("upgrade", "s", "s.prototxt", cwd=tmp_path)
    assert done.stdout == (
        "solver with a numeric type: upgraded, s.prototxt\nnote: the comments of s are not kept\n"
    )
    (tmp_path / "n").write_text('input: "x" input_dim: 1 input_dim: 1 input_dim: 1 input_dim: 1')
    done = call("upgrade", "n", "n.prototxt", cwd=tmp_path)
    assert done.stdout == (
        "net in format V2 with older fields: upgraded to V2, 1 layers, n.prototxt\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["copy", "none", "b", "--n", "1"], "there is no file none"),
        (["copy", "cut.caffemodel", "b", "--n", "1"], "is not a whole .caffemodel"),
        (["copy", "a.caffemodel", "b", "--n", "0"], "choose 1 to 3"),
        (["copy", "a.caffemodel", "b.pth", "--n", "1"], "b.pth is no name for a Caffe model; use"),
        (["copy", "a.caffemodel", "b"], "Missing option '--n'"),
        (["copy", "a.caffemodel", "a.caffemodel/b", "--n", "1"], "cannot write"),
        (["inspect", "cut.caffemodel"], "is not a whole .caffemodel"),
        (["compare", "a.caffemodel", "none"], "there is no none; check the name"),
        (["compare", "a.caffemodel", "."], "a folder and a file; compare two of a kind"),
        (["inspect", "none"], "there is no file none"),
        (["inspect", "a.caffemodel", "--net", "none"], "there is no file none"),
        (["inspect", "a.caffemodel", "--net", "x", "--stats"], "ask one at a time."),
        (["copy", "a.caffemodel", "b.prototxt", "--n", "1"], "is no name for a Caffe model"),
        (["copy", "a.caffemodel", "b.txt", "--n", "1"], "is no name for a Caffe model"),
        (["upgrade", "a.caffemodel", "a.caffemodel"], "is there already; remove it or name"),
        (["upgrade", "cut.caffemodel", "b"], "is not a whole .caffemodel"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path: Path, arguments: list[str], message: str) -> None:
    write_model(tmp_path / "a.caffemodel")
    (tmp_path / "cut.caffemodel").write_bytes((tmp_path / "a.caffemodel").read_bytes()[:-9])
    done = call(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.glob("b*"))
