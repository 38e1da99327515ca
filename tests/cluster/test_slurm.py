"""Networks as jobs of a real Slurm, trained by real Caffe."""

import functools
import json
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

pytest.importorskip("submitit", reason="no submitit here; pip install 'caffe-transfer[slurm]'")

from caffe_transfer.errors import BadInput, EngineError
from caffe_transfer.formats.prototxt import read_solver
from caffe_transfer.training import slurm as module
from caffe_transfer.training.executor import (
    SLURM,
    ExecutorOptions,
    JobResult,
    Outcome,
    executor_for,
)
from caffe_transfer.training.slurm import SlurmExecutor
from caffe_transfer.training.snapshots import newest_complete
from tests.cluster.slurm import Slurm, wait_until
from tests.small_study import SmallRun

BASE, TRANSFER = "half0A", "transfer0A0B_1_3"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.5)


def executor(run: SmallRun, **scheduler: str) -> SlurmExecutor:
    options = ExecutorOptions(train=("--threads=1",), scheduler=scheduler)
    made = executor_for(SLURM, run.folder, options)
    assert isinstance(made, SlurmExecutor)
    return made


def results_of(running: SlurmExecutor, count: int, seconds: float = 120) -> dict[str, JobResult]:
    """The results of so many networks."""
    found: dict[str, JobResult] = {}
    end = time.monotonic() + seconds
    while len(found) < count:
        assert time.monotonic() < end, found
        found |= {result.name: result for result in running.ended()}
    return found


def set_iterations(run: SmallRun, name: str, count: int) -> None:
    """Change how long a network is trained, with no snapshot on the way."""
    file = run.folder.network(name).solver
    solver = read_solver(file)
    solver.max_iter, solver.snapshot = count, count
    file.write_text(str(solver))


def iteration(run: SmallRun, name: str) -> int:
    newest = newest_complete(run.folder.network(name).snapshots)
    return newest.iteration if newest else 0


def is_training(run: SmallRun, name: str, starts: int = 1) -> bool:
    """Whether the engine has begun that often, and computes."""
    logs = sorted(run.folder.network(name).logs.glob("*.log"))
    return len(logs) == starts and ", loss = " in logs[-1].read_text()


def kill_engine(run: SmallRun, name: str) -> None:
    """Kill the processes that work in a network's folder, as Slurm does where it uses cgroups."""
    for link in Path("/proc").glob("[0-9]*/cwd"):
        with suppress(OSError):
            if link.readlink() == run.folder.network(name).root:
                os.kill(int(link.parent.name), signal.SIGKILL)


def test_bases_come_first_and_the_submitting_process_may_end(
    small_run: SmallRun, slurm: Slurm
) -> None:
    for name in (BASE, TRANSFER, "nolearn_1_2"):
        small_run.write(name)
    running = executor(small_run)
    running.submit(BASE, ())
    running.submit("nolearn_1_2", ())
    running.submit(TRANSFER, (BASE,))
    running.close()
    kept = json.loads((small_run.folder.slurm_jobs).read_text())
    assert set(kept) == {BASE, TRANSFER, "nolearn_1_2"}
    later = executor(small_run)
    for name in kept:
        later.submit(name, ())
    assert {each.outcome for each in results_of(later, 3).values()} == {Outcome.DONE}
    assert json.loads((small_run.folder.slurm_jobs).read_text()) == kept
    assert sorted(json.loads(small_run.folder.network(TRANSFER).manifest.read_text())["frozen"])


@pytest.fixture
def long_run(small_run: SmallRun) -> SmallRun:
    """A base that takes long, and a network that needs it."""
    for name in (BASE, TRANSFER):
        small_run.write(name)
    set_iterations(small_run, BASE, 1_000_000)
    return small_run


def job_of(run: SmallRun, name: str) -> str:
    return str(json.loads(run.folder.slurm_jobs.read_text())[name])


@pytest.mark.parametrize("number", ["USR1", "TERM"])
def test_a_job_at_its_limit_goes_on_later(long_run: SmallRun, slurm: Slurm, number: str) -> None:
    """Twice; SIGUSR1 comes before a time limit, SIGTERM when a job is preempted."""
    running = executor(long_run)
    running.submit(BASE, ())
    running.submit(TRANSFER, (BASE,))
    assert running.ended() == []
    job = job_of(long_run, BASE)
    reached = [0]
    for start in (1, 2):
        trains = functools.partial(is_training, long_run, BASE, start)
        wait_until(trains, f"start {start}", slurm.logs)
        slurm.run("scancel", "--batch", f"--signal={number}", job)
        wait_until(lambda: iteration(long_run, BASE) > reached[-1], "a snapshot", slurm.logs)
        reached.append(iteration(long_run, BASE))
        if start == 2:
            set_iterations(long_run, BASE, reached[-1] + 20)
    results = results_of(running, 2)
    assert [each.outcome for each in results.values()] == [Outcome.DONE] * 2, results
    assert job_of(long_run, BASE) == job
    manifest = json.loads(long_run.folder.network(BASE).manifest.read_text())
    assert [each["from_iteration"] for each in manifest["runs"]] == reached


def begins() -> bool:
    """Whether a job's script runs, or Python in its place; before, Slurm loses signals."""
    lines = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            lines.append(file.read_text(errors="replace"))
    return any("/slurm_script" in line or "submitit.core._submit" in line for line in lines)


