"""Reads nets and solvers: prototxts of any format, and binary nets.

`read_net` and `read_solver` upgrade what they read to Caffe 1.0, as Caffe does (upgrade.py);
`parse` and `read_prototxt` return it as written.

A text is looked over before it is parsed: Python's parser takes minutes for some that are short.
"""

import re
from pathlib import Path
from typing import TypeVar

from google.protobuf import text_format
from google.protobuf.message import DecodeError, Message

from caffe_transfer.errors import FormatError, shortened
from caffe_transfer.formats.binary import check_required, merge_binary
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.upgrade import upgrade_net, upgrade_solver
from caffe_transfer.reading import reading

# Above any net: ResNet-1001 has about 3,500 layers, and its text 1 MB.
MOST_CHARACTERS = 4 << 20
MOST_LAYERS = 4000
MOST_VALUES = 200_000
MOST_LEVELS = 100
MOST_IN_A_WORD = 4000  # as long as a path can be
_LONG_WORD = re.compile(rf"[^\s,:{{}}]{{{MOST_IN_A_WORD + 1}}}")
_TOKENS = re.compile(r"""#[^\n]*|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|[{}<>:,]""")
_NUL = re.compile(
    r"\0|(?<!\\)(?:\\\\)*\\(?:000|0{1,2}(?![0-7])|[xX]00?(?![0-9a-fA-F])|u0{4}|U0{8})"
)
# Caffe's parser refuses it, Python's takes it with a warning; \? is a ? to Caffe alone.
_BAD_ESCAPE = re.compile(r"""(?<!\\)(?:\\\\)*\\(?![abfnrtv\\'"0-7xXuU])""")
M = TypeVar("M", bound=Message)


def parse(text: str, message: M, name: str) -> M:
    """Parse the text of a prototxt into `message` and return it.

    Args:
        name: the file's name, for messages.

    Raises:
        FormatError: the text is not such a message; names the file, the line and the fault.
    """
    _look_over(text, name)
    return _parsed(text, message, name)


def _parsed(text: str, message: M, name: str) -> M:
    """The same, of a text that was looked over."""
    with reading(name, "a prototxt of this kind", "correct it"):
        try:
            text_format.Parse(text, message)
        except text_format.ParseError as error:
            raise FormatError(
                f"{name} is not a prototxt of this kind: line {shortened(error)}"
            ) from error
        check_required(message)
        return message


def _look_over(text: str, name: str) -> None:
    """Refuse what no net or solver has, and what would keep the parser or the commands busy."""
    if (why := _fault(text)) or (why := _NUL.search(text) and "a text in it holds a NUL"):
        raise FormatError(f"{name} is not a prototxt of this kind: {why}; correct it")


def _fault(text: str) -> str | None:
    """What a text has that no net or solver has."""
    if len(text) > MOST_CHARACTERS:
        return f"it has more than {MOST_CHARACTERS:,} characters"
    if _LONG_WORD.search(text):
        return f"a word in it has more than {MOST_IN_A_WORD:,} characters"
    level = 0
    for number, found in enumerate(_TOKENS.finditer(text)):
        match found[0][0]:
            case "{" | "<":
                level += 1
            case "}" | ">":
                level -= 1
            case '"' | "'":
                if len(found[0]) > MOST_IN_A_WORD:
                    return f"a text in it has more than {MOST_IN_A_WORD:,} characters"
                if _BAD_ESCAPE.search(found[0]):
                    return f"an escape in {shortened(found[0])} cannot be read"
        if level > MOST_LEVELS:
            return f"it has brackets in brackets, more than {MOST_LEVELS} deep"
        if number > MOST_VALUES:
            return f"it has more than {MOST_VALUES:,} values"
    return None


def _check_size(net: pb.NetParameter, path: Path) -> None:
    layers = len(net.layer) + len(net.layers)
    if layers > MOST_LAYERS:
        raise FormatError(f"{path} has {layers:,} layers; a net of at most {MOST_LAYERS:,} is read")


def read_net(path: Path) -> pb.NetParameter:
    """Read a net from a prototxt or a binary file of any format, and upgrade it to V2.

    Raises:
        Incomplete: the file does not exist.
        FormatError: the file is not a net; names the line.
        BadInput: the file cannot be read.
    """
    content = _read(path)
    net = pb.NetParameter()
    try:
        net = parse(_decoded(content, path), net, str(path))
    except FormatError:
        if not _is_binary_net(content, net):
            raise
    _check_size(net, path)
    return upgrade_net(net, str(path))


def read_solver(path: Path) -> pb.SolverParameter:
    """Read a solver, and upgrade a numeric type to its name.

    Raises:
        Incomplete: the file does not exist.
        FormatError: the file is not a solver; names the line.
        BadInput: the file cannot be read.
    """
    return upgrade_solver(parse(_decoded(_read(path), path), pb.SolverParameter(), str(path)))


def read_prototxt(path: Path) -> pb.SolverParameter | pb.NetParameter:
    """Read a solver or a net as written.

    Raises:
        Incomplete: the file does not exist.
        FormatError: the file is neither; names the line that is not valid in a net.
        BadInput: the file cannot be read.
    """
    text, name = _decoded(_read(path), path), str(path)
    _look_over(text, name)
    try:
        return _parsed(text, pb.SolverParameter(), name)
    except FormatError:
        net = _parsed(text, pb.NetParameter(), name)
        _check_size(net, path)
        return net


def _read(path: Path) -> bytes:
    missing = "write it with caffe-transfer generate, or correct the name"
    with reading(path, "a prototxt", "correct the name", missing=missing):
        return path.read_bytes()


def _decoded(content: bytes, path: Path) -> str:
    if len(content) > 4 * MOST_CHARACTERS:
        raise FormatError(f"{path} is no prototxt: it has over {MOST_CHARACTERS:,} characters")
    try:
        return content.decode()
    except UnicodeDecodeError:
        # Old files have comments in other encodings; binary files also contain zeros.
        if b"\0" not in content:
            return content.decode(errors="replace")
        raise FormatError(f"{path} is not a prototxt of this kind: it is a binary file") from None


def _is_binary_net(content: bytes, net: pb.NetParameter) -> bool:
    net.Clear()  # of what the parser of texts has left in it
    try:
        merge_binary(net, content)
    except DecodeError:
        return False
    return bool(net.layer or net.layers)
