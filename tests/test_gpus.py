"""Whether an engine can use a GPU: real Caffe, and stand-ins that answer as real programs did."""

import subprocess
import sys
from pathlib import Path

import pytest

from caffe_transfer.errors import EngineError
from caffe_transfer.formats.fatbin import GpuCode
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.training import gpus
from caffe_transfer.training.engine import Engine
from caffe_transfer.training.gpus import Card, cards, check_gpus, gpus_of
from tests.small_study import TEXT, SmallRun, script, write_study

# What device_query of Caffe 1.0 logs, for an H200.
CARD = """\
I20261127 09:41:26.030666 65 common.cpp:203] Device id:                     {number}
I20261127 09:41:26.030667 65 common.cpp:204] Major revision number:         {major}
I20261127 09:41:26.030667 65 common.cpp:205] Minor revision number:         {minor}
I20261127 09:41:26.030668 65 common.cpp:206] Name:                          {name}
"""
FAILED = (
    "F20261127 09:41:26.031042 65 common.cpp:174] Check failed: error == cudaSuccess "
    "({code} vs. 0)  {words}\n*** Check failure stack trace: ***\n"
)
TOO_OLD = FAILED.format(
    code=35, words="CUDA driver version is insufficient for CUDA runtime version"
)
NO_CARD = FAILED.format(code=100, words="no CUDA-capable device is detected")
NOT_THERE = FAILED.format(code=101, words="invalid device ordinal")
BUSY = FAILED.format(code=46, words="all CUDA-capable devices are busy or unavailable")
CPU_ONLY = (
    "F20261127 09:41:26.662851 65 common.cpp:66] Cannot use GPU in CPU-only Caffe: check mode.\n"
    "*** Check failure stack trace: ***\n"
)
H200 = CARD.format(number=0, major=9, minor=0, name="NVIDIA H200")
GTX = CARD.format(number=1, major=6, minor=1, name="NVIDIA GeForce GTX 1080")
LISTED = "0, NVIDIA H200, 570.86.15, 9.0\n1, NVIDIA GeForce GTX 1080, 570.86.15, 6.1\n"
CUDA_13 = GpuCode(((7, 5), (9, 0)), ((9, 0),))


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test asks anew, and hides no device."""
    check_gpus.cache_clear()
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.fixture
def smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A false nvidia-smi on PATH, which lists two cards."""
    (tmp_path / "path").mkdir()
    path = script(tmp_path / "path" / "nvidia-smi", f"cat <<'END'\n{LISTED}END\n").program
    monkeypatch.setenv("PATH", f"{path.parent}:/usr/bin:/bin")
    return path


@pytest.fixture
def no_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("bash", "cat", "env", "sh"):
        (tmp_path / "path").mkdir(exist_ok=True)
        (tmp_path / "path" / name).symlink_to(f"/usr/bin/{name}")
    monkeypatch.setenv("PATH", str(tmp_path / "path"))


def answering(folder: Path, log: str, status: int, name: str = "caffe") -> Engine:
    """An engine whose device_query logs this."""
    text = f"[ $1 = device_query ] || exit 99\necho $2 >> {folder}/asked\n"
    return script(folder / name, f"{text}cat >&2 <<'END'\n{log}END\nexit {status}\n")


def refusal(engine: Engine, devices: str = "0") -> str:
    with pytest.raises(EngineError) as caught:
        check_gpus(engine, devices)
    (line,) = str(caught.value).splitlines()
    return line


def test_a_card_that_can_be_used_is_asked_for_once(tmp_path: Path) -> None:
    engine = answering(tmp_path, H200, 0)
    for _ in range(2):
        check_gpus(engine, "0")
    assert (tmp_path / "asked").read_text() == "--gpu=0\n"


