"""Devices on which networks fail at once are retired; those that work are not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caffe_transfer.training import devices
from caffe_transfer.training.devices import Devices
from caffe_transfer.training.executor import JobResult, Outcome

CUDA = "caffe ended with status -6: Check failed: error == cudaSuccess (46 vs. 0)  all devices busy"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


def failed(name: str, reason: str = "killed", may_pass: bool = True) -> JobResult:
    return JobResult(name, Outcome.FAILED, reason, may_pass)


def test_one_that_fails_three_at_once_while_others_work_is_retired(clock: list[float]) -> None:
    found = Devices(["0", "1"])
    found.begin("long", "1")
    clock[0] += devices.QUICK_SECONDS + 1
    for name in ("a", "b"):
        found.begin(name, "0")
        end = found.end(failed(name))
        assert end.retired == []
        assert end.is_moved
    found.begin("c", "0")
    end = found.end(failed("c"))
    (sentence,) = end.retired
    assert sentence.startswith("GPU 0 gets no more networks: 3 in a row failed there at once")
    assert sentence.endswith("the last, c, with: killed")
    assert end.is_moved
    assert found.left == ["1"]


def test_where_none_works_none_is_retired(clock: list[float]) -> None:
    found = Devices(["0", "1"])
    for number in range(20):
        device = str(number % 2)
        found.begin(f"n{number}", device)
        assert found.end(failed(f"n{number}")).retired == []
    assert found.left == ["0", "1"]


def test_last_words_that_name_cuda_are_enough(clock: list[float]) -> None:
    found = Devices([None])
    found.begin("a", None)
    assert found.end(failed("a", CUDA)).retired == []
    found.begin("b", None)
    (sentence,) = found.end(failed("b", CUDA)).retired
    assert sentence.startswith("the device gets no more networks: 2 in a row")
    assert found.left == []


def test_a_network_that_trains_between_them_clears_it(clock: list[float]) -> None:
    found = Devices(["0", "1"])
    found.begin("long", "1")
    clock[0] += devices.QUICK_SECONDS + 1
    for name in ("a", "b", "good", "c", "d"):
        found.begin(name, "0")
        result = JobResult(name, Outcome.DONE) if name == "good" else failed(name)
        assert found.end(result).retired == []


def test_a_failure_after_hours_or_by_a_wrong_input_is_not_the_devices(clock: list[float]) -> None:
    found = Devices(["0", "1"])
    for number in range(10):
        found.begin(f"slow{number}", "0")
        clock[0] += devices.QUICK_SECONDS
        assert not found.end(failed(f"slow{number}", CUDA)).is_moved
        found.begin(f"wrong{number}", "0")
        assert not found.end(failed(f"wrong{number}", may_pass=False)).is_moved
    assert found.left == ["0", "1"]


def test_a_network_moves_once(clock: list[float]) -> None:
    found = Devices(["0", "1", "2"])
    found.begin("a", "0")
    assert found.end(failed("a")).is_moved
    assert found.others("a") == ["1", "2"]
    found.begin("a", "1")
    assert not found.end(failed("a")).is_moved
    assert found.others("a") == ["2"]


@given(st.lists(st.tuples(st.sampled_from("012"), st.sampled_from([None, "killed", CUDA]))))
def test_a_device_that_trains_every_network_stays(ends: list[tuple[str, str | None]]) -> None:
    found = Devices(list("0123"))
    for number, (device, reason) in enumerate(ends):
        name = f"n{number}"
        found.begin(name, device)
        found.end(JobResult(name, Outcome.DONE) if reason is None else failed(name, reason))
        found.begin("good", "3")
        assert found.end(JobResult("good", Outcome.DONE)).retired == []
    assert "3" in found.left
