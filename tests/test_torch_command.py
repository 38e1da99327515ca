"""caffe-torch's command line: flags, one sentence for each mistake, Caffe's log lines."""

import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="no PyTorch here; pip install 'caffe-transfer[torch]'")

import torch

from caffe_transfer.caffe_torch import __main__ as entry
from caffe_transfer.caffe_torch import command, glog
from caffe_transfer.caffe_torch.flag_table import FLAGS
from caffe_transfer.caffe_torch.precision import Precision
from caffe_transfer.training.engine import PRECISIONS

NET = """
layer { name: "in" type: "DummyData" top: "x" dummy_data_param { shape { dim: 2 dim: 3 } } }
layer { name: "fc" type: "InnerProduct" bottom: "x" top: "fc"
  inner_product_param { num_output: 3 } }
layer { name: "loss" type: "EuclideanLoss" bottom: "fc" bottom: "x" top: "loss" }
"""
SOLVER = 'net: "net.prototxt" solver_mode: CPU base_lr: 0 lr_policy: "fixed"'


@pytest.fixture
def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A net in the working directory."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "net.prototxt"
    path.write_text(NET)
    (tmp_path / "solver.prototxt").write_text(SOLVER)
    return path


def last(capfd: pytest.CaptureFixture[str]) -> str:
    return capfd.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("train", "train needs --solver=FILE"),
        ("train --solver=none", "there is no file none; write it"),
        ("train --solver=net.prototxt", "net.prototxt is not a prototxt of this kind"),
        ("train --solver=x --snapshot=a --weights=b", "to finetune, but not both"),
        ("test --model=net.prototxt", "test needs --weights=FILE"),
        ("test --weights=x", "test needs --model=FILE"),
        ("test --model=net.prototxt --weights=none", "there is no file none"),
        ("time", "time needs --model=FILE"),
        ("time --model=net.prototxt --phase=TRIAN", "--phase must be TRAIN or TEST"),
        ("time --model=net.prototxt --gpu=99", "there is no GPU 99; PyTorch finds"),
        ("time --model=net.prototxt --gpu=all", "there is no GPU 0; PyTorch finds 0"),
        ("time --model=net.prototxt --gpu=0,1", "trains on one GPU; give its number"),
        ("time --model=net.prototxt --gpu=x", "--gpu=x is not the number of a GPU"),
        ("train --solver=solver.prototxt --sigint_effect=x", "must be one of none, stop, snapshot"),
        ("prove", "there is no command prove; there are device_query, test, time, train"),
    ],
)
def test_mistakes_are_one_fatal_line(
    net: Path, arguments: str, message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert command.main(arguments.split()) == 1
    line = last(capfd)
    assert line.startswith("F")
    assert message in line


def test_a_graph_needs_a_gpu(net: Path, capfd: pytest.CaptureFixture[str]) -> None:
    Path("solver.prototxt").write_text('net: "net.prototxt" lr_policy: "fixed" solver_mode: CPU')
    assert command.main(["train", "--solver=solver.prototxt", "--cuda_graph"]) == 1
    assert "--cuda_graph is for a GPU; leave it out" in last(capfd)


def test_flags_with_one_dash_or_two(net: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for flags in (["--model=net.prototxt", "--iterations=2"], ["-model", "net.prototxt"]):
        assert command.main(["time", *flags, "--precision", "bf16", "-threads=1"]) == 0
        assert "Average Forward-Backward: " in capfd.readouterr().err
    assert command.main(["time", "--modle=x"]) == 1
    assert last(capfd) == "ERROR: unknown command line flag 'modle'"


def _full_gpu() -> None:
    raise torch.OutOfMemoryError


@pytest.mark.parametrize(
    "ask", [_full_gpu, lambda: torch.empty(1 << 50), lambda: np.empty(1 << 50)]
)
def test_memory_that_runs_out_is_told(
    ask: Callable[[], object],
    net: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(command._COMMANDS, "time", lambda _line: ask())
    assert command.main(["time", "--model=net.prototxt"]) == 1
    assert last(capfd).endswith(
        "there is not enough memory; lower batch_size, or raise iter_size instead"
    )


def test_other_faults_of_the_program_are_not_taken_for_it(
    net: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(command._COMMANDS, "time", lambda _line: torch.zeros(2) @ torch.zeros(3))
    with pytest.raises(RuntimeError, match="inconsistent tensor size"):
        command.main(["time", "--model=net.prototxt"])


@pytest.mark.parametrize("shift", ["1e30", "-1e30", "inf", "nan"])
def test_exponents_beyond_all_numbers(
    shift: str, tmp_path: Path, caffe_bin: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "exp.prototxt"
    path.write_text(
        'layer { name: "x" type: "DummyData" top: "x" dummy_data_param { shape { dim: 1 } } }\n'
        f'layer {{ name: "y" type: "Exp" bottom: "x" top: "y" exp_param {{ shift: {shift} }} }}\n'
    )
    arguments = ["time", f"--model={path}", "--iterations=1"]
    assert command.main(arguments) == 0
    assert subprocess.run([caffe_bin, *arguments], capture_output=True).returncode == 0


def test_ctrl_c_ends_what_trains_nothing_as_it_ends_caffe(net: Path, caffe_bin: Path) -> None:
    for program in ([str(caffe_bin)], [sys.executable, "-m", "caffe_transfer.caffe_torch"]):
        with subprocess.Popen(
            [*program, "time", "--model=net.prototxt", "--iterations=1000000", "--logtostderr"],
            stderr=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            assert process.stderr is not None
            while "Performing Forward" not in process.stderr.readline():
                assert process.poll() is None
            process.send_signal(signal.SIGINT)
            assert "Traceback" not in process.stderr.read()
        assert process.returncode == -signal.SIGINT


def test_device_query_without_a_gpu(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    for arguments, status in (([], 0), (["-gpu=all"], 1), (["-gpu=0"], 1)):
        assert command.main(["device_query", *arguments]) == status
        assert "here is no GPU that PyTorch can use" in last(capfd)


def test_help_and_version_of_the_installed_program() -> None:
    program = Path(sys.executable).with_name("caffe-torch")
    done = subprocess.run([program, "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 1  # gflags' status after help
    assert "caffe-torch train --solver=solver.prototxt" in done.stdout
    for flag in ("-weights", "-snapshot", "-sigint_effect", "-precision", "-log_dir", "-flagfile"):
        assert f"    {flag} (" in done.stdout
    shown = subprocess.run([program, "-version"], capture_output=True, text=True, check=True)
    assert re.match(r"caffe-torch \d+\.\d+\.\d+ \(PyTorch \d", shown.stdout)


def test_help_and_version_start_without_pytorch() -> None:
    code = (
        "import sys; from caffe_transfer.caffe_torch import usage; "
        "from caffe_transfer.caffe_torch.flags import parse; "
        "usage.answer(parse([sys.argv[1]])); assert 'torch' not in sys.modules"
    )
    for flag in ("-help", "-version", "-bogus"):
        subprocess.run([sys.executable, "-c", code, flag], check=True, capture_output=True)


def test_without_pytorch_the_program_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("sys.argv", ["caffe-torch", "time"])
    assert entry.main() == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_log_lines_have_glogs_form(capfd: pytest.CaptureFixture[str]) -> None:
    glog.info("text", "solver")
    form = r"I\d{8} \d\d:\d\d:\d\d\.\d{6} +\d+ solver\.py:0\] text"
    assert re.fullmatch(form, last(capfd))
    shown = [glog.number(value) for value in (2.0, 0.000012345678, 1234567.0, 0.1234567)]
    assert shown == ["2", "1.23457e-05", "1.23457e+06", "0.123457"]


def test_the_precisions_are_those_that_caffe_transfer_offers() -> None:
    assert tuple(Precision) == PRECISIONS == FLAGS["precision"].choices


def test_names_from_files_do_not_move_the_cursor(
    net: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    net.write_text(NET.replace('name: "fc"', 'name: "\\033[31mfc"'))
    assert command.main(["time", "--model=net.prototxt", "--logtostderr"]) == 0
    assert command.main(["--model=\x1b[31mx", "--help"]) == 1
    said = capfd.readouterr()
    assert "\\x1b[31mfc" in said.err
    assert "\tforward: " in said.err
    assert "\x1b" not in said.err + said.out
