"""Ctrl-C and SIGTERM as a wish to stop."""

import os
import signal
import time

import pytest

from caffe_transfer.cli import stopping
from caffe_transfer.cli.stopping import stop_on_signal
from caffe_transfer.errors import Interrupted

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
