"""Command lines as gflags reads them (gflags.cc): `caffe`'s scripts use all of its habits.

argparse cannot: one dash or two, `-noflag`, `-flagfile`, `-fromenv`, `-undefok`, and every error
told at once.  absl-py, gflags' own successor in Python, lacks `-fromenv`, `-tryfromenv`, `-helpon`
and `-helpmatch`, and reads integers and unknown flags otherwise; it would be a dependency for half
of this module.
"""

import fnmatch
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from caffe_transfer.caffe_torch.flag_table import FLAGS, Flag, Value, default_of
from caffe_transfer.errors import BadInput
from caffe_transfer.reading import refuse_endless

PROGRAM = "caffe-torch"
_TRUE, _FALSE = ("1", "t", "true", "y", "yes"), ("0", "f", "false", "n", "no")
_INTEGER = re.compile(r"0[xX][0-9a-fA-F]{1,4000}|\s*[+-]?[0-9]{1,4000}")
_RANGES = {"int32": (-(2**31), 2**31), "uint32": (0, 2**32)}


@dataclass
class CommandLine:
    """What a command line says.

    Attributes:
        values: of all flags.
        arguments: what is no flag: the command, and what is too much.
        errors: one line for each mistake, sorted by flag as gflags prints them.
    """

    values: dict[str, Value]
    arguments: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def on(self, name: str) -> bool:
        """The value of a flag of type bool."""
        return self.values[name] is True

    def number(self, name: str) -> int:
        """The value of a flag of type int32 or uint32."""
        return int(self.values[name])

    def text(self, name: str) -> str:
        """The value of a flag of type string."""
        return str(self.values[name])


