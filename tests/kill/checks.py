"""What must hold when a study that was struck has been run to its end."""

import filecmp
import json
import time
from collections.abc import Iterator
from pathlib import Path

from caffe_transfer.formats.hashes import blob_hashes
from caffe_transfer.formats.prototxt import read_net
from caffe_transfer.nets.layers import frozen_layers
from caffe_transfer.paths import LMDB_LOCK, NetworkFolder
from tests.kill.subject import NETWORKS, REPLAY, Subject
from tests.replay_engine import MARK

_STRAY_SECONDS = 30.0
# What tells of times, paths and tries; all else is the same in each run, byte by byte.
_OF_ITS_OWN = ("run.log", "manifest.json", "index.html", MARK, LMDB_LOCK)
_TRAINED = ("caffemodel", "report")  # the same only where a resumed training is


def problems(subject: Subject, reference: Subject) -> list[str]:
    """All that is wrong with a finished run.

    Args:
        reference: the same study, never struck.
    """
    return [
        *_processes(subject),
        *_left_over(subject, reference),
        *_different(subject, reference),
        *(problem for name in NETWORKS for problem in _network(subject.folder.network(name))),
    ]


def _processes(subject: Subject) -> Iterator[str]:
    end = time.monotonic() + _STRAY_SECONDS
    while (found := subject.processes()) and time.monotonic() < end:
        time.sleep(0.05)
    for pid in found:
        yield f"process {pid} is still there"


def listing(root: Path) -> set[str]:
    """The files of a run, without the logs of its tries, of which there may be several."""
    found = (path.relative_to(root) for path in root.rglob("*"))
    return {str(path) for path in found if path.parent.name != "logs"}


def _left_over(subject: Subject, reference: Subject) -> Iterator[str]:
    own, theirs = (listing(each.folder.root) for each in (subject, reference))
    yield from (f"left over: {name}" for name in sorted(own - theirs))
    yield from (f"missing: {name}" for name in sorted(theirs - own))
    yield from (f"left over in TMPDIR: {path.name}" for path in subject.scratch.iterdir())


def _different(subject: Subject, reference: Subject) -> Iterator[str]:
    for name in sorted(listing(subject.folder.root) & listing(reference.folder.root)):
        own, theirs = subject.folder.root / name, reference.folder.root / name
        exact = subject.engine == REPLAY or not any(part in name for part in _TRAINED)
        compared = exact and own.is_file() and own.name not in _OF_ITS_OWN
        if compared and not filecmp.cmp(own, theirs, shallow=False):
            yield f"other bytes than in a run that nothing struck: {name}"


def _network(folder: NetworkFolder) -> Iterator[str]:
    """That a network is complete, and its frozen layers those of its source: proven, and true."""
    name = folder.root.name
    try:
        manifest = json.loads(folder.manifest.read_text())
        (model,) = manifest["model"]
        frozen = frozen_layers(read_net(folder.net))
        if not manifest.get("finished") or not model.endswith("_iter_20.caffemodel"):
            yield f"{name} is not trained to its end"
        if list(manifest["frozen"]) != list(frozen):
            yield f"{name}: layers {frozen} are frozen, and {list(manifest['frozen'])} proven"
        if frozen and blob_hashes(folder.root / model, frozen) != blob_hashes(
            _source(folder), frozen
        ):
            yield f"{name}: frozen layers differ from those of {_source(folder)}"
    except (OSError, KeyError, ValueError) as error:
        yield f"{name}: {error!r}"


def _source(folder: NetworkFolder) -> Path:
    """The base's model, or the first weights of a network without one."""
    if not folder.basenet.exists():
        return folder.init
    (model,) = json.loads(NetworkFolder(folder.basenet).manifest.read_text())["model"]
    return folder.basenet / str(model)
