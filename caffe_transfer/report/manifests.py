"""Manifests as a report reads them: data by anyone's hand, or of another version."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from caffe_transfer import paths
from caffe_transfer.formats.resume import AS_CAFFE

Manifest = Mapping[str, Any]


def manifest_of(folder: Path) -> Manifest:
    """The manifest in a network's folder; empty where there is none, or one that is damaged."""
    try:
        manifest = json.loads(paths.NetworkFolder(folder).manifest.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return manifest if isinstance(manifest, dict) else {}


def runs_of(manifest: Manifest) -> list[Manifest]:
    """The times that training was begun or resumed, oldest first."""
    runs = manifest.get("runs")
    return [run for run in runs if isinstance(run, dict)] if isinstance(runs, list) else []


def resume_of(run: Manifest) -> str | None:
    """What a resume was, AS_CAFFE where an older manifest does not say it: there was no other.

    None of a start, and of an engine that ended before it trained.
    """
    how = run.get("resume", AS_CAFFE) if first_iteration(run) else None
    return None if how is None else str(how)


def first_iteration(run: Manifest) -> int:
    """The iteration from which training was resumed; 0 of a start."""
    first = run.get("from_iteration")
    return first if isinstance(first, int) else 0


def data_restarts(manifest: Manifest) -> tuple[int, ...]:
    """The iterations at which the data was begun anew, as Caffe does when it resumes.

    What was trained and then lost, since a later resume went on from an older state, is left out.
    """
    found, next_first = list[int](), math.inf
    for run in reversed(runs_of(manifest)):
        first, how = first_iteration(run), resume_of(run)
        if first >= next_first or (first and how is None):
            continue
        next_first = first
        if how == AS_CAFFE:
            found.append(first)
    return tuple(reversed(found))


def lacking_logs(folder: Path, manifest: Manifest, reached: int) -> list[str]:
    """A sentence on logs that end before the network's training did, as damaged ones do, or none.

    Args:
        reached: the last iteration in the logs.
    """
    end = manifest.get("max_iter")
    if not manifest.get("finished") or not isinstance(end, int) or reached >= end:
        return []
    return [
        f"{folder} is trained to iteration {end:,}, but its logs end at {reached:,}; its results "
        "are of what is left of them"
    ]
