"""Resume files: what comes back, and that nothing but a whole file does."""

import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as of_numpy

from caffe_transfer.errors import BadInput, BadResume
from caffe_transfer.formats import resume
from caffe_transfer.formats.resume import Arrays, Kept, Resume, part, under

SMALL = Resume(
    "ab", "cd", Kept([["Data d"], []], "cpu", ["x"], {"0/0/place": np.array(3), "rng": np.eye(2)})
)
arrays = st.dictionaries(
    st.text(),
    of_numpy.arrays(
        st.sampled_from([np.uint8, np.uint32, np.int64, np.float32, np.float64]),
        of_numpy.array_shapes(min_dims=0, max_dims=3, min_side=0),
    ),
    max_size=4,
)


def written(content: Resume, path: Path) -> Path:
    with path.open("wb") as file:
        resume.write(content, file)
    return path


@given(
    arrays, st.lists(st.lists(st.text(), max_size=3), max_size=3), st.lists(st.text(), max_size=2)
)
def test_what_is_written_comes_back(
    tmp_path_factory: pytest.TempPathFactory,
    kept: Arrays,
    layers: list[list[str]],
    lacking: list[str],
) -> None:
    path = tmp_path_factory.mktemp("resume") / "r"
    content = Resume("m", "s", Kept(layers, "cuda", lacking, kept))
    found = resume.read(written(content, path))
    assert found is not None
    assert (found.model, found.state) == ("m", "s")
    assert (found.kept.layers, found.kept.device, found.kept.lacking) == (layers, "cuda", lacking)
    assert list(found.kept.arrays) == list(kept)
    for name, array in kept.items():
        np.testing.assert_array_equal(found.kept.arrays[name], array)
        assert found.kept.arrays[name].dtype == array.dtype
    before = path.read_bytes()
    assert written(found, path).read_bytes() == before


def test_every_cut_and_every_wrong_byte_is_noticed(tmp_path: Path) -> None:
    path = written(SMALL, tmp_path / "net_iter_1.solverstate.resume")
    whole = path.read_bytes()
    broken = [whole[:cut] for cut in range(len(whole))] + [whole + b"x"]
    broken += [
        whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :] for at in range(len(whole))
    ]
    for content in broken:
        path.write_bytes(content)
        with pytest.raises(BadResume, match=r"resume is broken, or of another version; remove it"):
            resume.read(path)


def about(**changed: object) -> bytes:
    fields = {
        "model": "m",
        "state": "s",
        "device": "cpu",
        "layers": [],
        "lacking": [],
        "arrays": [],
    }
    return json.dumps(fields | changed).encode()


@pytest.mark.parametrize(
    "content",
    [
        b"", b"no json", b"[]", b"{}", b"\xff", b"[" * 100_000, about(layers=3), about(arrays=3),
        about(arrays=["a"]), about(lacking=None), about(layers=[3]),
    ],
)  # fmt: skip
def test_what_has_the_right_hash_and_is_none(tmp_path: Path, content: bytes) -> None:
    body = io.BytesIO()
    np.savez(body, about=np.frombuffer(content, np.uint8))
    for end in (body.getvalue(), content):
        head = b"caffe-torch resume file 1, SHA-256 " + hashlib.sha256(end).hexdigest().encode()
        (tmp_path / "r").write_bytes(head + b"\n" + end)
        with pytest.raises(BadResume, match="is no resume file; remove it, or give --restart-data"):
            resume.read(tmp_path / "r")


def test_what_is_not_there_and_what_cannot_be_read(tmp_path: Path) -> None:
    assert resume.read(tmp_path / "r") is None
    (tmp_path / "r").mkdir()
    with pytest.raises(BadInput, match=r"cannot read .*: Is a directory; remove it"):
        resume.read(tmp_path / "r")


def test_paths_of_arrays() -> None:
    one, two = np.array(1), np.array(2)
    assert under("a", {"x": one, "b/y": two}) == {"a/x": one, "a/b/y": two}
    assert part({"a/x": one, "a/b/y": two, "ab/z": two}, "a") == {"x": one, "b/y": two}
