"""A study as the text of a TOML file, which `load_study` reads back to an equal study."""

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from caffe_transfer.studies.network import DEFAULT_SEED, Mode, Network
from caffe_transfer.studies.schema import keys_of, toml_value
from caffe_transfer.studies.solver import SolverSettings
from caffe_transfer.studies.study import Study


def study_text(study: Study) -> str:
    """The study's file: the comment it opens with, then every setting that is not a default."""
    heading = [f"# {line}" if line else "#" for line in study.about.splitlines()]
    lines = [*heading, *pairs(set_keys(study))]
    lines += ["", "[images]", *pairs(set_keys(study.images))]
    lines += ["", "[solver]", *pairs(set_keys(study.solver))]
    if study.reduced_solver is not None:
        lines += ["", "[reduced_solver]", *pairs(_changed(study.solver, study.reduced_solver))]
    for group in _groups(study.networks):
        lines += ["", "[[networks]]", *pairs(group)]
    for name, split in study.custom_splits.items():
        tasks = {side: set_keys(split.task(side)) for side in "AB"}
        lines += ["", f"[splits.{name}]", *pairs(set_keys(split) | tasks)]
    return "\n".join(lines) + "\n"


def pairs(table: Mapping[str, Any]) -> list[str]:
    """The lines of a table."""
    return [f"{key} = {toml_value(value)}" for key, value in table.items()]


def set_keys(settings: object) -> dict[str, Any]:
    """The keys whose values differ from their defaults."""
    found = {}
    for key in keys_of(type(settings)).values():
        value = getattr(settings, key.name)
        if key.required or value != key.default:
            found[key.name] = value
    return found


def _changed(solver: SolverSettings, reduced: SolverSettings) -> dict[str, Any]:
    # What [reduced_solver] leaves out is taken from [solver], not from the defaults.
    return {
        field.name: getattr(reduced, field.name)
        for field in fields(reduced)
        if getattr(reduced, field.name) != getattr(solver, field.name)
    }


def _groups(networks: Iterable[Network]) -> Iterable[dict[str, Any]]:
    """Neighbours that differ in n or per_class alone share a group, so that the order is kept."""
    for mode, neighbours in itertools.groupby(networks, key=lambda network: network.mode):
        if mode is Mode.BASE:
            yield from map(_base, neighbours)
        elif mode is Mode.REDUCED:
            for seed, each in itertools.groupby(neighbours, key=lambda network: network.seed):
                yield {"mode": mode, "per_class": [n.per_class for n in each]} | _seeds(seed)
        else:
            for _, each in itertools.groupby(neighbours, key=_all_but_n):
                yield _cut(mode, list(each))


def _base(network: Network) -> dict[str, Any]:
    task: dict[str, Any] = {"whole": True}
    if network.split is not None:
        task = {"splits": [network.split], "targets": [network.target]}
    return {"mode": network.mode} | task | _seeds(network.seed)


def _cut(mode: Mode, networks: list[Network]) -> dict[str, Any]:
    first = networks[0]
    group: dict[str, Any] = {"mode": mode, "n": [network.n for network in networks]}
    if mode is not Mode.RANDOM:
        group["splits"] = [first.split]
        if mode is Mode.SELFFER:
            group["targets"] = [first.target]
        else:
            group["pairs"] = [f"{first.base}{first.target}"]
        if first.fine_tuned:
            group["fine_tune"] = [True]
        if first.preserve:
            group["preserve"] = [first.preserve]
    return group | _seeds(first.seed)


def _all_but_n(network: Network) -> tuple[Any, ...]:
    return (
        network.split, network.base, network.target, network.fine_tuned, network.preserve,
        network.seed,
    )  # fmt: skip


def _seeds(seed: int) -> dict[str, Any]:
    return {} if seed == DEFAULT_SEED else {"seeds": [seed]}
