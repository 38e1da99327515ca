"""docs/python.md is a session that runs as it stands."""

import doctest
from pathlib import Path

import matplotlib as mpl
import pytest

from caffe_transfer.data_prep.sources import fetch
from caffe_transfer.errors import CaffeTransferError
from caffe_transfer.training.engine import find_engine

PAGE = Path(__file__).parent.parent / "docs/python.md"


def test_the_session_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        find_engine()
        fetch("fashion-mnist", tmp_path / "walk" / "images")
    except CaffeTransferError as error:
        pytest.skip(f"{error}")
    monkeypatch.chdir(tmp_path)
    mpl.use("agg")
    test = doctest.DocTestParser().get_doctest(PAGE.read_text(), {}, PAGE.name, str(PAGE), 0)
    assert len(test.examples) >= 20
    said: list[str] = []
    runner = doctest.DocTestRunner(verbose=False)
    runner.run(test, out=said.append)
    assert not runner.failures, "".join(said)
    assert (tmp_path / "figure2.png").stat().st_size > 10_000
