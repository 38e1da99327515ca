"""What a run makes before the first training: images, databases, networks' folders."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from caffe_transfer import questions
from caffe_transfer.cost import Estimate, image_bytes
from caffe_transfer.data_prep.prepare import prepare, validation_warnings
from caffe_transfer.data_prep.progress import OnStep
from caffe_transfer.data_prep.sources import check_source
from caffe_transfer.errors import BadInput
from caffe_transfer.files import atomic_text
from caffe_transfer.nets.render import render, torn_paths
from caffe_transfer.nets.write import write_files
from caffe_transfer.paths import RunFolder
from caffe_transfer.studies.changes import conflicts
from caffe_transfer.studies.load import load_study
from caffe_transfer.studies.network import Network
from caffe_transfer.studies.study import Study
from caffe_transfer.studies.write import study_text
from caffe_transfer.training.given import Given, check_given, write_given_bases
from caffe_transfer.training.schedule import Turns
from caffe_transfer.training.storage import Storage


@dataclass(frozen=True)
class Plan:
    """A study that fits, before anything is made of it.

    Attributes:
        is_new: the run's folder does not hold exactly this study yet.
    """

    study: Study
    is_new: bool
    rendered: Mapping[Network, Mapping[str, str]]
    given: Mapping[Network, Given]


def plan_run(study: Study, folder: RunFolder) -> Plan:
    """Refuse what does not fit.

    Raises:
        Incomplete, BadInput: as `run` does.
    """
    kept = continued(study, folder)
    check_source(study.images.source)
    rendered = {network: render(network, study) for network in study.networks}
    return Plan(study, kept != study, rendered, check_given(study))


def check_images_and_disk(
    study: Study, folder: RunFolder, images_from: Path | None, storage: Storage, snapshots: int
) -> None:
    """Ask whether the images are there, and whether the disk has space for what is made of them.

    Args:
        snapshots: bytes that the networks will take.

    Raises:
        Incomplete, BadInput: as `run` does.
    """
    cost = Estimate(
        data_bytes=storage.estimate(study, folder),
        snapshot_bytes=snapshots,
        seconds=None,
        image_bytes=image_bytes(study),
    )
    questions.check_images(study, folder, images_from)
    questions.check_disk(cost, folder)


def keep_study(plan: Plan, folder: RunFolder) -> None:
    """Write the study into the run's folder, unless it is there."""
    if plan.is_new:
        atomic_text(folder.study, study_text(plan.study))


def prepare_plan(
    plan: Plan,
    folder: RunFolder,
    images_from: Path | None,
    step: OnStep,
    warn: Callable[[str], None],
    stop: threading.Event,
    storage: Storage,
) -> Turns:
    """Make what is missing of images, databases and networks' folders.

    Returns:
        the turns of the networks, in which databases are made that have no room together.
    """
    study = plan.study
    keep_study(plan, folder)
    left_out = prepare(study, folder, images_from, step, stop=stop, views=storage.begins_with_views)
    turns = storage.turns(study, folder, step, stop)
    for warning in [*torn_paths(study), *left_out, *validation_warnings(study, folder.data)]:
        warn(warning)
    write_given_bases(plan.given, folder.results)
    for network, files in plan.rendered.items():
        write_files(network, files, folder.results)
    return turns


def continued(study: Study, folder: RunFolder) -> Study | None:
    """The study, with --quick or without, of the run that the folder holds; None if it is new.

    Raises:
        BadInput: `study` cannot continue that run.
    """
    if not folder.study.is_file():
        return None
    kept = load_study(str(folder.study))
    if found := conflicts(kept, study):
        raise BadInput(
            f"{folder.root} holds a run of study {kept.name!r} with other settings: "
            f"{', '.join(map(str, found))}; name another --out"
        )
    return kept
