"""The exceptions that the library raises on purpose:

CaffeTransferError
 +-- BadInput        a file, name or option that cannot be used
 |    +-- FormatError    a file that is truncated, inconsistent, or of another format
 |         +-- BadResume     a resume file of caffe-torch
 +-- Busy            another process works in the same folder
 +-- Incomplete      something that is needed first does not exist yet
 +-- EngineError     the training program is missing or failed
 |    +-- RefusedNet     it refuses a net or a solver, and would do so again
 +-- Interrupted     stopped on request; the state is kept

Every message is one sentence that names the file, layer or option and says what to do, on one line
and of bounded length, whatever it quotes.  The command line exits with its `status`.
"""

import re

MOST_CHARACTERS = 1000  # of a message
MOST_QUOTED = 200  # of what it quotes from a file or from another library
_BREAKS = re.compile(r"\s*[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]\s*")
_LONG_WORDS = re.compile(rf"\S{{{MOST_QUOTED + 1},}}")

STOPPED = "stopped; run the same command again to go on"


class CaffeTransferError(Exception):
    """Base class of all errors that the library raises on purpose."""

    status = 2

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


class BadInput(CaffeTransferError):
    """A file, a name or an option cannot be used."""


class FormatError(BadInput):
    """A file is truncated, inconsistent, or of another format."""


class BadResume(FormatError):
    """A resume file is broken, or does not fit the training."""


class Busy(CaffeTransferError):
    """Another process works in the same folder."""


class Incomplete(CaffeTransferError):
    """Something that is needed first does not exist yet."""


class EngineError(CaffeTransferError):
    """The training program is missing or failed."""


class RefusedNet(EngineError):
    """The training program refuses a net or a solver, and would do so again."""


class Interrupted(CaffeTransferError):
    """Training or preparation was stopped on request; what was done is kept."""

    status = 130


def one_line(text: str) -> str:
    """A message as it goes to a terminal: one line, printable, and not too long."""
    if len(text) > MOST_CHARACTERS:  # escapes make it longer
        text = shortened(_LONG_WORDS.sub(lambda word: shortened(word[0]), text), MOST_CHARACTERS)
    plain = printable(_BREAKS.sub(" ", text.strip()))
    if len(plain) > MOST_QUOTED:
        plain = _LONG_WORDS.sub(lambda word: shortened(word[0]), plain)
    return shortened(plain, MOST_CHARACTERS)


def shortened(text: object, most: int = MOST_QUOTED) -> str:
    """A text without its middle, if it has more than `most` characters."""
    text = str(text)
    if len(text) <= most:
        return text
    end = most // 3
    return f"{text[: most - end - 5]} ... {text[-end:]}"


def printable(text: str) -> str:
    """A text with escapes in the place of what would move the cursor or change colors.

    Line breaks stay as they are.
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each == "\n" else _escaped(each) for each in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()
