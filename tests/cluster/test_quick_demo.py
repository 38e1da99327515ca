"""The demo's quick study by real Caffe: through Slurm and through Ray as on this machine."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from caffe_transfer.paths import RunFolder
from caffe_transfer.studies.load import load_study
from tests.cluster.ray import Ray
from tests.cluster.slurm import Slurm

NETWORKS = [network.name for network in load_study("fashion-mnist", quick=True).networks]


def run_quick_demo(
    root: Path, caffe: Path, *options: str, environment: Mapping[str, str] = os.environ
) -> RunFolder:
    """Run it to its end; with one thread, so that Caffe repeats itself."""
    argv = [
        sys.executable, "-m", "caffe_transfer", "run", "fashion-mnist", "--quick",
        "--out", str(root), "--engine", str(caffe), "--threads", "1", *options,
    ]  # fmt: skip
    done = subprocess.run(argv, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return RunFolder(root)


def models(run: RunFolder) -> dict[str, list[bytes]]:
    """The snapshots of each network."""
    return {
        name: [path.read_bytes() for path in sorted(run.network(name).snapshots.glob("*model"))]
        for name in NETWORKS
    }


@pytest.fixture(scope="module")
def here(minutes: None, caffe_bin: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run on this machine."""
    run = run_quick_demo(tmp_path_factory.mktemp("here") / "run", caffe_bin, "--jobs", "2")
    assert all(models(run).values())
    return run


def test_slurm(here: RunFolder, caffe_bin: Path, tmp_path: Path, slurm: Slurm) -> None:
    run = run_quick_demo(tmp_path / "run", caffe_bin, "--on", "slurm")
    assert models(run) == models(here)


def test_ray(here: RunFolder, caffe_bin: Path, tmp_path: Path, ray: Ray) -> None:
    run = run_quick_demo(tmp_path / "run", caffe_bin, "--on", "ray", environment=ray.environment)
    assert models(run) == models(here)
