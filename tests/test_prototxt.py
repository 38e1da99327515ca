"""Nets and solvers as files of any age, read by one reader."""

import re
import subprocess
from pathlib import Path

import pytest

from caffe_transfer.errors import BadInput, FormatError, Incomplete
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.prototxt import read_net, read_prototxt, read_solver


def test_solvers_and_nets(tmp_path: Path) -> None:
    path = tmp_path / "a.prototxt"
    path.write_text("base_lr: 0.1")
    assert isinstance(read_prototxt(path), pb.SolverParameter)
    path.write_text("name: 'x'")
    assert isinstance(read_prototxt(path), pb.NetParameter)
    path.write_text("name: 'x'\nbase: 1")
    with pytest.raises(FormatError, match=r"a\.prototxt .* line 2"):
        read_prototxt(path)


def test_old_nets_are_upgraded_text_and_binary_alike(tmp_path: Path) -> None:
    old = pb.NetParameter(name="old")
    old.layers.add(name="ip", type=pb.V1LayerParameter.INNER_PRODUCT, blobs_lr=[0, 2])
    (tmp_path / "binary").write_bytes(old.SerializeToString())
    (tmp_path / "text").write_text(
        'name: "old" layers { name: "ip" type: INNER_PRODUCT blobs_lr: 0 blobs_lr: 2 }'
    )
    net = read_net(tmp_path / "text")
    assert net == read_net(tmp_path / "binary")
    assert net.layer[0].type == "InnerProduct"
    assert [spec.lr_mult for spec in net.layer[0].param] == [0, 2]


def test_old_solvers_are_upgraded(tmp_path: Path) -> None:
    (tmp_path / "solver").write_text("solver_type: ADAM")
    assert read_solver(tmp_path / "solver").type == "Adam"


def test_comments_in_another_encoding(tmp_path: Path) -> None:
    (tmp_path / "net").write_bytes(b"# caf\xe9\nname: 'x'")
    assert read_net(tmp_path / "net").name == "x"


@pytest.mark.parametrize("reader", [read_net, read_solver, read_prototxt])
def test_what_is_no_prototxt(reader: object, tmp_path: Path) -> None:
    assert callable(reader)
    (tmp_path / "noise").write_bytes(b"\xff\0\xfe")
    with pytest.raises(FormatError, match="it is a binary file"):
        reader(tmp_path / "noise")
    (tmp_path / "other").write_text("layer {")
    with pytest.raises(FormatError, match="other is not a prototxt of this kind: line 1"):
        reader(tmp_path / "other")
    with pytest.raises(Incomplete, match=r"there is no .*none; write it with"):
        reader(tmp_path / "none")
    with pytest.raises(BadInput, match="cannot read"):
        reader(tmp_path)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("name: " + "9" * 5000, "a word in it has more than 4,000 characters"),
        (f'name: "{"a " * 3000}"', "a text in it has more than 4,000 characters"),
        ("layer { " * 101, "it has brackets in brackets, more than 100 deep"),
        ("input_dim: 1\n" * 200_002, "it has more than 200,000 values"),
        ("\n" * (4 << 20) + "\n", "it has more than 4,194,304 characters"),
        (r'name: "a\000b"', "a text in it holds a NUL"),
        (r'name: "\0"', "a text in it holds a NUL"),
        (r'name: "\x0"', "a text in it holds a NUL"),
        ("layer {}\n" * 4001, "has 4,001 layers; a net of at most 4,000 is read"),
    ],
)
def test_what_would_keep_the_parser_busy_is_refused(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(text)
    for read in (read_net, read_prototxt):
        with pytest.raises(FormatError, match=re.escape(why)):
            read(path)


def test_what_looks_like_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    comment = f"# {'{' * 200} {'word ' * 2000}\n"
    path.write_text(comment + 'name: "{{ # \\\\0 \\001 \\x01"\nlayer { name: "a" } # }\n' + comment)
    assert read_net(path).name == "{{ # \\0 \x01 \x01"


@pytest.mark.parametrize("text", [r"a\/b", r"a\\\s", r"\8", r"a\ b"])
def test_escapes_that_caffe_refuses(text: str, tmp_path: Path, caffe_bin: Path) -> None:
    """Python's parser takes them, with a warning."""
    path = tmp_path / "solver.prototxt"
    path.write_text(f'# a\\/b\nnet: "{text}" solver_mode: CPU\n')
    with pytest.raises(FormatError, match=r"an escape in .* cannot be read; correct it"):
        read_solver(path)
    done = subprocess.run([caffe_bin, "train", f"--solver={path}"], capture_output=True, text=True)
    assert "Invalid escape sequence" in done.stderr


def test_all_escapes_that_caffe_reads(tmp_path: Path, caffe_bin: Path) -> None:
    path = tmp_path / "solver.prototxt"
    text = r"\a\b\f\n\r\t\v\\\'\"\101\x41\u0041\U00000041"
    path.write_text(f'net: "{text}" solver_mode: CPU\n')
    assert read_solver(path).net == "\a\b\f\n\r\t\v\\'\"AAAA"
    done = subprocess.run([caffe_bin, "train", f"--solver={path}"], capture_output=True, text=True)
    assert "Error parsing text-format" not in done.stderr


def test_a_binary_net_that_begins_like_a_text(tmp_path: Path) -> None:
    """Nothing is left of the attempt to read it as a text, which has an input."""
    net = pb.NetParameter(layer=[{"name": "a", "type": "ReLU"}])
    path = tmp_path / "net"
    path.write_bytes(b'input:"XX"\n' + b"}" * 10 + net.SerializeToString())
    assert [layer.name for layer in read_net(path).layer] == ["a"]
