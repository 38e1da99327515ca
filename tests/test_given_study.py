"""A study of a user's net, from a given base to the report, by both engines."""

import json
import sys
from pathlib import Path

import pytest

from caffe_transfer.errors import BadInput
from caffe_transfer.formats.hashes import blob_hashes
from caffe_transfer.nets.cut_record import read_cut
from caffe_transfer.paths import RunFolder
from caffe_transfer.pipeline import run
from caffe_transfer.report.results import read_results
from caffe_transfer.run_options import Callbacks, RunOptions
from caffe_transfer.studies.load import load_study
from caffe_transfer.studies.study import Study
from caffe_transfer.training.engine import Engine
from caffe_transfer.training.executor import Outcome
from caffe_transfer.training.train import Settings
from tests.models import write_model
from tests.small_study import TEXT, write_study

NET = Path(__file__).parent / "data/residual.prototxt"
BLOCK_A = ("conv1", "bn1", "scale1", "a1", "bn_a1", "scale_a1", "a2")
COMMON = TEXT[: TEXT.index("[[networks]]")].replace('net = "mini"', f'net = "{NET}"').replace(
    'source = "list"', 'source = "list"\npath = "given"'
)  # fmt: skip
BASE = (
    COMMON
    + """
[[networks]]
mode = "base"
splits = ["mine"]
targets = ["A"]
[splits.mine]
A = ["0", "1"]
B = "all"
"""
)
GIVEN = (
    'cuts = ["conv1", "a"]\n'
    + COMMON
    + """
[[networks]]
mode = "base"
splits = ["mine"]
targets = ["B"]
[[networks]]
mode = "transfer"
splits = ["mine"]
pairs = ["AB"]
n = ["a", 1]
[[networks]]
mode = "transfer"
splits = ["mine"]
pairs = ["AB"]
n = ["a"]
fine_tune = [true]
[[networks]]
mode = "selffer"
splits = ["mine"]
targets = ["B"]
n = [2]
[splits.mine]
A.model = "run/results/halfmineA/snapshots/net_iter_4.caffemodel"
B.classes = "all"
"""
)
FROM_HALF = """
[[networks]]
mode = "base"
splits = ["0"]
targets = ["A"]
[[networks]]
mode = "transfer"
splits = ["0"]
pairs = ["AB"]
n = [1]
"""


@pytest.fixture(params=["caffe", "caffe-torch"])
def engine(request: pytest.FixtureRequest) -> Engine:
    if request.param == "caffe":
        return Engine("caffe", request.getfixturevalue("caffe_bin"))
    return Engine("caffe-torch", Path(sys.executable).with_name("caffe-torch"))


def trained(study: Study, root: Path, engine: Engine) -> list[str]:
    """Run a study to its end; the warnings."""
    warnings: list[str] = []
    results = run(
        study,
        root,
        options=RunOptions(settings=Settings(engine)),
        callbacks=Callbacks(warn=warnings.append),
    )
    assert {result.outcome for result in results} == {Outcome.DONE}, results
    return warnings


def test_from_a_given_base_to_the_report(tmp_path: Path, engine: Engine) -> None:
    write_study(tmp_path)
    file = tmp_path / "mine.toml"
    file.write_text(BASE)
    trained(load_study(str(file)), tmp_path / "run", engine)
    file.write_text(GIVEN)
    study = load_study(str(file))
    folder = RunFolder(tmp_path / "given run")
    trained(study, folder.root, engine)

    model = tmp_path / "run/results/halfmineA/snapshots/net_iter_4.caffemodel"
    cut = folder.network("transfermineAB_1_2")
    record = read_cut(cut.cut)
    assert record is not None
    assert (record.name, record.copied) == ("a", BLOCK_A)
    assert json.loads(cut.manifest.read_text())["frozen"] == blob_hashes(model, BLOCK_A)
    rows = {row.network.name: row for row in read_results(folder.root).rows}
    assert set(rows) == {network.name for network in study.networks}
    assert {row.cut for row in rows.values()} == {None, "conv1", "a"}
    assert rows["halfmineB"].valid_images == 4  # of a test
    assert (folder.report / "figure2.png").is_file()
    assert "halfmineB" in (folder.report / "table.md").read_text()
    # Run again, it finds everything done.
    trained(load_study(str(file)), folder.root, engine)


def test_layers_that_the_net_itself_keeps_fixed(tmp_path: Path, engine: Engine) -> None:
    """Above the cut they are drawn anew, and are no concern of the proof of freezing."""
    fixed = tmp_path / "fixed.prototxt"
    fixed.write_text(
        NET.read_text().replace(
            'bottom: "a" top: "b1"',
            'bottom: "a" top: "b1" param { lr_mult: 0 } param { lr_mult: 0 }',
        )
    )
    write_study(tmp_path)
    file = tmp_path / "mine.toml"
    file.write_text(COMMON.replace(str(NET), "fixed.prototxt") + FROM_HALF)
    folder = RunFolder(tmp_path / "run")
    trained(load_study(str(file)), folder.root, engine)
    manifest = json.loads(folder.network("transfer0A0B_1_1").manifest.read_text())
    assert set(manifest["frozen"]) == {"conv1", "bn1", "scale1"}


def test_another_net_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    write_study(tmp_path)
    (tmp_path / "mine.toml").write_text(BASE)
    model = tmp_path / "run/results/halfmineA/snapshots/net_iter_4.caffemodel"
    model.parent.mkdir(parents=True)
    write_model(model)
    (tmp_path / "mine.toml").write_text(GIVEN)
    study = load_study(str(tmp_path / "mine.toml"))
    with pytest.raises(BadInput, match=r"net_iter_4\.caffemodel lacks layers bn1, scale1, a1"):
        run(study, tmp_path / "out", options=RunOptions(settings=Settings(Engine("x", model))))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["lock"]
