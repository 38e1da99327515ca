"""What strikes whom, when: chosen by a seed, done, and judged by how the command ended."""

import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.kill import points
from tests.kill.points import ALWAYS, ERRORS, PROGRAM, Point
from tests.kill.subject import Subject

HANG_SECONDS = 240.0
_STOPS = ("INT", "INT INT", "INT INT INT", "TERM")
SIGNALS = ("KILL", *_STOPS, "USR1", "HUP")
FAULTS = tuple(name + how for name in ERRORS for how in ("", ALWAYS))
VICTIMS = ("program", "engine", "group", "everything")
_SHARES = {  # how often a signal is chosen
    "KILL": 8, "INT": 2, "INT INT": 3, "INT INT INT": 2, "TERM": 2, "USR1": 1, "HUP": 2
}  # fmt: skip
_ENDS = {"KILL": -signal.SIGKILL, "USR1": -signal.SIGUSR1, "HUP": -signal.SIGHUP}


@dataclass(frozen=True)
class Strike:
    """One strike.

    Attributes:
        command: "run", "status" or "report".
        signals: their names, with one space between them; or one of FAULTS.
        gaps: seconds between two signals.
        point: where it strikes by itself; None to strike after `delay` seconds.
        delay: from when the program answers signals; where an engine is the victim, the next one is
            waited for.
    """

    command: str
    victim: str
    signals: str
    gaps: tuple[float, ...]
    point: Point | None
    delay: float


@dataclass(frozen=True)
class Struck:
    """How a strike went.

    Attributes:
        where: the part of the work that was struck; None if all was over before.
        status: of the command.
        seconds: from the last signal to the end of the command.
    """

    strike: Strike
    where: str | None
    status: int
    seconds: float
    said: str


def choose(
    chance: Random, command: str, seconds: float, events: Counter[tuple[str, str]]
) -> Strike:
    """Choose a strike.

    Args:
        seconds: that the command takes when nothing strikes.
        events: their number in each role and area, for points.
    """
    signals = chance.choices(list(_SHARES), list(_SHARES.values()))[0]
    gaps = tuple(chance.choice((0.0, chance.random() * 0.7)) for _ in signals.split()[1:])
    roles = (points.PROGRAM, points.ENGINE) if command == "run" else (points.PROGRAM,)
    role = chance.choice((*roles, points.PROGRAM))
    areas = sorted(area for each, area in events if each == role)
    if areas and chance.random() < 0.55:
        area = chance.choice(areas)
        victim = chance.choice((role, points.PROGRAM, "everything"))
        number = min(chance.randint(1, events[role, area]) for _ in range(2))
        first = signals.split()[0]
        return Strike(command, victim, signals, gaps, Point(role, area, number, victim, first), 0.0)
    victim = chance.choice(VICTIMS if command == "run" else ("program", "group"))
    if victim == "engine":
        signals, gaps = signals.split()[0], ()
    return Strike(command, victim, signals, gaps, None, chance.random() ** 2 * seconds)


def choose_fault(chance: Random, command: str, events: Counter[tuple[str, str]]) -> Strike:
    """Choose a write of the program that fails.

    Args:
        events: their number in each role and area.
    """
    area = chance.choice(sorted(area for role, area in events if role == PROGRAM))
    name, number = chance.choice(FAULTS), chance.randint(1, events[PROGRAM, area])
    return Strike(command, PROGRAM, name, (), Point(PROGRAM, area, number, PROGRAM, name), 0.0)


def strike(subject: Subject, chosen: Strike) -> Struck:
    """Start a command, strike it, and wait for its end.

    Raises:
        TimeoutError: it hangs.
    """
    plan = subject.new_plan()
    done = points.struck(plan)
    if chosen.point is not None:
        chosen.point.write(plan)
    process = subject.start(chosen.command, **{points.PLAN: str(plan)})
    if chosen.point is not None:
        _wait(process, done.exists)
        where = _where(chosen, chosen.point.area) if done.exists() else None
        victims = _victims(subject, process, chosen.victim)
        left = chosen.signals.split()[1:] if done.exists() else []
    else:
        _wait(process, lambda: _answers(process.pid))
        _wait(process, lambda: False, chosen.delay)
        if chosen.victim == "engine":
            _wait(process, lambda: len(subject.processes()) > 1)
        where = _where(chosen, subject.where()) if process.poll() is None else None
        victims, left = _victims(subject, process, chosen.victim), chosen.signals.split()
    for number, name in enumerate(left):
        if number or chosen.point is not None:
            time.sleep(chosen.gaps[number - len(left)])
        if process.poll() is None or chosen.victim != "program":
            points.send(signal.Signals[f"SIG{name}"], victims)
    sent = time.monotonic()
    try:
        status = process.wait(HANG_SECONDS)
    except subprocess.TimeoutExpired:
        points.send(signal.SIGKILL, [*subject.processes()])
        process.wait()
        raise TimeoutError(f"the command hangs after {chosen}") from None
    return Struck(chosen, where, status, time.monotonic() - sent, subject.last_words())


def _where(chosen: Strike, area: str) -> str:
    """Of a run, the part of its work; other commands have none."""
    return area if chosen.command == "run" else ""


def _victims(subject: Subject, process: "subprocess.Popen[bytes]", victim: str) -> Sequence[int]:
    if victim == "program":
        return [process.pid]
    found = subject.processes()
    if victim == "group":
        return [pid for pid in found if _group(pid) == process.pid]
    return [pid for pid in found if pid != process.pid] if victim == "engine" else found


def _group(pid: int) -> int:
    with suppress(ProcessLookupError):
        return os.getpgid(pid)
    return 0


def _answers(pid: int) -> bool:
    """Whether the program has come to the point where it answers signals."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("SigCgt:"):
                return bool(int(line.split()[1], 16) >> (signal.SIGTERM - 1) & 1)
    return False


def _wait(
    process: "subprocess.Popen[bytes]", true: Callable[[], object], seconds: float = HANG_SECONDS
) -> None:
    """Wait until something is true, the process has ended, or the time is over."""
    end = time.monotonic() + seconds
    while not true() and process.poll() is None and time.monotonic() < end:
        time.sleep(min(0.01, max(0.0, end - time.monotonic())))


def wrong_end(struck: Struck, *, real: bool = False) -> str | None:
    """What is wrong with how a struck command ended; None if nothing is.

    Args:
        real: the engine is a real one.  One signal may end two tries of a network, and then the
            command ends with 2: Caffe dies of SIGHUP at its start and at its end, and at times of
            itself when it frees its nets.
    """
    chosen = struck.strike
    if "Traceback" in struck.said:
        return "a traceback"
    if chosen.signals in FAULTS:
        allowed = {0, 2}
    elif chosen.victim == "engine" or struck.where is None:
        # Before anything is made, the engine is tried: one that dies then is named.
        allowed = {0, 2} if struck.where == points.START or real else {0}
    elif chosen.signals in _STOPS:
        allowed = {0, 130}
    else:
        # By the clock, the command may end in the moment of the strike.
        allowed = {_ENDS[chosen.signals]} | (set() if chosen.point else {0})
    if struck.status not in allowed:
        return f"status {struck.status}, not {' or '.join(map(str, sorted(allowed)))}"
    if struck.status in (2, 130) and "caffe-transfer: " not in struck.said:
        return f"status {struck.status} without a sentence"
    return None
