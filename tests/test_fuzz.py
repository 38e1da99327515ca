"""Broken files: a few for every reader and every command; `make fuzz` tries many."""

import importlib
import inspect
import os
import pkgutil
import random
import signal
import time
from functools import partial
from pathlib import Path
from types import FunctionType

import pytest

import caffe_transfer
from tests.fuzz import runner, targets
from tests.fuzz.campaign import Campaign, table
from tests.fuzz.mutations import OF_BYTES, OF_TEXT, Change, mutate
from tests.fuzz.runner import ACCEPTED, SENTENCE, Result, run_all

# Readers of what the program itself writes and reads in one run, or that wrap one in targets.py.
NOT_THERE = {
    "export.deploy.read_deploy",  # by the command
    "export.weights.read_weights",
    "formats.hdf5.open_hdf5",
    "formats.layer_records.read_records",
    "formats.lmdb.open_lmdb",
    "formats.model_upgrade.read_settings",
    "report.results.read_csv",
    "training.slurm_queue.read_ids",
}
REFUSED = ("train ", "new ")  # by the samples' engine, which trains nothing


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    return Campaign(tmp_path_factory.mktemp("fuzz") / "fuzz", seed=17)


def test_nothing_but_a_sentence_leaves_the_library(campaign: Campaign) -> None:
    count = sum(1 if each.is_slow else 2 for each in targets.targets())
    campaign.run(count=count, batch=2)
    assert not campaign.failed, "\n".join(campaign.failed)
    assert f"| **all** | {count} |" in list(table(campaign.counts))[-1]


def test_the_samples_themselves_are_read(campaign: Campaign) -> None:
    """Or else nothing beyond a header would be reached."""
    refused = {
        name: result.said
        for name, result in campaign.unbroken().items()
        if result.outcome != ACCEPTED and not name.startswith(REFUSED)
    }
    assert not refused


def test_every_reader_is_a_target() -> None:
    source = inspect.getsource(targets)
    for module in pkgutil.walk_packages(caffe_transfer.__path__, "caffe_transfer."):
        if module.name.split(".")[1] in ("cli", "caffe_torch", "api") or "ray" in module.name:
            continue
        for name, found in inspect.getmembers(
            importlib.import_module(module.name), inspect.isfunction
        ):
            full = f"{module.name}.{name}".removeprefix("caffe_transfer.")
            if found.__module__ == module.name and _reads(name, found) and full not in NOT_THERE:
                assert f".{name}" in source or f" {name}" in source, full


def _reads(name: str, function: FunctionType) -> bool:
    parameters = list(inspect.signature(function).parameters.values())
    takes_path = bool(parameters) and parameters[0].annotation is Path
    return takes_path and (name == "read" or name.startswith(("read_", "open_", "load_")))


def _die() -> str:
    os.kill(os.getpid(), signal.SIGSEGV)
    return ACCEPTED


def _hang() -> str:
    time.sleep(60)
    return ACCEPTED


def _fail() -> str:
    raise ValueError("something")


def _say(text: str, outcome: str = SENTENCE) -> str:
    os.write(2, text.encode())
    return outcome


def test_death_and_hang_are_results(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "SECONDS", 5)
    good = partial(_say, "caffe-transfer: x is no net\n")
    found = list(run_all([good, _die, good, _hang, _fail, good]))
    assert [each.outcome for each in found] == [
        SENTENCE, "dies by SIGSEGV", SENTENCE, "hang", "traceback: ValueError", SENTENCE,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        ("caffe-transfer: x is\nno net\n", "other lines than one sentence"),
        ("caffe-transfer: \x1b[31m\n", "control characters"),
        (f"caffe-transfer: {'x' * 5000}\n", "long line"),
        ("/x/y.py:3: RuntimeWarning: overflow\ncaffe-transfer: x\n", "Python's warning"),
    ],
)
def test_what_is_said_counts(said: str, outcome: str) -> None:
    assert [each.outcome for each in run_all([partial(_say, said)])] == [outcome]
    assert Result(SENTENCE).is_good
    assert not Result(outcome).is_good


def test_an_input_comes_again(campaign: Campaign) -> None:
    target = targets.targets()[0]
    assert campaign.again(target, 3) == campaign.again(target, 3)
    assert campaign.again(target, 3) != campaign.again(target, 4)


@pytest.mark.parametrize("changes", [OF_BYTES, OF_TEXT], ids=["bytes", "text"])
@pytest.mark.parametrize("data", [b"", b"a", b"name: 1\nb { c: 2 }\n"])
def test_whatever_is_there_can_be_broken(changes: dict[str, Change], data: bytes) -> None:
    for number in range(200):
        mutate(random.Random(number), data, changes)