@pytest.mark.usefixtures("no_smi")
def test_without_cuda(tmp_path: Path) -> None:
    engine = answering(tmp_path, CPU_ONLY, 134)
    assert refusal(engine) == (
        f"{engine.program} is built without CUDA; build Caffe with it by `make caffe-gpu`, choose "
        "--engine caffe-torch, or train on the processor, with neither --gpu nor gpu = true "
        "(solver_mode: GPU)"
    )


@pytest.mark.usefixtures("no_smi")
@pytest.mark.parametrize("log", [TOO_OLD, NO_CARD])
def test_without_a_driver(log: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "cuda_major", lambda _: 13)
    said = refusal(answering(tmp_path, log, 134))
    assert "finds no driver of NVIDIA's here, and nvidia-smi lists no GPU; install driver 580 or "
    assert "580 or later, for CUDA 13, or train on the processor" in said


@pytest.mark.usefixtures("smi")
@pytest.mark.parametrize(
    ("major", "needed"),
    [(13, "driver 580 or later, for CUDA 13"), (8, "of a version for its"), (None, "of a version")],
)
def test_a_driver_that_is_too_old(
    major: int | None, needed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpus, "cuda_major", lambda _: major)
    said = refusal(answering(tmp_path, TOO_OLD, 134))
    assert said.startswith("the driver 570.86.15 is too old for the CUDA of ")
    assert needed in said


@pytest.mark.usefixtures("smi")
def test_a_device_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = "here; nvidia-smi lists 0 (NVIDIA H200), 1 (NVIDIA GeForce GTX 1080)"
    assert f"there is no GPU 7 {listed}; name one" in refusal(
        answering(tmp_path, NOT_THERE, 134), "7"
    )
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    said = refusal(answering(tmp_path, H200 + NOT_THERE, 134), "0,1")
    assert f"there is no GPU 1 {listed}, and CUDA_VISIBLE_DEVICES is '0'; name one" in said


@pytest.mark.usefixtures("smi")
def test_a_device_that_cuda_refuses_for_another_reason(tmp_path: Path) -> None:
    said = refusal(answering(tmp_path, BUSY, 134))
    assert "cannot use GPU 0: all CUDA-capable devices are busy or unavailable; nvidia-smi" in said


