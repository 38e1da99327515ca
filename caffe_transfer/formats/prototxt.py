"""Nets and solvers as files: prototxts of any age and binary nets, the one reader for all.

`read_net` and `read_solver` return what Caffe 1.0 makes of a file (upgrade.py); `parse` and
`read_prototxt` return what the file says.
"""

from pathlib import Path
from typing import TypeVar

from google.protobuf import text_format
from google.protobuf.message import DecodeError, Message

from caffe_transfer.errors import BadInput, FormatError, Incomplete
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.upgrade import upgrade_net, upgrade_solver

M = TypeVar("M", bound=Message)


def parse(text: str, message: M, name: str) -> M:
    """Parse a prototxt's text into `message` and return it.

    Raises:
        FormatError: names the file, the line and what is wrong there.
    """
    try:
        return text_format.Parse(text, message)
    except text_format.ParseError as error:
        raise FormatError(f"{name} is not a prototxt of this kind: line {error}") from error


def read_net(path: Path) -> pb.NetParameter:
    """A net from a prototxt or a binary file of any age, upgraded to format V2.

    Raises:
        Incomplete: there is no such file.
        FormatError: it is no net; names the line.
        BadInput: it cannot be read.
    """
    content = _read(path)
    net = pb.NetParameter()
    try:
        net = parse(_decoded(content, path), net, str(path))
    except FormatError:
        if not _is_binary_net(content, net):
            raise
    return upgrade_net(net, str(path))


def read_solver(path: Path) -> pb.SolverParameter:
    """A solver, upgraded to a type given by name.

    Raises:
        Incomplete: there is no such file.
        FormatError: it is no solver; names the line.
        BadInput: it cannot be read.
    """
    return upgrade_solver(parse(_decoded(_read(path), path), pb.SolverParameter(), str(path)))


def read_prototxt(path: Path) -> pb.SolverParameter | pb.NetParameter:
    """A solver or a net, as the file says it.

    Raises:
        Incomplete: there is no such file.
        FormatError: the file is neither; names the line that no net has.
        BadInput: it cannot be read.
    """
    text = _decoded(_read(path), path)
    try:
        return text_format.Parse(text, pb.SolverParameter())
    except text_format.ParseError:
        return parse(text, pb.NetParameter(), str(path))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise Incomplete(
            f"there is no {path}; write it with caffe-transfer generate, or correct the name"
        ) from error
    except OSError as error:
        raise BadInput(f"cannot read {path} as a prototxt: {error.strerror}") from error


def _decoded(content: bytes, path: Path) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        # Old files have comments in other encodings; a binary file has zeros as well.
        if b"\0" not in content:
            return content.decode(errors="replace")
        raise FormatError(f"{path} is not a prototxt of this kind: it is a binary file") from None


def _is_binary_net(content: bytes, net: pb.NetParameter) -> bool:
    try:
        net.ParseFromString(content)
    except DecodeError:
        return False
    return bool(net.layer or net.layers)
