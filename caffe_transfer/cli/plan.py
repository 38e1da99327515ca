"""`run --dry-run`: what a run would do, and what it takes of disk and time."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import click
from rich.console import Console

from caffe_transfer.cli.engine_options import EngineOptions
from caffe_transfer.cli.stopping import stop_on_signal
from caffe_transfer.cli.tables import Column, print_table
from caffe_transfer.cost import Estimate, estimate
from caffe_transfer.data_prep.disk import disk_estimate
from caffe_transfer.job_plan import job_plan
from caffe_transfer.paths import RunFolder
from caffe_transfer.questions import parts, spaces, trial_seconds
from caffe_transfer.studies.study import LMDB, VIEW, Study
from caffe_transfer.training import schedule
from caffe_transfer.training.disk_plan import DiskPlan
from caffe_transfer.training.local import slots as slots_of
from caffe_transfer.training.remaining import (
    Left,
    at_once,
    left,
    measured_paces,
    pace_of,
    time_left,
)
from caffe_transfer.training.storage import plan_within, takes_views
from caffe_transfer.units import duration, size

_COLUMNS = (
    Column("", right=True),
    Column("network"),
    Column("base", drop=1),
    Column("trained on", drop=2),
    Column("outputs", right=True, drop=4),
    Column("iterations", right=True, drop=3),
)


def print_plan(
    study: Study,
    folder: RunFolder,
    options: EngineOptions,
    jobs: int,
    *,
    disk: int | None,
    trial: bool,
) -> None:
    """Print a run's networks in order, and their cost in disk and time.

    Args:
        folder: of the run; what is there is done already.
        disk: the most bytes of databases at any moment; None for as many as there are.
        trial: time the engine on this machine.
    """
    bounded = None if disk is None else plan_within(study, disk, options.reads_views)
    cost = estimate(study, jobs, views=options.reads_views)
    if bounded:
        cost = replace(cost, data_bytes=bounded.peak)
    wanted = left(study, folder)
    click.echo(study.about.rstrip())
    click.echo()
    networks = {network.name: network for network in study.networks}
    rows = [
        (
            str(number),
            name,
            networks[name].base_name or "-",
            networks[name].train_data,
            str(study.outputs(networks[name])),
            str(study.solver_of(networks[name]).max_iter),
        )
        for number, name in enumerate(bounded.order if bounded else schedule.order(study), 1)
    ]
    print_table(Console(highlight=False), _COLUMNS, rows)
    click.echo()
    if len(wanted) < len(networks):
        click.echo(f"trained already: {len(networks) - len(wanted)} of {len(networks)} networks")
    _print_disk(study, cost, folder)
    if disk is not None:
        click.echo(_within(disk, bounded))
    _print_devices(study, wanted, options.gpus, jobs)
    _print_time(study, wanted, folder, options, jobs, trial)


def print_jobs(
    study: Study,
    folder: RunFolder,
    options: EngineOptions,
    *,
    prepare: Sequence[str],
    trial: bool,
) -> None:
    """Print a run's plan for programs, as JSON.

    Args:
        folder: of the run; what is there is done already.
        prepare: the arguments of `caffe-transfer` that prepare the run.
        trial: time the engine on this machine.
    """
    seconds = None
    wanted = left(study, folder)
    if trial and wanted:
        seconds = _trial_times(study, wanted, options, 1, []).seconds
    plan = job_plan(
        study, folder, prepare=prepare, train=options.train_arguments(),
        views=takes_views(study, options.reads_views), seconds=seconds,
    )  # fmt: skip
    click.echo(json.dumps(plan, indent=2))


def _print_devices(study: Study, wanted: Sequence[Left], gpus: Sequence[str], jobs: int) -> None:
    """Say which network gets which device at first."""
    if not gpus:
        return
    needs, missing = schedule.graph(study), {each.network.name for each in wanted}
    ready = [name for name in needs if name in missing and not missing & {*needs[name]}]
    first = [f"{name} on {gpus[slot % len(gpus)]}" for slot, name in enumerate(ready[:jobs])]
    if first:
        click.echo(f"GPUs at first: {', '.join(first)}; then each takes the next network")


def _print_disk(study: Study, cost: Estimate, folder: RunFolder) -> None:
    click.echo(f"disk: {parts(cost, _databases(study, cost.data_bytes))}")
    for space in spaces(cost, folder):
        verdict = "" if space.needed <= space.free else ": TOO LITTLE"
        click.echo(
            f"  {size(space.needed)} beside what is there, {size(space.free)} free on the disk of "
            f"{space.root.absolute()}{verdict}"
        )


def _databases(study: Study, by_caffe: int | None) -> str:
    """The size of the databases, which may differ by engine."""
    if study.images.databases == LMDB:
        return size(by_caffe)
    by_torch = disk_estimate(study, views=True)
    if study.images.databases == VIEW or size(by_torch) == size(by_caffe):
        return size(by_torch)
    return f"{size(by_torch)} by caffe-torch, {size(by_caffe)} by caffe"


def _within(limit: int, plan: DiskPlan | None) -> str:
    """What a limit on the databases changes."""
    if plan is None:
        return f"within --disk {size(limit)}: if all databases fit, they are made beforehand"
    copies = sum(plan.made.values())
    often = f"{copies} times" if copies > len(plan.made) else "once each"
    return (
        f"within --disk {size(limit)}: databases take at most {size(plan.peak)} with one network "
        f"at a time; {len(plan.made)} of them are made when they are needed, {often}"
    )


@dataclass(frozen=True)
class _Times:
    """Seconds that each network takes at a pace, and whose pace it is."""

    seconds: Mapping[str, float]
    pace: str
    slots: int
    about: str = "about"


def _print_time(
    study: Study, wanted: Sequence[Left], folder: RunFolder, options: EngineOptions, jobs: int,
    trial: bool,
) -> None:  # fmt: skip
    """Print how long the training of what is left takes, at each pace that is known."""
    if not wanted:
        click.echo("time: all networks are trained")
        return
    gpus = options.gpus
    slots = at_once(jobs, gpus, on_gpu=study.solver.gpu)
    known = list(_known_times(study, wanted, folder, slots))
    if trial:
        known.append(_trial_times(study, wanted, options, jobs, gpus))
    for times in known:
        seconds = time_left(schedule.graph(study), times.seconds, times.slots)
        many = f"{times.slots} networks at once" if times.slots > 1 else "one network at a time"
        click.echo(f"time: {times.about} {duration(seconds)}, {many}, {times.pace}")
    if not known:
        click.echo("time: unknown; the study gives no seconds_per_iteration, --trial measures")
    if slots < jobs:
        what = "with one GPU" if gpus or study.solver.gpu else "one a core"
        click.echo(f"  counted as {slots} at once, {what}; --jobs {jobs} is hardly faster")


def _known_times(
    study: Study, wanted: Sequence[Left], folder: RunFolder, slots: int
) -> Iterator[_Times]:
    """At the pace of the run's own logs, or else at the study's."""
    own, paces = study.seconds_per_iteration, measured_paces(study.networks, folder)
    if paces:
        seconds = {
            each.network.name: each.iterations * pace_of(each.network, paces) for each in wanted
        }
        logged = "1 network" if len(paces) == 1 else f"{len(paces)} networks"
        yield _Times(seconds, f"at the pace of the logs of {logged} of this run", slots)
    elif own is not None:
        seconds = {each.network.name: each.iterations * own for each in wanted}
        yield _Times(
            seconds,
            f"at the study's own pace ({own:g} s an iteration, see its heading)",
            slots,
        )


def _trial_times(
    study: Study, wanted: Sequence[Left], options: EngineOptions, jobs: int, gpus: Sequence[str]
) -> _Times:
    """By a trial of all slots at once."""
    settings = options.settings(jobs)
    slots = slots_of(settings, min(jobs, len(wanted)), gpus)
    with stop_on_signal(patient=False) as stop:
        seconds = trial_seconds(study, wanted, slots, lambda _: None, stop)
    pace = f"by a trial of {settings.engine.name} on this machine"
    return _Times(seconds, pace, len(slots), about="at most")
