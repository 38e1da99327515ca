"""Studies that are struck a few times, run to their end and looked at; what was tried and held."""

import json
import shutil
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random

from tests.kill.checks import listing, problems
from tests.kill.points import REPORT
from tests.kill.strikes import (
    FAULTS,
    SIGNALS,
    VICTIMS,
    Struck,
    choose,
    choose_fault,
    strike,
    wrong_end,
)
from tests.kill.subject import REPLAY, Reference, Subject

# The time that a command takes, as a share of the run's: it need not be exact.
_OF_RUN = {"run": 0.8, "status": 0.03, "report": 0.2}
_SHOWN = 200  # characters of what failed
_MOST = 6  # strikes of one study before it may end
_LATE = 0.3  # the share of studies in which `status` and `report` are struck as well


@dataclass
class Tally:
    """What was tried.

    Attributes:
        struck: those that struck, in their order.
        failures: a text for each study that did not hold.
        studies: those that were run to their end.
    """

    struck: list[Struck] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    studies: int = 0


class Campaign:
    """Studies in a folder, each with its own chance.

    Args:
        root: a folder, which keeps what failed.
        seed: of all that is chosen.
        reference: the same study, which nothing strikes.
        say: called with a line for each study.
        faults: writes fail, instead of signals.
    """

    def __init__(
        self, root: Path, seed: int, reference: Reference, say: Callable[[str], None],
        faults: bool = False,
    ) -> None:  # fmt: skip
        self._root, self._seed, self._say, self._faults = root, seed, say, faults
        self._reference, self._engine = reference, reference.subject.engine
        self.tally = Tally()

    def study(self, number: int) -> None:
        """Strike one study and look at it; what fails is kept in a folder of its number."""
        root = self._root / f"{number:04d}"
        subject = Subject(root, self._engine, self._reference.subject.seconds)
        struck: list[Struck] = []
        try:
            found = list(self._strike(subject, Random(f"{self._seed} {number}"), struck))
        except Exception:
            found = [traceback.format_exc()]
        self.tally.struck += [each for each in struck if each.where is not None]
        self.tally.studies += 1
        held = [each[:_SHOWN] for each in found] or "held"
        self._say(f"study {number}: {', '.join(map(_words, struck))}: {held}")
        if not found:
            shutil.rmtree(root)
            return
        how = f"python -m tests.kill --seed {self._seed} --only {number} --engine {self._engine}"
        how += " --faults" * self._faults
        told = {"repeat": how, "failed": found, "strikes": [asdict(each) for each in struck]}
        (root / "failure.json").write_text(json.dumps(told, indent=2) + "\n")
        self.tally.failures.append(f"{how}\n  " + "\n  ".join(found))

    def _strike(self, subject: Subject, chance: Random, struck: list[Struck]) -> list[str]:
        found: list[str] = []

        def go(command: str) -> None:
            seconds = self._reference.seconds * _OF_RUN[command]
            events = self._reference.events
            if command != "run":
                events = Counter({each: n for each, n in events.items() if each[1] == REPORT})
            if self._faults:
                chosen = choose_fault(chance, command, events)
            else:
                chosen = choose(chance, command, seconds, events)
            struck.append(strike(subject, chosen))
            if wrong := wrong_end(struck[-1], real=self._engine != REPLAY):
                found.append(f"{wrong} after {chosen}: {struck[-1].said}")

        for _ in range(chance.randint(1, _MOST)):
            go("run")
            if struck[-1].status == 0:
                break
        # A record of a lock whose removal failed is removed by the next run.
        again = struck[-1].status or self._faults
        if again and (status := subject.start("run").wait()):
            found.append(f"the same command again ended with {status}: {subject.last_words()}")
        late = chance.random() < _LATE
        if late:
            before = listing(subject.folder.root)
            go("status")
            if listing(subject.folder.root) != before:
                found.append("status has changed the run's files")
            go("report")
            for command in ("status", "report"):
                if status := subject.start(command).wait():
                    found.append(f"{command} ended with {status}: {subject.last_words()}")
        return found + problems(subject, self._reference.subject)


def _words(struck: Struck) -> str:
    chosen = struck.strike
    where = "too late" if struck.where is None else struck.where
    what = f"{chosen.command}: {where}" if where else chosen.command
    return f"{what}: {chosen.signals} to {chosen.victim} -> {struck.status}"


def table(tally: Tally) -> str:
    """Where times what, and how many of each; as Markdown."""
    columns = FAULTS if any(s.strike.signals in FAULTS for s in tally.struck) else SIGNALS
    signals = {each: [s for s in tally.struck if s.strike.signals == each] for each in columns}
    wheres = sorted({(s.strike.command, str(s.where)) for s in tally.struck})
    lines = [
        f"| struck in | {' | '.join(columns)} | all |",
        f"|---|{'---:|' * (len(columns) + 1)}",
    ]
    for command, where in wheres:
        counts = [
            sum((s.strike.command, s.where) == (command, where) for s in found)
            for found in signals.values()
        ]
        lines.append(_row(f"`{command}`{where and ': '}{where}", counts))
    lines += ["", f"| victim | {' | '.join(columns)} | all |", lines[1]]
    for victim in VICTIMS:
        lines.append(
            _row(
                victim,
                [sum(s.strike.victim == victim for s in found) for found in signals.values()],
            )
        )
    lines.append(_row("all", [len(found) for found in signals.values()]))
    slowest = max((s.seconds for s in tally.struck if s.status == 130), default=0.0)
    statuses = Counter(s.status for s in tally.struck)
    by_point = sum(s.strike.point is not None for s in tally.struck)
    told = ", ".join(f"{status}: {count}" for status, count in sorted(statuses.items()))
    lines += [
        "",
        f"{len(tally.struck)} strikes on {tally.studies} studies, {by_point} of them at a chosen "
        f"file; statuses {told}; the slowest stop took {slowest:.1f} s; "
        f"{len(tally.failures)} studies failed",
    ]
    return "\n".join(lines)


def _row(name: str, counts: list[int]) -> str:
    cells = (str(count) if count else "" for count in [*counts, sum(counts)])
    return f"| {name} | {' | '.join(cells)} |"
