"""What a report reads in manifests: how trainings were resumed, and which of that counts."""

import json
from pathlib import Path

import pytest

from caffe_transfer.report.manifests import data_restarts, manifest_of

EXACT, CAFFE, BUT = "exact", "as Caffe", "exact but for what a GPU draws"


def runs(*each: tuple[int, str | None]) -> dict[str, object]:
    return {"runs": [{"from_iteration": first, "resume": how} for first, how in each]}


@pytest.mark.parametrize(
    ("manifest", "found"),
    [
        (runs((0, None)), ()),
        (runs((0, None), (100, EXACT), (200, BUT)), ()),
        (runs((0, None), (100, CAFFE), (200, EXACT), (300, CAFFE)), (100, 300)),
        # What was trained from 200 on was lost, and an engine that did not come to train is none.
        (runs((0, None), (100, EXACT), (200, CAFFE), (100, EXACT)), ()),
        (runs((0, None), (100, CAFFE), (100, EXACT)), ()),
        (runs((0, None), (100, EXACT), (100, None), (200, None)), ()),
        (runs((0, None), (100, CAFFE), (0, None)), ()),
        # Those of earlier versions, which did not write it: all resumed as Caffe.
        ({"runs": [{"argv": ["caffe"]}, {"from_iteration": 50}]}, (50,)),
        ({"runs": [{"from_iteration": "x"}, 3, None]}, ()),
        ({"runs": 3}, ()),
        ({}, ()),
    ],
)
def test_where_data_began_anew(manifest: dict[str, object], found: tuple[int, ...]) -> None:
    assert data_restarts(manifest) == found


@pytest.mark.parametrize("content", [b"no json", b"[]", b"\xff", None])
def test_what_is_no_manifest_is_none(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "manifest.json").write_bytes(content)
    assert manifest_of(tmp_path) == {}


def test_a_manifest(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps(runs((0, None))))
    assert manifest_of(tmp_path) == runs((0, None))
