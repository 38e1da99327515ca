"""The paper's findings: what intervals show, exclude and leave open, and what its logs give."""

from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from caffe_transfer.report import results
from caffe_transfer.report.findings import MARGIN, Finding, Status, findings
from caffe_transfer.report.verdict_text import number
from tests.test_decomposition import rows

IMAGES = 25000


def found(images: int | None = IMAGES, /, **top1: float | None) -> dict[str, Finding]:
    table = [replace(row, valid_images=images) for row in rows(**top1)]
    (of_group,) = findings(table)
    return {each.key: each for each in of_group.findings}


def networks(stem: str, *top1: float) -> dict[str, float]:
    return {f"{stem}_1_{n}": value for n, value in enumerate(top1, 1)}


# As in the paper's Figure 2: a dip of the selffers, growing losses, recovery, a boost.
LIKE_THE_PAPER: dict[str, float | None] = {
    "half0B": 0.62,
    "netbase": 0.57,
    **networks("transfer0B0B", 0.62, 0.62, 0.60, 0.59, 0.61, 0.62),
    **networks("transfer__ft0B0B", 0.62, 0.621, 0.62, 0.62, 0.62, 0.62),
    **networks("transfer0A0B", 0.62, 0.62, 0.60, 0.59, 0.58, 0.54),
    **networks("transfer__ft0A0B", 0.65, 0.65, 0.65, 0.65, 0.65, 0.65),
    **networks("nolearn", 0.49, 0.4, 0.0, 0.0, 0.0, 0.0),
}
KEYS = ["1", "2", "3", "4", "4 causes", "5", "random filters"]


def test_all_of_the_paper_is_seen_where_it_is_there() -> None:
    seen = found(**LIKE_THE_PAPER)
    assert list(seen) == KEYS
    assert {key: each.status for key, each in seen.items()} == dict.fromkeys(KEYS, Status.SEEN)
    assert "at 3 of 6 cuts (n = 3-5)" in seen["2"].sentence
    assert "lost co-adaptation at 3 of 6 cuts (n = 3-5)" in seen["4 causes"].sentence
    assert "specificity at 2 of 6 cuts (n = 5-6)" in seen["4 causes"].sentence
    assert "at 6 of 6 cuts, less at 0" in seen["random filters"].sentence


def test_few_images_tell_nothing() -> None:
    noise = found(30, **LIKE_THE_PAPER)
    assert {noise[key].status for key in ("2", "3", "4", "4 causes", "5")} == {Status.NOISE}


def test_without_images_and_repeats_nothing_but_the_level_is_told() -> None:
    unknown = found(None, **LIKE_THE_PAPER)
    assert {unknown[key].status for key in KEYS[1:]} == {Status.NOISE}


def test_the_opposite_is_not_the_finding() -> None:
    opposite = found(
        half0B=0.5,
        netbase=0.5,
        **networks("transfer0B0B", 0.5, 0.5, 0.5),
        **networks("transfer__ft0B0B", 0.6, 0.6, 0.6),
        **networks("transfer0A0B", 0.55, 0.56, 0.57),
        **networks("transfer__ft0A0B", 0.55, 0.55, 0.55),
        **networks("nolearn", 0.9, 0.9, 0.9),
    )
    statuses = [opposite[key].status for key in KEYS[1:]]
    assert statuses == [
        Status.NOT_SEEN, Status.NOT_SEEN, Status.NOT_SEEN, Status.NOT_SEEN, Status.NOT_SEEN,
        Status.NOT_SEEN,
    ]  # fmt: skip
    assert "shown to be above the base" in opposite["3"].sentence


def test_equal_levels_need_intervals_within_the_margin() -> None:
    """Absence of a shown difference is no proof of equality."""
    table = {"half0B": 0.6, "transfer__ft0B0B_1_2": 0.6}
    assert found(IMAGES, **table)["3"].status is Status.SEEN
    few = found(2500, **table)["3"]
    assert few.status is Status.NOISE
    assert "no difference is shown, nor one within 1.00" in few.sentence


def test_specificity_below_co_adaptation_is_another_order() -> None:
    table = {"half0B": 0.6, **networks("transfer0B0B", 0.6, 0.6, 0.5)}
    early = found(**table, **networks("transfer0A0B", 0.5, 0.5, 0.5))["4 causes"]
    assert early.status is Status.NOT_SEEN
    assert "specificity at 2 of 3 cuts (n = 1-2)" in early.sentence


def test_a_boost_without_its_control_is_not_tested() -> None:
    boost = found(half0B=0.5, transfer__ft0A0B_1_2=0.6)["5"]
    assert boost.status is Status.NOT_TESTED
    assert "no selffer+" in boost.sentence
    assert found(half0B=0.5, transfer__ft0A0B_1_2=0.4)["5"].status is Status.NOT_SEEN


def test_a_drop_at_the_ends_alone_is_not_one_in_the_middle() -> None:
    table = {"half0B": 0.6, **networks("transfer0B0B", 0.5, 0.6, 0.5)}
    assert found(**table)["2"].status is Status.NOT_SEEN
    assert "at an end of the cuts too, n = 1, 3" in (
        found(half0B=0.6, **networks("transfer0B0B", 0.5, 0.5, 0.5))["2"].sentence
    )


def test_what_has_no_networks_is_not_tested() -> None:
    alone = found(transfer0A0B_1_2=0.5)
    assert {each.status for each in alone.values()} == {Status.NOT_TESTED}
    assert findings([]) == ()


def test_dictionaries_of_plain_values() -> None:
    table = [replace(row, valid_images=IMAGES) for row in rows(**LIKE_THE_PAPER)]
    (of_group,) = (each.as_dict() for each in findings(table))
    assert of_group["group"] == "random halves"
    assert [type(each["status"]) for each in of_group["findings"]] == [str] * len(KEYS)


shares = st.floats(0, 1)


@given(shares, shares, st.integers(100, 50000))
def test_seen_and_not_seen_follow_from_the_interval(base: float, tuned: float, images: int) -> None:
    finding = found(images, half0B=base, transfer__ft0B0B_1_2=tuned)["3"]
    (estimate,) = finding.estimates.values()
    assert estimate.low is not None
    assert estimate.high is not None
    if finding.status is Status.SEEN:
        assert -MARGIN <= estimate.low <= 0 <= estimate.high <= MARGIN
    else:
        assert (finding.status is Status.NOT_SEEN) == (estimate.low > 0 or estimate.high < 0)


def test_the_authors_logs_give_the_paper_s_own(authors: Path) -> None:
    """By the 34 of 170 networks that are at hand: fine-tuned ones are two."""
    (halves,) = findings(results.collect(authors).rows)
    assert {each.key: each.status for each in halves.findings} == {
        "1": Status.SEEN, "2": Status.SEEN, "3": Status.NOT_SEEN, "4": Status.SEEN,
        "4 causes": Status.SEEN, "5": Status.NOT_TESTED, "random filters": Status.SEEN,
    }  # fmt: skip
    assert "(n = 4-5)" in next(each for each in halves.findings if each.key == "2").sentence
    page = (Path(__file__).parent.parent / "docs" / "published.md").read_text()
    by_key = {each.key: each.estimates for each in halves.findings}
    for key, n in (
        ("2", 4),
        ("2", 5),
        ("3", 5),
        ("4", 7),
        ("4 causes", 3),
        ("4 causes", 7),
        ("5", 3),
    ):
        assert number(by_key[key][n]) in page
