"""`status` as a user calls it: why a network failed, and a view that refreshes."""

import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from fcntl import ioctl
from pathlib import Path

import pytest

from caffe_transfer.cli.status import _fitting
from caffe_transfer.nets.write import write_network
from caffe_transfer.paths import RunFolder
from caffe_transfer.studies.load import load_study
from caffe_transfer.training.status import State, Status
from tests.test_cli import call

COMMAND = [sys.executable, "-m", "caffe_transfer", "status"]


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run's folder of the demo, of which nothing is trained and one network has failed."""
    folder, study = RunFolder(tmp_path / "run"), load_study("fashion-mnist")
    for network in study.networks:
        write_network(network, study, folder.results)
    folder.network("half0B").failure.write_text("caffe ended with status 1: out of memory\n")
    return folder


def test_why_a_network_failed(run: RunFolder) -> None:
    done = call("status", str(run.root))
    assert done.returncode == 0
    assert re.search(r"^half0B +failed +0/960 ", done.stdout, re.M)
    assert "\nhalf0B failed: caffe ended with status 1: out of memory\n" in done.stdout
    assert done.stdout.endswith("0 of 73 networks are trained, 72 waiting, 1 failed\n")


def test_networks_whose_data_began_anew_are_named(run: RunFolder) -> None:
    for name, how in (("half0A", "as Caffe"), ("half0B", "exact")):
        runs = [{"from_iteration": 0, "resume": None}, {"from_iteration": 50, "resume": how}]
        run.network(name).manifest.write_text(json.dumps({"runs": runs}))
    lines = call("status", str(run.root)).stdout.splitlines()
    assert lines[-2] == "resumed as Caffe resumes, with data from record 0: half0A"


def test_json(run: RunFolder) -> None:
    done = call("status", str(run.root), "--json")
    rows = {row["name"]: row for row in map(json.loads, done.stdout.splitlines())}
    assert len(rows) == 73
    assert rows["half0B"]["problem"] == "caffe ended with status 1: out of memory"
    assert rows["half0A"] == {
        "name": "half0A", "state": "waiting", "iteration": 0, "max_iter": 960, "loss": None,
        "accuracy": None, "seconds_left": None, "problem": "", "data_restarts": [],
    }  # fmt: skip


def watch(run: RunFolder, end: bytes | signal.Signals) -> tuple[int, str]:
    """The status and the output of --watch in a terminal of 80 x 24, ended by a key or a signal."""
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    environment = os.environ | {"TERM": "xterm"}
    process = subprocess.Popen(
        [*COMMAND, str(run.root), "--watch"], stdin=theirs, stdout=theirs, stderr=theirs,
        env=environment, start_new_session=True,
        preexec_fn=lambda: ioctl(theirs, termios.TIOCSCTTY),
    )  # fmt: skip
    os.close(theirs)
    output, deadline, sent = b"", time.monotonic() + 60, False
    while time.monotonic() < deadline:
        ready, _, _ = select.select([ours], [], [], 0.1)
        try:
            output += os.read(ours, 65536) if ready else b""
        except OSError:  # the other side is closed
            break
        if b"out of memory" in output and not sent:
            sent = True
            if isinstance(end, bytes):
                os.write(ours, end)
            else:
                process.send_signal(end)
    os.close(ours)
    try:
        return process.wait(timeout=10), output.decode()
    finally:
        process.kill()


@pytest.mark.parametrize("end", [b"q", b"\x03", signal.SIGTERM])
def test_watch_ends_by_a_key_or_a_signal(run: RunFolder, end: bytes | signal.Signals) -> None:
    status, output = watch(run, end)
    assert status == 0, output
    assert "0 of 73 networks are trained, 72 waiting, 1 failed" in output
    assert "half0B failed: caffe ended with status 1: out of memory" in output
    assert "Traceback" not in output


def test_watch_needs_a_terminal(run: RunFolder) -> None:
    done = call("status", str(run.root), "--watch")
    assert done.returncode == 2
    assert "--watch needs a terminal" in done.stderr
    done = call("status", str(run.root), "--watch", "--json")
    assert done.returncode == 2
    assert "give one of them" in done.stderr


def test_what_matters_is_on_the_screen() -> None:
    states = [State.DONE] * 100 + [State.TRAINING] * 2 + [State.WAITING] * 60 + [State.FAILED]
    rows = [Status(f"n{number}", state) for number, state in enumerate(states)]
    shown, rest = _fitting(rows, 10)
    assert [row.state for row in shown] == (
        [State.TRAINING] * 2 + [State.WAITING] * 7 + [State.FAILED]
    )
    assert rest == "and 53 waiting, 100 done"
    assert _fitting(rows[:11], 10) == (rows[:11], "")
