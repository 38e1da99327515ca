"""The order of networks, and which databases are there when, within a limit."""

from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caffe_transfer.data_prep.disk import estimated_sizes
from caffe_transfer.errors import BadInput
from caffe_transfer.studies.load import paper
from caffe_transfer.training.bounded import demand_of
from caffe_transfer.training.disk_plan import Demand, Room, disk_plan, planned_order

GB = 10**9


@st.composite
def demands(draw: st.DrawFn) -> Demand:
    """Up to a dozen networks, each of which fits into the room."""
    sizes = draw(st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 9), min_size=1))
    names = [f"net{number}" for number in range(draw(st.integers(1, 12)))]
    chosen = st.lists(st.sampled_from(sorted(sizes)), max_size=3, unique=True)
    reads = {name: tuple(draw(chosen)) for name in names}
    needs: dict[str, tuple[str, ...]] = {}
    for place, name in enumerate(names):
        before = st.lists(st.sampled_from(names[:place] or names), max_size=2, unique=True)
        needs[name] = tuple(draw(before)) if place else ()
    shuffled = draw(st.permutations(names))
    least = max(sum(sizes[each] for each in reads[name]) for name in names)
    room = draw(st.integers(least, sum(sizes.values()) + 1))
    return Demand({name: needs[name] for name in shuffled}, reads, sizes, room)


def is_topological(order: list[str], demand: Demand) -> bool:
    place = {name: number for number, name in enumerate(order)}
    return all(place[base] < place[name] for name in order for base in demand.needs[name])


class Run:
    """Networks that are trained in a room, some at once, and end in any order."""

    def __init__(self, demand: Demand, there: set[str]) -> None:
        self.demand, self.room = demand, Room(demand, there)
        self.disk = set(there) & set(demand.sizes)
        self.made: Counter[str] = Counter()
        self.ended: dict[str, bool] = {}
        self.remove(self.room.begin())
        assert self.bytes() <= demand.room

    def bytes(self) -> int:
        return sum(self.demand.sizes[each] for each in self.disk)

    def remove(self, databases: list[str] | tuple[str, ...]) -> None:
        assert self.disk.issuperset(databases)
        self.disk -= set(databases)

    def go(self, jobs: int, pick: Callable[[list[str]], str], fails: set[str]) -> None:
        running: list[str] = []
        waiting = list(self.demand.needs)
        while waiting or running:
            for name in list(waiting):
                if any(self.ended.get(base) is False for base in self.demand.needs[name]):
                    waiting.remove(name)
                    self.end(name, is_done=False)
            ready = [n for n in waiting if all(self.ended.get(b) for b in self.demand.needs[n])]
            while ready and len(running) < jobs:
                turn = self.room.start(ready)
                if turn is None:
                    assert running
                    break
                self.remove(turn.removed)
                read_now = {each for name in running for each in self.demand.reads[name]}
                assert not read_now.intersection(turn.removed)
                assert self.disk.isdisjoint(turn.made)
                self.disk |= set(turn.made)
                self.made.update(turn.made)
                assert self.disk.issuperset(self.demand.reads[turn.name])
                assert self.bytes() == self.room.bytes <= self.demand.room
                running.append(turn.name)
                waiting.remove(turn.name)
                ready.remove(turn.name)
            if running:
                ended = pick(running)
                running.remove(ended)
                self.end(ended, is_done=ended not in fails)

    def end(self, name: str, *, is_done: bool) -> None:
        assert name not in self.ended
        self.ended[name] = is_done
        self.remove(self.room.end(name, is_done=is_done))


@given(demands(), st.sets(st.sampled_from("abcdef")))
def test_every_network_once_and_bases_first(demand: Demand, there: set[str]) -> None:
    there &= set(demand.sizes)
    order = planned_order(demand, there if demand.bytes_of(there) <= demand.room else ())
    assert sorted(order) == sorted(demand.needs)
    assert is_topological(order, demand)


@given(demands(), st.sets(st.sampled_from("abcdef")), st.integers(1, 4), st.data())
def test_never_more_than_the_room(
    demand: Demand, there: set[str], jobs: int, data: st.DataObject
) -> None:
    fails = data.draw(st.sets(st.sampled_from(sorted(demand.needs)), max_size=2))
    run = Run(demand, there)
    run.go(jobs, lambda running: data.draw(st.sampled_from(running)), fails)
    assert sorted(run.ended) == sorted(demand.needs)
    if not fails:
        assert run.disk == set()


@given(demands())
def test_one_at_a_time_goes_as_planned(demand: Demand) -> None:
    plan = disk_plan(demand)
    assert is_topological(list(plan.order), demand)
    run = Run(demand, set())
    run.go(1, lambda running: running[0], set())
    assert tuple(run.ended) == plan.order
    assert run.made == Counter(plan.made)
    assert plan.peak <= demand.room


@given(demands(), st.integers(1, 3))
def test_with_room_for_all_each_is_made_once(demand: Demand, jobs: int) -> None:
    roomy = Demand(demand.needs, demand.reads, demand.sizes, sum(demand.sizes.values()))
    run = Run(roomy, set())
    run.go(jobs, lambda running: running[-1], set())
    read = {each for name in demand.needs for each in demand.reads[name]}
    assert run.made == Counter(read)


def test_what_a_failed_network_reads_stays_until_its_room_is_needed() -> None:
    demand = Demand({"x": (), "y": (), "z": ()}, {"x": "a", "y": "b", "z": "c"},
                    {"a": 1, "b": 1, "c": 1}, 2)  # fmt: skip
    run = Run(demand, set())
    turn = run.room.start(["x"])
    assert turn is not None
    assert turn.made == ("a",)
    assert run.room.end("x", is_done=False) == []
    first, second = run.room.start(["y"]), run.room.start(["z"])
    assert first is not None
    assert second is not None
    assert first.removed == ()
    assert second.removed == ("a",)


def test_a_network_waits_where_others_use_the_room() -> None:
    demand = Demand({"x": (), "y": ()}, {"x": "a", "y": "b"}, {"a": 2, "b": 2}, 3)
    room = Room(demand)
    assert room.start(["x", "y"]) is not None
    assert room.start(["y"]) is None
    assert room.end("x", is_done=True) == ["a"]
    assert room.start(["y"]) is not None


@pytest.mark.parametrize(
    ("limit", "peak", "again"),
    [(471, 470, 5), (538, 537, 0), (800, 537, 0), (1200, 537, 0)],
)  # fmt: skip
def test_the_paper(limit: int, peak: int, again: int) -> None:
    sizes = estimated_sizes(paper())
    assert sizes is not None
    plan = disk_plan(demand_of(paper(), sizes, limit * GB, None))
    assert (sizes.kept + plan.peak) / GB == pytest.approx(peak, abs=1)
    assert len(plan.made) == len(sizes.taken) == 31
    assert sum(plan.made.values()) == 31 + again
    assert is_topological(list(plan.order), demand_of(paper(), sizes, limit * GB, None))


def test_a_limit_that_is_too_small() -> None:
    sizes = estimated_sizes(paper())
    assert sizes is not None
    with pytest.raises(
        BadInput,
        match=r"^400\.0 GB are too few for the databases of study 'paper': 267\.2 GB stay from "
        r"beginning to end, and network reduced-1000 reads 20\d\.\d GB more; give --disk "
        r"47\d\.\d GB or more$",
    ):
        demand_of(paper(), sizes, 400 * GB, None)
    with pytest.raises(BadInput, match="end, and network"):
        demand_of(paper(), sizes, 100 * GB, None)
