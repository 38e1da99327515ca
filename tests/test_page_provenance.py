"""What was asked and what answered: from study and manifests, whatever state they are in."""

import json
import shutil
from pathlib import Path

import pytest

from caffe_transfer import paths
from caffe_transfer.formats.hashes import sha256
from caffe_transfer.report.page.provenance import provenance
from caffe_transfer.report.results import Row
from caffe_transfer.studies.network import Network

MANIFEST = {
    "network": "half0B",
    "random_seed": 7,
    "engine": {"name": "caffe-torch", "version": "caffe-torch 0.1.0 (PyTorch 2)"},
    "versions": {"caffe_transfer": "0.1.0", "python": "3.11.7"},
    "inputs": {"solver.prototxt": "ab", "../../data/half0B_train/lmdb": {"bytes": 12}},
    "runs": [
        {"started": "2026-01-02T00:00:00+00:00", "argv": ["/home/me/caffe"]},
        {"started": "2026-01-02T01:00:00+00:00", "from_iteration": 5},
        {"started": "2026-01-02T02:00:00+00:00", "from_iteration": 10, "resume": "exact"},
        {"started": "2026-01-02T03:00:00+00:00", "from_iteration": 15, "resume": None},
    ],
    "frozen": {"conv1": ["aa", "bb"]},
    "model": {"snapshots/net_iter_20.caffemodel": "cd"},
    "finished": "2026-01-03T00:00:00+00:00",
}
NAMES = ("half0B", "transfer0A0B_1_2-seed2")


def rows() -> list[Row]:
    return [Row(Network.parse(name), 20) for name in NAMES]


def run(root: Path, *manifests: object) -> Path:
    for name, manifest in zip(NAMES, manifests, strict=True):
        (root / "results" / name).mkdir(parents=True)
        (root / "results" / name / "manifest.json").write_text(json.dumps(manifest))
    return root


def test_what_was_asked_and_what_answered(tmp_path: Path) -> None:
    other = MANIFEST | {"engine": {"name": "caffe", "version": "1.0"}, "finished": "2026-01-04"}
    run(tmp_path, MANIFEST, other)
    shutil.copy(paths.built_in_studies() / "fashion-mnist.toml", tmp_path / "study.toml")
    for folder in (tmp_path, tmp_path / "results"):
        found = provenance(folder, rows())
        facts = dict(found.facts)
        assert facts["study"] == "fashion-mnist"
        assert facts["images"].startswith("fashion-mnist, 10 classes, ")
        assert (facts["seeds"], facts["splits"]) == ("1, 2", "0")
        assert facts["engine"] == (
            "caffe-torch 0.1.0 (PyTorch 2) (1 of them); caffe 1.0 (1 of them)"
        )
        assert facts["versions"] == "caffe-transfer 0.1.0, python 3.11.7"
        assert facts["trained from"] == "2026-01-02T00:00:00+00:00"
        assert facts["trained until"] == "2026-01-04"
        assert facts["SHA-256 of the study file"] == sha256(tmp_path / "study.toml")
        assert found.files == (("data/half0B_train/lmdb", "bytes 12"),)
        assert 'name = "fashion-mnist"' in found.study_text
        assert dict(found.of("half0B"))["solver.prototxt"] == "SHA-256 ab"
        assert dict(found.of("half0B"))["frozen, found unchanged"] == "conv1"
        assert dict(found.of("half0B"))["resumed"] == (
            "at iteration 5, as Caffe, with data from record 0; at iteration 10, exact"
        )
        assert "/home/me" not in str(found)  # where the user's programs lie is nobody's business


@pytest.mark.parametrize(
    "manifest", [[], "text", {"engine": 1, "runs": 3, "inputs": [], "model": 0}]
)
def test_what_has_another_form_is_left_out(tmp_path: Path, manifest: object) -> None:
    run(tmp_path, manifest, manifest)
    (tmp_path / "study.toml").write_text("no study <b>")
    found = provenance(tmp_path, rows())
    assert [label for label, _ in found.facts] == ["seeds", "splits", "SHA-256 of the study file"]
    assert found.study_text == "no study <b>"
    assert found.of("half0B") == ()


def test_logs_alone_say_that_nothing_is_known(tmp_path: Path) -> None:
    (tmp_path / "half0B").mkdir()
    found = provenance(tmp_path, rows())
    assert found.facts[0] == (
        "study",
        "unknown: beside these logs lie no study file and no manifest",
    )
    assert found.study_text == ""
