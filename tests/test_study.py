"""Studies as data: outputs, solvers, their text, and what two of them have against each other."""

from dataclasses import replace
from pathlib import Path

import pytest

from caffe_transfer.studies.changes import conflicts
from caffe_transfer.studies.load import built_in_studies, load_study, paper
from caffe_transfer.studies.network import Mode, Network
from caffe_transfer.studies.study import CustomSplit, Study, Task
from caffe_transfer.studies.write import study_text


def all_studies() -> list[Study]:
    found = [load_study(name) for name in built_in_studies()]
    return found + [load_study(name, quick=True) for name in ("fashion-mnist", "tiny-imagenet")]


@pytest.mark.parametrize("study", all_studies(), ids=lambda study: study.name)
def test_a_studys_text_is_the_study(study: Study, tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text(study_text(study))
    assert load_study(str(path)) == study


def test_a_reduced_solver_may_go_back_to_a_default(tmp_path: Path) -> None:
    plain = paper()
    assert plain.reduced_solver is not None
    for reduced in (replace(plain.solver, momentum=0.9), replace(plain.solver, momentum=0.5)):
        study = replace(plain, solver=replace(plain.solver, momentum=0.5), reduced_solver=reduced)
        path = tmp_path / "study.toml"
        path.write_text(study_text(study))
        assert load_study(str(path)) == study


def test_classes_and_outputs() -> None:
    study = replace(paper(), all_outputs=True)
    half = Network(mode=Mode.BASE, target="B", split="natman")
    assert (study.classes_of(half), study.outputs(half)) == (551, 1000)
    assert paper().outputs(half) == 551


def test_quick_conflicts_with_full_in_what_it_changes() -> None:
    full, quick = load_study("fashion-mnist"), load_study("fashion-mnist", quick=True)
    assert {each.key for each in conflicts(quick, full)} == {
        "images.valid_per_class", "solver.max_iter", "solver.test_iter", "solver.test_interval",
        "solver.snapshot",
    }  # fmt: skip
    assert conflicts(full, full) == []


def test_what_does_not_conflict() -> None:
    study = paper()
    later = replace(
        study,
        name="mine",
        about="",
        seconds_per_iteration=1.0,
        networks=study.networks[3:],
        images=replace(study.images, natman_classes=None),
        custom_splits={"pets": CustomSplit(Task(("cat",)), Task(("dog",)))},
    )
    assert conflicts(study, later) == conflicts(later, study) == []
