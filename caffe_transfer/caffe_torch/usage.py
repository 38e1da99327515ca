"""What -help, -version and their like print, as gflags_reporting.cc does; without PyTorch."""

import sys
import textwrap
from collections.abc import Callable
from importlib import metadata
from itertools import groupby
from xml.sax.saxutils import escape

from caffe_transfer.caffe_torch.flag_table import FLAGS, OWN, TOOL, Flag
from caffe_transfer.caffe_torch.flags import CommandLine, program_name
from caffe_transfer.errors import one_line, printable
from caffe_transfer.version import __version__

BAD_FLAGS = HELPED = 1  # gflags' own status, after help too
_WIDTH = 79
_USAGE = """\
the caffe command on PyTorch
usage: {program} <command> <args>

commands:
  train           train or finetune a model
  test            score a model
  device_query    show the GPUs
  time            benchmark model execution time

example:
  {program} train --solver=solver.prototxt --weights=init.caffemodel"""


def answer(line: CommandLine) -> int | None:
    """Print what the command line asks about the program itself, or what is wrong with it.

    Returns:
        the exit status; None where a command is to be run.
    """
    if word := line.text("tab_completion_word"):
        print("\n".join(f"--{name}" for name in FLAGS if name.startswith(word.lstrip("-"))))
        return 0
    wanted = _wanted(line)
    if wanted is not None:
        print(usage(line, wanted))
        return HELPED
    if line.on("helpxml"):
        print(_xml(line))
        return HELPED
    if line.on("version"):
        print(f"{program_name()} {__version__} (PyTorch {metadata.version('torch')})")
        return 0
    if line.errors:
        print("\n".join(map(one_line, line.errors)), file=sys.stderr)
        return BAD_FLAGS
    if len(line.arguments) != 1:
        print(usage(line, _of_command))
        return 0  # as caffe
    return None


def usage(line: CommandLine, wanted: Callable[[Flag], bool]) -> str:
    """The commands, and the flags that are wanted, by the files that define them."""
    text = f"{program_name()}: {_USAGE.format(program=program_name())}\n"
    shown = [flag for flag in FLAGS.values() if wanted(flag)]
    for source, flags in groupby(shown, key=lambda flag: flag.source):
        described = "\n".join(_describe(flag, line) for flag in flags)
        text += f"\n  Flags from {source}:\n{described}\n"
    return text if shown else f"{text}\n  No modules matched: use -help"


def _wanted(line: CommandLine) -> Callable[[Flag], bool] | None:
    """Which flags -help and its like show; None where there are none of them."""
    on, part = line.text("helpon"), line.text("helpmatch")
    if line.on("helpshort"):
        return _of_command
    if line.on("help") or line.on("helpfull"):
        return lambda flag: True
    if on:
        return lambda flag: f"/{on}." in flag.source
    if part:
        return lambda flag: part in flag.source
    return _of_command if line.on("helppackage") else None


def _of_command(flag: Flag) -> bool:
    return flag.source in (TOOL, OWN)


def _describe(flag: Flag, line: CommandLine) -> str:
    lines = textwrap.wrap(
        f"-{flag.name} ({flag.meaning})", _WIDTH, initial_indent=" " * 4,
        subsequent_indent=" " * 6, break_on_hyphens=False,
    )  # fmt: skip
    facts = [f"type: {flag.kind}", f"default: {_shown(flag, flag.default)}"]
    if line.values[flag.name] != flag.default:
        facts.append(f"currently: {_shown(flag, line.values[flag.name])}")
    for fact in facts:
        if len(lines[-1]) + 1 + len(fact) > _WIDTH:
            lines.append(" " * 6 + fact)
        else:
            lines[-1] += f" {fact}"
    return "\n".join(lines)


def _shown(flag: Flag, value: object) -> str:
    return f'"{printable(str(value))}"' if flag.kind == "string" else str(value).lower()


def _xml(line: CommandLine) -> str:
    rows = [
        "".join(
            f"<{key}>{escape(text)}</{key}>"
            for key, text in (
                ("file", flag.source), ("name", flag.name), ("meaning", flag.meaning),
                ("default", _shown(flag, flag.default).strip('"')),
                ("current", _shown(flag, line.values[flag.name]).strip('"')), ("type", flag.kind),
            )
        )
        for flag in FLAGS.values()
    ]  # fmt: skip
    return "\n".join(
        ['<?xml version="1.0"?>', "<AllFlags>", f"<program>{program_name()}</program>",
         f"<usage>{escape(_USAGE.format(program=program_name()))}</usage>",
         *(f"<flag>{row}</flag>" for row in rows), "</AllFlags>"]
    )  # fmt: skip
