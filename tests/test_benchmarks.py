"""The benchmarks start, and measure what they say."""

import math
import re
import subprocess
from pathlib import Path

import pytest

from benchmarks import any_net, imagenet, networks, timing, training, zoo
from caffe_transfer.paths import NetworkFolder
from caffe_transfer.training.engine import Engine
from tests.edit_nets import USERS_NETS

ROOT = Path(__file__).parent.parent


def test_every_training_has_a_folder_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a processor with AMX, where caffe-torch is measured in two precisions."""
    monkeypatch.setattr(timing, "CPU_INFO", tmp_path / "cpuinfo")
    timing.CPU_INFO.write_text("model name : one with AMX\nflags : avx512f amx_bf16\n")
    monkeypatch.setattr(training, "find_engine", lambda name: Engine(name, Path(name)))
    trained: list[Path] = []

    def seconds_per_step(folder: NetworkFolder, _engine: Engine, _threads: int) -> float:
        trained.append(folder.root)
        return 1.0

    monkeypatch.setattr(networks, "seconds_per_step", seconds_per_step)
    training.main(iterations=1, rounds=2, folder=tmp_path)
    assert len(trained) == len(set(trained)) == 3 * 2 * 3  # networks, rounds, engines
    assert "bf16" in capsys.readouterr().out


def test_the_checkout_is_a_program_that_takes_more_options(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="no PyTorch here; pip install 'caffe-transfer[torch]'")
    from benchmarks import gpu

    program = gpu.program(tmp_path, ["--version"])
    done = subprocess.run([program], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.startswith(f"{program.name} ")


def test_a_net_is_cut_and_trained_by_both_engines(caffe_bin: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="no PyTorch here; pip install 'caffe-transfer[torch]'")
    file = tmp_path / "models/norms/train_val.prototxt"
    file.parent.mkdir(parents=True)
    file.write_text(USERS_NETS["BatchNorm twice, for each phase"])
    assert any_net.nets_of(file.parent.parent)[0] == file
    found = any_net.row(file, 2, 1, tmp_path / "scratch")
    assert found[:7] == ("norms", 2, 4, "4 of 4", "4 of 4", "4 of 4", "8 of 8")
    assert all(float(str(each)) < 1e-4 for each in found[7:9])


def test_reading_is_timed_part_by_part(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch", reason="no PyTorch here; pip install 'caffe-transfer[torch]'")
    from benchmarks import reading

    monkeypatch.setattr(reading, "COPIED", 1 << 16)
    monkeypatch.setattr(reading, "keep_memory", lambda: None)  # lasts as long as the process
    reading.main(batch=2, images=4, batches=2, threads=1, folder=tmp_path)
    table = capsys.readouterr().out
    for part in ("cursor, page touch", "batches for a GPU", "before: index array, for the CPU"):
        assert f"| {part} " in table


AUTOENCODER = """
layer { name: "data" type: "Data" top: "data" include { phase: TRAIN }
  transform_param { scale: 0.0039 } data_param { source: "mnist_train" batch_size: 9 } }
layer { name: "data" type: "Data" top: "data" include { phase: TEST stage: "on-test" }
  transform_param { scale: 0.0039 } data_param { source: "mnist_test" batch_size: 9 } }
layer { name: "flat" type: "Flatten" bottom: "data" top: "flat" }
layer { name: "code" type: "InnerProduct" bottom: "data" top: "code" inner_product_param {
  num_output: 5 weight_filler { type: "gaussian" std: 0.1 sparse: 3 } } }
layer { name: "decoded" type: "InnerProduct" bottom: "code" top: "decoded" inner_product_param {
  num_output: 784 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SigmoidCrossEntropyLoss" bottom: "decoded" bottom: "flat" top: "loss" }
"""


@pytest.mark.parametrize(
    ("text", "blobs"),
    [
        (USERS_NETS["BatchNorm twice, for each phase"], "10 of 10"),
        (USERS_NETS["MobileNet"], "37 of 37"),  # it has no loss
        (USERS_NETS["V0"], "6 of 6"),
        (AUTOENCODER, "4 of 4"),
    ],
)
def test_engines_agree_on_small_nets(
    text: str, blobs: str, caffe_bin: Path, tmp_path: Path
) -> None:
    pytest.importorskip("torch", reason="no PyTorch here; pip install 'caffe-transfer[torch]'")
    file = tmp_path / "small.prototxt"
    file.write_text(text)
    found = zoo.row(file, 3, 0.0001, tmp_path / "scratch")
    assert found[0] == "small"
    assert found[1] == blobs
    assert all(float(str(found[index])) < 1e-4 for index in (3, 4, 6)), found
    assert int(str(found[5])) >= 1
    assert found[8] == ""


def test_a_net_that_is_refused_is_a_row_that_says_so(caffe_bin: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="no PyTorch here; pip install 'caffe-transfer[torch]'")
    file = tmp_path / "odd.prototxt"
    for text, reason in (
        (AUTOENCODER.replace("784", "783"), r"caffe: Check failed: .*; caffe-torch: layer 'loss'"),
        ('layer { name: "x" type: "Mystery" }', "the net has no loss, and no layers"),
        ("layer {", "odd.prototxt is not a prototxt"),
    ):
        file.write_text(text)
        found = zoo.row(file, 1, 0.0001, tmp_path / reason[:4])
        assert found[:7] == ("odd", *["-"] * 6)
        assert re.search(reason, str(found[8]))


def test_series_are_apart_by_their_largest_relative_difference() -> None:
    assert zoo.apart([1.0, 2.0], [1.0, 2.2]) == pytest.approx(0.1)
    assert zoo.apart([0.0, 0.0], [0.0, 0.0]) == 0
    assert zoo.apart([1.0], [math.nan]) == zoo.apart([1.0], []) == math.inf
    assert zoo.apart([1.0, math.nan], [1.0, math.nan]) == 0


@pytest.mark.parametrize("page", [*ROOT.glob("benchmarks/*.py"), ROOT / "docs/benchmarks.md"])
def test_commands_that_the_pages_name_exist(page: Path) -> None:
    """They are modules: run as files, they would not find the package `benchmarks`."""
    text = page.read_text()
    assert not re.search(r"python benchmarks/", text)
    for name in re.findall(r"python -m benchmarks\.(\w+)", text):
        assert (ROOT / f"benchmarks/{name}.py").is_file()


def test_a_small_imagenet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(imagenet, "PHOTOGRAPHS", 5)
    imagenet.main(None, images=2080, sample=20, rounds=1, scratch=tmp_path)
    said = capsys.readouterr().out
    assert "Lists of 2080 images" in said
    assert "A database of 20 images" in said
    torch, caffe, *_, once, copied = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in said.rpartition("- |\n")[2].splitlines()
    ]
    # 10 sets of halves and the whole for training, as many for validation, and 12 reduced ones, of
    # which those of this few images are all the whole.
    assert torch[1:3] == once[1:3] == ["2", "2080"]
    assert caffe[1:3] == copied[1:3]
    assert (caffe[0], copied[0]) == ("caffe-transfer run, caffe", "limit: and the others copied")
