"""The benchmarks start, and measure what they say."""

import re
from pathlib import Path

import pytest

from benchmarks import networks, timing, training
from caffe_transfer.paths import NetworkFolder
from caffe_transfer.training.engine import Engine

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


@pytest.mark.parametrize("page", [*ROOT.glob("benchmarks/*.py"), ROOT / "docs/benchmarks.md"])
def test_commands_that_the_pages_name_exist(page: Path) -> None:
    """They are modules: run as files, they would not find the package `benchmarks`."""
    text = page.read_text()
    assert not re.search(r"python benchmarks/", text)
    for name in re.findall(r"python -m benchmarks\.(\w+)", text):
        assert (ROOT / f"benchmarks/{name}.py").is_file()
