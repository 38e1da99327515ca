"""What tests of trainings share: data, a run of real Caffe, and the numbers in its snapshots."""

import subprocess
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt

from caffe_transfer.formats.caffemodel import Blob, open_model
from caffe_transfer.formats.solverstate import open_state

Array = npt.NDArray[np.float32]


def write_data(folder: Path, width: int, outputs: int) -> None:
    """Write list.txt, which names a file of 12 inputs x and targets y."""
    random = np.random.default_rng(0)
    with h5py.File(folder / "data.h5", "w") as file:
        file["x"] = random.standard_normal((12, width)).astype(np.float32)
        file["y"] = random.standard_normal((12, outputs)).astype(np.float32)
    (folder / "list.txt").write_text("data.h5\n")


def run_caffe(caffe_bin: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run `caffe train` with one thread, log on standard error."""
    return subprocess.run(
        [caffe_bin, "train", *arguments], capture_output=True, text=True,
        env={"GLOG_logtostderr": "1", "OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip


def caffe(caffe_bin: Path, *arguments: str) -> str:
    """The log of a `caffe train` that must succeed."""
    done = run_caffe(caffe_bin, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stderr


def model(path: Path) -> dict[str, Array]:
    """The parameters in a model, by layer and index."""
    with open_model(path) as found:
        return arrays({f"{name} {index}": blob for name, layer in found.with_blobs.items()
                       for index, blob in enumerate(layer.blobs)})  # fmt: skip


def state(path: Path) -> tuple[int, int, dict[str, Array]]:
    """Iteration, step and history of a solver state."""
    with open_state(path) as found:
        history = {str(index): blob for index, blob in enumerate(found.history)}
        return found.iteration, found.current_step, arrays(history)


def arrays(blobs: dict[str, Blob]) -> dict[str, Array]:
    """Blobs as arrays."""
    return {name: np.array(blob.values).reshape(blob.shape) for name, blob in blobs.items()}


def assert_close(ours: dict[str, Array], theirs: dict[str, Array], tolerance: float = 1e-5) -> None:
    """Fail where arrays differ by more than a fraction of the largest value."""
    assert ours.keys() == theirs.keys()
    for name, expected in theirs.items():
        scale = max(float(np.abs(expected).max()), 1e-6)
        np.testing.assert_allclose(
            ours[name], expected, rtol=0, atol=tolerance * scale, err_msg=name
        )