def parse(arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> CommandLine:
    """Read a command line without the program's name; mistakes are listed, not raised.

    Args:
        environment: by default the process's; glog's variables give the defaults of its flags.
    """
    parser = _Parser(os.environ if environment is None else environment)
    parser.read(list(arguments))
    return parser.done()


def program_name() -> str:
    """The name that the program was called by, as logs and help texts show it."""
    name = Path(sys.argv[0]).name
    return PROGRAM if name in ("", "-c", "-m", "__main__.py") else name


class _Parser:
    """Reads flags in order, each flag file and environment variable where it is named."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._line = CommandLine({f.name: default_of(f, environment) for f in FLAGS.values()})
        self._errors: dict[str, str] = {}
        self._unknown: set[str] = set()
        self._open_files: list[str] = []

    def read(self, arguments: list[str]) -> None:
        """Read the words of a command line; flags may stand before and after other words."""
        rest = self._line.arguments
        # gflags moves other words to the end as it meets them, so that none is a flag's value
        # unless it stands right behind the flag.
        waiting = list(arguments)
        while waiting:
            word = waiting.pop(0)
            if len(word) < 2 or word[0] != "-":
                rest.append(word)
                continue
            body = word[2:] if word.startswith("--") else word[1:]
            if not body:  # "--" ends the flags
                rest[:0] = waiting
                return
            key, equals, given = body.partition("=")
            flag, value = self._find(key, given if equals else None)
            if flag is None:
                continue
            if value is None:
                if not waiting:
                    self._errors[key] = (
                        f"flag '{word}' is missing its argument; flag description: {flag.meaning}"
                    )
                    return
                value = waiting.pop(0)
            self._set(flag, value)

    def done(self) -> CommandLine:
        """Return the command line, with the errors that -undefok does not forgive."""
        for name in _names(self._line.text("undefok")):
            for forgiven in (name, f"no{name}"):
                if forgiven in self._unknown:
                    self._errors.pop(forgiven, None)
                    break
        self._line.errors = [f"ERROR: {self._errors[key]}" for key in sorted(self._errors)]
        return self._line

    def _find(self, key: str, value: str | None) -> tuple[Flag | None, str | None]:
        """The flag of this name and its value, None where the next word has it."""
        flag = _flag(key)
        if flag is None and key.startswith("no"):
            flag = _flag(key[2:])
            if flag is not None and flag.kind != "bool":
                self._unknown.add(key)
                self._errors[key] = (
                    f"boolean value ({key}) specified for {flag.kind} command line flag"
                )
                return None, None
            value = "0"
        if flag is None:
            self._unknown.add(key)
            self._errors[key] = f"unknown command line flag '{key}'"
        elif flag.kind == "bool" and value is None:
            value = "1"
        return flag, value

    def _set(self, flag: Flag, text: str) -> None:
        value = _value(flag, text)
        if value is None:
            self._errors[flag.name] = (
                f"illegal value '{text}' specified for {flag.kind} flag '{flag.name}'"
                + (f"; it is one of {', '.join(flag.choices)}" if flag.choices else "")
            )
            return
        self._line.values[flag.name] = value
        if flag.name == "flagfile":
            for name in _names(text):
                self._read_file(name)
        elif flag.name in ("fromenv", "tryfromenv"):
            for name in _names(text):
                self._read_variable(name, required=flag.name == "fromenv")

    def _read_file(self, name: str) -> None:
        """Read a file of flags: those under a line of program names are for these programs only."""
        if name in self._open_files:
            self._errors["flagfile"] = f"the flag file {name} reads itself"
            return
        try:
            refuse_endless(name)
            text = Path(name).read_text(errors="surrogateescape")
        except BadInput as error:
            self._errors["flagfile"] = str(error)
            return
        except OSError as error:
            self._errors["flagfile"] = f"{name}: {error.strerror}"
            return
        self._open_files.append(name)
        for_us, names_before = True, False
        for line in map(str.lstrip, re.split("\r?\n", text)):
            if not line or line[0] == "#":
                continue
            if line[0] != "-":
                matches = any(map(_is_us, line.split(" ")))
                for_us = matches or (for_us and names_before)
                names_before = True
                continue
            names_before = False
            if for_us:
                self._read_line(line)
        self._open_files.pop()

    def _read_line(self, line: str) -> None:
        """Read a flag of a file; like gflags, pass over one that is unknown or lacks its value."""
        key, equals, given = re.sub("^--?", "", line).partition("=")
        errors, unknown = dict(self._errors), set(self._unknown)
        flag, value = self._find(key, given if equals else None)
        self._errors, self._unknown = errors, unknown
        if flag is not None and value is not None:
            self._set(flag, value)

    def _read_variable(self, name: str, required: bool) -> None:
        flag, variable = _flag(name), f"FLAGS_{name}"
        value = self._environment.get(variable)
        if flag is None:
            self._unknown.add(name)
            self._errors[name] = (
                f"unknown command line flag '{name}' (via --fromenv or --tryfromenv)"
            )
        elif value is None:
            if required:
                self._errors[name] = f"{variable} not found in environment"
        elif flag.name in ("fromenv", "tryfromenv"):
            self._errors[name] = f"infinite recursion on environment flag '{value}'"
        else:
            self._set(flag, value)


def _flag(name: str) -> Flag | None:
    return FLAGS.get(name) or FLAGS.get(name.replace("-", "_"))


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def _is_us(pattern: str) -> bool:
    """Whether a flag file's line names this program, or the one whose place it takes."""
    return any(fnmatch.fnmatchcase(name, pattern) for name in (program_name(), "caffe"))


def _value(flag: Flag, text: str) -> Value | None:
    """A text as a value of the flag's type; None if it is none."""
    if flag.kind == "string":
        return text if not flag.choices or text in flag.choices else None
    if flag.kind == "bool":
        return {**dict.fromkeys(_TRUE, True), **dict.fromkeys(_FALSE, False)}.get(text.lower())
    if not _INTEGER.fullmatch(text):
        return None
    number = int(text, 16 if text[:2] in ("0x", "0X") else 10)
    low, end = _RANGES[flag.kind]
    return number if low <= number < end else None
