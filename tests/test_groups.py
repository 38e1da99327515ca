"""Groups of splits, and the names of the cuts on their axis."""

from caffe_transfer.report import groups
from caffe_transfer.report.results import Row
from caffe_transfer.studies.network import Network


def row(name: str, cut: str | None = None) -> Row:
    return Row(Network.parse(name), 1, top1=0.5, cut=cut)


def test_random_halves_are_pooled_and_come_first() -> None:
    names = ("netbase", "halfpetsA", "half3B", "halfnatmanA", "half0A", "transferpetsAB_1_2")
    found = groups.by_group(map(row, names))
    assert {group: [each.network.name for each in of] for group, of in found.items()} == {
        "random halves": ["half3B", "half0A"],
        "natman": ["halfnatmanA"],
        "pets": ["halfpetsA", "transferpetsAB_1_2"],
    }
    assert list(found) == ["random halves", "natman", "pets"]
    assert [groups.title(group) for group in found] == [
        "Random halves", "Man-made/natural split", "Split pets",
    ]  # fmt: skip


def test_a_cut_has_a_name_where_all_networks_agree_on_it() -> None:
    rows = [
        row("transferpetsAB_1_3", "pool3"),
        row("transferpetsAB_1_2", "pool2"),
        row("transferpetsBB_1_2"),  # trained elsewhere, without a record
        row("transferpetsBB_1_3", "conv3"),
        row("halfpetsB", "nonsense"),
        row("nolearn_1_1", "pool1"),
    ]
    assert groups.cut_names(rows) == {1: "pool1", 2: "pool2"}
    assert groups.cut_names([]) == {}
