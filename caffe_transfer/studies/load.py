"""Reads studies from TOML files: the built-in ones and a user's own.

name = "my-study"
net = "mini"
batch = 64
test_batch = 100    # further keys: study.Study

[images]            # study.Images
[solver]            # study.SolverSettings
[reduced_solver]    # what differs from it for mode reduced
[[networks]]        # groups.GROUPS[mode]; each list is multiplied out
mode = "transfer"
splits = ["0", "natman"]
pairs = ["AB", "BA"]
n = [1, 2, 3]
fine_tune = [false, true]
[splits.mine]       # a custom split: the names of the classes
A = ["cat", "dog"]
B = ["car", "boat"]
[quick]             # what `run --quick` changes, in the same tables
"""

import functools
import itertools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from caffe_transfer import paths
from caffe_transfer.errors import BadInput
from caffe_transfer.studies.groups import GROUPS
from caffe_transfer.studies.network import NATMAN, Mode, Network, is_split
from caffe_transfer.studies.schema import ListOf, OneOf, Place, Text, read, read_keys, shown
from caffe_transfer.studies.study import Images, SolverSettings, Study

TABLES = ("images", "solver", "reduced_solver", "networks", "splits")
_MODES = OneOf(tuple(str(mode) for mode in Mode))


@dataclass(frozen=True)
class SplitTable:
    """A [splits.NAME] table."""

    A: Annotated[tuple[str, ...], ListOf(Text()), "classes of task A, by name or label"]
    B: Annotated[tuple[str, ...], ListOf(Text()), "classes of task B, by name or label"]


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
        BadInput: the file is missing or is not TOML, or a key is unknown, missing or of a wrong
            value, in [quick] too; names file and key.
    """
    path = find_study(name_or_path)
    text, table = _read_toml(path)
    return parse_study(table, str(path), quick, about=_heading(text))


@functools.cache
def paper() -> Study:
    """The 170 networks of the paper."""
    return load_study("paper")


def parse_study(table: Mapping[str, Any], file: str, quick: bool = False, about: str = "") -> Study:
    """The study that a parsed TOML file describes.

    Args:
        file: its name, for messages.

    Raises:
        BadInput: as load_study does.
    """
    plain = {key: value for key, value in table.items() if key != "quick"}
    study = _study(file, plain, about)
    changes = table.get("quick", {})
    if not isinstance(changes, Mapping):
        raise Place(file).wrong("quick", changes, "a table")
    if changes:
        quick_study = _study(f"{file} with its [quick] table", _merged(plain, changes), about)
        return quick_study if quick else study
    if quick:
        raise BadInput(f"{file} has no [quick] table; leave --quick out")
    return study


def _read_toml(path: Path) -> tuple[str, dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8")
        return text, tomllib.loads(text)
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror}; name a file you can read") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is not a TOML file: it is not text in UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"{path} is not a TOML file: {error}") from error
    except (ValueError, RecursionError) as error:
        raise BadInput(
            f"{path} cannot be read: a number has thousands of digits, or lists stand in lists too "
            "deep; correct it"
        ) from error


def _study(file: str, table: Mapping[str, Any], about: str) -> Study:
    top = Place(file)
    values = read_keys(Study, table, top, *TABLES)
    for name in ("images", "solver", "networks"):
        if name not in table:
            raise top.lacks(name)
    study = Study(
        **values,
        images=read(Images, table["images"], Place(file, "images")),
        solver=read(SolverSettings, table["solver"], Place(file, "solver")),
        reduced_solver=_reduced_solver(file, table),
        networks=_networks(file, table["networks"]),
        custom_splits=_custom_splits(file, table.get("splits", {})),
        about=about,
    )
    _check_together(file, study)
    return study


def _reduced_solver(file: str, table: Mapping[str, Any]) -> SolverSettings | None:
    if "reduced_solver" not in table:
        return None
    changes, place = table["reduced_solver"], Place(file, "reduced_solver")
    merged = _merged(table["solver"], changes) if isinstance(changes, Mapping) else changes
    return read(SolverSettings, merged, place)


def _networks(file: str, groups: object) -> tuple[Network, ...]:
    if not isinstance(groups, list) or not groups:
        raise Place(file).wrong("networks", groups, "one or more [[networks]] tables")
    return tuple(
        itertools.chain.from_iterable(
            _group(Place(file, "networks", f" (group {number})"), group)
            for number, group in enumerate(groups, 1)
        )
    )


def _group(place: Place, table: object) -> list[Network]:
    if not isinstance(table, Mapping):
        raise Place(place.file).wrong("networks", [table], "one or more [[networks]] tables")
    if "mode" not in table:
        raise place.lacks("mode")
    if not _MODES.accepts(table["mode"]):
        raise place.wrong("mode", table["mode"], _MODES.expected)
    others = {key: value for key, value in table.items() if key != "mode"}
    group = read(GROUPS[Mode(table["mode"])], others, place)
    try:
        networks = list(group.networks())
    except BadInput as error:
        raise BadInput(f"{place.file}, networks{place.detail}: {error}") from error
    if not networks:
        raise place.lacks("splits")
    return networks


def _custom_splits(file: str, table: object) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    if not isinstance(table, Mapping):
        raise Place(file).wrong("splits", table, "tables [splits.NAME]")
    found = {}
    for name, classes in table.items():
        if name.isdigit() or name == NATMAN or not is_split(name):
            raise BadInput(
                f"{file}: [splits.{shown(name)}] cannot be the name of a custom split; it must be "
                f"of the letters a-z and neither whole nor {NATMAN}"
            )
        split = read(SplitTable, classes, Place(file, f"splits.{name}"))
        if both := sorted(set(split.A) & set(split.B)):
            raise BadInput(
                f"{file}: splits.{name} has the class {shown(both[0])} in A and in B; leave it in "
                "one"
            )
        found[name] = (split.A, split.B)
    return found


def _check_together(file: str, study: Study) -> None:
    """Check keys that depend on each other."""
    images = study.images
    place = Place(file, "images")
    if images.crop > images.size:
        raise place.wrong("crop", images.crop, f"no more than images.size, {images.size}")
    if images.natman_classes and sum(images.natman_classes) != images.classes:
        raise place.wrong(
            "natman_classes", images.natman_classes, f"two numbers that sum to {images.classes}"
        )
    for network in study.networks:
        try:
            classes = study.classes_of(network)
        except BadInput as error:
            raise BadInput(f"{file}: {error}") from error
        if not classes:
            raise place.wrong("classes", images.classes, "2 or more, to be split into halves")
    for name, (a, b) in study.custom_splits.items():
        if len(a) + len(b) > images.classes:
            raise BadInput(
                f"{file}: splits.{name} has {len(a) + len(b)} classes; it must be no more than "
                f"images.classes, {images.classes}"
            )


def _merged(table: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(table)
    for key, value in changes.items():
        both_tables = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = _merged(result[key], value) if both_tables else value
    return result


def _heading(text: str) -> str:
    """The comment that a study's file opens with: command, cost, what to expect."""
    lines = itertools.takewhile(lambda line: line.startswith("#"), text.splitlines())
    return "\n".join(line.removeprefix("#").removeprefix(" ") for line in lines)
