"""The plan of a run for any scheduler: complete, in an order that works, and documented."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from caffe_transfer.cost import estimate
from caffe_transfer.data_prep.disk import disk_estimate
from caffe_transfer.job_plan import job_plan
from caffe_transfer.paths import RunFolder
from caffe_transfer.studies.load import load_study, paper
from caffe_transfer.training.schedule import graph
from tests.small_study import SmallRun, write_study

COMMAND = [sys.executable, "-m", "caffe_transfer"]
PAGE = Path(__file__).parent.parent / "docs/cluster.md"


def call(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *map(str, arguments)], capture_output=True, text=True, check=False
    )


def plan_of_paper(views: bool) -> Mapping[str, Any]:
    return job_plan(
        paper(), RunFolder(Path("run")), prepare=["run", "paper", "--prepare"],
        train=["--engine", "caffe-torch"], views=views,
    )  # fmt: skip


def test_all_networks_come_after_those_that_they_need() -> None:
    plan = plan_of_paper(views=True)
    seen: set[str] = set()
    for job in plan["networks"]:
        assert seen.issuperset(job["needs"])
        seen.add(job["name"])
    assert {job["name"]: tuple(job["needs"]) for job in plan["networks"]} == graph(paper())
    job = next(job for job in plan["networks"] if job["name"] == "transfernatmanAB_1_4")
    folder = str(Path("run/results/transfernatmanAB_1_4").absolute())
    assert job["folder"] == folder
    assert job["command"] == ["caffe-transfer", "train", folder, "--engine", "caffe-torch"]
    assert not job["trained"]
    assert job["iterations"] == 450_000


@pytest.mark.parametrize("views", [True, False])
def test_bytes_are_those_of_the_estimate(views: bool) -> None:
    plan = plan_of_paper(views)
    databases = sum(each["bytes"] for each in plan["prepare"]["databases"])
    assert databases == pytest.approx(disk_estimate(paper(), views), rel=1e-6)
    all_at_once = estimate(paper(), jobs=170).snapshot_bytes
    assert sum(job["bytes"] for job in plan["networks"]) == all_at_once


def test_hours_by_the_study_or_unknown() -> None:
    demo = load_study("fashion-mnist")
    arguments: dict[str, Any] = {"prepare": [], "train": [], "views": True}
    plan = job_plan(demo, RunFolder(Path("none")), **arguments)
    job = plan["networks"][0]
    assert demo.seconds_per_iteration is not None
    hours = job["iterations"] * demo.seconds_per_iteration / 3600
    assert job["hours"] == pytest.approx(hours, abs=1e-4)
    unknown = replace(demo, seconds_per_iteration=None)
    plan = job_plan(unknown, RunFolder(Path("none")), **arguments)
    assert {job["hours"] for job in plan["networks"]} == {None}


def test_what_is_trained_is_told(small_run: SmallRun, tmp_path: Path) -> None:
    small_run.train("half0A")
    done = call(
        "run", write_study(tmp_path), "--out", small_run.folder.root, "--dry-run", "--json",
        "--engine", "caffe", "--threads", "1",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout)
    jobs = {job["name"]: job for job in plan["networks"]}
    assert [name for name, job in jobs.items() if job["trained"]] == ["half0A"]
    assert jobs["half0A"]["hours"] == 0
    assert jobs["half0B"]["hours"] is not None  # at the pace of half0A's log
    assert jobs["half0B"]["command"][-4:] == ["--engine", "caffe", "--threads", "1"]


def test_its_commands_run_a_study_to_the_end(
    tmp_path: Path, caffe_bin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a scheduler would, which knows nothing but the plan."""
    monkeypatch.setenv("CAFFE_BIN", str(caffe_bin))
    done = call(
        "run", write_study(tmp_path), "--out", tmp_path / "run", "--from", tmp_path / "given",
        "--dry-run", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "run").exists()
    plan = json.loads(done.stdout)
    monkeypatch.chdir("/")
    for step in (plan["prepare"], *plan["networks"], plan["report"]):
        program, *arguments = step["command"]
        assert program == "caffe-transfer"
        done = call(*arguments)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "run/report/results.csv").is_file()
    for each in plan["prepare"]["databases"]:
        assert Path(each["folder"]).exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--json"], "--json is for --dry-run; add it"),
        (["--dry-run", "--json", "--gpu", "0"], "--gpu is for runs on one machine; leave it out"),
        (["--dry-run", "--json", "--disk", "1TB"], "--disk is for runs on one machine"),
    ],
)
def test_options_that_do_not_go_together(arguments: list[str], sentence: str) -> None:
    done = call("run", "fashion-mnist", *arguments)
    assert done.returncode == 2
    assert sentence in done.stderr


def test_every_field_is_documented() -> None:
    text = PAGE.read_text()

    def fields(value: object) -> set[str]:
        if isinstance(value, dict):
            return set(value).union(*map(fields, value.values()))
        return fields(value[0]) if isinstance(value, list) and value else set()

    plan = plan_of_paper(True)
    missing = [name for name in sorted(fields(plan)) if f"`{name}`" not in text]
    assert missing == []
