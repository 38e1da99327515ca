"""Networks that are trained to their end: whether, and the model that training ended with."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from caffe_transfer.errors import BadInput, FormatError, Incomplete
from caffe_transfer.training import manifest as manifests
from caffe_transfer.training.preflight import LoadedNetwork
from caffe_transfer.training.snapshots import newest_complete


def final_model(loaded: LoadedNetwork) -> Path | None:
    """The model of a network that is trained to its end; None if it is not.

    A finished network has it in its manifest, and may have no solver state any more.

    Raises:
        Incomplete: it is gone.
    """
    manifest = manifests.read(loaded.folder.manifest)
    if not manifests.is_finished(manifest, loaded.solver.max_iter):
        newest = newest_complete(loaded.snapshots)
        reached = newest is not None and newest.iteration >= loaded.solver.max_iter
        return newest.model if newest and reached else None
    model = recorded_model(loaded, manifest)
    if not model.is_file():
        raise Incomplete(
            f"the model {model} of the trained network {loaded.name} is gone; put it back, or "
            f"remove {loaded.folder.manifest} to train it anew"
        )
    return model


def recorded_model(loaded: LoadedNetwork, manifest: Mapping[str, Any]) -> Path:
    """The model that a finished network's manifest names.

    Raises:
        FormatError: it names none.
    """
    names = list(manifest.get("model", ()))
    if len(names) != 1 or "\0" in names[0]:
        raise FormatError(
            f"{loaded.folder.manifest} does not name the model of a trained network; remove it"
        )
    return Path(loaded.folder.root, names[0])


def check_can_go_on(loaded: LoadedNetwork) -> None:
    """Refuse to train a network further whose solver state was not kept when it was finished.

    Raises:
        BadInput: max_iter was raised since.
    """
    manifest = manifests.read(loaded.folder.manifest)
    if manifest.get("finished") and newest_complete(loaded.snapshots) is None:
        raise BadInput(
            f"{loaded.name} is trained to iteration {manifest.get('max_iter')}, and without its "
            f"solver state it cannot go on to max_iter = {loaded.solver.max_iter}; set max_iter "
            f"back, or remove {loaded.folder.manifest} to train it anew"
        )
