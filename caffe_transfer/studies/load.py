"""Studies as small TOML files: the built-in ones and a user's own.

name = "my-study"
net = "mini"
batch = 64
test_batch = 100

[images]            # fields of study.Images
[solver]            # fields of study.SolverSettings
[reduced_solver]    # what differs from it for mode reduced
[[networks]]        # groups; each list is multiplied out
mode = "transfer"
splits = ["0", "natman"]
pairs = ["AB", "BA"]
n = [1, 2, 3]
fine_tune = [false, true]
preserve = [0]
seeds = [1]
[splits.mine]       # a split of one's own: the names of the classes
A = ["cat", "dog"]
B = ["car", "boat"]
[quick]             # what `run --quick` changes, in the same tables
"""

import functools
import itertools
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from caffe_transfer import paths
from caffe_transfer.errors import BadInput
from caffe_transfer.studies.network import DEFAULT_SEED, Mode, Network
from caffe_transfer.studies.study import Images, SolverSettings, Study

T = TypeVar("T", Images, SolverSettings)
_STUDY_KEYS = (
    "name", "net", "batch", "test_batch", "images", "solver", "reduced_solver", "networks", "quick",
    "splits", "seconds_per_iteration", "all_outputs",
)  # fmt: skip
_GROUP_KEYS = {
    Mode.BASE: ("splits", "targets", "whole", "seeds"),
    Mode.SELFFER: ("splits", "targets", "n", "fine_tune", "preserve", "seeds"),
    Mode.TRANSFER: ("splits", "pairs", "n", "fine_tune", "preserve", "seeds"),
    Mode.RANDOM: ("n", "seeds"),
    Mode.REDUCED: ("per_class", "seeds"),
}


def built_in_studies() -> list[str]:
    """The names of the studies that come with the package."""
    return sorted(path.stem for path in paths.built_in_studies().glob("*" + paths.STUDY_SUFFIX))


def find_study(name_or_path: str) -> Path:
    """The file of a built-in study by name, or of a user's own by path.

    Raises:
        BadInput: there is none; lists the built-in ones.
    """
    if Path(name_or_path).suffix == paths.STUDY_SUFFIX:
        path = Path(name_or_path)
    else:
        path = paths.built_in_studies() / (name_or_path + paths.STUDY_SUFFIX)
    if not path.is_file():
        raise BadInput(
            f"there is no study {name_or_path!r}; name a .toml file or one of "
            f"{', '.join(built_in_studies())}"
        )
    return path


def load_study(name_or_path: str, quick: bool = False) -> Study:
    """Read a study; `quick` applies its [quick] table.

    Raises:
        BadInput: the file is missing, or a key is unknown or wrong; names both.
    """
    path = find_study(name_or_path)
    try:
        text = path.read_text()
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} is not a TOML file: {error}") from error
    _known(path, "", table, _STUDY_KEYS)
    changes = table.pop("quick", {})
    _known(path, "quick.", changes, _STUDY_KEYS)
    if quick:
        if not changes:
            raise BadInput(f"{path} has no [quick] table; leave --quick out")
        table = _merged(table, changes)
    try:
        return _study(path, table, about=_heading(text))
    except KeyError as error:
        raise BadInput(f"{path} lacks the key {error}") from error
    except TypeError as error:
        raise BadInput(f"{path} has a value of the wrong type or lacks one: {error}") from error


@functools.cache
def paper() -> Study:
    """The 170 networks of the paper."""
    return load_study("paper")


def _study(path: Path, table: dict[str, Any], about: str) -> Study:
    solver = table["solver"]
    reduced = table.get("reduced_solver")
    return Study(
        name=table["name"],
        net=table["net"],
        batch=table["batch"],
        test_batch=table["test_batch"],
        images=_settings(path, "images", table["images"], Images),
        solver=_settings(path, "solver", solver, SolverSettings),
        reduced_solver=reduced
        and _settings(path, "reduced_solver", _merged(solver, reduced), SolverSettings),
        networks=tuple(
            itertools.chain.from_iterable(_group(path, group) for group in table["networks"])
        ),
        custom_splits={
            name: _custom_split(path, name, classes)
            for name, classes in table.get("splits", {}).items()
        },
        seconds_per_iteration=table.get("seconds_per_iteration"),
        all_outputs=table.get("all_outputs", False),
        about=about,
    )


def _custom_split(
    path: Path, name: str, table: dict[str, Any]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    _known(path, f"splits.{name}.", table, ("A", "B"))
    return tuple(table["A"]), tuple(table["B"])


def _settings(path: Path, name: str, table: dict[str, Any], kind: type[T]) -> T:
    _known(path, f"{name}.", table, [field.name for field in fields(kind)])
    values: dict[str, Any] = {
        key: tuple(v) if isinstance(v, list) else v for key, v in table.items()
    }
    return kind(**values)


def _group(path: Path, table: dict[str, Any]) -> list[Network]:
    table = dict(table)
    try:
        mode = Mode(table.pop("mode"))
    except ValueError as error:
        raise BadInput(f"{path}: {error}; modes are {', '.join(Mode)}") from error
    _known(path, "networks.", table, _GROUP_KEYS[mode])
    seeds = table.get("seeds", [DEFAULT_SEED])
    return [network for seed in seeds for network in _networks(mode, table, seed)]


def _networks(mode: Mode, table: dict[str, Any], seed: int) -> list[Network]:
    match mode:
        case Mode.BASE:
            whole = [Network(mode=mode, seed=seed)] if table.get("whole") else []
            return whole + [
                Network(mode=mode, target=target, split=split, seed=seed)
                for split in table.get("splits", [])
                for target in table.get("targets", ["A", "B"])
            ]
        case Mode.RANDOM:
            return [Network(mode=mode, n=n, seed=seed) for n in table["n"]]
        case Mode.REDUCED:
            return [Network(mode=mode, per_class=k, seed=seed) for k in table["per_class"]]
    pairs = [t + t for t in table["targets"]] if mode is Mode.SELFFER else table["pairs"]
    return [
        Network(
            mode=mode, target=pair[1], base=pair[0], split=split, n=n, fine_tuned=fine_tuned,
            preserve=preserve, seed=seed,
        )
        for split, pair, fine_tuned, preserve, n in itertools.product(
            table["splits"], pairs, table.get("fine_tune", [False]),
            table.get("preserve", [0]), table["n"],
        )
    ]  # fmt: skip


def _known(path: Path, where: str, table: dict[str, Any], known: Any) -> None:
    for key in table:
        if key not in known:
            raise BadInput(
                f"{path} has an unknown key {where + key!r}; known here are {', '.join(known)}"
            )


def _merged(table: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    result = dict(table)
    for key, value in changes.items():
        both_tables = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = _merged(result[key], value) if both_tables else value
    return result


def _heading(text: str) -> str:
    """The comment that a study's file opens with: command, cost, what to expect."""
    lines = itertools.takewhile(lambda line: line.startswith("#"), text.splitlines())
    return "\n".join(line.removeprefix("#").removeprefix(" ") for line in lines)
