"""The benchmarks start, and measure what they say."""

import re
import subprocess
from pathlib import Path

import pytest

from benchmarks import any_net, networks, timing, training
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
    assert done.stdout.startswith("caffe-torch ")


def test_a_net_is_cut_and_trained_by_both_engines(caffe_bin: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="no PyTorch here; pip install 'caffe-transfer[torch]'")
    file = tmp_path / "models/norms/train_val.prototxt"
    file.parent.mkdir(parents=True)
    file.write_text(USERS_NETS["BatchNorm twice, for each phase"])
    assert any_net.nets_of(file.parent.parent)[0] == file
    found = any_net.row(file, 2, 1, tmp_path / "scratch")
    assert found[:7] == ("norms", 2, 4, "4 of 4", "4 of 4", "4 of 4", "8 of 8")
    assert all(float(str(each)) < 1e-4 for each in found[7:9])


@pytest.mark.parametrize("page", [*ROOT.glob("benchmarks/*.py"), ROOT / "docs/benchmarks.md"])
def test_commands_that_the_pages_name_exist(page: Path) -> None:
    """They are modules: run as files, they would not find the package `benchmarks`."""
    text = page.read_text()
    assert not re.search(r"python benchmarks/", text)
    for name in re.findall(r"python -m benchmarks\.(\w+)", text):
        assert (ROOT / f"benchmarks/{name}.py").is_file()
