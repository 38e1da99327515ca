"""The boost against its control: task by task, with nothing claimed where there is no control."""

from dataclasses import replace

import pytest

from caffe_transfer.report.control import control
from caffe_transfer.report.tables import control_sentence
from tests.test_decomposition import rows

# Top-1 of half B at n = 1..7 in a run of Fashion-MNIST: BnB+ and AnB+.
DEMO = {
    "transfer__ft0B0B_1_": (0.878, 0.878, 0.882, 0.885, 0.885, 0.888, 0.889),
    "transfer__ft0A0B_1_": (0.876, 0.886, 0.882, 0.880, 0.880, 0.881, 0.883),
}


def test_the_demo_does_not_exceed_its_control() -> None:
    table = {f"{stem}{n}": v for stem, of in DEMO.items() for n, v in enumerate(of, 1)}
    found = control(rows(half0B=0.867, **table))
    assert found is not None
    assert (found.higher, list(found.differences)) == (1, [1, 2, 3, 4, 5, 6, 7])
    assert found.mean_difference == pytest.approx(-0.017 / 7)
    assert control_sentence(found) == (
        "Transfer+ exceeds its control, selffer+ on the same task, at 1 of 7 cuts, with a mean "
        "difference of -0.24 percentage points, which cannot be told from noise; a boost over the "
        "base alone may be due to longer training."
    )


def test_only_networks_of_the_same_task_are_compared() -> None:
    """Half A is the easier one here: over both tasks, transfer+ would seem to gain."""
    found = control(
        rows(
            transfer__ft0B0B_1_2=0.5,
            transfer__ft0A0B_1_2=0.49,
            transfer__ft0B0A_1_2=0.9,
            transfer__ft1A1A_1_2=0.6,
            transfer__ft1B1A_1_2=0.63,
            transfer__ft0A0A_1_5=0.9,
            transfer__ftnatmanAB_1_2=0.1,
            transfer0A0B_1_3=0.1,
        )
    )
    assert found is not None
    assert found.differences == pytest.approx({2: 0.01})
    assert found.overall is not None
    assert found.as_dict() == {
        "differences": found.differences, "cuts": 1, "higher": 1,
        "mean_difference": found.mean_difference,
        "estimates": {2: found.estimates[2].as_dict()}, "overall": found.overall.as_dict(),
    }  # fmt: skip
    assert "at 1 of 1 cut, with a mean difference of +1.00 [-24.41, 26.41] percentage points" in (
        control_sentence(found)
    )


@pytest.mark.parametrize(
    ("gain", "words"),
    [
        (0.1, "which is shown, so that the boost is not due to longer training alone."),
        (-0.1, "which shows the opposite of a gain by transfer; a boost"),
        (0.001, "which is within noise; a boost over the base alone may be due to longer"),
    ],
)
def test_the_sentence_says_whether_the_difference_is_shown(gain: float, words: str) -> None:
    table = rows(transfer__ft0B0B_1_2=0.5, transfer__ft0A0B_1_2=0.5 + gain)
    found = control([replace(row, valid_images=10000) for row in table])
    assert found is not None
    assert words in control_sentence(found)


def test_each_group_has_its_own_control() -> None:
    table = rows(
        transfer__ftpetsBB_1_2=0.5,
        transfer__ftpetsAB_1_2=0.6,
        transfer__ft0B0B_1_2=0.9,
        transfer__ft0A0B_1_2=0.1,
    )
    pets, halves = control(table, "pets"), control(table)
    assert pets is not None
    assert halves is not None
    assert pets.differences == pytest.approx({2: 0.1})
    assert halves.differences == pytest.approx({2: -0.8})


def test_no_control_is_said_and_no_boost_needs_none() -> None:
    alone = control(rows(transfer__ft0A0B_1_3=0.6, transfer__ft0A0A_1_3=0.6))
    assert alone is not None
    assert alone.mean_difference is None
    assert control_sentence(alone) == (
        "No cut has both transfer+ and its control selffer+ on the same task, so a boost over the "
        "base alone may be due to longer training."
    )
    assert control(rows(transfer0A0B_1_3=0.6, transfer__ft0A0A_1_3=None, half0A=0.5)) is None
