"""cut.json: written, read back, and refused where it is something else."""

from pathlib import Path

import pytest

from caffe_transfer.errors import FormatError
from caffe_transfer.nets.cut_record import CutRecord, cut_text, read_cut


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    record = CutRecord(3, "inception_3a/output", ("conv1/7x7_s2", "bn é"))
    (tmp_path / "cut.json").write_text(cut_text(record), encoding="utf-8")
    assert read_cut(tmp_path / "cut.json") == record


def test_a_folder_of_another_program_has_none(tmp_path: Path) -> None:
    assert read_cut(tmp_path / "cut.json") is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"n": "1", "name": "a", "copied": []}',
        '{"n": 1, "name": 2, "copied": []}',
        '{"n": 1, "name": "a", "copied": [1]}',
        '{"n": 1, "name": "a", "copied": "conv1"}',
    ],
)
def test_another_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "cut.json"
    path.write_text(text)
    with pytest.raises(FormatError, match=r"cut.json is not a record of a cut: .*; generate the"):
        read_cut(path)
