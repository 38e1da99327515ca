"""The verdict in words: each case by its sentence, and doubt wherever it is due.

The numbers come from the formulas of Wilson and Newcombe, worked out by hand.
"""

import pytest

from caffe_transfer.report import verdict_text
from caffe_transfer.report.results import Row
from caffe_transfer.report.verdict import verdicts
from tests.test_verdict import MINE, one, with_images


def said(*table: Row) -> list[str]:
    return verdict_text.sentences(one(*table))


def sentence(start: str, *table: Row) -> str:
    (found,) = (each for each in said(*table) if each.startswith(start))
    return found


UNKNOWN = (
    "neither the number of validation images is known nor is there a repeat, so that it cannot be "
    "told from noise."
)


def test_a_whole_verdict() -> None:
    table = [
        Row(row.network, 1, True, row.top1, cut=f"conv{row.network.n}", valid_images=2000)
        for row in with_images(2000, **MINE)
    ]
    assert said(*table) == [
        "Frozen features: no loss is shown up to n = 2 (conv2), where base - transfer is 1.00 "
        "[-2.04, 4.04] points; a loss of up to 4.04 points is not excluded. At n = 3 (conv3) they "
        "lose 7.00 [3.93, 10.05] points.",
        "Best: transfer+ at n = 3 (conv3) (transfer-ftmineAB_1_3) with 64.00 [61.87, 66.07] %, "
        "picked as the highest of 8 and so rather too high. Not shown to be worse: transfer+ at "
        "n = 4.",
        "Fine-tune, by transfer+ - transfer: it gains at n = 3: 11.00 [7.95, 14.02] points; no "
        "difference is shown at n = 4: 3.00 [-0.03, 6.02] points.",
        "Of the loss of 7.00 points at n = 3 (conv3), lost co-adaptation accounts for 2.00 "
        "[-1.05, 5.04] (not shown) and specificity for 5.00 [1.92, 8.07].",
        "The 95 % intervals are binomial, from 2000 validation images.",
    ]


@pytest.mark.parametrize(
    ("top1", "start", "rest"),
    [
        ({"transfermineAB_1_2": 0.4}, "Frozen", " features: no base of this task has a result, so"),
        ({"halfmineB": 0.6, "transfer__ftmineAB_1_2": 0.6}, "Frozen", " features: no transfer wi"),
        (
            {"halfmineB": 0.6, "transfermineAB_1_2": 0.4},
            "Frozen",
            " features lose accuracy already at the lowest cut: 20.00 [16.94, 23.01] points at "
            "n = 2.",
        ),
        (
            {"halfmineB": 0.6, "transfermineAB_1_2": 0.7},
            "Frozen",
            " features: no loss is shown up to n = 2, where base - transfer is -10.00 "
            "[-12.93, -7.05] points; they are shown to be better than the base. There is no higher "
            "cut with a result.",
        ),
        ({"transfermineAB_1_2": 0.4}, "Freeze or", " fine-tune: no cut has both networks"),
        (
            {"transfermineAB_1_2": 0.6, "transfer__ftmineAB_1_2": 0.5},
            "Freeze, by",
            " transfer+ - transfer: it costs at n = 2: -10.00 [-13.",
        ),
        (
            {"transfermineAB_1_2": 0.6, "transfer__ftmineAB_1_2": 0.6},
            "Freeze or fine-tune, whichever",
            " is easier, by transfer+ - transfer: no difference is shown at n = 2: 0.00 [-",
        ),
        (
            {f"transfermineAB_1_{n}": 0.6 for n in (1, 2, 4, 5)}
            | {f"transfer__ftmineAB_1_{n}": 0.6 + n / 30 for n in (1, 2, 4)}
            | {"transfer__ftmineAB_1_5": 0.5},
            "Fine-tune at some cuts and",
            " freeze at others, by transfer+ - transfer: it gains at n = 1-2, 4, most at n = 4: "
            "13.33 [",
        ),
        (
            {"halfmineB": 0.6, "transfermineAB_1_2": 0.4},
            "Specificity or",
            " lost co-adaptation: no selffer of this task has a result",
        ),
        (
            {"halfmineB": 0.7, "transfermineAB_1_2": 0.4},
            "Best: the base (halfmineB)",
            " with 70.00 [67.95, 71.97] %, picked as the highest of 2 and so rather too high. All "
            "others that can be compared with it are shown to be worse.",
        ),
    ],
)
def test_cases(top1: dict[str, float], start: str, rest: str) -> None:
    assert sentence(start, *with_images(2000, **top1)).startswith(start + rest)


def test_one_test_of_unknown_size_says_nothing() -> None:
    found = said(*with_images(None, **MINE))
    assert found == [
        f"Frozen features: base - transfer is -0.50 points at n = 1; {UNKNOWN}",
        "Best: transfer+ at n = 3 (transfer-ftmineAB_1_3) with 64.00 %, picked as the highest of 8 "
        f"and so rather too high. Of its lead over the others: {UNKNOWN}",
        f"Freeze or fine-tune: transfer+ is above transfer at 2 of 2 cuts; {UNKNOWN}",
    ]


def test_what_the_intervals_come_from() -> None:
    seeds = {f"{name}__seed{seed}": top1 for name, top1 in MINE.items() for seed in (2, 3)}
    assert "The 95 % intervals are Student's, over 2 seeds." in said(*with_images(None, **seeds))
    tasks = {"half0B": 0.6, "half1B": 0.6, "transfer0A0B_1_2": 0.5, "transfer1A1B_1_2": 0.52}
    tasks |= {"transfer0A0B_1_3": 0.4}
    assert (
        "The 95 % intervals are Student's, over 2 tasks; or binomial, from 900 validation images."
    ) in said(*with_images(900, **tasks))


def test_variants_without_a_common_task_are_not_compared() -> None:
    table = {
        "half0A": 0.6, "half0B": 0.6, "transfer__ft0A0B_1_2": 0.7, "transfer0B0A_1_2": 0.5,
        "transfer0A0A_1_3": 0.6, "transfer0A0A_1_4": 0.6, "transfer0A0A_1_6": 0.6,
    }  # fmt: skip
    text = sentence("Best: transfer+", *with_images(2000, **table))
    assert text.endswith(
        "Not comparable, for want of a common task and seed: selffer at n = 3-4, 6; transfer at "
        "n = 2."
    )


def test_unfinished_networks_are_said_to_be_so() -> None:
    (row,) = with_images(100, transfermineAB_1_2=0.4)
    row = Row(row.network, 1, False, 0.4, valid_images=100)
    assert said(row)[-1] == (
        "Not trained to their end, so that the verdict may change: transfermineAB_1_2."
    )


def test_headings() -> None:
    table = with_images(100, transfermineAB_1_2=0.4, transfer0A0B_1_2=0.4)
    assert [verdict_text.heading(verdict) for verdict in verdicts(table)] == [
        "Random halves", "Target halfmineB",
    ]  # fmt: skip


def test_no_number_is_minus_zero() -> None:
    table = with_images(None, halfmineB=0.5, transfermineAB_1_2=0.50000001)
    assert "is 0.00 points" in said(*table)[0]
