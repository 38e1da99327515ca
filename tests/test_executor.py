"""What all executors share: how schedulers plug in, and how a job that has ended is judged."""

import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest

from caffe_transfer.errors import BadInput, EngineError
from caffe_transfer.paths import RunFolder
from caffe_transfer.training import executor, manifest
from caffe_transfer.training.executor import (
    ExecutorOptions,
    JobResult,
    Outcome,
    begin,
    executor_for,
    result_of,
)
from caffe_transfer.training.failure import failure_noted
from tests.small_study import SmallRun


def test_a_scheduler_plugs_in_by_its_module(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("some_scheduler")
    made: list[object] = []

    def make(*given: object) -> object:
        made.extend(given)
        return made

    module.make_executor = make  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "some_scheduler", module)
    monkeypatch.setitem(executor.MODULES, "slurm", "some_scheduler")
    folder, options = RunFolder(Path("run")), ExecutorOptions(jobs=3)
    assert executor_for("slurm", folder, options) is made  # type: ignore[comparison-overlap]
    assert made == [folder, options]


@pytest.mark.parametrize(("name", "library"), [("slurm", "submitit"), ("ray", "ray")])
def test_without_its_library_it_says_what_to_install(
    name: str, library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / f"needs_{name}.py").write_text(f"import {library}\n")
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.setitem(executor.MODULES, name, f"needs_{name}")
    with pytest.raises(BadInput) as error:
        executor_for(name, RunFolder(Path("run")), ExecutorOptions())
    wanted = f"--on {name} needs {library}; run pip install 'caffe-transfer[{name}]'"
    assert str(error.value) == wanted


def test_another_module_that_is_missing_is_not_mistaken_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "needs_more.py").write_text("import not_there_at_all\n")
    monkeypatch.setitem(executor.MODULES, "ray", "needs_more")
    with pytest.raises(ModuleNotFoundError, match="not_there_at_all"):
        executor_for("ray", RunFolder(Path("run")), ExecutorOptions())


def test_the_command_of_a_job_runs_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    options: Sequence[str] = ["--engine", "caffe-torch"]
    command = ExecutorOptions(train=options).command(Path("run/results/half0A"))
    folder = str(tmp_path / "run/results/half0A")
    assert command == [sys.executable, "-m", "caffe_transfer", "train", folder, *options]


def test_a_job_that_has_ended_is_judged_by_its_folder(small_run: SmallRun) -> None:
    root = small_run.write("half0A")
    folder = small_run.folder.network("half0A")
    lost = result_of(folder, "NODE_FAIL")
    assert lost == JobResult("half0A", Outcome.FAILED, "its job ended: NODE_FAIL")
    assert lost.may_pass
    assert result_of(folder, "CANCELLED", stopped=True).outcome is Outcome.STOPPED
    with pytest.raises(EngineError), failure_noted(folder):
        raise EngineError("caffe said so")
    failed = result_of(folder, "FAILED, status 2")
    assert failed.reason == "caffe said so (FAILED, status 2)"
    assert failed.may_pass
    with pytest.raises(BadInput), failure_noted(folder):
        raise BadInput("no such layer")
    assert result_of(folder, "FAILED").reason == "no such layer (FAILED)"
    assert not result_of(folder, "FAILED").may_pass
    begin(folder)
    assert result_of(folder, "TIMEOUT").reason == "its job ended: TIMEOUT"
    manifest.write(root / "manifest.json", {"finished": manifest.now(), "max_iter": 4})
    assert result_of(folder, "COMPLETED") == JobResult("half0A", Outcome.DONE)


def test_a_folder_that_is_no_network_has_failed(tmp_path: Path) -> None:
    result = result_of(RunFolder(tmp_path).network("half0A"), "FAILED")
    assert result.outcome is Outcome.FAILED
    assert not result.may_pass
