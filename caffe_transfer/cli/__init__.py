"""The command line: `caffe-transfer COMMAND --help` shows an example for each.

Commands only parse, call and print.  The library raises CaffeTransferError, which this module
turns into one sentence and an exit status.
"""

import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import click

from caffe_transfer.cli.stopping import raised_on_signal
from caffe_transfer.errors import STOPPED, CaffeTransferError, Interrupted, one_line
from caffe_transfer.version import __version__

# Command -> its module, imported only when the command is called: `--help` answers at once.
COMMANDS = {
    "new": "new",
    "generate": "generate",
    "data": "data",
    "cuts": "cuts",
    "copy": "copy",
    "train": "train",
    "run": "run",
    "status": "status",
    "report": "report",
    "compare": "compare",
    "inspect": "inspect",
    "upgrade": "upgrade",
    "export": "export",
    "doctor": "doctor",
}

READER_GONE = 128 + signal.SIGPIPE  # as a shell shows it of programs that die of it


class LazyGroup(click.Group):
    """A group that imports a command's module on first use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"caffe_transfer.cli.{COMMANDS[cmd_name]}")
        command: click.Command = getattr(module, f"{cmd_name}_command")
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="caffe-transfer")
@click.pass_context
def cli(context: click.Context) -> None:
    """How transferable are features in deep neural networks?

    Repeats and extends the study of Yosinski, Clune, Bengio and Lipson (NIPS 2014) in Caffe.
    """
    context.with_resource(raised_on_signal())


def main(argv: list[str] | None = None) -> None:
    """Run the command line and exit.

    Exit status: 0 done; 1 compared or verified, and different; 2 cannot be done as requested;
    130 interrupted; 141 nobody reads its output any more, as after `| head`.
    """
    sys.exit(status_of(argv))


def status_of(argv: Sequence[str] | None) -> int:
    """Run the command line and return the exit status."""
    try:
        result: Any = cli.main(
            None if argv is None else list(argv), prog_name="caffe-transfer", standalone_mode=False
        )
    except CaffeTransferError as error:
        click.echo(f"caffe-transfer: {error}", err=True)
        return error.status
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return 2
    except click.ClickException as error:
        where = getattr(error, "ctx", None)
        name = where.command_path if where else "caffe-transfer"
        click.echo(one_line(f"{name}: {error.format_message()} See {name} --help."), err=True)
        return 2
    except OSError as error:  # of a file that no module takes care of
        where = f"{error.filename}: " if error.filename else ""
        said = (
            f"caffe-transfer: {where}{error.strerror or error}; free some space or correct the name"
        )
        click.echo(one_line(said), err=True)
        return CaffeTransferError.status
    except MemoryError:
        click.echo("caffe-transfer: there is not enough memory; end other programs first", err=True)
        return CaffeTransferError.status
    except ImportError as error:  # a library is damaged, or finds no room in memory
        click.echo(one_line(f"caffe-transfer: {error}; run caffe-transfer doctor"), err=True)
        return CaffeTransferError.status
    except SystemExit:  # click's, after an EPIPE
        return READER_GONE
    except (KeyboardInterrupt, click.Abort):
        click.echo(f"caffe-transfer: {STOPPED}", err=True)
        return Interrupted.status
    return result if isinstance(result, int) else 0
