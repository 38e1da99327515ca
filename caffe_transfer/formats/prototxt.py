"""Reads nets and solvers: prototxts of any format, and binary nets.

`read_net` and `read_solver` upgrade what they read to Caffe 1.0, as Caffe does (upgrade.py);
`parse` and `read_prototxt` return it as written.
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
    """Parse the text of a prototxt into `message` and return it.

    Args:
        name: the file's name, for messages.

    Raises:
        FormatError: the text is not such a message; names the file, the line and the fault.
    """
    try:
        return text_format.Parse(text, message)
    except text_format.ParseError as error:
        raise FormatError(f"{name} is not a prototxt of this kind: line {error}") from error


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
        # Old files have comments in other encodings; binary files also contain zeros.
        if b"\0" not in content:
            return content.decode(errors="replace")
        raise FormatError(f"{path} is not a prototxt of this kind: it is a binary file") from None


def _is_binary_net(content: bytes, net: pb.NetParameter) -> bool:
    try:
        net.ParseFromString(content)
    except DecodeError:
        return False
    return bool(net.layer or net.layers)
