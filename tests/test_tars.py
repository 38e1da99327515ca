"""Tars read in place, as tarfile and GNU tar write them."""

import io
import os
import subprocess
import tarfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caffe_transfer.data_prep.tars import members
from caffe_transfer.errors import BadInput, FormatError
from tests.small_ilsvrc12 import tar_bytes

NAMES = {
    "short.jpg": b"1",
    "./below/a.jpg": b"22",
    "empty": b"",
    "a block": b"x" * 512,
    "a block and more": b"y" * 513,
    "länge/" + "x" * 98: b"in ustar's prefix",
    "d" * 90 + "/" + "x" * 90: b"long",
    "e" * 150 + "/" + "x" * 200: b"longer",
}
FORMATS = {"ustar": tarfile.USTAR_FORMAT, "pax": tarfile.PAX_FORMAT, "gnu": tarfile.GNU_FORMAT}


def read_all(path: Path) -> dict[str, bytes]:
    whole = path.read_bytes()
    return {name: whole[offset : offset + size] for name, offset, size in members(path)}


@pytest.mark.parametrize("style", FORMATS)
def test_every_format(style: str, tmp_path: Path) -> None:
    files = {name: data for name, data in NAMES.items() if style != "ustar" or len(name) < 200}
    (tmp_path / "a.tar").write_bytes(tar_bytes(files, FORMATS[style]))
    assert read_all(tmp_path / "a.tar") == {
        name.removeprefix("./"): data for name, data in files.items()
    }


@given(
    st.dictionaries(
        st.text("abcäö/. \n", min_size=1, max_size=300).filter(
            lambda name: not name.endswith(("/", ".tar")) and not name.startswith(("/", "./"))
        ),
        st.binary(max_size=1100),
    ),
    st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]),
)
def test_as_tarfile_reads_it(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes], style: int
) -> None:
    path = tmp_path_factory.mktemp("tars") / "a.tar"
    path.write_bytes(tar_bytes(files, style))
    with tarfile.open(path) as reference:
        theirs = [(each.name, each.offset_data, each.size) for each in reference]
    assert [tuple(each) for each in members(path)] == theirs


@pytest.mark.parametrize("style", ["v7", "ustar", "oldgnu", "gnu", "posix"])
def test_as_tar_writes_it(style: str, tmp_path: Path) -> None:
    folder = tmp_path / "given"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(b"bytes")
    (folder / ("b" * 95)).write_bytes(b"long")
    os.link(folder / "a.jpg", folder / "hard.jpg")
    (folder / "link.jpg").symlink_to("a.jpg")
    try:
        subprocess.run(
            ["tar", "-c", "-f", "a.tar", f"--format={style}", "--sort=name", "-C", "given", "."],
            cwd=tmp_path, check=True, capture_output=True,
        )  # fmt: skip
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("no GNU tar here")
    assert read_all(tmp_path / "a.tar") == {"a.jpg": b"bytes", "b" * 95: b"long"}


def test_tars_in_a_tar(tmp_path: Path) -> None:
    inner = {"n02.tar": tar_bytes({"b.jpg": b"22"}), "a.jpg": b"1", "n01.tar": tar_bytes({})}
    (tmp_path / "a.tar").write_bytes(tar_bytes(inner))
    steps: list[tuple[str, int, int]] = []
    list(members(tmp_path / "a.tar", lambda *step: steps.append(step)))
    assert read_all(tmp_path / "a.tar") == {"a.jpg": b"1", "n02/b.jpg": b"22"}
    assert [(done, total) for _, done, total in steps] == [(1, 2), (2, 2)]


def test_a_size_of_more_than_octal_digits_tell(tmp_path: Path) -> None:
    for style in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        size = 9 << 30
        member = tarfile.TarInfo("large.jpg")
        member.size = size
        header = member.tobuf(style)
        path = tmp_path / "a.tar"
        with path.open("wb") as file:
            file.write(header)
            file.truncate(len(header) + size)  # a hole
            file.seek(0, io.SEEK_END)
            file.write(bytes(1024))
        assert list(members(path)) == [("large.jpg", len(header), size)]


def test_a_tar_that_ends_anywhere(tmp_path: Path) -> None:
    """Only the padding after the first block of zeros may be missing."""
    files = {"one": b"x" * 600, "n" * 120: b"2", "three": b"3"}
    for style in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        path = tmp_path / "a.tar"
        path.write_bytes(tar_bytes(files, style))
        *_, last = members(path)
        end = last.offset + 512
        whole = path.read_bytes()
        path.write_bytes(whole[: end + 512])
        assert len(list(members(path))) == 3
        for length in range(0, end + 512, 64):
            path.write_bytes(whole[:length])
            with pytest.raises(FormatError, match="is no tar file" if length < 512 else "cut off"):
                list(members(path))
        path.write_bytes(whole[:end])
        with pytest.raises(FormatError, match="cut off after three, its last complete member;"):
            list(members(path))


def test_what_is_no_tar(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    whole = tar_bytes({"one": b"1", "two": b"2"})
    damaged = bytearray(whole)
    damaged[1024 + 10] ^= 1
    for content, message in (
        (b"no tar", r"a\.tar is no tar file; name one that is not compressed"),
        (b"\xff\xd8" * 1024, "is no tar file"),
        (bytes(damaged), "is damaged after one, its last complete member; copy it again"),
    ):
        path.write_bytes(content)
        with pytest.raises(FormatError, match=message):
            list(members(path))
    with pytest.raises(BadInput, match="none cannot be read"):
        list(members(tmp_path / "none"))


@given(st.data())
def test_damage_never_ends_in_another_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    whole = bytearray(tar_bytes(NAMES, data.draw(st.sampled_from([1, 2]))))
    for _ in range(3):
        row = data.draw(st.integers(0, len(whole) - 1))
        whole[row] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("tars") / "a.tar"
    path.write_bytes(whole)
    with suppress(FormatError):
        list(members(path))


def test_a_name_with_a_nul(tmp_path: Path) -> None:
    """No file can have it."""
    content = tar_bytes({"a.jpg": b"a", "e" * 150: b"e"}, tarfile.PAX_FORMAT)
    (tmp_path / "a.tar").write_bytes(content.replace(b"path=eeee", b"path=ee\0e"))
    with pytest.raises(FormatError, match=r"a\.tar is damaged after a\.jpg, its last complete"):
        list(members(tmp_path / "a.tar"))
