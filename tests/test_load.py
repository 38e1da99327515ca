"""Studies as small files."""

from pathlib import Path

import pytest

from caffe_transfer.errors import BadInput
from caffe_transfer.studies.load import built_in_studies, load_study
from caffe_transfer.studies.network import Network
from tests.small_study import TEXT


def write(tmp_path: Path, text: str) -> str:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("name", built_in_studies())
def test_built_in_studies_open_with_command_cost_and_what_to_expect(name: str) -> None:
    study = load_study(name)
    assert study.about.startswith(f"caffe-transfer run {name} --out ")
    assert "Cost: " in study.about
    assert "Expect: " in study.about
    assert study.name == name


def test_the_demo_is_what_the_readme_promises() -> None:
    demo = load_study("fashion-mnist")
    names = {network.name for network in demo.networks}
    expected = {"netbase", "half0A", "half0B"} | {f"nolearn_1_{n}" for n in range(1, 8)}
    for pair in ("0A0B", "0B0B"):
        for n in range(1, 8):
            expected |= {f"transfer{pair}_1_{n}", f"transfer-ft{pair}_1_{n}"}
    assert names == expected
    assert len(names) == 38


def test_quick_changes_only_what_it_names() -> None:
    plain, quick = load_study("fashion-mnist"), load_study("fashion-mnist", quick=True)
    assert quick.solver.max_iter < plain.solver.max_iter
    assert quick.solver.base_lr == plain.solver.base_lr
    assert quick.networks == plain.networks


def test_halves_keep_all_outputs_on_request(tmp_path: Path) -> None:
    half = Network.parse("half0A")
    assert load_study(write(tmp_path, TEXT)).outputs(half) == 2
    assert load_study(write(tmp_path, "all_outputs = true\n" + TEXT)).outputs(half) == 4


def test_a_users_own_study(tmp_path: Path) -> None:
    study = load_study(
        write(
            tmp_path,
            TEXT
            + '[[networks]]\nmode = "transfer"\nsplits = ["mine"]\npairs = ["BA"]\nn = [1, 2]\n'
            "preserve = [0, 1]\nseeds = [1, 2]\n"
            '[splits.mine]\nA = ["cat", "dog", "cow"]\nB = ["car"]\n',
        )
    )
    assert study.outputs(Network.parse("transfermineBA_1_1")) == 3
    added = [n.name for n in study.networks if n.split == "mine"]
    assert added[:4] == [
        "transfermineBA_1_1", "transfermineBA_1_2", "transfermineBA_1_1-preserve1",
        "transfermineBA_1_2-preserve1",
    ]  # fmt: skip
    assert len(added) == 8


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("batch = 4", "bach = 4", r"unknown key 'bach'; known here are name, net, batch"),
        ("channels", "chanels", r"unknown key 'images\.chanels'; known here are source, "),
        ("max_iter", "maxiter", r"unknown key 'solver\.maxiter'"),
        ("fine_tune", "finetune", r"unknown key 'networks\.finetune'; known here are splits"),
        ('mode = "random"', 'mode = "rnd"', "'rnd' is not a valid Mode; modes are base, selffer"),
        ('name = "small"', "", "lacks the key 'name'"),
        ("base_lr = 0.001", "", "base_lr"),
        ("[images]", "[images", "is not a TOML file"),
        ("n = [3]", "n = [0]", "n = 0 is not a layer to cut at"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in TEXT
    path = write(tmp_path, TEXT.replace(old, new, 1))
    with pytest.raises(BadInput, match=message):
        load_study(path)


def test_a_study_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"no study 'pape'; .* fashion-mnist, paper, tiny-imagenet"):
        load_study("pape")
    with pytest.raises(BadInput, match="no study"):
        load_study(str(tmp_path / "none.toml"))


def test_no_quick_form(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"has no \[quick\] table"):
        load_study(write(tmp_path, TEXT), quick=True)
