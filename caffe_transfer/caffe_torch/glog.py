"""Log lines in the format of Caffe's glog, written where glog's flags say."""

import os
import sys
import threading
from datetime import UTC, datetime
from typing import TextIO

from caffe_transfer.caffe_torch.flags import CommandLine, parse
from caffe_transfer.caffe_torch.log_files import LEVELS, LogFiles
from caffe_transfer.errors import printable

_INFO, _FATAL = LEVELS.index("INFO"), LEVELS.index("FATAL")
_COLORS = ("", "33", "31", "31")
_COLOR_TERMINALS = (
    "xterm", "xterm-color", "xterm-256color", "screen", "screen-256color", "konsole",
    "konsole-16color", "konsole-256color", "linux", "cygwin",
)  # fmt: skip


def info(text: str, place: str = "caffe_torch") -> None:
    """Write an information line; `place` is the source file of Caffe that writes the same."""
    _log.write(_INFO, text, place)


def fatal(text: str, place: str = "caffe_torch") -> None:
    """Write the line that says why the program fails."""
    _log.write(_FATAL, text, place)


def number(value: float) -> str:
    """A float as C++ streams print it: six significant digits."""
    return f"{value:.6g}"


def score(name: str, value: float, weight: float) -> str:
    """An output of a net; one with a loss weight is followed by its weighted value."""
    text = f"{name} = {number(value)}"
    return f"{text} (* {number(weight)} = {number(weight * value)} loss)" if weight else text


def set_up(flags: CommandLine) -> None:
    """Log as the flags say from now on; before, lines go to standard error."""
    global _log
    _log.close()
    _log = _Log(flags)


class _Log:
    def __init__(self, flags: CommandLine) -> None:
        self._flags = flags
        self._files = LogFiles(flags)
        self._lock = threading.Lock()

    def write(self, level: int, text: str, place: str) -> None:
        flags = self._flags
        if level < flags.number("minloglevel"):
            return
        shown = "\t".join(map(printable, text.split("\t")))
        line = f"{self._prefix(level, place)}{shown}\n"
        with self._lock:
            if flags.on("logtostdout"):
                self._show(sys.stdout, "colorlogtostdout", level, line)
                return
            to_files = not flags.on("logtostderr")
            if to_files:
                self._files.write(level, line)
            copied = flags.on("alsologtostderr") or level >= flags.number("stderrthreshold")
            if copied or not to_files:
                self._show(sys.stderr, "colorlogtostderr", level, line)

    def close(self) -> None:
        self._files.close()

    def _prefix(self, level: int, place: str) -> str:
        if not self._flags.on("log_prefix"):
            return ""
        now = datetime.now(UTC if self._flags.on("log_utc_time") else None)
        day = now.strftime("%Y%m%d" if self._flags.on("log_year_in_prefix") else "%m%d")
        thread = threading.get_native_id()
        return f"{LEVELS[level][0]}{day} {now:%H:%M:%S.%f} {thread:5d} {place}.py:0] "

    def _show(self, stream: TextIO, colored: str, level: int, line: str) -> None:
        color = _COLORS[level] if self._flags.on(colored) else ""
        if color and os.environ.get("TERM") in _COLOR_TERMINALS:
            line = f"\x1b[0;{color}m{line}\x1b[m"
        stream.write(line)
        stream.flush()


_log = _Log(parse(["-logtostderr"], {}))
