"""Ctrl-C and SIGTERM as a wish to stop."""

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest

from caffe_transfer.cli import stopping
from caffe_transfer.cli.stopping import stop_on_signal
from caffe_transfer.errors import STOPPED, CaffeTransferError, Interrupted

NUMBERS = (signal.SIGINT, signal.SIGTERM)


@pytest.mark.parametrize("number", NUMBERS)
def test_patient_work_sees_the_wish(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stopping, "PATIENCE_SECONDS", 0.05)
    before = [signal.getsignal(each) for each in (*NUMBERS, signal.SIGALRM)]
    with stop_on_signal() as stop:
        os.kill(os.getpid(), number)
        time.sleep(0.2)
        assert stop.is_set()
    assert [signal.getsignal(each) for each in (*NUMBERS, signal.SIGALRM)] == before


def hang(number: signal.Signals) -> None:
    with stop_on_signal(patient=False):
        os.kill(os.getpid(), number)
        time.sleep(30)


@pytest.mark.parametrize("number", NUMBERS)
def test_other_work_is_ended(number: signal.Signals, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "PATIENCE_SECONDS", 0.05)
    started = time.monotonic()
    with pytest.raises(Interrupted, match="run the same command again"):
        hang(number)
    assert time.monotonic() - started < 10


def test_work_that_becomes_patient_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "PATIENCE_SECONDS", 0.05)
    with stop_on_signal(patient=False) as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        stop.be_patient()
        time.sleep(0.2)
        assert stop.is_set()


def swallow(number: signal.Signals) -> None:
    with stop_on_signal(patient=False):
        os.kill(os.getpid(), number)
        with suppress(CaffeTransferError):  # as steps do that answer errors of the library
            time.sleep(30)
        pytest.fail("the wish was lost")


@pytest.mark.parametrize("number", NUMBERS)
def test_no_step_takes_the_wish_for_its_own_error(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stopping, "PATIENCE_SECONDS", 0.05)
    with pytest.raises(Interrupted):
        swallow(number)


def test_work_that_becomes_impatient_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "PATIENCE_SECONDS", 0.05)

    def work() -> None:
        with stop_on_signal() as stop:
            stop.be_impatient()
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(30)

    with pytest.raises(Interrupted):
        work()


def write_photographs(root: Path, each: int) -> None:
    """Four classes of one large photograph by many names, which take a processor many seconds."""
    pixels = np.random.default_rng(0).integers(0, 256, (2000, 3000, 3), np.uint8)
    first = root / "first.jpg"
    root.mkdir()
    cv2.imwrite(str(first), pixels)
    for name in "abcd":
        (root / name).mkdir()
        for number in range(each):
            os.link(first, root / name / f"{number}.jpg")
    first.unlink()


def catches(process: int, number: signal.Signals) -> bool:
    """Whether a process has come so far that it handles a signal."""
    status = Path(f"/proc/{process}/status").read_text()
    (caught,) = re.findall(r"^SigCgt:\s*([0-9a-f]+)$", status, re.M)
    return bool(int(caught, 16) >> (number - 1) & 1)


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize(
    "arguments",
    [
        ["generate", "--all", "--out", "out"],
        ["new", "mine.toml", "--images", "photos"],
        ["inspect", "/dev/stdin"],
    ],
)
def test_any_command_stops_soon_and_says_so(
    tmp_path: Path, number: signal.Signals, arguments: list[str]
) -> None:
    write_photographs(tmp_path / "photos", each=300)
    running = subprocess.Popen(
        [sys.executable, "-m", "caffe_transfer", *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        cwd=tmp_path,
    )  # fmt: skip
    while not catches(running.pid, signal.SIGTERM):
        time.sleep(0.02)
    time.sleep(0.5)
    running.send_signal(number)
    sent = time.monotonic()
    _, error = running.communicate(timeout=60)
    assert time.monotonic() - sent < 4  # 2, and twice as much on a busy machine
    assert running.returncode == 130, error
    assert "caffe-transfer: stopped; run the same command again to go on" in error
    assert "Traceback" not in error
    assert not (tmp_path / "mine.toml").exists()


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("seconds", [0, 0.02, 0.06, 0.15])
def test_the_start_of_the_program_can_be_interrupted(
    number: signal.Signals, seconds: float
) -> None:
    running = subprocess.Popen(
        [sys.executable, "-m", "caffe_transfer", "inspect", "/dev/stdin"],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while not catches(running.pid, signal.SIGTERM):
        time.sleep(0.001)
    time.sleep(seconds)
    running.send_signal(number)
    _, error = running.communicate(timeout=60)
    assert running.returncode == 130, error
    assert error == f"caffe-transfer: {STOPPED}\n"


ENDING = """
import os, signal, sys
from caffe_transfer.__main__ import main

class Last:
    def __del__(self, kill=os.kill, me=os.getpid(), numbers=(signal.SIGINT, signal.SIGTERM)):
        for number in numbers:
            kill(me, number)

last = Last()  # goes when Python takes its modules apart
if sys.argv[1:] == ["stopped"]:
    import caffe_transfer.cli as cli
    def stop(_name):
        raise KeyboardInterrupt
    cli.import_module = stop
sys.argv[1:] = ["inspect", "/nowhere"]
main()
"""


@pytest.mark.parametrize(("arguments", "status"), [([], 2), (["stopped"], 130)])
def test_signals_while_python_ends_do_not_change_the_status(
    arguments: list[str], status: int
) -> None:
    """A second Ctrl-C may come when the first is told already, and Python ends."""
    done = subprocess.run(
        [sys.executable, "-c", ENDING, *arguments], capture_output=True, text=True
    )
    assert done.returncode == status, done.stderr
    assert "caffe-transfer: " in done.stderr
    assert "Traceback" not in done.stderr
