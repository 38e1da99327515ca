"""The devices of this machine, of which those are retired on which networks fail at once.

One dead GPU among eight would otherwise take network after network, and fail them all within
minutes, while the others train for days.
"""

import time
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from caffe_transfer.training.engine import names_device
from caffe_transfer.training.executor import JobResult, Outcome

QUICK_SECONDS = 120.0  # a failure this soon after the start is one at once
_IN_A_ROW = 3
_IN_A_ROW_NAMED = 2  # where the engine's last words name the device


@dataclass(frozen=True)
class Ended:
    """What follows from the end of a network.

    Attributes:
        retired: a sentence for each device that is retired now.
        is_moved: the network is given to another device.
    """

    retired: Sequence[str] = ()
    is_moved: bool = False


class Devices:
    """Which devices can be used, by the networks that were trained there.

    Args:
        names: of the devices; None is the one that the solver chooses.
    """

    def __init__(self, names: Collection[str | None]) -> None:
        self.left = list(dict.fromkeys(names))
        self._running: dict[str, tuple[str | None, float]] = {}
        self._in_a_row: dict[str | None, list[JobResult]] = defaultdict(list)
        self._proven: set[str | None] = set()  # their last network did not fail at once
        self._failed_on: dict[str, set[str | None]] = defaultdict(set)

    def begin(self, name: str, device: str | None) -> None:
        """A network is given to a device."""
        self._running[name] = device, time.monotonic()

    def end(self, result: JobResult) -> Ended:
        """A network has ended."""
        device, start = self._running.pop(result.name)
        if result.outcome is Outcome.FAILED and not result.may_pass:
            return Ended()  # that would have been so on any device
        if result.outcome is not Outcome.FAILED or time.monotonic() - start >= QUICK_SECONDS:
            self._in_a_row.pop(device, None)
            self._proven.add(device)
            return Ended(self._retire())
        self._proven.discard(device)
        self._failed_on[result.name].add(device)
        self._in_a_row[device].append(result)
        retired = self._retire()
        first = len(self._failed_on[result.name]) == 1
        return Ended(retired, is_moved=first and bool(self.others(result.name)))

    def others(self, name: str) -> list[str | None]:
        """The devices that are left on which a network has not failed at once."""
        return [device for device in self.left if device not in self._failed_on[name]]

    def _retire(self) -> list[str]:
        dead = [device for device in self.left if self._is_dead(device)]
        self.left = [device for device in self.left if device not in dead]
        return list(map(self._sentence, dead))

    def _is_dead(self, device: str | None) -> bool:
        failed = self._in_a_row.get(device, [])
        named = [result for result in failed if names_device(result.reason)]
        if len(named) >= _IN_A_ROW_NAMED:
            return True
        return len(failed) >= _IN_A_ROW and self._another_works(device)

    def _another_works(self, device: str | None) -> bool:
        long_ago = time.monotonic() - QUICK_SECONDS
        works = {other for other, start in self._running.values() if start < long_ago}
        return bool((works | self._proven) - {device})

    def _sentence(self, device: str | None) -> str:
        failed = self._in_a_row[device]
        what = "the device" if device is None else f"GPU {device}"
        return (
            f"{what} gets no more networks: {len(failed)} in a row failed there at once, the last, "
            f"{failed[-1].name}, with: {failed[-1].reason}"
        )
