"""The tables of a study's file, as tomllib reads them, made a Study and checked.

name = "my-study"
net = "mini"        # or "my/train_val.prototxt"
batch = 64
test_batch = 100    # further keys: study.Study

[images]            # study.Images
[solver]            # solver.SolverSettings; or solver = "my/solver.prototxt"
[reduced_solver]    # what differs from it for mode reduced
[[networks]]        # groups.GROUPS[mode]; each list is multiplied out
mode = "transfer"
splits = ["0", "natman"]
pairs = ["AB", "BA"]
n = [1, 2, 3]       # or names of cuts
fine_tune = [false, true]
[splits.pets]       # a custom split: the names of the classes
A = ["cat", "dog"]
B = ["car", "boat"]
[splits.mine]       # a given base
A.model = "mine.caffemodel"
B.classes = "all"
[quick]             # what `run --quick` changes, in the same tables
"""

import itertools
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from caffe_transfer.errors import BadInput, CaffeTransferError
from caffe_transfer.studies.checks import check_study
from caffe_transfer.studies.groups import GROUPS
from caffe_transfer.studies.network import NATMAN, Mode, Network, is_split
from caffe_transfer.studies.schema import OneOf, Place, keys_of, read, read_keys, shown
from caffe_transfer.studies.solver import SolverSettings, keys_of_file
from caffe_transfer.studies.study import CustomSplit, Images, Study, Task

TABLES = ("images", "solver", "reduced_solver", "networks", "splits")
SOLVER_FILE = "file"  # in [solver]: a prototxt whose settings the table's own go before
_MODES = OneOf(tuple(str(mode) for mode in Mode))


def parse_study(
    table: Mapping[str, Any], file: str, folder: Path, quick: bool = False, about: str = ""
) -> Study:
    """The study that a parsed TOML file describes; `quick` applies its [quick] table.

    Args:
        file: its name, for messages.
        folder: what the names of files in it are relative to.
        about: the comment that it opens with.

    Raises:
        BadInput: a key is unknown, missing or of a wrong value, in [quick] too, or the solver's
            file cannot be used; names it.
    """
    plain = {key: value for key, value in table.items() if key != "quick"}
    if isinstance(plain.get("solver"), str):  # short for a table with this file
        plain["solver"] = {SOLVER_FILE: plain["solver"]}
    study = _study(plain, file, folder, about)
    changes = table.get("quick", {})
    if not isinstance(changes, Mapping):
        raise Place(file).wrong("quick", changes, "a table")
    if changes:
        in_quick = f"{file} with its [quick] table"
        quick_study = _study(_merged(plain, changes), in_quick, folder, about)
        return quick_study if quick else study
    if quick:
        raise BadInput(f"{file} has no [quick] table; leave --quick out")
    return study


def _study(table: Mapping[str, Any], file: str, folder: Path, about: str) -> Study:
    top = Place(file)
    values = read_keys(Study, table, top, *TABLES)
    for name in ("images", "solver", "networks"):
        if name not in table:
            raise top.lacks(name)
    study = Study(
        **values,
        images=read(Images, table["images"], Place(file, "images")),
        solver=_solver(table["solver"], Place(file, "solver"), folder),
        reduced_solver=_reduced_solver(file, table, folder),
        networks=_networks(file, table["networks"], values.get("cuts")),
        custom_splits=_custom_splits(file, table.get("splits", {})),
        about=about,
    )
    check_study(study, file)
    return _with_absolute_paths(study, folder)


def _solver(table: object, place: Place, folder: Path) -> SolverSettings:
    if isinstance(table, Mapping) and SOLVER_FILE in table:
        file = table[SOLVER_FILE]
        if not isinstance(file, str) or not file:
            raise place.wrong(SOLVER_FILE, file, "the name of a solver's prototxt")
        own = {key: value for key, value in table.items() if key != SOLVER_FILE}
        try:
            table = {**keys_of_file(folder / file), **own}
        except CaffeTransferError as error:
            raise BadInput(f"{place.file}: {place.key(SOLVER_FILE)}: {error}") from error
        place = replace(place, detail=f" (with {folder / file})")
    return read(SolverSettings, table, place)


