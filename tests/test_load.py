"""Studies as small files."""

import copy
import re
import tomllib
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caffe_transfer.errors import BadInput
from caffe_transfer.studies.groups import GROUPS
from caffe_transfer.studies.load import built_in_studies, load_study
from caffe_transfer.studies.network import Mode, Network
from caffe_transfer.studies.schema import keys_of
from caffe_transfer.studies.solver import SolverSettings
from caffe_transfer.studies.study import Images, Study
from caffe_transfer.studies.tables import parse_study
from caffe_transfer.studies.write import study_text
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
    expected = {"netbase", "half0A", "half0B", "half1A", "half1B"}
    for n in (1, 3, 5, 7):
        expected.add(f"nolearn_1_{n}")
        for split in (0, 1):
            for base, target in product("AB", repeat=2):
                pair = f"{split}{base}{split}{target}_1_{n}"
                expected |= {f"transfer{pair}", f"transfer-ft{pair}"}
    assert names == expected
    assert len(names) == 73


def test_quick_changes_only_what_it_names() -> None:
    plain, quick = load_study("fashion-mnist"), load_study("fashion-mnist", quick=True)
    assert quick.solver.max_iter < plain.solver.max_iter
    assert quick.solver.base_lr == plain.solver.base_lr
    assert quick.networks == tuple(
        each for each in plain.networks
        if each.split != "1" and (each.target != "A" or each.mode is Mode.BASE)
    )  # fmt: skip


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


