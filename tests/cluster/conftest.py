"""What tests of clusters share: real schedulers where they can be started; elsewhere they skip."""

import importlib.util
import os
from collections.abc import Iterator

import pytest

from tests.cluster import ray as rays
from tests.cluster import slurm as slurms
from tests.cluster.ray import Ray
from tests.cluster.slurm import Slurm


@pytest.fixture(scope="session")
def minutes() -> None:
    """For tests that take minutes."""
    if not os.environ.get("CLUSTER_TEST"):
        pytest.skip("clusters and 170 networks take minutes; `make cluster-test` does it")


@pytest.fixture(scope="module")
def ray(minutes: None) -> Iterator[Ray]:
    """A Ray of a head and two nodes."""
    if why := rays.lacking():
        pytest.skip(why)
    with rays.started(nodes=2) as running:
        yield running


@pytest.fixture(scope="session")
def real_slurm(minutes: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    """A Slurm of two nodes."""
    if why := slurms.lacking():
        pytest.skip(why)
    if importlib.util.find_spec("submitit") is None:
        pytest.skip("no submitit here; `make cluster-test` installs the extra slurm")
    with slurms.started(tmp_path_factory.mktemp("slurm")) as running:
        yield running


@pytest.fixture
def slurm(real_slurm: Slurm, monkeypatch: pytest.MonkeyPatch) -> Iterator[Slurm]:
    """That Slurm with no jobs, reached by the commands of this process."""
    for name in ("SLURM_CONF", "PATH"):
        monkeypatch.setenv(name, real_slurm.environment[name])
    yield real_slurm
    real_slurm.end_all_jobs()
