"""The paper's networks through a real Ray, by the replaying engine."""

import itertools
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from caffe_transfer.studies.study import Study
from caffe_transfer.training import manifest
from caffe_transfer.training.snapshots import snapshots
from tests.cluster.ray import Ray
from tests.replay_study import ReplayRun, published_part, replay_study

BASE = "half0A"
ON_RAY = ("--on", "ray", "--threads", "1")


def few_networks(authors: Path) -> Study:
    """Two bases, and what is cut from them at n = 3; no GPU."""
    study = published_part(authors)
    few = [each for each in study.networks if each.name in (BASE, "half0B") or each.n == 3]
    return replace(without_gpu(study), networks=tuple(few))


def without_gpu(study: Study) -> Study:
    assert study.reduced_solver is not None
    return replace(
        study,
        solver=replace(study.solver, gpu=False),
        reduced_solver=replace(study.reduced_solver, gpu=False),
    )


@pytest.fixture
def run(tmp_path: Path, authors: Path) -> ReplayRun:
    few = ReplayRun(tmp_path, few_networks(authors), authors, seconds=4)
    few.prepare()
    return few


def refused(
    run: ReplayRun, environment: Mapping[str, str], *options: str
) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(
        [*run.argv, *ON_RAY, *options], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    return done


def wait_until(true: Callable[[], object], seconds: float = 200) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def workers_of(ray: Ray, name: str) -> list[int]:
    return [pid for pid, network in ray.workers().items() if network == name]


def test_a_killed_worker_and_a_killed_node(run: ReplayRun, ray: Ray) -> None:
    process = run.start(*ON_RAY, environment=ray.environment)
    base = run.folder.network(BASE)
    wait_until(lambda: snapshots(base.snapshots) and workers_of(ray, BASE))
    (worker,) = workers_of(ray, BASE)
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: len(manifest.read(base.manifest)["runs"]) > 1)
    node = ray.start_node()
    wait_until(lambda: any(name.startswith("transfer") for name in ray.workers().values()))
    os.kill(node, signal.SIGKILL)
    assert process.wait(300) == 0, run.output
    run.check_trained()
    begun = [each["from_iteration"] for each in manifest.read(base.manifest)["runs"]]
    assert begun[0] == 0
    assert all(first < second for first, second in itertools.pairwise(begun))


def test_ctrl_c_leaves_snapshots_from_which_the_next_run_goes_on(run: ReplayRun, ray: Ray) -> None:
    process = run.start(*ON_RAY, environment=ray.environment)
    base = run.folder.network(BASE)
    wait_until(lambda: snapshots(base.snapshots))
    process.send_signal(signal.SIGINT)
    assert process.wait(100) == 130, run.output
    assert run.engines() == []
    stopped = snapshots(base.snapshots)[0].iteration
    assert not base.failure.exists()
    assert run.start(*ON_RAY, environment=ray.environment).wait(300) == 0, run.output
    run.check_trained()
    assert manifest.read(base.manifest)["runs"][-1]["from_iteration"] == stopped


def test_a_network_that_fails_is_reported_with_its_last_words(run: ReplayRun, ray: Ray) -> None:
    done = refused(run, ray.environment, "--engine", "/nowhere/caffe")
    assert "there is no program /nowhere/caffe" in done.stderr


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("", "--on ray needs the address of a Ray cluster; set RAY_ADDRESS to the one that `ray"),
        ("127.0.0.1:1", "there is no Ray cluster at RAY_ADDRESS=127.0.0.1:1: "),
        ("http://127.0.0.1:8265", "RAY_ADDRESS=http://127.0.0.1:8265 is the address of Ray's dash"),
    ],
)
def test_no_cluster(run: ReplayRun, ray: Ray, address: str, message: str) -> None:
    done = refused(run, {**ray.environment, "RAY_ADDRESS": address})
    assert message in done.stderr


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("partition=gpu", "partition is none that --on ray knows; it takes num_gpus, num_cpus, "),
        ("num_gpus=two", "num_gpus=two is no number; write num_gpus=1"),
    ],
)
def test_options_of_ray(run: ReplayRun, ray: Ray, option: str, message: str) -> None:
    done = refused(run, ray.environment, "--scheduler-option", option)
    assert message in done.stderr


def test_a_cluster_without_gpus(tmp_path: Path, authors: Path, ray: Ray) -> None:
    study = replace(few_networks(authors), solver=published_part(authors).solver)
    run = ReplayRun(tmp_path, study, authors)
    run.prepare()
    done = refused(run, ray.environment)
    assert "no node of the Ray cluster has 1 GPU and 1 CPU for a network; add nodes" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="hiding a folder from a node is for root alone")
def test_a_node_that_does_not_see_the_folder(run: ReplayRun, ray: Ray) -> None:
    node = ray.start_node(blind_to=run.folder.root)
    try:
        done = refused(run, ray.environment)
    finally:
        os.kill(node, signal.SIGKILL)
    assert "of the Ray cluster cannot see" in done.stderr
    assert "name an --out on a file system that all nodes mount" in done.stderr


@pytest.mark.usefixtures("minutes")
def test_all_networks_whatever_is_killed(tmp_path: Path, authors: Path, ray: Ray) -> None:
    run = ReplayRun(tmp_path, without_gpu(replay_study()), authors, seconds=1)
    run.prepare()
    process, chance = run.start(*ON_RAY, environment=ray.environment), random.Random(0)
    node, most = ray.start_node(), 0
    for number in range(20):
        time.sleep(4)
        if number == 10:
            os.kill(node, signal.SIGKILL)
        elif workers := sorted(ray.workers()):
            with suppress(ProcessLookupError):
                os.kill(chance.choice(workers), signal.SIGKILL)
        most = max(most, ray.memory())
        if process.poll() is not None:
            break
    assert process.wait(1800) == 0, run.output
    run.check()
    print(f"Ray took {most / 1e6:.0f} MB at most")
