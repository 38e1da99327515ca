"""The weights that a network starts from, as a file: init.caffemodel.

Copied layers come from the base's last snapshot.  A network of random frozen filters gets its
own untrained weights, as Caffe draws them for its seed, so that freezing can be proven there too.
"""

import subprocess
import tempfile
from pathlib import Path

from google.protobuf import text_format

from caffe_transfer.errors import BadInput, EngineError, Incomplete
from caffe_transfer.formats.hashes import blob_hashes
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.paths import NetworkFolder
from caffe_transfer.studies.network import Mode
from caffe_transfer.training.engine import Engine, last_words
from caffe_transfer.training.preflight import LoadedNetwork, load_network
from caffe_transfer.training.snapshots import newest_complete
from caffe_transfer.training.transplant import transplant


def prepare_init(loaded: LoadedNetwork, engine: Engine) -> Path | None:
    """Make init.caffemodel where the network needs it; returns it, or None.

    Raises:
        Incomplete: the base is not trained yet.
        BadInput: the base's shapes do not fit, or the file that is there holds other weights.
    """
    network = loaded.network
    if network is None:
        return loaded.folder.init if loaded.folder.init.exists() else None
    if network.mode is Mode.RANDOM:
        if not loaded.folder.init.exists():
            draw_weights(loaded, engine, loaded.folder.init)
        return loaded.folder.init
    if network.base is None:
        return None
    if loaded.folder.basenet.exists() or not loaded.folder.init.exists():
        _transplant(loaded)
    return loaded.folder.init


def _transplant(loaded: LoadedNetwork) -> None:
    network, init = loaded.network, loaded.folder.init
    assert network is not None
    base = trained_model(loaded.folder.basenet)
    layers = network.copied_layers
    if not init.exists():
        transplant(base, init, len(layers), loaded.target_shapes())
    elif blob_hashes(init, layers) != blob_hashes(base, layers):
        raise BadInput(
            f"{init} does not hold the layers {layers[0]} to {layers[-1]} of {base}; remove the "
            "folder's init.caffemodel and snapshots to train it anew"
        )


def trained_model(base: Path) -> Path:
    """The last snapshot of a network that is trained to its end.

    Raises:
        Incomplete: it is not.
    """
    base = Path(base.parent, base.readlink()) if base.is_symlink() else base
    name = NetworkFolder(base).root.name
    if base.is_dir():
        loaded = load_network(base.resolve())
        newest = newest_complete(loaded.snapshots)
        if newest is not None and newest.iteration >= loaded.solver.max_iter:
            return newest.model
    raise Incomplete(
        f"the base {name} is not trained to its end yet; run caffe-transfer train {base} first"
    )


def draw_weights(loaded: LoadedNetwork, engine: Engine, out: Path) -> None:
    """Write the weights that the engine draws for the network's seed, without a step of training.

    Raises:
        EngineError: the engine fails.
    """
    solver = pb.SolverParameter()
    solver.CopyFrom(loaded.solver)
    for field in ("test_iter", "test_interval", "snapshot"):
        solver.ClearField(field)
    solver.max_iter = 0
    with tempfile.TemporaryDirectory(dir=loaded.folder.root, prefix=".drawn.") as folder:
        scratch = Path(folder)
        solver.snapshot_prefix = str(scratch / "net")
        (scratch / "solver.prototxt").write_text(text_format.MessageToString(solver))
        done = subprocess.run(
            engine.train(scratch / "solver.prototxt"),
            cwd=loaded.folder.root,
            capture_output=True,
            text=True,
            check=False,
        )
        drawn = scratch / "net_iter_0.caffemodel"
        if done.returncode or not drawn.exists():
            raise EngineError(
                f"{engine.name} did not draw the first weights of {loaded.name}: "
                f"{last_words(done.stderr)}"
            )
        drawn.replace(out)
