"""Log lines on standard error as Caffe's glog writes them, so that the same readers read both."""

import sys
import threading
from datetime import datetime


def say(text: str, place: str = "caffe_torch") -> None:
    """One line of information; `place` is the source file that it tells of."""
    _write("I", text, place)


def fatal(text: str, place: str = "caffe_torch") -> None:
    """One line that tells why the program ends."""
    _write("F", text, place)


def number(value: float) -> str:
    """A float as C++ streams print it: six significant digits."""
    return f"{value:.6g}"


def score(name: str, value: float, weight: float) -> str:
    """An output of a net; one that counts in the loss, with its weight and what it adds."""
    text = f"{name} = {number(value)}"
    return f"{text} (* {number(weight)} = {number(weight * value)} loss)" if weight else text


def _write(level: str, text: str, place: str) -> None:
    now = datetime.now().strftime("%Y%m%d %H:%M:%S.%f")
    line = f"{level}{now} {threading.get_native_id():5d} {place}.py:0] {text}\n"
    sys.stderr.write(line)
    sys.stderr.flush()
