"""Log lines on standard error in the format of Caffe's glog."""

import sys
import threading
from datetime import datetime


def info(text: str, place: str = "caffe_torch") -> None:
    """Write an information line; `place` is the source file of Caffe that writes the same."""
    _write("I", text, place)


def fatal(text: str, place: str = "caffe_torch") -> None:
    """Write the line that says why the program fails."""
    _write("F", text, place)


def number(value: float) -> str:
    """A float as C++ streams print it: six significant digits."""
    return f"{value:.6g}"


def score(name: str, value: float, weight: float) -> str:
    """An output of a net; one with a loss weight is followed by its weighted value."""
    text = f"{name} = {number(value)}"
    return f"{text} (* {number(weight)} = {number(weight * value)} loss)" if weight else text


def _write(level: str, text: str, place: str) -> None:
    now = datetime.now().strftime("%Y%m%d %H:%M:%S.%f")
    line = f"{level}{now} {threading.get_native_id():5d} {place}.py:0] {text}\n"
    sys.stderr.write(line)
    sys.stderr.flush()
