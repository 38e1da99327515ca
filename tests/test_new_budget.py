"""Networks of a new study, and how long they are trained."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caffe_transfer.nets.cuts import Cut, CutSize
from caffe_transfer.nets.sizes import Cost
from caffe_transfer.new_study.budget import FEWEST_ITERATIONS, Costs, Schedule, schedule
from caffe_transfer.new_study.layout import Layout, layouts
from caffe_transfer.training.trial import Pace

COSTS = Costs(base=Pace(1, 0.1, 0.05), frozen=Pace(1, 0.04, 0.05))


def sizes(count: int) -> list[CutSize]:
    """Cuts at even steps through a net, the classifier above them."""
    share = [number / (count + 1) for number in range(1, count + 1)]
    return [
        CutSize(Cut(n, f"c{n}", (), ()), Cost(1, 1), share[n - 1], share[n - 1], (1,))
        for n in range(1, count + 1)
    ]


def scheduled(layout: Layout, seconds: float, images: int = 100_000) -> Schedule:
    return schedule(layout, COSTS, seconds=seconds, test_iter=2, batch=32, images=images)


def test_the_complete_study_then_smaller_ones() -> None:
    found = list(layouts(sizes(16), given_base=False))
    assert [(len(each.cuts), len(each.networks)) for each in found] == [
        (7, 30), (7, 23), (5, 17), (3, 11), (2, 8),
    ]  # fmt: skip
    assert [each.left_out for each in found[:3]] == [
        (), ("the fine-tuned selffers",), ("the fine-tuned selffers", "2 of 7 cuts"),
    ]  # fmt: skip
    assert not found[0].all_cuts


def test_a_given_base_is_not_trained() -> None:
    (complete, *_) = layouts(sizes(2), given_base=True)
    assert complete.all_cuts
    assert {network.name for network in complete.networks} == {
        "halfmineB",
        "transfermineBB_1_1", "transfermineBB_1_2", "transfer-ftmineBB_1_1",
        "transfer-ftmineBB_1_2", "transfermineAB_1_1", "transfermineAB_1_2",
        "transfer-ftmineAB_1_1", "transfer-ftmineAB_1_2",
    }  # fmt: skip


def test_a_net_of_one_cut() -> None:
    found = list(layouts(sizes(1), given_base=False))
    assert [len(each.networks) for each in found] == [6, 5]


def test_frozen_networks_are_faster() -> None:
    complete = next(layouts(sizes(4), given_base=False))
    paces = {network.name: COSTS.iteration(network, complete) for network in complete.networks}
    assert paces["half0B"] == paces["transfer-ft0A0B_1_4"] == 0.1
    assert paces["transfer0A0B_1_4"] == pytest.approx(0.04)
    assert paces["transfer0A0B_1_2"] == pytest.approx(0.07)


@given(st.floats(10, 1e6), st.integers(1, 9))
def test_what_is_planned_fits_into_the_time(seconds: float, cuts: int) -> None:
    for layout in layouts(sizes(cuts), given_base=False):
        found = scheduled(layout, seconds)
        assert found.iterations % found.test_interval == 0
        assert found.iterations // found.test_interval in (10, 20)
        assert found.iterations % found.snapshot == 0
        assert found.enough == (found.needed_seconds <= seconds)
        if found.enough:
            assert found.seconds <= seconds * (1 + 1e-9)
            assert found.iterations >= 0.9 * FEWEST_ITERATIONS


def test_most_of_the_time_is_used() -> None:
    complete = next(layouts(sizes(7), given_base=False))
    assert 0.85 * 3600 < scheduled(complete, 3600).seconds <= 3600


def test_few_images_are_not_seen_for_ever() -> None:
    complete = next(layouts(sizes(7), given_base=False))
    assert scheduled(complete, 1e6, images=320).iterations == 1000  # 100 times 10 batches


def test_snapshots_of_long_trainings() -> None:
    complete = next(layouts(sizes(1), given_base=False))
    assert scheduled(complete, 600).snapshot == scheduled(complete, 600).iterations
    long = scheduled(complete, 6 * 3600)
    assert long.snapshot == long.iterations // 5
