"""Why a network's last training failed."""

from pathlib import Path

import pytest

from caffe_transfer.errors import (
    BadInput,
    CaffeTransferError,
    EngineError,
    Incomplete,
    Interrupted,
    RefusedNet,
)
from caffe_transfer.paths import NetworkFolder
from caffe_transfer.training.failure import failure_noted, is_final, may_pass, noted_failure


def test_a_failure_is_noted_until_the_next_start(tmp_path: Path) -> None:
    folder = NetworkFolder(tmp_path)
    with pytest.raises(EngineError), failure_noted(folder):
        raise EngineError("caffe ended with status 1: out of memory")
    assert noted_failure(folder) == "caffe ended with status 1: out of memory"
    with failure_noted(folder):
        assert noted_failure(folder) is None
    assert noted_failure(folder) is None


def test_to_be_stopped_is_no_failure(tmp_path: Path) -> None:
    folder = NetworkFolder(tmp_path)
    with pytest.raises(Interrupted), failure_noted(folder):
        raise Interrupted("stopped")
    assert noted_failure(folder) is None


def test_a_folder_that_cannot_be_written_hides_no_failure(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EngineError, match="why"), failure_noted(NetworkFolder(tmp_path / "file")):
        raise EngineError("why")


@pytest.mark.parametrize(
    ("error", "final"),
    [
        (EngineError("killed"), False),
        (RefusedNet("Unknown layer type"), True),
        (BadInput("no such layer"), True),
        (Incomplete("no database"), True),
    ],
)
def test_a_note_says_whether_trying_again_helps(
    tmp_path: Path, error: CaffeTransferError, final: bool
) -> None:
    folder = NetworkFolder(tmp_path)
    with pytest.raises(type(error)), failure_noted(folder):
        raise error
    assert may_pass(error) is not final
    assert is_final(folder) is final
    assert noted_failure(folder) == str(error)


def test_a_full_disk_is_a_failure_that_is_told(tmp_path: Path) -> None:
    folder = NetworkFolder(tmp_path)
    message = f"cannot write {tmp_path}: No space left on device; free some space"
    with pytest.raises(BadInput, match=message), failure_noted(folder):
        raise OSError(28, "No space left on device")
    assert str(noted_failure(folder)).startswith(message)