MINE = '[splits.mine]\nA = ["cat"]\nB = ["car"]\n'
QUICK = "[quick.solver]\nmax_iter = 2\n"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("batch = 4", "bach = 4", r"unknown key 'bach'; known here are name, net, batch"),
        ("channels", "chanels", r"unknown key 'images\.chanels'; known here are source, "),
        ("max_iter", "maxiter", r"unknown key 'solver\.maxiter'"),
        (
            "fine_tune",
            "finetune",
            r"unknown key 'networks\.finetune' \(group 2\); known here are splits",
        ),
        ('mode = "random"', 'mode = "rnd"', 'is "rnd"; it must be "base" or "selffer" or'),
        ('mode = "random"', "", r"lacks networks\.mode \(group 3\); add it"),
        ('name = "small"', "", "lacks name; add it"),
        ("base_lr = 0.001", "", r"lacks solver\.base_lr; add it"),
        ("max_iter = 4", "", r"mine\.toml lacks solver\.max_iter; add it"),
        ("classes = 4", "", r"lacks images\.classes"),
        ("n = [2]", "", r"lacks networks\.n \(group 3\)"),
        ("[images]", "[images", "is not a TOML file"),
        ("n = [3]", "n = [0]", r"networks\.n \(group 2\) is \[0\]; it must be a list .* 1 or more"),
        ("n = [3]", "n = 4", r"networks\.n \(group 2\) is 4; it must be a list"),
        ("n = [3]", "n = [3, 3]", "different values"),
        ("n = [3]", "n = []", "one or more"),
        ("n = [3]", "n = [true]", r"is \[true\]"),
        ('["AB"]', '"AB"', r'networks\.pairs \(group 2\) is "AB"; it must be a list'),
        ('["AB"]', '["AA"]', 'each "AB" or "BA"'),
        ('splits = ["0"]', "splits = [0]", r"networks\.splits \(group 1\) is \[0\]; .* seed"),
        ('splits = ["0"]', 'splits = ["4294967296"]', "it must be"),
        ('splits = ["0"]', 'splits = ["pets"]', r"toml: study 'small' has no split 'pets'"),
        ('splits = ["0"]', 'splits = ["natman"]', "set natman_classes"),
        ('whole = true\nsplits = ["0"]', "", r"lacks networks\.splits \(group 1\)"),
        ("[false, true]", "[0, 1]", "each true or false"),
        ("[false, true]", "[true]\npreserve = [1]", r"networks \(group 2\): preserve = 1 does"),
        ("batch = 4", 'batch = "8"', 'batch is "8"; it must be a whole number, 1 or more'),
        ("batch = 4", "batch = true", "batch is true"),
        ("batch = 4", "batch = 0", "batch is 0"),
        ("batch = 4", "batch = 4.0", "batch is 4.0"),
        ("batch = 4", "batch = {}", "batch is a table; it must be a whole number"),
        ("batch = 4", "batch = []", r"batch is \[\]; it"),
        ("batch = 4", "batch = 2024-01-01", "batch is 2024-01-01; it"),
        ("batch = 4", f"batch = {'9' * 5000}", "a number in it has thousands of digits"),
        ("batch = 4", f"batch = 0x{'f' * 5000}", "batch is a value too long to show; it must"),
        ("batch = 4", "batch = " + "[" * 5000 + "]" * 5000, "lists in lists, .*too deep"),
        ("batch = 4", f'batch = "{"x" * 999}"', r'batch is "x{39}\.\.\.; it'),
        ("max_iter = 4", "max_iter = 3.5", r"solver\.max_iter is 3\.5; it must be a whole"),
        ("base_lr = 0.001", "base_lr = inf", r"solver\.base_lr is inf; it must be a number"),
        ("base_lr = 0.001", "base_lr = nan", "base_lr is nan"),
        ("base_lr = 0.001", "base_lr = -1", "base_lr is -1"),
        ("base_lr = 0.001", "base_lr = 0.1\nmomentum = 1.5", "is 1.5; .* number from 0 to 1"),
        ("channels = 1", "channels = 2", "channels is 2; it must be 1 or 3"),
        ("channels = 1", "channels = true", "channels is true; it must be 1 or 3"),
        ("size = 28", "size = 28\ncrop = 29", r"crop is 29; .* no more than images\.size, 28"),
        ("size = 28", "size = 28\nscale = 0", "scale is 0; it must be a number above 0"),
        ("classes = 4", "classes = 1", "classes is 1; it must be 2 or more"),
        ("classes = 4", "classes = 4\nnatman_classes = [1]", "a list of 2 values"),
        ("classes = 4", "classes = 4\nnatman_classes = [1, 2]", "two numbers that sum to 4"),
        ('name = "small"', 'name = ""', 'name is ""; it must be a string of printable'),
        ('name = "small"', 'name = "a\\u2028b"', r'name is "a\\u2028b"; it must'),
        ("[images]", "[[images]]", "images is a list of tables; it must be a table"),
        (MINE, MINE.replace("mine", "m1"), r'\[splits\."m1"\] cannot be the name'),
        (MINE, MINE.replace("mine", "natman"), "neither whole nor natman"),
        (MINE, MINE.replace("mine", "whole"), "neither whole nor natman"),
        (MINE, MINE.replace('["cat"]', "[]"), r"splits\.mine\.A is \[\]"),
        (MINE, MINE.replace('["cat"]', '"cat"'), r'splits\.mine\.A is "cat"; it must be a list'),
        (MINE, MINE.replace("car", "cat"), r'splits\.mine has the class "cat" in A and in B'),
        (MINE, MINE.replace('["cat"]', '["a", "b", "c", "d"]'), "has 5 classes; it must be no"),
        (MINE, MINE.replace('B = ["car"]', ""), r"lacks splits\.mine\.B"),
        (MINE, "[splits]\nmine = 1\n", r"splits\.mine is 1; it must be a table"),
        (MINE, "[reduced_solver]\nmax_iter = 0\n", r"reduced_solver\.max_iter is 0"),
        (QUICK, "[quick.solver]\nmax_iter = 0\n", r"with its \[quick\] table: solver\.max_iter is"),
        (QUICK, "[quick.solver]\nmaxiter = 1\n", r"quick.* has an unknown key 'solver\.maxiter'"),
        (QUICK, "[quick.quick]\nname = 'x'\n", "unknown key 'quick'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = TEXT + MINE + QUICK
    assert old in text
    path = write(tmp_path, text.replace(old, new, 1))
    with pytest.raises(BadInput, match=message) as error:
        load_study(path)
    assert str(error.value).startswith(path)


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(BadInput, match="is not a TOML file: not all of its text is UTF-8"):
        load_study(str(path))


def test_quick_that_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="quick is 3; it must be a table"):
        load_study(write(tmp_path, "quick = 3\n" + TEXT))