def test_a_card_that_the_build_does_not_cover(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = answering(tmp_path, H200 + GTX, 0)
    check_gpus(engine, "all")  # for which cards it has code cannot be known
    monkeypatch.setattr(gpus, "gpu_code", lambda _: CUDA_13)
    said = refusal(engine, "0,1")
    assert (
        "has no code for NVIDIA GeForce GTX 1080 (6.1), only for 7.5, 9.0 and later; build" in said
    )
    check_gpus(answering(tmp_path, H200, 0, "other"), "0")


def test_the_original_stack_and_a_newer_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pascal = GpuCode(((3, 0), (3, 5), (5, 0), (6, 0), (6, 1)), ())
    monkeypatch.setattr(gpus, "gpu_code", lambda _: pascal)
    said = refusal(answering(tmp_path, H200, 0))
    assert "has no code for NVIDIA H200 (9.0), only for 3.0, 3.5, 5.0, 6.0, 6.1; build" in said


def test_what_caffe_torch_says_is_passed_on(tmp_path: Path) -> None:
    log = "F20261127 09:41:26.6 65 caffe.cpp:126] there is no GPU that PyTorch can use; see\n"
    said = refusal(answering(tmp_path, log, 1, "caffe-torch"))
    assert said == "caffe-torch cannot train on GPU 0: there is no GPU that PyTorch can use; see"


@pytest.mark.parametrize("name", ["mine", "caffe-torch"])
def test_an_engine_that_does_not_know_the_question_is_not_refused(
    name: str, tmp_path: Path
) -> None:
    check_gpus(answering(tmp_path, "usage: mine train|test|time [--gpu=N]\n", 2, name), "0")


def test_an_engine_that_does_not_start() -> None:
    assert refusal(Engine("none", Path("/nonexistent"))).startswith("cannot start /nonexistent")


@pytest.mark.usefixtures("smi")
def test_cards() -> None:
    assert cards() == (
        Card("0", "NVIDIA H200", "570.86.15", "9.0"),
        Card("1", "NVIDIA GeForce GTX 1080", "570.86.15", "6.1"),
    )


def test_an_nvidia_smi_too_old_to_say_the_capability(smi: Path, tmp_path: Path) -> None:
    """Beside a driver that is too old for today's CUDA, it is as old."""
    unknown = "echo 'Field \"compute_cap\" is not a valid field to query.'; exit 2"
    smi.write_text(
        f"#!/bin/sh\ncase $1 in *cap) {unknown} ;; esac\necho 0, Tesla K20m, 470.57.02\n"
    )
    assert cards() == (Card("0", "Tesla K20m", "470.57.02"),)
    assert "the driver 470.57.02 is too old" in refusal(answering(tmp_path, TOO_OLD, 134))


@pytest.mark.parametrize(
    "answer", ["echo 'Field \"compute_cap\" is not a valid field to query.'", "exit 9", "true"]
)
def test_an_nvidia_smi_that_does_not_say(answer: str, smi: Path) -> None:
    smi.write_text(f"#!/bin/sh\n{answer}\n")
    assert cards() == ()


@pytest.mark.usefixtures("no_smi")
def test_without_nvidia_smi() -> None:
    assert cards() == ()


def test_which_devices_a_training_uses() -> None:
    gpu, cpu = pb.SolverParameter.GPU, pb.SolverParameter.CPU
    assert gpus_of("0,1", pb.SolverParameter(solver_mode=cpu)) == "0,1"
    assert gpus_of(None, pb.SolverParameter(solver_mode=gpu, device_id=3)) == "3"
    assert gpus_of(None, pb.SolverParameter(solver_mode=cpu)) is None
    assert gpus_of(None, pb.SolverParameter()) is None  # Caffe then trains on the processor


class TestRealCaffe:
    """The program that `make caffe` builds, for the processor alone."""

    def test_it_is_refused(self, caffe_bin: Path) -> None:
        assert "is built without CUDA" in refusal(Engine("caffe", caffe_bin))

    def test_its_code_and_cuda(self, caffe_bin: Path) -> None:
        assert gpus.gpu_code(caffe_bin) is None
        assert gpus.cuda_major(caffe_bin) is None

    @pytest.mark.parametrize("by_study", [False, True])
    def test_run_makes_nothing(self, by_study: bool, tmp_path: Path, caffe_bin: Path) -> None:
        text = TEXT.replace("display = 1", "display = 1\ngpu = true") if by_study else TEXT
        file, out = write_study(tmp_path, text), tmp_path / "run"
        given: list[str | Path] = [
            "--from",
            tmp_path / "given",
            *([] if by_study else ["--gpu", "0,1"]),
        ]
        said = command("run", file, "--out", out, "--engine", caffe_bin, *given)
        assert f"{caffe_bin} is built without CUDA" in said
        assert not (out / "data").exists()
        assert not (out / "results").exists()

    def test_a_dry_run_with_a_trial(self, tmp_path: Path, caffe_bin: Path) -> None:
        asked: list[str | Path] = ["--dry-run", "--trial", "--engine", caffe_bin, "--gpu", "0"]
        assert "is built without CUDA" in command("run", write_study(tmp_path), *asked)

    def test_train_begins_nothing(self, small_run: SmallRun, caffe_bin: Path) -> None:
        folder = small_run.write("netbase")
        said = command("train", folder, "--engine", caffe_bin, "--gpu", "0")
        assert f"{caffe_bin} is built without CUDA" in said
        assert not (folder / "logs").exists()


def command(*arguments: str | Path) -> str:
    """The one line with which a command refuses; the lines before it say what is done."""
    done = subprocess.run(
        [sys.executable, "-m", "caffe_transfer", *arguments], capture_output=True, text=True
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()[-1]
