"""A new study: of a user's images, net and model, in a given time."""

import math
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from caffe_transfer.cost import Estimate, estimate
from caffe_transfer.data_prep.progress import OnStep, silent
from caffe_transfer.data_prep.survey import Survey, survey
from caffe_transfer.errors import BadInput
from caffe_transfer.files import atomic_text
from caffe_transfer.new_study.budget import FEWEST_ITERATIONS, Costs, Schedule, schedule
from caffe_transfer.new_study.draft import Draft, drafts
from caffe_transfer.new_study.layout import Layout, layouts
from caffe_transfer.new_study.pace import Measure, measure_pace
from caffe_transfer.new_study.request import Request, check_request, name_in
from caffe_transfer.new_study.tasks import tasks_of
from caffe_transfer.new_study.text import body, heading
from caffe_transfer.studies.network import Mode
from caffe_transfer.studies.study import Study
from caffe_transfer.studies.tables import parse_study
from caffe_transfer.training.engine import reads_views
from caffe_transfer.training.train import Settings

_STEPS = (1 / 2, 3 / 4)  # of a training, after which the rate falls
_MINUTE = 60
_DISPLAY = 20


@dataclass(frozen=True)
class Plan:
    """A study that can be written and run.

    Attributes:
        text: of its file.
        study: what the file is read as.
        found: the images.
        draft: what is known of the net.
        layout: the networks, and what was left out of them.
        cost: disk and time.
    """

    request: Request
    text: str
    study: Study
    found: Survey
    draft: Draft
    layout: Layout
    cost: Estimate


@dataclass(frozen=True)
class Examined:
    """What a user has given, looked at and checked.

    Attributes:
        drafts: studies of the nets that may be tried in turn.
    """

    request: Request
    found: Survey
    drafts: tuple[Draft, ...]


def examine(request: Request, progress: OnStep = silent) -> Examined:
    """Look at images, net and model.

    Raises:
        BadInput: the file, the images, the net, the model or the time cannot be used.
        Incomplete, FormatError: a file is missing, or is not what it should be.
    """
    check_request(request)
    found = survey(request.images, progress=progress)
    tasks = tasks_of(found, given_base=request.weights is not None)
    return Examined(request, found, tuple(drafts(request, found, tasks)))


def plan_study(
    examined: Examined,
    settings: Settings,
    *,
    note: Callable[[str], None] = lambda _: None,
    measure: Measure = measure_pace,
) -> Plan:
    """Time the net and plan a study for the time that there is; nothing is written.

    Args:
        settings: the engine that is timed, and its threads.
        note: told of what takes some seconds.

    Raises:
        BadInput: the time is too short; says how much the smallest study takes.
        EngineError: the engine cannot train the net.
    """
    request = examined.request
    for number, draft in enumerate(examined.drafts, 1):
        note(f"timing {settings.engine.name} on net {draft.study.net}")
        costs = _costs(draft, request, settings, measure)
        offered = [
            (layout, _schedule(layout, costs, draft, request))
            for layout in layouts(draft.cuts, given_base=request.weights is not None)
        ]
        fits = next((each for each in offered if each[1].enough), None)
        complete = fits is not None and not fits[0].left_out
        if fits is not None and (complete or number == len(examined.drafts)):
            return _plan(examined, draft, *fits, engine=settings.engine.name)
    raise _too_short(request, draft, *offered[-1])


def write_plan(plan: Plan) -> None:
    """Write a plan's file.

    Raises:
        BadInput: it is there by now, or cannot be written.
    """
    check_request(plan.request)
    atomic_text(plan.request.file, plan.text)


def _costs(draft: Draft, request: Request, settings: Settings, measure: Measure) -> Costs:
    """Time a base, and a selffer that is frozen as far up as the study's networks are."""
    layout = next(layouts(draft.cuts, given_base=request.weights is not None))
    study = draft.with_layout(layout)
    base = next(n for n in layout.networks if n.mode is Mode.BASE and n.target == "B")
    frozen = max(layout.networks, key=lambda network: network.frozen_count)
    return Costs(measure(study, base, settings), measure(study, frozen, settings))


def _schedule(layout: Layout, costs: Costs, draft: Draft, request: Request) -> Schedule:
    return schedule(
        layout,
        costs,
        seconds=request.minutes * _MINUTE,
        test_iter=draft.testing.test_iter,
        batch=draft.study.batch,
        images=draft.tasks.target_training_images,
    )


def _too_short(request: Request, draft: Draft, layout: Layout, found: Schedule) -> BadInput:
    minutes = math.ceil(found.needed_seconds / _MINUTE * 1.05)  # paces vary
    return BadInput(
        f"--minutes {request.minutes:g} is too short: the smallest study of net {draft.study.net}, "
        f"{len(layout.networks)} networks of {FEWEST_ITERATIONS} iterations, takes about {minutes} "
        f"minutes on this machine; give --minutes {minutes}, a smaller --net or smaller images"
    )


def _plan(
    examined: Examined, draft: Draft, layout: Layout, times: Schedule, *, engine: str
) -> Plan:
    request, found = examined.request, examined.found
    folder = request.file.absolute().parent
    written = _with_paths(_study(draft, layout, times), lambda name: name_in(folder, Path(name)))
    intended = _with_paths(written, lambda name: str(folder / name))
    cost = estimate(intended, views=reads_views(engine))
    text = heading(request, intended, found, cost, engine) + body(written, draft, layout)
    study = parse_study(tomllib.loads(text), str(request.file), folder)
    if study != intended:
        raise BadInput(f"{request.file} would not be read as it was planned; rename it")
    return Plan(request, text, study, found, draft, layout, cost)


def _study(draft: Draft, layout: Layout, times: Schedule) -> Study:
    study = draft.with_layout(layout)
    solver = replace(
        study.solver,
        lr_policy="multistep",
        stepvalue=tuple(int(part * times.iterations) for part in _STEPS),
        max_iter=times.iterations,
        test_iter=draft.testing.test_iter,
        test_interval=times.test_interval,
        snapshot=times.snapshot,
        display=min(_DISPLAY, times.test_interval),
    )
    pace = times.seconds / (times.iterations * len(layout.networks))
    return replace(study, solver=solver, seconds_per_iteration=float(f"{pace:.2g}"))


def _with_paths(study: Study, change: Callable[[str], str]) -> Study:
    """The study with all files that it names named differently."""
    assert study.images.path is not None
    splits = {
        name: replace(split, A=replace(split.A, model=change(str(split.A.model))))
        for name, split in study.custom_splits.items()
    }
    return replace(
        study,
        net=change(study.net) if study.net_file else study.net,
        images=replace(study.images, path=change(study.images.path)),
        custom_splits=splits,
    )
