"""manifest.json."""

from pathlib import Path

import pytest

from caffe_transfer.errors import FormatError
from caffe_transfer.training import manifest


def test_written_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    assert manifest.read(path) == {}
    assert not manifest.is_finished({}, 4)
    manifest.write(path, {"network": "half0A", "max_iter": 4, "finished": manifest.now()})
    written = manifest.read(path)
    assert written["network"] == "half0A"
    assert [manifest.is_finished(written, count) for count in (2, 4, 8)] == [True, True, False]


def test_inputs_are_hashed(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "lmdb").mkdir()
    (tmp_path / "lmdb/data.mdb").write_bytes(b"12345")
    hashes = manifest.input_hashes(tmp_path, ["file", "lmdb", "none"])
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    start = "5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5"  # of 12345
    assert hashes == {"file": empty, "lmdb": {"bytes": 5, "start_sha256": start}}


def test_inputs_that_have_changed() -> None:
    before = {"net": "ab", "one": {"bytes": 5}, "two": {"bytes": 5, "start_sha256": "ab"}, "x": 1}
    assert manifest.changed_inputs(before, before) == []
    now = {"net": "cd", "one": {"bytes": 5, "start_sha256": "ab"}, "two": {"bytes": 6}, "new": "1"}
    assert manifest.changed_inputs(before, now) == ["net", "two"]
    assert manifest.changed_inputs({"db": {"bytes": 5}}, {"db": {"view_sha256": "ab"}}) == ["db"]
    runs = [{"changed_inputs": ["net"]}, {}, {"changed_inputs": ["net", "two"]}]
    assert manifest.changed_while_trained({"runs": runs}) == ["net", "two"]


@pytest.mark.parametrize(
    "text",
    [
        "no json", "[]", "[" * 20_000, '{"max_iter": "4"}', '{"max_iter": 1e999}', '{"runs": {}}',
        '{"model": []}', '{"finished": true}', '{"given": 1}', '{"given": {"model": "x"}}',
        '{"given": {"model": "x", "sha256": "0", "names": {"a": 1}}}',
        '{"given": {"model": "../x", "sha256": "0", "names": {}}}', "\u00e4",
    ],
)  # fmt: skip
def test_what_is_no_manifest(tmp_path: Path, text: str) -> None:
    (tmp_path / "m").write_text(text, encoding="latin-1")
    with pytest.raises(FormatError, match="is not a manifest"):
        manifest.read(tmp_path / "m")


def test_versions_are_told() -> None:
    assert set(manifest.surroundings()) == {"caffe_transfer", "python", "system"}
