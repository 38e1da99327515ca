"""What a run costs."""

from dataclasses import replace

import pytest

from caffe_transfer.cost import estimate
from caffe_transfer.studies.load import load_study, paper

CAFFENET = 4 * 60_965_224  # bytes of its parameters
RESUME = 32 << 10  # of a resume file, at most
PAIR = 2 * CAFFENET + RESUME


def test_the_iterations_at_the_pace_of_the_study() -> None:
    demo = load_study("fashion-mnist")
    assert estimate(demo).seconds == pytest.approx(73 * 960 * 0.016)
    assert estimate(replace(demo, seconds_per_iteration=None)).seconds is None


def test_every_pair_or_the_last_models_and_the_pairs_of_networks_in_training() -> None:
    base = paper().select("netbase")
    assert estimate(base).snapshot_bytes == CAFFENET + 3 * PAIR
    assert estimate(replace(base, keep_snapshots="all")).snapshot_bytes == 45 * PAIR
    two = paper().select("netbase", "reduced-0001")
    assert estimate(two).snapshot_bytes == 2 * CAFFENET + 3 * PAIR
    assert estimate(two, jobs=4).snapshot_bytes == 2 * CAFFENET + 2 * 3 * PAIR
    adam = replace(base, solver=replace(base.solver, type="Adam", snapshot=450_000))
    assert estimate(adam).snapshot_bytes == CAFFENET + 3 * CAFFENET + RESUME


def test_weights_that_networks_start_from_are_files() -> None:
    study = paper().select("half0A", "half0B", "transfer0A0B_1_1", "nolearn_1_1")
    half = CAFFENET - 4 * 500 * 4097
    conv1 = 4 * 96 * (3 * 11 * 11 + 1)
    finals = 3 * half + CAFFENET + conv1 + CAFFENET
    assert estimate(study).snapshot_bytes == finals + 3 * PAIR
