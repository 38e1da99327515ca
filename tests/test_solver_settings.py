"""The settings of solvers: what each policy needs, and what a user's prototxt sets."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format

from caffe_transfer.errors import BadInput, FormatError, Incomplete
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.nets.render import render
from caffe_transfer.studies.load import load_study
from caffe_transfer.studies.network import Network
from caffe_transfer.studies.schema import Place
from caffe_transfer.studies.solver import (
    POLICIES,
    TYPES,
    WITHOUT_MOMENTUM,
    SolverSettings,
    check_solver,
    keys_of_file,
)
from tests.small_study import TEXT, SmallRun

PLAIN = SolverSettings(base_lr=0.01, max_iter=4, test_iter=1, test_interval=2, snapshot=2)
OF_POLICIES: dict[str, Any] = {"stepsize": 3, "stepvalue": (2, 3), "power": 0.5}
PLACE = Place("mine.toml", "solver")
SHARED = Path(os.environ.get("CAFFE_TRANSFER_SHARED", "none"))
SOLVER = SHARED / "nets/squeezenet_v1.1_solver.prototxt"


def of_policy(policy: str, **more: Any) -> SolverSettings:
    read = {key: OF_POLICIES[key] for key in POLICIES[policy] if key in OF_POLICIES}
    return replace(PLAIN, lr_policy=policy, **{**read, **more})


def rendered(solver: SolverSettings) -> pb.SolverParameter:
    study = replace(load_study("fashion-mnist"), solver=solver)
    text = render(Network.parse("half0A"), study)["solver.prototxt"]
    return text_format.Parse(text, pb.SolverParameter())


@pytest.mark.parametrize("policy", POLICIES)
def test_what_a_policy_needs(policy: str) -> None:
    check_solver(of_policy(policy), PLACE)
    for key in POLICIES[policy]:
        if key in OF_POLICIES:
            with pytest.raises(BadInput, match=rf"mine\.toml lacks solver\.{key}, .*{policy}"):
                check_solver(of_policy(policy, **{key: None}), PLACE)


@pytest.mark.parametrize("kind", TYPES)
def test_real_caffe_trains_with_every_type_and_policy(small_run: SmallRun, kind: str) -> None:
    momentum = 0.0 if kind in WITHOUT_MOMENTUM else 0.9
    policy = list(POLICIES)[1 + TYPES.index(kind)]
    solver = of_policy(
        policy, type=kind, momentum=momentum, iter_size=2, clip_gradients=5.0, average_loss=2
    )
    small_run.study = replace(small_run.study, solver=solver)
    manifest, _ = small_run.train("half0A")
    assert manifest["finished"]


def test_everything_set_is_in_the_prototxt() -> None:
    solver = of_policy(
        "multistep", type="Adam", momentum2=0.99, delta=1e-7, clip_gradients=3.0,
        regularization_type="L1", iter_size=4, average_loss=5, gpu=True,
    )  # fmt: skip
    written = rendered(solver)
    assert list(written.stepvalue) == [2, 3]
    assert (written.type, written.regularization_type) == ("Adam", "L1")
    assert (written.iter_size, written.average_loss) == (4, 5)
    assert written.momentum2 == pytest.approx(0.99)
    assert written.solver_mode == pb.SolverParameter.GPU
    assert not written.HasField("stepsize")
    assert not written.HasField("power")


def test_momentum_where_caffe_aborts() -> None:
    for kind in WITHOUT_MOMENTUM:
        with pytest.raises(BadInput, match=rf"momentum is 0\.9; it must be 0 with type {kind}"):
            check_solver(of_policy("fixed", type=kind), PLACE)
    with pytest.raises(BadInput, match=r"stepvalue is \[3, 2\]; it must be in ascending order"):
        check_solver(of_policy("multistep", stepvalue=(3, 2)), PLACE)


@pytest.mark.skipif(not SOLVER.is_file(), reason="set CAFFE_TRANSFER_SHARED to the shared data")
def test_a_published_solver(tmp_path: Path) -> None:
    text = TEXT.replace(TEXT[TEXT.index("[solver]") : TEXT.index("[[networks]]")], "", 1)
    path = tmp_path / "mine.toml"
    path.write_text(f'solver = "{SOLVER}"\n' + text)
    solver = load_study(str(path)).solver
    given = text_format.Parse(SOLVER.read_text(), pb.SolverParameter())
    assert solver.base_lr == pytest.approx(given.base_lr)
    assert str(solver.base_lr) == "0.04"  # as a reader of the file knows it
    assert (solver.lr_policy, solver.max_iter) == (given.lr_policy, given.max_iter)
    assert solver.iter_size == given.iter_size
    # In a table the study's own settings go before those of the file.
    path.write_text(text.replace("[[networks]]", f'[solver]\nfile = "{SOLVER}"\nmax_iter = 8\n'
                                 "[[networks]]", 1))  # fmt: skip
    assert load_study(str(path)).solver == replace(solver, max_iter=8)


def write(path: Path, text: str) -> Path:
    path.write_text("net: 'a' base_lr: 0.1 max_iter: 5 test_interval: 1 snapshot: 2 " + text)
    return path


def test_caffes_own_defaults_hold_for_a_solvers_file(tmp_path: Path) -> None:
    found = keys_of_file(write(tmp_path / "s", "test_iter: 3 lr_policy: 'fixed' solver_type: ADAM"))
    assert found == {
        "base_lr": 0.1, "max_iter": 5, "test_iter": 3, "test_interval": 1, "snapshot": 2,
        "lr_policy": "fixed", "type": "Adam", "momentum": 0, "weight_decay": 0, "display": 0,
        "gamma": 0,
    }  # fmt: skip
    steps = keys_of_file(write(tmp_path / "s", "stepvalue: 2 stepvalue: 4 clip_gradients: -1"))
    assert steps["stepvalue"] == [2, 4]
    assert "clip_gradients" not in steps


def test_solvers_that_a_study_cannot_use(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="sets weights, which a study cannot; take the line out"):
        keys_of_file(write(tmp_path / "s", "weights: 'x'"))
    with pytest.raises(BadInput, match="has several test nets; keep one test_iter"):
        keys_of_file(write(tmp_path / "s", "test_iter: 1 test_iter: 2"))
    with pytest.raises(Incomplete, match="there is no"):
        keys_of_file(tmp_path / "none")
    (tmp_path / "net").write_text("layer { }")
    with pytest.raises(FormatError, match="is not a prototxt of this kind"):
        keys_of_file(tmp_path / "net")
