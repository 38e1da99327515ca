"""Messages: one line, printable, of bounded length."""

import pickle

from hypothesis import given
from hypothesis import strategies as st

from caffe_transfer.errors import (
    MOST_CHARACTERS,
    MOST_QUOTED,
    Busy,
    CaffeTransferError,
    FormatError,
    one_line,
    printable,
    shortened,
)


@given(st.text())
def test_every_message_is_one_printable_line(text: str) -> None:
    message = str(FormatError(text))
    assert message.isprintable()
    assert len(message) <= MOST_CHARACTERS
    assert one_line(message) == message  # also as a part of another one


def test_what_is_fine_stays_as_it_is() -> None:
    text = "/data/a b/Bär.prototxt, line 3: 'x' is not a layer; correct it"
    assert str(CaffeTransferError(text)) == text


def test_lines_become_one_and_escapes_are_shown() -> None:
    assert one_line("line 1:3 : no field named\n  'x'\r\n") == "line 1:3 : no field named 'x'"
    assert one_line("a\x1b[31mb\tc\0") == "a\\x1b[31mb\\tc\\x00"
    assert printable("a\n\x07b") == "a\n\\x07b"


def test_long_ones_lose_their_middle() -> None:
    message = one_line(f"net.prototxt: {'x' * (1 << 20)} is no layer; correct it")
    assert message.startswith("net.prototxt: xxx")
    assert message.endswith("xxx is no layer; correct it")
    assert len(message) <= MOST_QUOTED + 60
    assert len(one_line("a b " * 5000)) in (MOST_CHARACTERS - 1, MOST_CHARACTERS)
    assert shortened("x" * MOST_QUOTED) == "x" * MOST_QUOTED
    assert len(shortened("x" * 5000)) == MOST_QUOTED


def test_messages_pass_between_processes() -> None:
    error = pickle.loads(pickle.dumps(Busy("a\nb")))
    assert (type(error), str(error)) == (Busy, "a b")
