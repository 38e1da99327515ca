"""Networks: the names that the authors gave, and what each name means."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caffe_transfer.errors import BadInput
from caffe_transfer.studies.load import load_study, paper
from caffe_transfer.studies.network import Mode, Network, Split

PAPER = paper()
splits = st.sampled_from(["0", "1", "17", "natman", "mine"])
sides = st.sampled_from("AB")
seeds = st.integers(1, 99)


@st.composite
def networks(draw: st.DrawFn) -> Network:
    mode = draw(st.sampled_from(Mode))
    seed = draw(seeds)
    if mode is Mode.BASE:
        if draw(st.booleans()):
            return Network(mode=mode, seed=seed)
        return Network(mode=mode, target=draw(sides), split=draw(splits), seed=seed)
    if mode is Mode.REDUCED:
        return Network(mode=mode, per_class=draw(st.integers(1, 99999)), seed=seed)
    n = draw(st.integers(1, 7))
    if mode is Mode.RANDOM:
        return Network(mode=mode, n=n, seed=seed)
    target = draw(sides)
    base = target if mode is Mode.SELFFER else "AB".replace(target, "")
    fine_tuned = draw(st.booleans())
    preserve = 0 if fine_tuned else draw(st.integers(0, 7 - n))
    return Network(
        mode=mode, target=target, base=base, split=draw(splits), n=n, fine_tuned=fine_tuned,
        preserve=preserve, seed=seed,
    )  # fmt: skip


@given(networks())
def test_a_name_says_all(network: Network) -> None:
    assert Network.parse(network.name) == network


@given(networks())
def test_layers_are_frozen_copied_or_fresh(network: Network) -> None:
    if network.fine_tuned:
        assert network.frozen_count == 0
    else:
        assert network.frozen_count == network.n
    if network.base is not None:
        assert network.copied_count == network.n + network.preserve
        assert network.base_name is not None
        base = Network.parse(network.base_name)
        assert (base.mode, base.target, base.seed) == (Mode.BASE, network.base, network.seed)


def test_the_170_networks_of_the_paper() -> None:
    kinds = Counter(
        "netbase" if n.name == "netbase" else f"{n.mode}{'+' if n.fine_tuned else ''} {n.split}"
        for n in PAPER.networks
    )
    assert len(PAPER.networks) == len({n.name for n in PAPER.networks}) == 170
    for split in "0123":
        assert kinds[f"base {split}"] == 2
        assert kinds[f"selffer {split}"] == 7
        assert kinds[f"transfer {split}"] == 14
    for split in "01":
        assert kinds[f"selffer+ {split}"] == 7
        assert kinds[f"transfer+ {split}"] == 14
    assert kinds["base natman"] == 2
    assert kinds["transfer natman"] == 14
    assert kinds["random None"] == 7
    assert kinds["reduced None"] == 12
    assert kinds["netbase"] == 1


def test_the_authors_folders_are_all_of_the_paper(authors: Path) -> None:
    names = {folder.name for folder in (authors / "results").iterdir()}
    assert len(names) >= 34
    assert names <= {network.name for network in PAPER.networks}


def test_seeds_differ_for_every_network() -> None:
    seeds = [network.random_seed for network in PAPER.networks]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert Network(mode=Mode.BASE, seed=2).random_seed != Network(mode=Mode.BASE).random_seed


def test_two_solvers() -> None:
    settings = Counter(
        (s.base_lr, s.stepsize, s.max_iter) for s in map(PAPER.solver_of, PAPER.networks)
    )
    assert settings == {(0.01, 100_000, 450_000): 158, (0.0125, 64_000, 200_000): 12}


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"mode": Mode.TRANSFER, "n": 4}, "transfer0A0B_1_4"),
        ({"mode": Mode.TRANSFER, "n": 4, "base": "B"}, "transfer0B0A_1_4"),
        ({"mode": Mode.TRANSFER, "n": 4, "target": "A"}, "transfer0B0A_1_4"),
        ({"mode": Mode.SELFFER, "n": 4}, "transfer0A0A_1_4"),
        ({"mode": Mode.SELFFER, "n": 4, "target": "B"}, "transfer0B0B_1_4"),
        ({"mode": Mode.BASE}, "half0A"),
        ({"mode": Mode.BASE, "split": "natman", "target": "B"}, "halfnatmanB"),
        ({"mode": Mode.BASE, "split": "whole"}, "netbase"),
        ({"mode": Mode.RANDOM, "n": 2}, "nolearn_1_2"),
        ({"mode": Mode.REDUCED, "per_class": 10}, "reduced-0010"),
        ({"mode": Mode.TRANSFER, "n": 1, "split": "natman"}, "transfernatmanAB_1_1"),
        ({"mode": Mode.TRANSFER, "n": 1, "preserve": 2}, "transfer0A0B_1_1-preserve2"),
        ({"mode": Mode.TRANSFER, "n": 1, "seed": 2}, "transfer0A0B_1_1-seed2"),
    ],
)
def test_what_is_left_out_is_as_in_the_paper(arguments: dict[str, object], name: str) -> None:
    assert Network.from_options(**arguments).name == name  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mode": Mode.TRANSFER, "n": 0}, "n = 0 is not a layer to cut at.* from 1 on"),
        ({"mode": Mode.BASE, "n": 3}, "copies no layers; leave n = 3 out"),
        ({"mode": Mode.BASE, "base": "A"}, "has no base"),
        ({"mode": Mode.RANDOM, "n": 3, "fine_tuned": True}, "no copied layers to fine-tune"),
        ({"mode": Mode.RANDOM, "n": 3, "target": "A"}, "all classes"),
        ({"mode": Mode.TRANSFER, "n": 3, "base": "A", "target": "A"}, "selffer has the same"),
        ({"mode": Mode.SELFFER, "n": 3, "base": "A", "target": "B"}, "do not go with"),
        ({"mode": Mode.TRANSFER, "n": 5, "preserve": -1}, "preserve = -1"),
        ({"mode": Mode.TRANSFER, "n": 5, "preserve": 1, "fine_tuned": True}, "above frozen ones"),
        ({"mode": Mode.TRANSFER, "n": 3, "split": "whole"}, "needs a split"),
        ({"mode": Mode.REDUCED}, "number of images of each class"),
        ({"mode": Mode.BASE, "seed": 0}, "seed 0"),
        ({"mode": Mode.BASE, "split": "m1"}, "split 'm1' is neither a seed"),
        ({"mode": Mode.BASE, "split": "00"}, "split '00' is neither"),
        ({"mode": Mode.BASE, "split": "²"}, "split '²' is neither"),
        ({"mode": Mode.BASE, "split": "4294967296"}, "is neither a seed"),
    ],
)
def test_what_means_no_network(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        Network.from_options(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["", "half", "transfer0A1B_1_4", "netbase2", "x", "nolearn_1_0"])
def test_foreign_names(name: str) -> None:
    with pytest.raises(BadInput):
        Network.parse(name)


def test_outputs_are_the_tasks_classes() -> None:
    assert PAPER.outputs(Network.parse("half0A")) == 500
    assert PAPER.outputs(Network.parse("halfnatmanA")) == 449
    assert PAPER.outputs(Network.parse("transfernatmanAB_1_3")) == 551
    assert PAPER.outputs(Network.parse("netbase")) == 1000
    demo = load_study("fashion-mnist")
    with pytest.raises(BadInput, match="natman_classes"):
        demo.outputs(Network.parse("halfnatmanA"))
    with pytest.raises(BadInput, match=r"\[splits.mine\]"):
        demo.outputs(Network.parse("halfmineA"))


def test_kinds_of_splits() -> None:
    assert [Split(key).kind for key in ("3", "natman", "mine")] == ["random", "natman", "custom"]


@pytest.mark.parametrize("name", ["half{}A", "nolearn_1_{}", "reduced-{}", "netbase-seed{}"])
def test_names_that_no_folder_can_have(name: str) -> None:
    with pytest.raises(BadInput, match="is not the name of a network"):
        Network.parse(name.format("9" * 5000))
