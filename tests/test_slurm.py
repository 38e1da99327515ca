"""The executor of Slurm with stand-ins of Slurm's commands; tests/cluster has real ones."""

import json
from pathlib import Path

import pytest

from caffe_transfer.errors import BadInput, EngineError
from caffe_transfer.nets.write import write_network
from caffe_transfer.paths import RunFolder
from caffe_transfer.studies.load import load_study
from caffe_transfer.studies.network import Network
from caffe_transfer.training.executor import ExecutorOptions, JobResult, Outcome
from caffe_transfer.training.slurm_queue import (
    QueuedJob,
    check_commands,
    jobs_known,
    kill,
    read_ids,
    what_it_says,
    write_ids,
)
from tests.small_study import script

pytest.importorskip("submitit")

from caffe_transfer.training import slurm
from caffe_transfer.training.slurm import SlurmExecutor, make_executor

BASE, OTHER, TRANSFER = "half0A", "half0B", "transfer0A0B_1_3"
LIMIT = "sbatch: error: QOSMaxSubmitJobPerUserLimit\nsbatch: error: Batch job submission failed"


class Stand:
    """Stand-ins of Slurm's commands: they note their arguments and answer as a test has it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.programs = root / "bin"
        self.programs.mkdir()
        self.noted = root / "calls"
        self.noted.touch()
        (root / "queue").touch()
        for name in ("srun", "scancel"):
            self.answer(name, "")
        self.answer("squeue", f"cat {root}/queue\n")
        self.answer("scontrol", "echo 'MaxArraySize            = 3'\n")
        self.answer(
            "sbatch",
            f'[ "$1" = --test-only ] && exit\necho x >> {root}/count\n'
            f"echo Submitted batch job $(wc -l < {root}/count)\n",
        )

    def answer(self, name: str, text: str) -> None:
        script(self.programs / name, f'echo {name} "$@" >> {self.noted}\n{text}')

    def refuse(self, name: str, words: str) -> None:
        self.answer(name, f"echo '{words}' >&2; exit 1\n")

    def queue(self, folder: RunFolder, **states: str) -> None:
        lines = [f"{job[1:]}|{state}|{folder.root}" for job, state in states.items()]
        (self.root / "queue").write_text("".join(f"{line}\n" for line in lines))

    @property
    def calls(self) -> list[str]:
        return self.noted.read_text().splitlines()


@pytest.fixture
def stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stand:
    made = Stand(tmp_path)
    monkeypatch.setenv("PATH", f"{made.programs}:/usr/bin:/bin")
    monkeypatch.setattr(slurm, "LOOK_SECONDS", 0.0)
    return made


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    made = RunFolder(tmp_path / "a run")
    study = load_study("fashion-mnist")
    for name in (BASE, OTHER, TRANSFER):
        write_network(Network.parse(name), study, made.results)
    return made


def executor(folder: RunFolder, jobs: int | None = None, **scheduler: str) -> SlurmExecutor:
    return make_executor(folder, ExecutorOptions(jobs=jobs, scheduler=scheduler))


def finish(folder: RunFolder, name: str) -> None:
    folder.network(name).manifest.write_text('{"finished": "now", "max_iter": 1000000}')


def test_networks_that_wait_for_the_same_become_one_array(stand: Stand, folder: RunFolder) -> None:
    running = executor(folder, partition="gpu", exclusive="")
    running.submit(BASE, ())
    running.submit(TRANSFER, (BASE,))
    running.submit(OTHER, ())
    assert running.ended() == []
    assert read_ids(folder.slurm_jobs) == {BASE: "1_0", OTHER: "1_1", TRANSFER: "2"}
    first, second = ((folder.slurm / f"{job}_submission.sh").read_text() for job in (1, 2))
    for line in ("--partition=gpu", "--exclusive", "--requeue", "--kill-on-invalid-dep=yes"):
        assert f"#SBATCH {line}\n" in first
    assert "--time" not in first
    assert "--dependency" not in first
    assert "#SBATCH --dependency=afterok:1_0\n" in second
    assert f"#SBATCH --chdir='{folder.root}'\n" in first


def test_arrays_are_no_longer_than_slurm_has_them(stand: Stand, folder: RunFolder) -> None:
    running = executor(folder)
    names = [f"half{number}A" for number in range(8)]
    for name in names:
        running.submit(name, ())
    running.ended()
    ids = list(read_ids(folder.slurm_jobs).values())
    assert ids == ["1_0", "1_1", "1_2", "2_0", "2_1", "2_2", "3_0", "3_1"]


def test_what_is_trained_is_not_submitted(stand: Stand, folder: RunFolder) -> None:
    finish(folder, BASE)
    running = executor(folder)
    running.submit(BASE, ())
    running.submit(TRANSFER, (BASE,))
    assert running.ended() == [JobResult(BASE, Outcome.DONE)]
    assert read_ids(folder.slurm_jobs) == {TRANSFER: "1"}
    assert "--dependency" not in (folder.slurm / "1_submission.sh").read_text()


def test_no_more_jobs_at_once_than_asked(stand: Stand, folder: RunFolder) -> None:
    running = executor(folder, jobs=1)
    assert running.room()
    running.submit(BASE, ())
    assert not running.room()


def test_a_job_is_judged_by_its_folder(stand: Stand, folder: RunFolder) -> None:
    running = executor(folder)
    for name in (BASE, OTHER):
        running.submit(name, ())
    running.submit(TRANSFER, (OTHER,))
    running.ended()
    finish(folder, BASE)
    folder.slurm_log("1_1").write_text("begins\nslurmstepd: error: killed\n")
    stand.queue(folder, j1_0="FAILED|None", j1_1="OUT_OF_MEMORY|None", j2="CANCELLED|Dependency")
    assert running.ended() == [
        JobResult(BASE, Outcome.DONE),
        JobResult(
            OTHER, Outcome.FAILED,
            "its job ended: Slurm's job 1_1 is OUT_OF_MEMORY; it said last: slurmstepd: error: "
            f"killed; see {folder.slurm_log('1_1')}",
        ),
        JobResult(TRANSFER, Outcome.SKIPPED, f"its base {OTHER} is not trained"),
    ]  # fmt: skip


def test_a_job_that_left_no_log(stand: Stand, folder: RunFolder) -> None:
    running = executor(folder)
    running.submit(BASE, ())
    running.ended()
    stand.queue(folder, j1="FAILED|RaisedSignal:53")
    (result,) = running.ended()
    assert result.reason.endswith(f"see whether the nodes have {folder.root} under the same path")


def test_a_job_that_slurm_has_forgotten(stand: Stand, folder: RunFolder) -> None:
    running = executor(folder)
    running.submit(BASE, ())
    looks = [running.ended() for _ in range(3)]
    assert looks[:2] == [[], []]
    assert looks[2][0].reason.startswith("its job ended: Slurm's job 1 is gone")


def test_a_job_that_would_be_held_for_ever(stand: Stand, folder: RunFolder) -> None:
    running = executor(folder)
    running.submit(BASE, ())
    running.ended()
    stand.queue(folder, j1="PENDING|launch_failed_requeued_held")
    (result,) = running.ended()
    assert "launch_failed_requeued_held" in result.reason
    assert "scancel --quiet 1" in stand.calls


def test_a_later_run_attaches(stand: Stand, folder: RunFolder) -> None:
    first = executor(folder)
    for name in (BASE, OTHER):
        first.submit(name, ())
    first.close()
    stand.queue(folder, j1_0="RUNNING|None", j1_1="FAILED|None")
    stand.refuse("sbatch", "no more today")  # it is not asked what it would take
    second = executor(folder)
    second.submit(BASE, ())
    second.submit(OTHER, ())
    assert [result.name for result in second.ended()] == [OTHER]
    stand.queue(RunFolder(Path("/elsewhere")), j1_0="RUNNING|None")  # ids are used again one day
    with pytest.raises(EngineError, match="no more today"):
        executor(folder)


def test_a_network_that_is_submitted_again(stand: Stand, folder: RunFolder) -> None:
    running = executor(folder)
    running.submit(BASE, ())
    running.ended()
    folder.network(BASE).failure.write_text("it failed\n")
    running.submit(BASE, ())
    running.ended()
    assert "scancel --quiet 1" in stand.calls
    assert read_ids(folder.slurm_jobs) == {BASE: "2"}
    assert not folder.network(BASE).failure.exists()


def test_slurm_takes_some_and_refuses_others(stand: Stand, folder: RunFolder) -> None:
    running = executor(folder)
    running.submit(BASE, ())
    running.ended()
    stand.refuse("sbatch", LIMIT)
    running.submit(OTHER, ())
    running.submit(TRANSFER, (OTHER,))
    results = {result.name: result for result in running.ended()}
    assert results[OTHER].may_pass
    assert results[OTHER].reason == (
        "Slurm's sbatch fails: QOSMaxSubmitJobPerUserLimit; Batch job submission failed"
    )
    assert results[TRANSFER].outcome is Outcome.SKIPPED


def test_what_is_refused_when_nobody_waits(stand: Stand, folder: RunFolder) -> None:
    running = executor(folder)
    running.submit(BASE, ())
    running.submit(TRANSFER, (BASE,))
    running.submit(OTHER, ())
    stand.answer("sbatch", f"[ -e {stand.root}/1 ] && exec >&2 && echo full && exit 1\n"
                 f"touch {stand.root}/1; echo Submitted batch job 1\n")  # fmt: skip
    with pytest.raises(EngineError, match=r"^2 networks are submitted, 1 are not: .* full; run"):
        running.close()


def test_ctrl_c(stand: Stand, folder: RunFolder) -> None:
    running = executor(folder)
    running.submit(BASE, ())
    running.ended()
    running.submit(OTHER, ())
    stand.answer("scancel", "exit 1\n")  # as where some have ended
    running.cancel()
    assert running.ended() == [JobResult(OTHER, Outcome.STOPPED, "stopped before its turn")]
    assert stand.calls[-3:-1] == [
        "scancel --quiet --state=PENDING 1", "scancel --quiet --batch --signal=INT 1",
    ]  # fmt: skip
    stand.queue(folder, j1="FAILED|None")
    assert [result.outcome for result in running.ended()] == [Outcome.STOPPED]


def test_jobs_that_do_not_end_are_ended(
    stand: Stand, folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = executor(folder)
    running.submit(BASE, ())
    running.ended()
    running.cancel()
    monkeypatch.setattr(slurm, "KILL_SECONDS", 0.0)
    stand.queue(folder, j1="RUNNING|None")
    assert running.ended() == []
    assert "scancel --quiet 1" in stand.calls


def test_a_controller_that_is_away(
    stand: Stand, folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = executor(folder)
    running.submit(BASE, ())
    stand.refuse("squeue", "slurm_load_jobs error: Unable to contact slurm controller")
    assert running.ended() == []
    monkeypatch.setattr(slurm, "SILENT_SECONDS", 0.0)
    with pytest.raises(EngineError, match=r"Unable to contact.*; the jobs go on, and the same"):
        running.ended()


def test_no_slurm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BadInput, match="there is no sbatch here; run this where jobs are subm"):
        check_commands()


def test_options_that_are_not_the_users(stand: Stand, folder: RunFolder) -> None:
    with pytest.raises(BadInput, match="the option array of sbatch is set by the run itself"):
        executor(folder, array="1-3")


def test_options_that_slurm_does_not_take(stand: Stand, folder: RunFolder) -> None:
    stand.refuse("sbatch", "sbatch: error: invalid partition specified: gpus.")
    with pytest.raises(EngineError, match="invalid partition specified: gpus; see --scheduler-"):
        executor(folder, partition="gpus")


def test_what_slurm_says() -> None:
    said = "sbatch: error: Munge is away.\nsbatch: error: Munge is away.\nsbatch: fatal: so it ends"
    assert what_it_says("sbatch", said) == "Slurm's sbatch fails: Munge is away; so it ends"
    assert what_it_says("scancel", "\n") == "Slurm's scancel fails: it does not say why"


def test_the_queue_is_read(stand: Stand, folder: RunFolder) -> None:
    stand.queue(folder, j7_1="RUNNING|None", j8="PENDING|(Nodes required, for job)")
    known = jobs_known(folder.root)
    assert known["7_1"] == QueuedJob("RUNNING", "None", folder.root)
    assert {job: each.has_ended for job, each in known.items()} == {"7_1": False, "8": False}
    kill([str(number) for number in range(600)])
    assert len([call for call in stand.calls if call.startswith("scancel")]) == 2


def test_ids_that_cannot_be_read_are_none(tmp_path: Path) -> None:
    file = tmp_path / "slurm/jobs.json"
    assert read_ids(file) == {}
    write_ids(file, {BASE: "1"})
    assert json.loads(file.read_text()) == read_ids(file) == {BASE: "1"}
    file.write_text("{")
    assert read_ids(file) == {}
