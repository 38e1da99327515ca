"""The verdict: what is compared with what, and how far it goes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caffe_transfer.report.intervals import Kind
from caffe_transfer.report.results import Row, collect
from caffe_transfer.report.verdict import Variant, Verdict, verdicts
from caffe_transfer.studies.network import Mode, Network
from tests.test_decomposition import rows


def with_images(count: int | None, **top1: float | None) -> list[Row]:
    return [Row(row.network, 1, True, row.top1, valid_images=count) for row in rows(**top1)]


def one(*table: Row) -> Verdict:
    (verdict,) = verdicts(table)
    return verdict


MINE = {
    "halfmineB": 0.60,
    "transfermineAB_1_1": 0.605,
    "transfermineAB_1_2": 0.59,
    "transfermineAB_1_3": 0.53,
    "transfermineAB_1_4": 0.59,
    "transfermineBB_1_3": 0.58,
    "transfer__ftmineAB_1_3": 0.64,
    "transfer__ftmineAB_1_4": 0.62,
}


def test_the_highest_cut_below_which_no_loss_is_shown() -> None:
    """At n = 4 the loss is gone again, which may be chance: what lies below is lost at n = 3."""
    verdict = one(*with_images(2000, **MINE))
    assert (verdict.target, verdict.has_base) == ("halfmineB", True)
    free = verdict.highest_without_loss
    assert free is not None
    assert free.n == 2
    assert free.loss is not None
    assert free.loss.value == pytest.approx(0.01)
    assert free.loss.high == pytest.approx(0.0403, abs=1e-3)  # 1.96 sqrt(2 * 0.24 / 2000)
    assert [cut.loss is not None and cut.loss.is_positive for cut in verdict.cuts] == [
        False, False, True, False,
    ]  # fmt: skip


def test_parts_of_the_loss_and_fine_tuning_cut_by_cut() -> None:
    verdict = one(*with_images(2000, **MINE))
    values = [
        [estimate and estimate.value for estimate in (cut.co_adaptation, cut.specificity)]
        for cut in verdict.cuts
    ]
    assert values == [[None, None]] * 2 + [pytest.approx([0.02, 0.05]), [None, None]]
    tuning = {cut.n: cut.fine_tuning.value for cut in verdict.cuts if cut.fine_tuning}
    assert tuning == pytest.approx({3: 0.11, 4: 0.03})


def test_the_best_and_those_not_shown_to_be_worse() -> None:
    verdict = one(*with_images(2000, **MINE))
    assert verdict.best.networks == ("transfer-ftmineAB_1_3",)
    assert verdict.best.variant == Variant(Mode.TRANSFER, 3, fine_tuned=True)
    assert verdict.best.accuracy.value == 0.64
    assert verdict.best.behind is None
    assert [each.networks[0] for each in verdict.not_worse] == ["transfer-ftmineAB_1_4"]
    assert len(verdict.others) == 7


def test_without_images_and_repeats_nothing_is_shown() -> None:
    verdict = one(*with_images(None, **MINE))
    assert verdict.highest_without_loss is None
    assert len(verdict.not_worse) == len(verdict.others)


def test_a_target_without_a_base_still_has_a_best_network() -> None:
    """As where a base was given and nothing was trained anew on its task."""
    without = {name: value for name, value in MINE.items() if name != "halfmineB"}
    verdict = one(*with_images(2000, **without))
    assert (verdict.has_base, verdict.losses, verdict.highest_without_loss) == (False, (), None)
    assert verdict.best.networks == ("transfer-ftmineAB_1_3",)
    assert verdict.cuts[2].specificity is not None


def test_each_task_of_a_named_split_is_a_target_and_bases_alone_are_none() -> None:
    table = rows(
        half0A=0.5,
        halfmineA=0.9,
        halfmineB=0.6,
        transfermineAB_1_1=0.5,
        transfermineBA_1_1=0.8,
        transferpetsAB_1_1=None,
        transferpetsBB_1_1=0.5,
        halfnatmanA=0.7,
    )
    assert [verdict.target for verdict in verdicts(table)] == ["halfmineA", "halfmineB"]
    assert verdicts([]) == ()


def test_random_halves_have_one_verdict_by_pairs_of_the_same_task() -> None:
    """Half A is the easier one of split 0: the transfers to both are compared each with its own."""
    table = rows(
        half0A=0.80,
        half0B=0.60,
        half1B=0.50,
        transfer0A0B_1_2=0.58,
        transfer0B0A_1_2=0.79,
        transfer1A1B_1_2=0.47,
        transfer0A0A_1_2=0.81,
    )
    verdict = one(*table)
    assert verdict.target == "random halves"
    (cut,) = verdict.cuts
    assert cut.loss is not None
    assert cut.loss.value == pytest.approx(0.02)
    assert (cut.loss.repeats, cut.loss.kind) == (3, Kind.TASKS)
    # Student's t of 2 degrees of freedom, from a table.
    assert cut.loss.high == pytest.approx(0.02 + 4.303 * 0.01 / 3**0.5, abs=1e-4)
    assert cut.co_adaptation is not None
    assert cut.co_adaptation.value == pytest.approx(-0.01)
    assert cut.co_adaptation.repeats == 1


def test_the_best_is_so_relative_to_the_base_of_its_task() -> None:
    """The selffer has the highest accuracy, on the easier task."""
    verdict = one(
        *rows(
            half0A=0.80,
            half0B=0.60,
            transfer0A0A_1_2=0.79,
            transfer__ft0A0B_1_2=0.65,
            transfer0B0A_1_2=0.7,
        )
    )
    assert verdict.best.networks == ("transfer-ft0A0B_1_2",)


def test_seeds_are_paired() -> None:
    verdict = one(
        *rows(
            halfmineB=0.60,
            halfmineB__seed2=0.50,
            halfmineB__seed3=0.55,
            transfermineAB_1_2=0.59,
            transfermineAB_1_2__seed2=0.48,
            transfermineAB_1_2__seed4=0.1,
        )
    )
    loss = verdict.cuts[0].loss
    assert loss is not None
    assert loss.value == pytest.approx(0.015)
    assert (loss.repeats, loss.kind) == (2, Kind.SEEDS)
    contender = next(each for each in verdict.others if each.variant.n)
    assert contender.networks == (
        "transfermineAB_1_2", "transfermineAB_1_2-seed2", "transfermineAB_1_2-seed4",
    )  # fmt: skip


def test_networks_that_are_not_trained_to_their_end_are_named() -> None:
    network = Network.parse("transfermineAB_1_2")
    verdict = one(Row(network, 10, complete=False, top1=0.2))
    assert verdict.unfinished == ("transfermineAB_1_2",)


def test_published_logs_give_the_papers_verdict(authors_verdict: Verdict) -> None:
    """Section 4.1: little is lost up to n = 3; at 4 and 5 it is co-adaptation too."""
    free = authors_verdict.highest_without_loss
    assert free is not None
    assert free.n == 3
    parts = {cut.n: cut.co_adaptation for cut in authors_verdict.cuts}
    shown = [n for n, part in parts.items() if part and part.is_positive]
    assert shown == [4, 5]


@pytest.fixture(scope="module")
def authors_verdict(request: pytest.FixtureRequest) -> Verdict:
    return one(*collect(request.getfixturevalue("authors")).rows)


@given(
    st.lists(st.tuples(st.integers(1, 12), st.floats(0.2, 0.9)), min_size=1, max_size=12),
    st.sampled_from([None, 50, 5000]),
)
def test_no_loss_is_shown_at_or_below_the_highest_cut(
    found: list[tuple[int, float]], images: int | None
) -> None:
    table = {f"transfermineAB_1_{n}": value for n, value in found}
    verdict = one(*with_images(images, halfmineB=0.6, **table))
    free = verdict.highest_without_loss
    for cut in verdict.cuts:
        assert cut.loss is not None
        if free is not None and cut.n <= free.n:
            assert cut.loss.is_positive is False
    above = [cut for cut in verdict.cuts if free is None or cut.n > free.n]
    if above:
        assert above[0].loss is not None
        assert above[0].loss.is_positive is not False
