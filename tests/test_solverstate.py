"""Solver states: written by real Caffe (test_snapshots), by this package, then broken."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from caffe_transfer.errors import FormatError
from caffe_transfer.formats.caffemodel import Blob
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.solverstate import SolverState, open_state
from caffe_transfer.formats.writer import write_state

STATE = SolverState(
    iteration=450_000,
    current_step=4,
    history=(Blob((2, 3), np.arange(6, dtype=np.float32)), Blob((3,), np.ones(3, np.float32))),
    learned_net="snapshots/net_iter_450000.caffemodel",
)


def written(path: Path, hdf5: bool) -> Path:
    with path.open("w+b") as file:
        write_state(STATE, file, hdf5)
    return path


def test_protobuf_reads_what_was_written(tmp_path: Path) -> None:
    message = pb.SolverState.FromString(written(tmp_path / "state", hdf5=False).read_bytes())
    assert message.iter == 450_000
    assert message.current_step == 4
    assert message.learned_net == STATE.learned_net
    assert [list(blob.shape.dim) for blob in message.history] == [[2, 3], [3]]
    assert [list(blob.data) for blob in message.history] == [[0, 1, 2, 3, 4, 5], [1, 1, 1]]


@pytest.mark.parametrize("hdf5", [False, True])
def test_read_back(tmp_path: Path, hdf5: bool) -> None:
    with open_state(written(tmp_path / "state", hdf5)) as state:
        assert (state.iteration, state.current_step) == (450_000, 4)
        assert state.learned_net == STATE.learned_net
        assert [blob.shape for blob in state.history] == [(2, 3), (3,)]
        assert [blob.tobytes() for blob in state.history] == [
            blob.tobytes() for blob in STATE.history
        ]


def test_hdf5_files_that_are_laid_out_differently(tmp_path: Path) -> None:
    """Whatever the HDF5 library raises, the file is named in one sentence."""

    def spoil(key: str, value: object) -> Callable[[h5py.File], None]:
        def change(file: h5py.File) -> None:
            del file[key]
            if value is not None:
                file[key] = value

        return change

    changes = {
        "no history": spoil("history", None),
        "history is an array": spoil("history", [1.0]),
        "history is text": spoil("history/0", "text"),
        "history has a gap": spoil("history/0", None),
        "no iter": spoil("iter", None),
        "two iterations": spoil("iter", [1, 2]),
        "iter is text": spoil("iter", "text"),
        "no name": spoil("learned_net", None),
    }
    for name, change in changes.items():
        path = written(tmp_path / name, hdf5=True)
        with h5py.File(path, "r+") as file:
            change(file)
        with (
            pytest.raises(FormatError, match=rf"{name} is not a whole .solverstate.h5: .*; resume"),
            open_state(path),
        ):
            pass


@pytest.mark.parametrize("hdf5", [False, True])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_byte_is_read_or_refused(tmp_path: Path, hdf5: bool, data: st.DataObject) -> None:
    path = written(tmp_path / "state", hdf5)
    content = bytearray(path.read_bytes())
    used = [index for index, byte in enumerate(content) if byte]
    content[data.draw(st.sampled_from(used))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    message = refusal(path)
    assert message is None or str(path) in message


def refusal(path: Path) -> str | None:
    try:
        with open_state(path):
            return None
    except FormatError as error:
        return str(error)
