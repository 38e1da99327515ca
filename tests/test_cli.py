"""The command line as a whole: exit statuses, one sentence for what goes wrong."""

import subprocess
import sys
from pathlib import Path

import click
import pytest

from caffe_transfer import cli
from caffe_transfer.errors import Interrupted
from caffe_transfer.version import __version__


def call(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "caffe_transfer", *arguments],
        capture_output=True, text=True, check=False, cwd=cwd,
    )  # fmt: skip


def test_version_and_help() -> None:
    assert call("--version").stdout == f"caffe-transfer, version {__version__}\n"
    done = call("--help")
    assert done.returncode == 0
    for name in cli.COMMANDS:
        assert f"\n  {name} " in done.stdout


def test_no_command_shows_the_help() -> None:
    done = call()
    assert done.returncode == 2
    assert "Commands:" in done.stderr


def test_an_unknown_command_or_option_is_one_sentence() -> None:
    for arguments, message in (
        (["trian"], "caffe-transfer: No such command 'trian'"),
        (["generate", "--mod", "base"], "caffe-transfer generate: No such option"),
    ):
        done = call(*arguments)
        assert done.returncode == 2
        assert done.stderr.startswith(message)
        assert done.stderr.count("\n") == 1


def test_an_interruption_is_130(monkeypatch: pytest.MonkeyPatch, capsys: object) -> None:
    for error in (Interrupted("stopped"), KeyboardInterrupt(), click.Abort()):

        def stop(*_: object, error: BaseException = error, **__: object) -> None:
            raise error

        monkeypatch.setattr(cli.cli, "main", stop)
        with pytest.raises(SystemExit) as end:
            cli.main(["status"])
        assert end.value.code == 130


def test_an_error_of_the_system_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "runs/x")

    monkeypatch.setattr(cli.cli, "main", fail)
    assert cli.status_of(["status"]) == 2
    assert capsys.readouterr().err == (
        "caffe-transfer: runs/x: No space left on device; free some space or correct the name\n"
    )


def test_names_from_files_do_not_move_the_cursor(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.prototxt"
    path.write_text(r'layer { name: "a\033[31m" type: "ReLU\007" bottom: "b" top: "b" }')
    assert cli.status_of(["inspect", str(path)]) == 0
    printed = capsys.readouterr().out
    assert r"a\x1b[31m" in printed
    assert r"ReLU\x07" in printed


def test_help_answers_without_the_heavy_libraries() -> None:
    code = (
        "import sys, contextlib\nfrom caffe_transfer.cli import main\n"
        "with contextlib.suppress(SystemExit): main(['--version'])\n"
        "print([m for m in ('numpy', 'cv2', 'matplotlib', 'google.protobuf') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_matplotlib_waits_for_figures() -> None:
    code = (
        "import sys, importlib\nfrom caffe_transfer.cli import COMMANDS\n"
        "for module in COMMANDS.values(): importlib.import_module(f'caffe_transfer.cli.{module}')\n"
        "print([each for each in ('matplotlib', 'scipy', 'torch') if each in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (MemoryError(), "there is not enough memory; end other programs first"),
        (
            ImportError("x.so: failed to map segment"),
            "x.so: failed to map segment; run caffe-transfer doctor",
        ),
    ],
)
def test_too_little_memory_is_one_sentence(
    error: Exception, message: str, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(cli.cli, "main", fail)
    assert cli.status_of(["report"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"caffe-transfer: {message}")
    assert said.count("\n") == 1
