"""docs/studies.md: fresh, complete, and its examples are studies."""

import re
import tomllib
from pathlib import Path

import pytest

from caffe_transfer.nets.render import render
from caffe_transfer.studies.load import load_study
from caffe_transfer.studies.network import Network
from caffe_transfer.studies.schema import keys_of
from caffe_transfer.studies.study import Study
from docs import write_studies
from docs.write_studies import EXAMPLES, PAGE, TABLES

TEXT = PAGE.read_text()
BLOCKS = re.findall(r"^```toml\n(.*?)^```", TEXT, re.M | re.S)
SOLVER = 'base_lr: 0.001\nlr_policy: "poly"\npower: 0.5\nmax_iter: 9\nmomentum: 0.8\n'


def load(folder: Path, text: str) -> Study:
    (folder / "nets").mkdir(exist_ok=True)
    (folder / "nets/solver.prototxt").write_text(SOLVER)
    (folder / "mine.toml").write_text(text)
    return load_study(str(folder / "mine.toml"))


def test_the_tables_are_fresh() -> None:
    assert write_studies.page(TEXT) == TEXT, "run make docs"


def test_every_table_of_the_schema_is_there() -> None:
    assert write_studies.tables(TEXT) == [
        "top", "images", "solver", "policies", "base", "selffer", "transfer", "random", "reduced",
        "split", "task",
    ]  # fmt: skip
    assert set(TABLES) == set(EXAMPLES) == set(write_studies.tables(TEXT)) - {"policies"}


def test_a_stale_table_is_noticed() -> None:
    stale = TEXT.replace("| `momentum` |", "| `impetus` |")
    assert stale != TEXT
    assert write_studies.page(stale) == TEXT


@pytest.mark.parametrize("name", TABLES)
def test_each_key_has_an_example_that_it_accepts(name: str) -> None:
    keys = keys_of(TABLES[name])
    assert set(EXAMPLES[name]) == set(keys)
    for key in keys.values():
        assert key.kind.accepts(EXAMPLES[name][key.name]), key.name


def test_the_small_example(tmp_path: Path) -> None:
    (text,) = (block for block in BLOCKS if 'name = "pets"' in block)
    study = load(tmp_path, text)
    assert len(study.networks) == 2 + 4 + 8
    assert study.custom_splits["kinds"].A.classes == ("cat", "dog")
    assert study.images.path == str(tmp_path / "photos")
    assert study.about.startswith("caffe-transfer run pets.toml")


def test_the_given_base(tmp_path: Path) -> None:
    (text,) = (block for block in BLOCKS if 'name = "birds"' in block)
    study = load(tmp_path, text)
    assert len(study.networks) == 1 + 8 + 8
    assert study.custom_splits["mine"].A.model == str(tmp_path / "googlenet.caffemodel")
    assert (study.solver.lr_policy, study.solver.power, study.solver.max_iter) == (
        "poly",
        0.5,
        4000,
    )
    assert study.net == str(tmp_path / "nets/train_val.prototxt")
    assert load_study(str(tmp_path / "mine.toml"), quick=True).solver.max_iter == 20


def test_the_other_blocks_are_parts_of_a_study(tmp_path: Path) -> None:
    (whole,) = (block for block in BLOCKS if 'name = "birds"' in block)
    parts = [block for block in BLOCKS if not block.startswith("# caffe-transfer run")]
    assert len(parts) == 2
    for part in parts:
        (name,) = tomllib.loads(part)
        rest = re.sub(r"^\[splits\.mine\]\n.*?\n\n", "", whole, flags=re.M | re.S)
        study = load(tmp_path, (rest if name == "splits" else whole) + part)
        if name == "splits":
            assert study.custom_splits["mine"].A.names == {"conv1": "conv1_1", "conv2": "conv1_2"}
        else:
            assert study.reduced_solver is not None
            assert study.reduced_solver.base_lr == 0.0125


def test_names_of_networks_are_as_the_page_says() -> None:
    rows = re.findall(r"^\| `([\w-]+)` \| (\w+) \|", TEXT, re.M)
    assert len(rows) == 10
    for name, mode in rows:
        network = Network.parse(name)
        assert network.name == name
        assert mode in ("any", network.mode)


@pytest.mark.parametrize("path", sorted((PAGE.parent / "given-base").glob("*.toml")), ids=str)
def test_the_studies_of_a_page_can_be_generated(path: Path) -> None:
    study = load_study(str(path))
    for network in study.networks:
        assert render(network, study)
    assert study.about.startswith(f"caffe-transfer run docs/given-base/{path.name}")
