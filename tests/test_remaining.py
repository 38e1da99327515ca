"""What is left to train, and how long it takes."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caffe_transfer.paths import RunFolder
from caffe_transfer.studies.load import paper
from caffe_transfer.studies.network import Network
from caffe_transfer.training.remaining import at_once, left, measured_paces, pace_of, time_left
from tests.small_study import SmallRun


def networks(*names: str) -> list[Network]:
    return [Network.parse(name) for name in names]


def test_a_network_without_logs_goes_as_those_with_as_many_frozen_layers() -> None:
    base, low, high = networks("half0A", "transfer0A0B_1_2", "transfer0A0B_1_7")
    paces = {base: 1.9, low: 1.3, high: 0.8}
    assert pace_of(low, paces) == 1.3
    (other, tuned, middle) = networks("transfer1A1B_1_7", "transfer-ft0A0B_1_7", "transfer0A0B_1_6")
    assert pace_of(other, paces) == 0.8
    assert pace_of(tuned, paces) == 1.9
    assert pace_of(middle, paces) == 0.8


def test_devices_and_cores_limit_how_many_add_to_the_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})
    assert at_once(8, [], on_gpu=False) == 2
    assert at_once(1, [], on_gpu=False) == 1
    assert at_once(8, [], on_gpu=True) == 1
    assert at_once(8, ["0", "1", "2"], on_gpu=True) == 3


def test_bases_come_first() -> None:
    needs = {"base": [], "a": ["base"], "b": ["base"], "c": ["base"]}
    seconds = {"base": 10.0, "a": 5.0, "b": 5.0, "c": 5.0}
    assert time_left(needs, seconds, 1) == 25
    assert time_left(needs, seconds, 2) == 20
    assert time_left(needs, seconds, 9) == 15
    assert time_left(needs, {"a": 5.0, "b": 5.0}, 2) == 5  # the base is trained
    assert time_left(needs, {}, 2) == 0


@given(st.dictionaries(st.integers(0, 9), st.floats(1, 100)), st.integers(1, 4))
def test_between_the_sum_and_the_share(lengths: Mapping[int, float], slots: int) -> None:
    seconds = {str(number): length for number, length in lengths.items()}
    needs = {str(number): [str(number // 2)] if number else [] for number in range(10)}
    found, total = time_left(needs, seconds, slots), sum(seconds.values())
    assert total / slots <= found * (1 + 1e-9)
    assert found <= total * (1 + 1e-9)


def test_what_a_run_has_done_is_not_left(small_run: SmallRun) -> None:
    study, folder = small_run.study, small_run.folder
    assert [each.iterations for each in left(study, folder)] == [4] * 6
    assert measured_paces(study.networks, folder) == {}
    small_run.train("half0A")
    found = left(study, folder)
    assert "half0A" not in {each.network.name for each in found}
    assert len(found) == 5
    ((network, pace),) = measured_paces(study.networks, folder).items()
    assert network.name == "half0A"
    assert pace > 0


def test_the_pace_of_the_paper_is_that_of_the_authors_logs(authors: object) -> None:
    study, folder = paper(), RunFolder(authors)  # type: ignore[arg-type]
    paces = measured_paces(study.networks, folder)
    seconds = {n: pace_of(n, paces) * study.solver_of(n).max_iter for n in study.networks}
    iterations = sum(study.solver_of(network).max_iter for network in study.networks)
    assert sum(seconds.values()) / iterations == pytest.approx(
        study.seconds_per_iteration, rel=0.05
    )
    (frozen,) = networks("transfer0A0B_1_7")
    assert paces[frozen] * 450_000 / 86400 == pytest.approx(4.1, abs=0.1)
