"""The weights that a network starts from, as a file: init.caffemodel.

Copied layers come from the base's last model.  A network of random frozen filters gets its
own untrained weights, as Caffe draws them for its seed, so that freezing can be proven there too.
"""

import os
import threading
from pathlib import Path

from google.protobuf import text_format

from caffe_transfer.errors import BadInput, EngineError, Incomplete
from caffe_transfer.files import remove_leftovers, scratch_folder, sync
from caffe_transfer.formats.hashes import blob_hashes, sha256
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.paths import NetworkFolder
from caffe_transfer.training import manifest as manifests
from caffe_transfer.training.engine import Engine, last_words, run_aside
from caffe_transfer.training.finished import final_model
from caffe_transfer.training.given import checked_model, read_given
from caffe_transfer.training.preflight import LoadedNetwork, load_network
from caffe_transfer.training.transplant import transplant_into


def prepare_init(
    loaded: LoadedNetwork, engine: Engine, stop: threading.Event | None = None
) -> Path | None:
    """Make init.caffemodel where the network needs one; return its path, or None.

    A folder's init.caffemodel is used as it is, unless the network has a base, whose layers it
    must hold.  A net with frozen layers and no such file starts from weights drawn beforehand.

    Raises:
        Incomplete: the base is not trained yet.
        BadInput: the base's shapes do not fit, or the file that is there holds other weights.
        EngineError: the engine did not draw the weights.
        Interrupted: `stop` was set.
    """
    network, folder = loaded.network, loaded.folder
    remove_leftovers(folder.init)  # of one that was killed when init was just there
    if network is not None and network.base:
        if folder.basenet.exists() or not folder.init.exists():
            _transplant(loaded)
        return folder.init
    if not folder.init.exists():
        if not loaded.frozen:
            return None
        draw_weights(loaded, engine, folder.init, stop)
    return folder.init


def _transplant(loaded: LoadedNetwork) -> None:
    base, init = trained_model(loaded.folder.basenet), loaded.folder.init
    target = loaded.target()
    if not init.exists():
        _check_unchanged(NetworkFolder(loaded.folder.basenet.resolve()), base)
        transplant_into(target, base, init)
        return
    here = blob_hashes(init, target.copied)
    there = blob_hashes(base, [target.name_in_model(name) for name in target.copied])
    if any(here.get(name) != there.get(target.name_in_model(name)) for name in target.copied):
        raise BadInput(
            f"{init} does not hold the layers {target.copied[0]} to {target.copied[-1]} of {base}; "
            "remove the folder's init.caffemodel and snapshots to train it anew"
        )


def _check_unchanged(base: NetworkFolder, model: Path) -> None:
    """Refuse a model that is not the one that its training ended with, by SHA-256.

    Raises:
        BadInput: it has changed since.
    """
    recorded = manifests.read(base.manifest).get("model", {})
    wanted = recorded.get(os.path.relpath(model, base.root))
    if wanted is not None and wanted != sha256(model):
        raise BadInput(
            f"{model} has changed since training ended with it; put the first one back, or remove "
            f"{base.manifest} and {model.parent} to train {base.root.name} anew"
        )


def trained_model(base: Path) -> Path:
    """The last model of a network that is trained to its end, or the model of a given base.

    Raises:
        Incomplete: it is not trained, or not there, or its model is gone.
        BadInput: the given model has changed.
    """
    base = Path(base.parent, base.readlink()) if base.is_symlink() else base
    if given := read_given(base):
        return checked_model(given)
    name = NetworkFolder(base).root.name
    if base.is_dir():
        model = final_model(load_network(base.resolve()))
        if model is not None:
            return model
    raise Incomplete(
        f"the base {name} is not trained to its end yet; run caffe-transfer train {base} first"
    )


def draw_weights(
    loaded: LoadedNetwork, engine: Engine, out: Path, stop: threading.Event | None = None
) -> None:
    """Write the weights that the engine draws for the network's seed, without a step of training.

    Args:
        stop: set it to end now.

    Raises:
        EngineError: the engine fails.
        BadInput: the folder cannot be written.
        Interrupted: `stop` was set.
    """
    solver = pb.SolverParameter()
    solver.CopyFrom(loaded.solver)
    for field in ("test_iter", "test_interval", "snapshot"):
        solver.ClearField(field)
    solver.max_iter = 0
    with scratch_folder(out.absolute()) as scratch:
        solver.snapshot_prefix = str(scratch / "net")
        (scratch / "solver.prototxt").write_text(text_format.MessageToString(solver))
        done = run_aside(engine.train(scratch / "solver.prototxt"), loaded.folder.root, stop)
        drawn = scratch / "net_iter_0.caffemodel"
        if done.returncode or not drawn.exists():
            raise EngineError(
                f"{engine.name} did not draw the first weights of {loaded.name}: "
                f"{last_words(done.stderr)}"
            )
        sync(drawn)
        drawn.replace(out)
