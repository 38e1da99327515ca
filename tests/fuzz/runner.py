"""Runs inputs in child processes, whose death or hang is a result like any other."""

import faulthandler
import os
import re
import resource
import select
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NoReturn

from caffe_transfer import cli
from caffe_transfer.errors import MOST_CHARACTERS, BadResume, CaffeTransferError

SECONDS = 30  # that one input may take on a busy machine
LONGEST_WORK = 5  # seconds of caffe-torch
MEMORY = 6 << 30  # bytes of addresses
SENTENCE, ACCEPTED = "sentence", "accepted"
_ENDED = b"\0"
_SENTENCE = re.compile(r"caffe-transfer: |ERROR: |F\d{8} \S+ +\d+ caffe_torch\.py:0\] ")


@dataclass(frozen=True)
class Result:
    """What became of one input.

    Attributes:
        outcome: "sentence", "accepted", or what went wrong.
        said: what was written to standard error, or a traceback.
    """

    outcome: str
    said: str = ""
    seconds: float = 0.0

    @property
    def is_good(self) -> bool:
        return self.outcome in (SENTENCE, ACCEPTED)


def by_command(arguments: Sequence[str]) -> str:
    """Run caffe-transfer; the outcome, with what is wrong with what it says read elsewhere."""
    status = cli.status_of(arguments)
    if status in (0, 1):
        return ACCEPTED
    return SENTENCE if status == CaffeTransferError.status else f"status {status}"


def by_engine(arguments: Sequence[str]) -> str:
    """Run caffe-torch, which gets SIGINT if it works for long, as some broken files make it."""
    from caffe_transfer.caffe_torch import command

    signal.signal(signal.SIGALRM, lambda _number, _frame: os.kill(os.getpid(), signal.SIGINT))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.alarm(LONGEST_WORK)
    try:
        status = command.main(arguments)
    except KeyboardInterrupt:  # of commands other than train
        status = 0
    signal.alarm(0)
    if status == 0:
        return ACCEPTED
    return SENTENCE if status in (command.FAILED, BadResume.status) else f"status {status}"


def by_reader(read: Callable[[], object]) -> str:
    """Call a reader; the message of an error of the library goes where a command's does."""
    try:
        read()
    except CaffeTransferError as error:
        print(f"caffe-transfer: {error}", file=sys.stderr)
        return SENTENCE
    return ACCEPTED


def fault_of(said: str) -> str | None:
    """What is wrong with standard error, apart from the status."""
    if "Traceback (most recent" in said:
        return "traceback"
    if re.search(r"^\S+:\d+: \w*Warning: ", said, re.MULTILINE):
        return "Python's warning"
    for line in said.split("\n"):
        if len(_SENTENCE.sub("", line, count=1)) > MOST_CHARACTERS:
            return "long line"
        if not line.isprintable():
            return "control characters"
    return None


def judged(outcome: str, said: str, printed: str) -> str:
    """The outcome, with regard to what was said, and printed to standard output."""
    if not printed.replace("\n", "").isprintable():
        return "control characters on standard output"
    if outcome not in (SENTENCE, ACCEPTED):
        return outcome
    lines = said.removesuffix("\n").split("\n")
    if outcome == SENTENCE and not _SENTENCE.match(lines[-1]):
        return "other lines than one sentence"
    return fault_of(said) or outcome


def run_all(jobs: Sequence[Callable[[], str]]) -> Iterator[Result]:
    """The result of each job, in order; many run in one child, and the next begins in another."""
    done = 0
    while done < len(jobs):
        for result in _in_child(jobs[done:]):
            yield result
            done += 1


def _in_child(jobs: Sequence[Callable[[], str]]) -> Iterator[Result]:
    """The results of jobs in one child, up to one that kills it or that hangs."""
    said = os.memfd_create("said")
    reading, writing = os.pipe()
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _child(jobs, said, writing)
    os.close(writing)
    answers = _Answers(reading)
    try:
        for _ in jobs:
            began = time.monotonic()
            answer = answers.next()
            seconds = time.monotonic() - began
            if answer is None:
                yield Result("hang", _text(said), seconds)
                return
            if not answer:
                _, status = os.waitpid(child, 0)
                child = 0
                yield Result(_death(status), _text(said), seconds)
                return
            outcome, _, text = answer.decode().partition("\n")
            yield Result(outcome, text, seconds)
    finally:
        os.close(reading)
        os.close(said)
        if child:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


class _Answers:
    """What a child writes to a pipe, answer by answer."""

    def __init__(self, reading: int) -> None:
        self._reading, self._read = reading, b""

    def next(self) -> bytes | None:
        """The next answer; empty if the child is dead, None if it takes too long."""
        deadline = time.monotonic() + SECONDS
        while _ENDED not in self._read:
            left = max(0, deadline - time.monotonic())
            if not select.select([self._reading], [], [], left)[0]:
                return None
            piece = os.read(self._reading, 1 << 16)
            if not piece:
                return b""
            self._read += piece
        answer, _, self._read = self._read.partition(_ENDED)
        return answer


def _death(status: int) -> str:
    if os.WIFSIGNALED(status):
        return f"dies by {signal.Signals(os.WTERMSIG(status)).name}"
    return f"ends with status {os.WEXITSTATUS(status)}"


def _child(jobs: Sequence[Callable[[], str]], said: int, writing: int) -> NoReturn:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    printed = os.memfd_create("printed")
    for descriptor, end in ((printed, 1), (said, 2)):
        os.dup2(descriptor, end)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
    warnings.resetwarnings()
    faulthandler.disable()  # a death is told by its signal; pytest's report would go elsewhere
    for job in jobs:
        for descriptor in (said, printed):
            os.ftruncate(descriptor, 0)
            os.lseek(descriptor, 0, os.SEEK_SET)
        try:
            outcome = job()
        except Exception as error:
            traceback.print_exc(limit=-8)
            outcome = f"traceback: {type(error).__name__}"
        sys.stdout.flush()
        sys.stderr.flush()
        text = _text(said)
        answer = f"{judged(outcome, text, _text(printed))}\n{text[-20_000:]}".replace(
            "\0", "\\0"
        ).encode()
        with os.fdopen(writing, "wb", closefd=False) as pipe:
            pipe.write(answer + _ENDED)
    os._exit(0)


def _text(said: int) -> str:
    size = os.fstat(said).st_size
    return os.pread(said, min(size, 1 << 22), 0).decode(errors="backslashreplace")