FULL = tomllib.loads(
    'seconds_per_iteration = 1\nall_outputs = true\nkeep_snapshots = "all"\n'
    'cuts = ["conv1", "conv2"]\n'
    + TEXT.replace("channels", "crop = 8\nmirror = true\nscale = 1\nnatman_classes = [1, 3]\n"
                   "train_per_class = 3\nvalid_per_class = 2\nmean_values = [104]\n"
                   "path = '/images'\nvalid_fraction = 0.5\ndatabases = 'view'\nchannels")
    .replace("display", "gamma = 0.1\nmomentum = 0.9\nweight_decay = 0\ngpu = false\n"
             "type = 'Adam'\nlr_policy = 'multistep'\nstepvalue = [2, 3]\npower = 1\n"
             "momentum2 = 0.9\nrms_decay = 0.9\ndelta = 0.1\nregularization_type = 'L1'\n"
             "clip_gradients = 3\niter_size = 2\naverage_loss = 2\ndisplay")
    + "[[networks]]\nmode = 'selffer'\nsplits = ['natman']\ntargets = ['A']\nn = [1]\n"
    "preserve = [1]\nseeds = [2]\n[[networks]]\nmode = 'reduced'\nper_class = [2]\n"
    "[reduced_solver]\nbase_lr = 1\n" + MINE + QUICK
)  # fmt: skip


def places(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The paths to all values in a parsed TOML file."""
    if path:
        yield path
    if isinstance(value, dict):
        for key, each in value.items():
            yield from places(each, (*path, key))
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from places(each, (*path, number))


# Without letters, so that no word of a message is a quoted value.
texts = st.text(st.characters(exclude_categories=("Lu", "Ll", "Cs")))
anything = st.recursive(
    st.booleans() | st.integers() | st.floats() | texts | st.datetimes(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=500)
@given(st.sampled_from(list(places(FULL))), anything)
def test_any_value_in_place_of_any_key_loads_or_is_one_sentence(
    path: tuple[str | int, ...], value: object
) -> None:
    table: Any = copy.deepcopy(FULL)
    inner = table
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    message = None
    try:
        study = parse_study(table, "mine.toml", Path())
    except BadInput as error:
        message = str(error)
    if message is None:
        assert parse_study(tomllib.loads(study_text(study)), "kept.toml", Path()) == study
    else:
        assert message.startswith("mine.toml")
        assert len(message.splitlines()) == 1
        assert not re.search(r"\b(None|True|False|dict|tuple|NoneType|int|str)\b", message)


def test_the_full_example_names_every_key() -> None:
    """The test above replaces each key that there is."""
    for table, given_keys in (
        (Study, FULL), (Images, FULL["images"]), (SolverSettings, FULL["solver"]),
    ):  # fmt: skip
        assert set(keys_of(table)) - set(given_keys) <= {"mean"}  # not beside mean_values
    groups = {group["mode"]: group for group in FULL["networks"]}
    assert set(groups) == set(Mode)
    named = {key for group in groups.values() for key in group}
    assert named == {"mode"} | {key for kind in GROUPS.values() for key in keys_of(kind)}


def test_a_study_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"no study 'pape'; .* fashion-mnist, paper, tiny-imagenet"):
        load_study("pape")
    with pytest.raises(BadInput, match="no study"):
        load_study(str(tmp_path / "none.toml"))


def test_no_quick_form(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"has no \[quick\] table"):
        load_study(write(tmp_path, TEXT), quick=True)


@pytest.mark.parametrize("key", ["a." * 20_000, '"a" . ' * 20_000, "[" + "a-b." * 20_000])
def test_a_key_that_would_keep_the_parser_busy(key: str, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(f"{key}\n")
    with pytest.raises(BadInput, match="a key in it has more than a hundred parts; correct it"):
        load_study(str(tmp_path / "mine.toml"))


def test_a_file_that_is_too_large(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("# " + "x" * (1 << 20))
    with pytest.raises(BadInput, match="it has more than 1,048,576 characters; correct it"):
        load_study(str(tmp_path / "mine.toml"))
