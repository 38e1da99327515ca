"""Nets, solvers and models of older formats, written anew in that of Caffe 1.0.

As Caffe's own upgrade_net_proto_text, upgrade_net_proto_binary and upgrade_solver_proto_text, which
write a file that is current already as well.
"""

import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from google.protobuf.message import Message

from caffe_transfer.errors import BadInput, FormatError, Incomplete
from caffe_transfer.files import atomic_write
from caffe_transfer.formats.kinds import Kind, kind_of
from caffe_transfer.formats.layer_records import is_hdf5, mapped, read_records
from caffe_transfer.formats.model_upgrade import read_settings, upgraded, write_upgraded
from caffe_transfer.formats.names import MODEL_SUFFIX, check_model_name, check_text_name
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.prototxt import read_prototxt
from caffe_transfer.formats.upgrade import format_of, upgrade_net, upgrade_solver
from caffe_transfer.paths import HDF5_SUFFIX

_PROBE_BYTES = 1 << 16
_IN_NO_TEXT = frozenset(range(32)) - set(b"\t\n\v\f\r")


class OldKind(StrEnum):
    """What can be upgraded."""

    NET = "net"
    SOLVER = "solver"
    MODEL = "model"


@dataclass(frozen=True)
class Upgrade:
    """What was found in a file, and what became of it.

    Attributes:
        format: of the file that was read: V0, V1 or V2, HDF5 for such a model, "" for a solver.
        changed: whether it had to be upgraded; if not, the new file is a copy.
        layers: how many a net or a model has now; 0 for a solver and for HDF5.
        notes: what is lost, and what the upgrade leaves to do.
    """

    kind: OldKind
    format: str
    changed: bool
    layers: int
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The attributes by name, with a plain string for the kind."""
        return asdict(self) | {"kind": self.kind.value}


def upgrade_file(old: Path, new: Path) -> Upgrade:
    """Write a net, a solver or a model in the format of Caffe 1.0; what it is, its content says.

    A file that is current already is copied as it is.

    Raises:
        Incomplete: there is no file `old`.
        BadInput: `new` is there already, its name is of another kind of file, it cannot be
            written, or `old` is of a kind that has no older format.
        FormatError: `old` is truncated, is no such file, or mixes formats.
    """
    if not old.exists():
        raise Incomplete(f"there is no file {old}; check the name")
    if old.is_dir():
        raise _nothing_to_upgrade(old, "a folder")
    if new.exists() or new.is_symlink():
        raise BadInput(f"{new} is there already; remove it or name another file")
    with mapped(old) as buffer:
        if _is_text(old, buffer):
            return _upgrade_text(old, new)
        return _upgrade_model(old, buffer, new)


def _is_text(path: Path, buffer: memoryview) -> bool:
    """Whether a file is a text; the first byte of one is hardly ever a field of a binary net.

    Raises:
        FormatError: it looks binary and is not a whole model.
        BadInput: it is another of Caffe's binary files.
    """
    if is_hdf5(buffer):
        return False
    try:
        read_records(path, buffer)
    except FormatError:
        if _IN_NO_TEXT.isdisjoint(buffer[:_PROBE_BYTES]):
            return True
        _refuse_others(path)
        raise
    return False


def _refuse_others(path: Path) -> None:
    kind = kind_of(path)
    if kind in (Kind.STATE, Kind.MEAN):
        raise _nothing_to_upgrade(path, f"a {kind.value}")


def _nothing_to_upgrade(path: Path, what: str) -> BadInput:
    return BadInput(f"{path} is {what}, which has one format; upgrade takes nets, solvers, models")


def _upgrade_model(old: Path, buffer: memoryview, new: Path) -> Upgrade:
    if is_hdf5(buffer):
        _refuse_others(old)
        check_model_name(new)
        _copy(old, new)
        return Upgrade(OldKind.MODEL, "HDF5", changed=False, layers=0)
    check_model_name(new)
    if new.suffix == HDF5_SUFFIX:
        raise BadInput(
            f"{new} is a name for HDF5, and an upgraded model is binary; use one that ends in "
            f"{MODEL_SUFFIX}"
        )
    settings = read_settings(old, buffer)
    net = upgraded(settings, str(old))
    changed = net != settings.net
    if changed:
        with atomic_write(new) as file:
            write_upgraded(net, settings.blobs, buffer, file)
    else:
        _copy(old, new)
    return Upgrade(OldKind.MODEL, format_of(settings.net), changed, len(net.layer))


def _upgrade_text(old: Path, new: Path) -> Upgrade:
    check_text_name(new)
    message = read_prototxt(old)
    if not message.ByteSize():
        raise BadInput(f"{old} is empty; name a net, a solver or a model")
    if isinstance(message, pb.SolverParameter):
        solver = upgrade_solver(message)
        changed = _write_text(message, solver, old, new)
        return Upgrade(OldKind.SOLVER, "", changed, 0, tuple(_lost(old, changed)))
    net = upgrade_net(message, str(old))
    changed = _write_text(message, net, old, new)
    notes = (*_lost(old, changed), *_databases(net))
    return Upgrade(OldKind.NET, format_of(message), changed, len(net.layer), notes)


def _write_text(before: Message, after: Message, old: Path, new: Path) -> bool:
    """Write a message as Caffe does, or copy the file if nothing changes; whether it does."""
    if before == after:
        _copy(old, new)
        return False
    with atomic_write(new) as file:
        file.write(_text(after).encode())
    return True


def _text(message: Message) -> str:
    """A message as Caffe prints it: 1 where Python prints 1.0."""
    return re.sub(r"(?m)^( *\w+: -?\d+)\.0$", r"\1", text_format.MessageToString(message))


def _copy(old: Path, new: Path) -> None:
    with old.open("rb") as source, atomic_write(new) as file:
        shutil.copyfileobj(source, file)


def _lost(old: Path, changed: bool) -> Iterator[str]:
    if changed and b"#" in old.read_bytes():
        yield f"the comments of {old} are not kept"


def _databases(net: pb.NetParameter) -> Iterator[str]:
    """Without `backend` a data layer reads a LevelDB, which many builds of Caffe cannot."""
    names = [
        layer.name
        for layer in net.layer
        if layer.type == "Data" and layer.data_param.backend == pb.DataParameter.LEVELDB
    ]
    if names:
        many = len(names) > 1
        yield (
            f"layer{'s' if many else ''} {' and '.join(dict.fromkeys(names))} "
            f"{'read LevelDBs' if many else 'reads a LevelDB'}, the default; where Caffe is built "
            "without LevelDB, make an LMDB and add backend: LMDB"
        )