def _reduced_solver(file: str, table: Mapping[str, Any], folder: Path) -> SolverSettings | None:
    if "reduced_solver" not in table:
        return None
    changes = table["reduced_solver"]
    both = _merged(table["solver"], changes) if isinstance(changes, Mapping) else changes
    return _solver(both, Place(file, "reduced_solver"), folder)


def _networks(file: str, groups: object, cuts: tuple[str, ...] | None) -> tuple[Network, ...]:
    if not isinstance(groups, list) or not groups:
        raise Place(file).wrong("networks", groups, "one or more [[networks]] tables")
    return tuple(
        itertools.chain.from_iterable(
            _group(Place(file, "networks", f" (group {number})"), group, cuts)
            for number, group in enumerate(groups, 1)
        )
    )


def _group(place: Place, table: object, cuts: tuple[str, ...] | None) -> list[Network]:
    if not isinstance(table, Mapping):
        raise Place(place.file).wrong("networks", [table], "one or more [[networks]] tables")
    if "mode" not in table:
        raise place.lacks("mode")
    if not _MODES.accepts(table["mode"]):
        raise place.wrong("mode", table["mode"], _MODES.expected)
    others = {key: value for key, value in table.items() if key != "mode"}
    if isinstance(others.get("n"), list):
        others["n"] = [_number(each, cuts, place) for each in others["n"]]
    group = read(GROUPS[Mode(table["mode"])], others, place)
    try:
        networks = list(group.networks())
    except BadInput as error:
        raise BadInput(f"{place.file}, networks{place.detail}: {error}") from error
    if not networks:
        raise place.lacks("splits")
    return networks


def _number(n: object, cuts: tuple[str, ...] | None, place: Place) -> object:
    """The number of a cut that is given by its name; anything else as it is."""
    if not isinstance(n, str):
        return n
    if n not in (cuts or ()):
        among = f"one of {', '.join(cuts)}" if cuts else "a number, or listed in cuts = [...]"
        raise place.wrong("n", n, among)
    return (cuts or ()).index(n) + 1


def _custom_splits(file: str, table: object) -> dict[str, CustomSplit]:
    if not isinstance(table, Mapping):
        raise Place(file).wrong("splits", table, "tables [splits.NAME]")
    return {name: _custom_split(file, name, each) for name, each in table.items()}


def _custom_split(file: str, name: str, table: object) -> CustomSplit:
    if name.isdigit() or name == NATMAN or not is_split(name):
        raise BadInput(
            f"{file}: [splits.{shown(name)}] cannot be the name of a custom split; it must be "
            f"of the letters a-z and neither whole nor {NATMAN}"
        )
    place = Place(file, f"splits.{name}")
    values = read_keys(CustomSplit, table, place, "A", "B")
    assert isinstance(table, Mapping)
    for side in "AB":
        if side not in table:
            raise place.lacks(side)
        values[side] = _task(table[side], Place(file, f"splits.{name}.{side}"))
    return CustomSplit(**values)


def _task(value: object, place: Place) -> Task:
    """A task: a table, or its classes alone."""
    if not isinstance(value, Mapping):
        side, classes = place.table.rpartition(".")[2], keys_of(Task)["classes"]
        if not classes.kind.accepts(value):
            raise Place(place.file, place.table.removesuffix(f".{side}")).wrong(
                side, value, f"{classes.kind.expected}, or a table"
            )
        value = {"classes": value}
    task = read(Task, value, place)
    if task.classes is None and task.model is None:
        raise BadInput(
            f"{place.file} lacks {place.key('classes')} or {place.key('model')}; add one of them"
        )
    return task


def _with_absolute_paths(study: Study, folder: Path) -> Study:
    def found(name: str | None) -> str | None:
        return None if name is None else str(folder / name)

    images = replace(study.images, mean=found(study.images.mean), path=found(study.images.path))
    splits = {
        name: replace(
            split,
            A=replace(split.A, model=found(split.A.model)),
            B=replace(split.B, model=found(split.B.model)),
        )
        for name, split in study.custom_splits.items()
    }
    net = str(folder / study.net) if study.net_file else study.net
    return replace(study, net=net, images=images, custom_splits=splits)


def _merged(table: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A table with some of its keys changed, those of its tables one by one."""
    result = dict(table)
    for key, value in changes.items():
        both_tables = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = _merged(result[key], value) if both_tables else value
    return result
