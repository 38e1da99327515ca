"""Where layers lie in a binary model: every byte of a file is accounted for."""

import errno
import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caffe_transfer.errors import FormatError
from caffe_transfer.formats.layer_records import copy_records, mapped, net_name, read_records
from caffe_transfer.formats.proto import caffe_pb2 as pb
from tests.models import LAYERS, write_model

FORMS = ["V0", "V1", "V2"]


def layers_of(path: Path) -> list[bytes]:
    with mapped(path) as buffer:
        return [bytes(buffer[r.start : r.end]) for r in read_records(path, buffer).layers]


def copy_all(source: Path, out: Path) -> None:
    with mapped(source) as buffer, source.open("rb") as origin, out.open("wb") as file:
        copy_records(read_records(source, buffer).layers, buffer, origin, file)


@pytest.mark.parametrize("form", FORMS)
def test_records_are_the_files_bytes(form: str, tmp_path: Path) -> None:
    arrays = write_model(tmp_path / "model", form)
    with mapped(tmp_path / "model") as buffer:
        found = read_records(tmp_path / "model", buffer)
        assert (found.format, found.name) == (form, "small")
        assert [layer.name for layer in found.layers] == list(LAYERS)
        for layer in found.layers:
            for blob, array in zip(layer.blobs, arrays.get(layer.name, ()), strict=True):
                assert b"".join(blob.parts) == array.tobytes()
                assert blob.shape[-array.ndim :] == array.shape
    records = b"".join(layers_of(tmp_path / "model"))
    assert (tmp_path / "model").read_bytes().endswith(records)


@given(st.data())
def test_a_cut_model_is_refused_or_lacks_whole_layers(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    write_model(folder / "whole", data.draw(st.sampled_from(FORMS)))
    content = (folder / "whole").read_bytes()
    (folder / "cut").write_bytes(content[: data.draw(st.integers(1, len(content) - 1))])
    whole = layers_of(folder / "whole")
    try:
        found = layers_of(folder / "cut")
    except FormatError:
        return
    assert found == whole[: len(found)]
    assert len(found) < len(whole)


@pytest.mark.parametrize("by_the_system", [True, False])
@pytest.mark.parametrize("form", FORMS)
def test_copied_layers_make_a_model_that_protobuf_reads(
    form: str, by_the_system: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not by_the_system:

        def refuse(*_: object) -> int:
            raise OSError(18, "Invalid cross-device link")

        monkeypatch.setattr("os.copy_file_range", refuse)
    source, out = tmp_path / "source", tmp_path / "out"
    write_model(source, form)
    with mapped(source) as buffer, source.open("rb") as origin, out.open("wb") as file:
        found = read_records(source, buffer)
        file.write(net_name(found.name))
        copy_records(found.layers[1:], buffer, origin, file)
    assert layers_of(out) == layers_of(source)[1:]
    net = pb.NetParameter.FromString(out.read_bytes())
    assert net.name == "small"
    assert len(net.layer or net.layers) == len(LAYERS) - 1


def test_a_source_that_becomes_shorter_is_still_copied_from_the_mapping(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_model(tmp_path / "a")
    monkeypatch.setattr("os.copy_file_range", lambda *_: 0)
    copy_all(tmp_path / "a", tmp_path / "b")
    assert layers_of(tmp_path / "b") == layers_of(tmp_path / "a")


def test_a_full_disk_is_told_and_a_disk_that_cannot_reserve_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_model(tmp_path / "a")
    for number, expected in ((errno.EOPNOTSUPP, None), (errno.ENOSPC, "No space left")):

        def refuse(*_: int, number: int = number) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr("os.posix_fallocate", refuse)
        with pytest.raises(OSError, match=expected) if expected else nullcontext():
            copy_all(tmp_path / "a", tmp_path / "b")
        expected_bytes = b"" if expected else b"".join(layers_of(tmp_path / "a"))
        assert (tmp_path / "b").read_bytes() == expected_bytes


def test_shapes_that_are_not_packed(tmp_path: Path) -> None:
    blob = b"\x3a\x04\x08\x02\x08\x01" + b"\x2a\x08" + bytes(8)  # dim 2, dim 1; two zeros
    layer = b"\x0a\x01a" + b"\x3a" + bytes([len(blob)]) + blob
    (tmp_path / "m").write_bytes(b"\xa2\x06" + bytes([len(layer)]) + layer)
    expected = pb.NetParameter.FromString((tmp_path / "m").read_bytes()).layer[0].blobs[0]
    with mapped(tmp_path / "m") as buffer:
        (found,) = read_records(tmp_path / "m", buffer).layers
        assert found.blobs[0].shape == tuple(expected.shape.dim) == (2, 1)


def test_copying_imports_neither_numpy_nor_protobuf(tmp_path: Path) -> None:
    write_model(tmp_path / "a")
    code = (
        "import sys\nfrom caffe_transfer.cli import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "finally:\n    print({'numpy', 'google.protobuf', 'h5py'} & set(sys.modules))"
    )
    argv = [sys.executable, "-c", code, "copy", f"{tmp_path}/a", f"{tmp_path}/b", "--n", "2"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["copied   conv1 conv2", "ignored  fc3", "set()"]
    assert layers_of(tmp_path / "b") == [
        record for record, name in zip(layers_of(tmp_path / "a"), LAYERS, strict=True)
        if name in ("conv1", "conv2")
    ]  # fmt: skip
