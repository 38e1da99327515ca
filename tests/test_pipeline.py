"""A study in a run's folder: what a later run continues, and what it refuses."""

from dataclasses import replace
from pathlib import Path

import pytest

from caffe_transfer.cost import estimate
from caffe_transfer.errors import BadInput
from caffe_transfer.paths import RunFolder
from caffe_transfer.pipeline import default_folder, prepare_run
from caffe_transfer.run_options import Callbacks
from caffe_transfer.studies.load import load_study
from caffe_transfer.studies.study import Study
from tests.small_study import TEXT, write_study
from tests.test_lock import kill_holder

QUICK = "[quick.images]\ntrain_per_class = 2\n[quick.solver]\nmax_iter = 2\n"


class Runs:
    """Runs of studies in one folder, prepared and not trained."""

    def __init__(self, folder: Path) -> None:
        self.given = folder / "given"
        self.study_file = write_study(folder, TEXT + QUICK)
        self.folder = RunFolder(folder / "run")
        self.warnings: list[str] = []

    def study(self, text: str = TEXT + QUICK, quick: bool = False) -> Study:
        self.study_file.write_text(text)
        return load_study(str(self.study_file), quick)

    def prepare(self, study: Study) -> list[str]:
        """Prepare a run; the names of the networks whose folders are there."""
        prepare_run(
            study,
            self.folder.root,
            images_from=self.given,
            callbacks=Callbacks(warn=self.warnings.append),
        )
        names = [network.name for network in study.networks]
        return [name for name in names if self.folder.network(name).solver.is_file()]

    def files(self) -> dict[Path, tuple[int, bytes]]:
        """Identity and bytes of every file of the run."""
        found = (path for path in self.folder.root.rglob("*") if path.is_file())
        return {path: (path.stat().st_ino, path.read_bytes()) for path in found}


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path)


def test_the_kept_study_is_what_was_asked(runs: Runs) -> None:
    quick = runs.study(quick=True)
    runs.prepare(quick)
    assert load_study(str(runs.folder.study)) == quick


def test_a_quick_run_and_then_the_full_one(runs: Runs) -> None:
    runs.prepare(runs.study(quick=True))
    before = runs.files()
    with pytest.raises(
        BadInput,
        match=r"run holds a run of study 'small' with other settings: images\.train_per_class is 2 "
        r"there and not set here, solver\.max_iter is 2 there and 4 here; name another --out",
    ):
        runs.prepare(runs.study())
    assert runs.files() == before


def test_a_study_that_grows_goes_on(runs: Runs) -> None:
    runs.prepare(runs.study())
    before = runs.files()
    text = "seconds_per_iteration = 0.5\n# more\n" + TEXT.replace("n = [3]", "n = [3, 5]")
    text = text.replace("small", "larger") + (
        '[[networks]]\nmode = "base"\nsplits = ["mine"]\n'
        '[[networks]]\nmode = "reduced"\nper_class = [2]\n'
        "[reduced_solver]\nmax_iter = 3\n"
        '[splits.mine]\nA = ["0"]\nB = ["1", "2"]\n'
    )
    grown = runs.study(text)
    names = runs.prepare(grown)
    assert {"transfer0A0B_1_5", "halfmineA", "reduced-0002"} < set(names)
    after = runs.files()
    kept = {path for path in before if path.name not in ("study.toml", "half0_labels.txt")}
    assert all(after[path] == before[path] for path in kept)
    assert load_study(str(runs.folder.study)) == grown


def test_fewer_networks(runs: Runs) -> None:
    full = runs.study()
    runs.prepare(full)
    fewer = replace(full, networks=full.networks[:3])
    assert runs.prepare(fewer) == [network.name for network in fewer.networks]
    assert load_study(str(runs.folder.study)) == fewer


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("batch = 4", "batch = 8", "batch is 4 there and 8 here"),
        ('net = "mini"', 'net = "caffenet"', r'net is "mini" there and "caffenet" here'),
        ("size = 28", "size = 32", "images.size is 28 there and 32 here"),
        ('A = ["0"]', 'A = ["3"]', r'splits.mine.A.classes is \["0"\] there and \["3"\] here'),
        ("max_iter = 3", "max_iter = 5", "reduced_solver.max_iter is 3 there and 5 here"),
        ("natman_classes = [1, 3]", "natman_classes = [2, 2]", r"images.natman_classes is \[1, 3"),
    ],
)
def test_what_cannot_change(runs: Runs, old: str, new: str, message: str) -> None:
    text = TEXT.replace("size = 28", "size = 28\nnatman_classes = [1, 3]") + (
        '[[networks]]\nmode = "reduced"\nper_class = [2]\n'
        "[reduced_solver]\nmax_iter = 3\n"
        '[splits.mine]\nA = ["0"]\nB = ["1", "2"]\n'
    )
    runs.prepare(runs.study(text))
    before = runs.files()
    assert old in text
    with pytest.raises(BadInput, match=message) as error:
        runs.prepare(runs.study(text.replace(old, new, 1)))
    assert str(error.value).count(" there and ") == 1
    assert runs.files() == before


def test_unevenly_scored_validation_images_are_a_warning(runs: Runs) -> None:
    runs.prepare(runs.study())
    (warning,) = runs.warnings
    assert "1 x 4 = 4 images" in warning
    assert "whole_valid (16), half0A_valid (8), half0B_valid (8)" in warning


def test_an_unknown_source_is_named_before_anything_is_done(runs: Runs) -> None:
    study = runs.study(TEXT.replace('source = "list"', 'source = "imagenet21k"'))
    for action in (estimate, runs.prepare):
        with pytest.raises(BadInput, match="no source 'imagenet21k'; the sources are fashion-"):
            action(study)
    assert set(runs.files()) == {runs.folder.lock}


def test_a_network_that_does_not_fit_is_named_before_anything_is_done(runs: Runs) -> None:
    study = runs.study(TEXT.replace("n = [3]", "n = [9]"))
    with pytest.raises(BadInput, match="n = 9 is not a place to cut at: net mini has 7"):
        runs.prepare(study)
    assert set(runs.files()) == {runs.folder.lock}


def test_the_folder_of_a_run_holds_a_run_or_nothing(runs: Runs, tmp_path: Path) -> None:
    file = str(runs.study_file)
    root = default_folder(file)
    assert root == tmp_path / "small"
    runs.folder = RunFolder(root)
    runs.prepare(runs.study())
    assert default_folder(file) == root  # and goes on
    for name in (runs.folder.study.name, "data", "images", "results"):
        (root / name).rename(tmp_path / f"old {name}")
    kill_holder(root / "lock")
    assert default_folder(file) == root  # killed before it wrote anything
    (root / "letter.txt").touch()
    with pytest.raises(BadInput, match="small is there and holds no run; name the run's folder"):
        default_folder(file)
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="file is there and holds no run"):
        default_folder(str(tmp_path / "file.toml"))
