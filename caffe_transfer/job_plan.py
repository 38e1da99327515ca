"""A study's networks as jobs for any scheduler: what each needs, runs, takes."""

from collections.abc import Mapping, Sequence
from typing import Any

from caffe_transfer.cost import check_given_and_source, image_bytes, network_bytes
from caffe_transfer.data_prep.disk import planned_databases
from caffe_transfer.nets.render import render
from caffe_transfer.paths import RunFolder
from caffe_transfer.studies.network import Network
from caffe_transfer.studies.study import Study
from caffe_transfer.training.executor import train_arguments
from caffe_transfer.training.remaining import expected_pace, left, measured_paces
from caffe_transfer.training.schedule import graph, order

VERSION = 1
PROGRAM = "caffe-transfer"
_HOUR = 3600


def job_plan(
    study: Study,
    folder: RunFolder,
    *,
    prepare: Sequence[str],
    train: Sequence[str],
    views: bool,
    seconds: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """The plan of a run, ready for JSON; docs/cluster.md has its fields.

    Args:
        folder: of the run; networks that are trained there are told as such.
        prepare: the arguments of `caffe-transfer` that prepare the run.
        train: the options of `caffe-transfer train` in each job.
        views: the engine reads views.
        seconds: that each network takes, of those that are left; by default at the paces of the
            run's logs, or else the study's.

    Raises:
        CaffeTransferError: the study cannot be run.
    """
    check_given_and_source(study)
    needs = graph(study)
    networks = {network.name: network for network in study.networks}
    sizes = network_bytes(study, {network: render(network, study) for network in study.networks})
    iterations = {each.network.name: each.iterations for each in left(study, folder)}
    paces = measured_paces(study.networks, folder)

    def job(network: Network) -> dict[str, Any]:
        name = network.name
        root = folder.network(name).root.absolute()
        lacks = iterations.get(name, 0)
        pace = expected_pace(network, paces, study)
        own = None if pace is None else lacks * pace
        expected = seconds.get(name, 0.0) if seconds is not None else own
        return {
            "name": name,
            "folder": str(root),
            "needs": list(needs[name]),
            "command": [PROGRAM, *train_arguments(root, train)],
            "trained": name not in iterations,
            "iterations": lacks,
            "hours": None if expected is None else round(expected / _HOUR, 4),
            "bytes": sizes[network].kept + sizes[network].training,
        }

    return {
        "version": VERSION,
        "study": study.name,
        "folder": str(folder.root.absolute()),
        "prepare": {
            "command": [PROGRAM, *prepare],
            "image_bytes": image_bytes(study),
            "databases": [
                {
                    "name": each.name,
                    "folder": str(folder.data.lmdb(each.name).absolute()),
                    "taken_from": each.taken_from,
                    "bytes": each.bytes,
                }
                for each in planned_databases(study, views)
            ],
        },
        "networks": [job(networks[name]) for name in order(study)],
        "report": {"command": [PROGRAM, "report", str(folder.root.absolute())]},
    }
