"""Which networks are trained when, where the disk does not hold all of their databases at once.

A database that some networks of a study read can be removed after the last of them, and can be
copied again from the database that it is a part of.  Nothing here touches files or threads.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Demand:
    """What networks need of each other and of the disk.

    Attributes:
        needs: the networks that must be trained before each, as `schedule.graph` returns them.
        reads: the databases that each reads and that can be removed; none for a network that is
            trained already.
        sizes: bytes of each of these databases.
        room: bytes that they may take together at any moment.
    """

    needs: Mapping[str, Sequence[str]]
    reads: Mapping[str, Collection[str]]
    sizes: Mapping[str, int]
    room: int

    def bytes_of(self, databases: Iterable[str]) -> int:
        """The bytes that databases take together."""
        return sum(self.sizes[each] for each in databases)

    @property
    def largest(self) -> str:
        """The network whose own databases take most: there must be room for them."""
        return max(self.reads, key=lambda name: self.bytes_of(self.reads[name]))


@dataclass(frozen=True)
class Turn:
    """A network that can start now.

    Attributes:
        removed: the databases that go first, to make room for those that it reads.
        made: those that it reads and that are not there.
    """

    name: str
    removed: tuple[str, ...] = ()
    made: tuple[str, ...] = ()


class Room:
    """The databases that are there, and the networks that are not done, as a run goes on.

    A database that a network in training reads is never removed.

    Args:
        demand: each network's databases must fit into the room.
        there: the databases that earlier runs have left.
        order: of the networks; by default that of `planned_order`.
    """

    def __init__(
        self, demand: Demand, there: Collection[str] = (), order: Sequence[str] | None = None
    ) -> None:
        self._demand = demand
        self.there = {name for name in demand.sizes if name in there}
        order = planned_order(demand, self.there) if order is None else order
        self._waiting = dict.fromkeys(order)
        self._running: set[str] = set()
        self._undone = set(demand.needs)

    @property
    def bytes(self) -> int:
        """What the databases that are there take, those in the making included."""
        return self._demand.bytes_of(self.there)

    def begin(self) -> list[str]:
        """Remove what no network needs, and what is too much; returns what that is."""
        gone = self._drop_unread()
        over = self._victims(set(), self.there)
        self.there -= set(over)
        return [*gone, *over]

    def start(self, ready: Collection[str]) -> Turn | None:
        """Start one of the networks whose bases are done; None if their databases do not fit now.

        The first whose databases are there; else the first that fits without removing what
        others wait for, since copying takes time; else the first that fits at all, since an idle
        device costs more than a copy.  If none is in training, there always is one.  Networks that
        have ended and are ready again come last.
        """
        self._waiting |= dict.fromkeys(name for name in ready if name not in self._waiting)
        waiting = [name for name in self._waiting if name in ready]
        turns = [turn for turn in map(self._turn, waiting) if turn is not None]
        if not turns:
            return None
        wanted = self._wanted()
        turn = min(turns, key=lambda turn: 2 * bool(wanted & {*turn.removed}) + bool(turn.made))
        self.there = self.there - {*turn.removed} | {*turn.made}
        del self._waiting[turn.name]
        self._running.add(turn.name)
        return turn

    def end(self, name: str, *, is_done: bool) -> list[str]:
        """Note that a network has ended, or will not start; returns the databases to remove.

        What a network that failed reads stays, as long as there is room: it is trained again.
        """
        self._waiting.pop(name, None)
        self._running.discard(name)
        if is_done:
            self._undone.discard(name)
        return self._drop_unread()

    def _drop_unread(self) -> list[str]:
        read = {each for name in self._undone for each in self._demand.reads[name]}
        gone = [each for each in self._demand.sizes if each in self.there - read]
        self.there -= set(gone)
        return gone

    def _turn(self, name: str) -> Turn | None:
        reads = set(self._demand.reads[name])
        busy = reads.union(*(self._demand.reads[each] for each in self._running))
        if self._demand.bytes_of(busy) > self._demand.room:
            return None
        made = tuple(each for each in self._demand.sizes if each in reads - self.there)
        removed = self._victims(busy, self.there | reads) if made else []
        return Turn(name, tuple(removed), made)

    def _victims(self, busy: Collection[str], there: Collection[str]) -> list[str]:
        """What to remove for the rest to fit: those that are read last, or by none that waits."""
        next_read: dict[str, int] = {}
        for place, name in enumerate(self._waiting):
            for each in self._demand.reads[name]:
                next_read.setdefault(each, place)
        never = len(self._waiting)
        idle = [each for each in self._demand.sizes if each in there and each not in busy]
        idle.sort(key=lambda each: next_read.get(each, never), reverse=True)
        over = self._demand.bytes_of(there) - self._demand.room
        removed = []
        for each in idle:
            if over > 0:
                removed.append(each)
                over -= self._demand.sizes[each]
        return removed

    def _wanted(self) -> set[str]:
        return {each for name in self._waiting for each in self._demand.reads[name]}


@dataclass
class _Sequence:
    """An order of networks in the making: one after the other, each as soon as it can be."""

    demand: Demand
    there: set[str]
    left: dict[str, None]
    order: list[str] = field(default_factory=list)

    def copy(self) -> "_Sequence":
        return _Sequence(self.demand, set(self.there), dict(self.left))

    def is_ready(self, name: str) -> bool:
        return not any(base in self.left for base in self.demand.needs[name])

    def train_all(self, importance: Mapping[str, int]) -> None:
        """Train all that can be without another database, bases first, and drop what is not read.

        Args:
            importance: how many networks wait for each.
        """
        while ready := [
            name
            for name in self.left
            if self.there.issuperset(self.demand.reads[name]) and self.is_ready(name)
        ]:
            ready.sort(key=lambda name: -importance[name])
            self.order += ready
            for name in ready:
                del self.left[name]
        self.there &= {each for name in self.left for each in self.demand.reads[name]}

    def add(self, databases: Collection[str]) -> int:
        """Make databases, and room for them; returns the bytes of those removed, all still read."""
        removed = 0
        while (over := self.demand.bytes_of(self.there | {*databases}) - self.demand.room) > 0:
            idle = [each for each in self.demand.sizes if each in self.there - {*databases}]
            sizes = self.demand.sizes
            # The smallest that makes room alone, else the largest and others.
            enough = [each for each in idle if sizes[each] >= over]
            gone = min(enough, key=sizes.__getitem__) if enough else max(idle, key=sizes.get)  # type: ignore[arg-type]
            self.there.remove(gone)
            removed += sizes[gone]
        self.there |= {*databases}
        return removed


def planned_order(demand: Demand, there: Collection[str] = ()) -> list[str]:
    """An order of the networks in which databases are seldom made more than once.

    All that can be trained with the databases that are there comes first.  Then the next ones are
    made, chosen by what they leave: the fewest bytes removed that are still to be read, then the
    fewest kept for later once all is trained that they allow, then the fewest made.

    Args:
        demand: each network's databases must fit into the room.
        there: the databases that earlier runs have left.
    """
    importance = Counter(base for bases in demand.needs.values() for base in bases)
    now = _Sequence(demand, {*there}, dict.fromkeys(demand.needs))
    now.train_all(importance)
    while now.left:
        now.add(_next_databases(now, importance))
        now.train_all(importance)
    return now.order


def _next_databases(now: _Sequence, importance: Mapping[str, int]) -> frozenset[str]:
    demand = now.demand
    choices = dict.fromkeys(frozenset(demand.reads[n]) for n in now.left if now.is_ready(n))

    def cost(databases: frozenset[str]) -> tuple[int, int, int]:
        then = now.copy()
        removed = then.add(databases)
        then.train_all(importance)
        return removed, demand.bytes_of(then.there), demand.bytes_of(databases - now.there)

    return min(choices, key=cost)


@dataclass(frozen=True)
class DiskPlan:
    """What a run does that trains one network at a time.

    Attributes:
        order: of the networks.
        peak: the most bytes of removable databases at any moment.
        made: how often each of them is made.
    """

    order: tuple[str, ...]
    peak: int
    made: Mapping[str, int]


def disk_plan(demand: Demand) -> DiskPlan:
    """Go through a run that begins without databases."""
    room = Room(demand)
    order: list[str] = []
    made: Counter[str] = Counter()
    peak = 0
    ready = dict.fromkeys(demand.needs)
    done: set[str] = set()
    while ready:
        turn = room.start([name for name in ready if done.issuperset(demand.needs[name])])
        assert turn is not None, "a network whose databases do not fit into the room"
        del ready[turn.name]
        made.update(turn.made)
        peak = max(peak, room.bytes)
        order.append(turn.name)
        done.add(turn.name)
        room.end(turn.name, is_done=True)
    return DiskPlan(tuple(order), peak, made)