def test_a_limit_that_comes_while_the_job_begins(long_run: SmallRun, slurm: Slurm) -> None:
    set_iterations(long_run, BASE, 20)
    running = executor(long_run)
    running.submit(BASE, ())
    running.ended()
    wait_until(begins, "it begins", slurm.logs)
    slurm.run("scancel", "--batch", "--signal=USR1", job_of(long_run, BASE))
    assert results_of(running, 1)[BASE].outcome is Outcome.DONE
    assert "in the queue again" in long_run.folder.slurm_log(job_of(long_run, BASE)).read_text()


def test_a_real_time_limit(long_run: SmallRun, slurm: Slurm) -> None:
    running = executor(long_run, time="1", signal="B:USR1@50")
    running.submit(BASE, ())
    running.ended()
    wait_until(lambda: iteration(long_run, BASE), "a snapshot", slurm.logs)
    set_iterations(long_run, BASE, iteration(long_run, BASE) + 20)
    assert results_of(running, 1)[BASE].outcome is Outcome.DONE


def test_ctrl_c_ends_jobs_with_a_snapshot(long_run: SmallRun, slurm: Slurm) -> None:
    running = executor(long_run)
    running.submit(BASE, ())
    running.submit(TRANSFER, (BASE,))
    running.ended()
    wait_until(lambda: is_training(long_run, BASE), "it trains", slurm.logs)
    running.cancel()
    results = results_of(running, 2)
    assert [each.outcome for each in results.values()] == [Outcome.STOPPED] * 2, results
    assert iteration(long_run, BASE) > 0
    wait_until(lambda: not slurm.jobs(), "no job is left", slurm.logs)


def test_scancel_by_the_user_is_no_limit(long_run: SmallRun, slurm: Slurm) -> None:
    running = executor(long_run)
    running.submit(BASE, ())
    running.submit(TRANSFER, (BASE,))
    running.ended()
    wait_until(lambda: is_training(long_run, BASE), "it trains", slurm.logs)
    slurm.run("scancel", job_of(long_run, BASE))
    results = results_of(running, 2)
    assert results[BASE].outcome is Outcome.FAILED
    assert "is CANCELLED" in results[BASE].reason
    assert results[TRANSFER] == JobResult(
        TRANSFER, Outcome.SKIPPED, f"its base {BASE} is not trained"
    )
    assert iteration(long_run, BASE) > 0
    assert slurm.jobs() == []


def test_a_job_that_is_killed_is_told_and_can_be_submitted_again(
    long_run: SmallRun, slurm: Slurm
) -> None:
    running = executor(long_run)
    running.submit(BASE, ())
    running.ended()
    wait_until(lambda: is_training(long_run, BASE), "it trains", slurm.logs)
    kill_engine(long_run, BASE)
    slurm.run("scancel", "--batch", "--signal=KILL", job_of(long_run, BASE))
    result = results_of(running, 1)[BASE]
    assert (result.outcome, result.may_pass) == (Outcome.FAILED, True)
    assert "is FAILED" in result.reason
    set_iterations(long_run, BASE, 20)
    running.submit(BASE, ())
    assert results_of(running, 1)[BASE].outcome is Outcome.DONE


def test_a_node_that_dies(long_run: SmallRun, slurm: Slurm) -> None:
    running = executor(long_run, nodelist="n1")
    running.submit(BASE, ())
    running.ended()
    wait_until(lambda: is_training(long_run, BASE), "it trains", slurm.logs)
    slurm.kill_node("n1")
    try:
        wait_until(lambda: "PENDING" in " ".join(slurm.jobs()), "it waits again", slurm.logs)
        set_iterations(long_run, BASE, 20)
        slurm.run("scontrol", "update", f"jobid={job_of(long_run, BASE)}", "reqnodelist=n2")
        assert results_of(running, 1)[BASE].outcome is Outcome.DONE
    finally:
        slurm.start_node("n1")
        wait_until(lambda: slurm.idle() == {"n1", "n2"}, "n1 is back", slurm.logs)


def test_a_partition_that_does_not_exist(small_run: SmallRun, slurm: Slurm) -> None:
    with pytest.raises(EngineError, match=r"^Slurm's sbatch fails: .*nvalid partition"):
        executor(small_run, partition="gpus")


def test_a_time_that_the_partition_does_not_give(small_run: SmallRun, slurm: Slurm) -> None:
    with pytest.raises(EngineError, match=r"^Slurm's sbatch fails: .*time limit"):
        executor(small_run, time="24:00:00")


def test_an_option_that_sbatch_does_not_know(small_run: SmallRun, slurm: Slurm) -> None:
    with pytest.raises(EngineError, match="unrecognized option '--colour=red'"):
        executor(small_run, colour="red")


def test_an_option_of_the_run(small_run: SmallRun, slurm: Slurm) -> None:
    with pytest.raises(BadInput, match="the option array of sbatch is set by the run itself"):
        executor(small_run, array="1-3")


def test_no_munge(
    small_run: SmallRun, slurm: Slurm, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    conf = tmp_path / "slurm.conf"
    text = Path(slurm.environment["SLURM_CONF"]).read_text()
    conf.write_text(text.replace("munge.socket", "no.socket"))
    monkeypatch.setenv("SLURM_CONF", str(conf))
    with pytest.raises(EngineError, match=r"^Slurm's squeue fails: .*[Mm]unge"):
        executor(small_run)


def test_a_folder_that_the_nodes_do_not_see(
    small_run: SmallRun, slurm: Slurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_run.write(BASE)
    running = executor(small_run)
    running.submit(BASE, ())
    running._sbatch["chdir"] = "/nonexistent"
    running._sbatch["output"] = "/nonexistent/%j"
    result = results_of(running, 1)[BASE]
    assert "see whether the nodes have" in result.reason
