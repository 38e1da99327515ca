"""The recipes of docs/cluster.md: each network by the line that a scheduler would run."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from caffe_transfer.studies.load import paper
from tests.small_study import write_study

RECIPES = Path(__file__).parent.parent / "docs/cluster"


def bash(*words: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", *map(str, words)], capture_output=True, text=True, check=False,
        env=os.environ | variables,
    )  # fmt: skip


def by_slurm(wave: Path, number: int) -> subprocess.CompletedProcess[str]:
    return bash(
        RECIPES / "array.sbatch", wave, SLURM_ARRAY_TASK_ID=str(number), SLURM_JOB_ID=str(number)
    )


def by_pbs(wave: Path, number: int) -> subprocess.CompletedProcess[str]:
    return bash(RECIPES / "array.pbs", PBS_ARRAY_INDEX=str(number), WAVE=str(wave))


def by_kubernetes(wave: Path, number: int) -> subprocess.CompletedProcess[str]:
    (line,) = re.findall(r"^ +- (eval .*)$", (RECIPES / "wave.yaml").read_text(), re.M)
    return subprocess.run(
        ["sh", "-c", line], capture_output=True, text=True, check=False,
        env=os.environ | {"JOB_COMPLETION_INDEX": str(number), "WAVE": str(wave)},
    )  # fmt: skip


def waves(plan: Path, folder: Path) -> list[Path]:
    done = subprocess.run(
        [sys.executable, RECIPES / "waves.py", plan], cwd=folder, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    return [folder / line.split(":")[0] for line in done.stdout.splitlines()]


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """`caffe-transfer` on the path, as the plan names it."""
    path = tmp_path / "bin/caffe-transfer"
    path.parent.mkdir()
    path.write_text(f'#!/bin/sh\nexec {sys.executable} -m caffe_transfer "$@"\n')
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}:{os.environ['PATH']}")
    return str(path)


def test_a_study_by_every_recipe(
    tmp_path: Path, program: str, caffe_bin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAFFE_BIN", str(caffe_bin))
    root = tmp_path / "a run"  # with a space
    arguments = [
        program, "run", str(write_study(tmp_path)), "--out", str(root), "--from",
        str(tmp_path / "given"),
    ]  # fmt: skip
    planned = subprocess.run(
        [*arguments, "--dry-run", "--json"], capture_output=True, text=True, check=True
    )
    file = tmp_path / "plan.json"
    file.write_text(planned.stdout)
    subprocess.run(json.loads(planned.stdout)["prepare"]["command"], check=True)
    recipes = [by_slurm, by_pbs, by_kubernetes]
    found = waves(file, tmp_path)
    assert [path.name for path in found] == ["wave-0.txt", "wave-1.txt"]
    count = 0
    for wave in found:
        for number in range(len(wave.read_text().splitlines())):
            done = recipes[count % 3](wave, number)
            assert done.returncode == 0, done.stderr
            count += 1
    assert count == 6
    again = subprocess.run(
        [*arguments, "--dry-run", "--json"], capture_output=True, text=True, check=True
    )
    jobs = json.loads(again.stdout)["networks"]
    assert all(job["trained"] for job in jobs)
    file.write_text(again.stdout)
    assert waves(file, tmp_path) == []


def test_the_paper_has_two_waves(tmp_path: Path, program: str) -> None:
    planned = subprocess.run(
        [program, "run", "paper", "--dry-run", "--json"], capture_output=True, text=True, check=True
    )
    (tmp_path / "plan.json").write_text(planned.stdout)
    first, second = waves(tmp_path / "plan.json", tmp_path)
    count = [len(path.read_text().splitlines()) for path in (first, second)]
    based = sum(network.base is not None for network in paper().networks)
    assert count == [170 - based, based]


@pytest.mark.parametrize("name", ["array.sbatch", "array.pbs"])
def test_scripts_are_read_by_bash(name: str) -> None:
    assert bash("-n", RECIPES / name).stderr == ""


def test_a_script_ends_with_its_commands_status(tmp_path: Path, program: str) -> None:
    wave = tmp_path / "wave-0.txt"
    wave.write_text(f"caffe-transfer train {tmp_path / 'none'}\n")
    for recipe in (by_slurm, by_pbs, by_kubernetes):
        assert recipe(wave, 0).returncode == 2
