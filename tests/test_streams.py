"""Standard streams that are closed, full, or read by nobody."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from caffe_transfer.cli import READER_GONE
from caffe_transfer.streams import Unfailing
from tests.kill.checks import problems
from tests.kill.subject import REPLAY, Reference, Subject
from tests.replay_engine import ROOT

PROGRAM = [sys.executable, "-m", "caffe_transfer"]
NET = 'name: "x"\n'


def shell(line: str, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run `line`, in which "$@" is the program with its arguments."""
    command = ["bash", "-c", line, "bash", *PROGRAM, *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}  # for the replaying engine
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_no_file_gets_the_descriptor_of_a_closed_stream(closed: str, tmp_path: Path) -> None:
    """Or what a library prints would be written into it."""
    opened = "with open('{}', 'w') as file: file.write(str(file.fileno()))"
    code = (
        "import subprocess, sys; from caffe_transfer import streams; streams.reserve()\n"
        f"{opened.format('number')}\n"
        f"subprocess.run([sys.executable, '-c', {opened.format('child')!r}])"
    )
    line = f'exec {sys.executable} -c "$0" {closed}'
    subprocess.run(["bash", "-c", line, code], cwd=tmp_path, check=True)
    assert int((tmp_path / "number").read_text()) > 2
    assert int((tmp_path / "child").read_text()) > 2


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(("net", "status"), [("net.prototxt", 0), ("none.prototxt", 2)])
def test_commands_without_streams(closed: str, net: str, status: int, tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(NET)
    done = shell(f'"$@" {closed}', "inspect", net, folder=tmp_path)
    assert done.returncode == status
    assert "Traceback" not in done.stderr


def test_an_error_that_cannot_be_told_has_its_status(tmp_path: Path) -> None:
    assert shell('"$@" 2>/dev/full', "inspect", "none", folder=tmp_path).returncode == 2
    assert shell('"$@" 2>/dev/full', "inspekt", folder=tmp_path).returncode == 2


def test_results_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(NET)
    done = shell('"$@" >/dev/full', "inspect", "net.prototxt", folder=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "No space left on device" in done.stderr


def test_results_that_nobody_reads(tmp_path: Path) -> None:
    """A comparison that was cut off says neither "alike" nor "different"."""
    for name in ("a", "b"):
        (tmp_path / f"{name}.prototxt").write_text(NET)
    line = '"$@" | true; exit ${PIPESTATUS[0]}'
    done = shell(line, "compare", "a.prototxt", "b.prototxt", folder=tmp_path)
    assert (done.returncode, done.stderr) == (READER_GONE, "")


def test_what_is_told_may_fail() -> None:
    with open("/dev/full", "wb") as full:
        stream = Unfailing(full, encoding="utf-8", line_buffering=True)
        assert stream.write("a line\n") == 7
        stream.flush()
        stream.detach()
        with pytest.raises(OSError, match="No space left"):
            full.flush()
        os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())  # so that it can be closed


def test_what_can_be_told_is() -> None:
    buffer = io.BytesIO()
    stream = Unfailing(buffer, encoding="utf-8", line_buffering=True)
    print("Grüße", file=stream)
    assert buffer.getvalue() == "Grüße\n".encode()


@pytest.mark.parametrize(
    "line", ['"$@" 2>/dev/full', '"$@" 2>&1 >/dev/null | true; exit ${PIPESTATUS[0]}']
)
def test_a_run_whose_log_is_full_or_read_by_nobody_goes_on(
    line: str, tmp_path: Path, reference: Reference
) -> None:
    subject = Subject(tmp_path / "study", REPLAY, 0.2)
    done = shell(line, *subject.argv("run"), folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert problems(subject, reference.subject) == []
    assert "half0A done" in subject.folder.log.read_text()
