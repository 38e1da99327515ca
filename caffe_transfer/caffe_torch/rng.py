"""Caffe's random numbers on the CPU: Boost's distributions over one mt19937.

Caffe seeds one generator before it builds the nets, and draws from it in the order of the layers.
Boost's mt19937 and numpy's are the same generator with the same seeding.
"""

import time

import numpy as np
import numpy.typing as npt

from caffe_transfer.caffe_torch import ziggurat
from caffe_transfer.formats.resume import Arrays, number, vector

Floats = npt.NDArray[np.float32]
LARGEST_FLOAT = float(np.finfo(np.float32).max)
_TWO_32 = np.float32(2**32)
_WORDS = 624  # of an MT19937's state
_BLOCK = 1 << 18  # numbers per chunk, whose arrays fit the processor's cache


class Rng:
    """One boost::mt19937 and Caffe's distributions over it (caffe_rng_*)."""

    def __init__(self, seed: int | None = None) -> None:
        self._bits = np.random.MT19937()
        self._ahead = np.empty(0, np.uint32)  # drawn, not yet used
        self.seed(time.time_ns() if seed is None else seed)

    def seed(self, seed: int) -> None:
        """Restart from a seed, of which the lowest 32 bits count."""
        self._bits._legacy_seeding(seed % (1 << 32))
        self._ahead = self._ahead[:0]

    def state(self) -> Arrays:
        """What `restore` takes."""
        return {**twister_state(self._bits), "ahead": self._ahead}

    def restore(self, state: Arrays) -> None:
        """Go on where another one was.

        Raises:
            KeyError, ValueError: it is no such state.
        """
        set_twister(self._bits, state)
        self._ahead = vector(state, "ahead", np.uint32)

    def raw(self, count: int) -> npt.NDArray[np.uint32]:
        """The next draws, 32 bits each."""
        draws = self._peek(count)
        self._ahead = self._ahead[count:]
        return draws

    def skip(self, count: int) -> None:
        """Leave out the next draws."""
        at_hand = min(count, len(self._ahead))
        self._ahead = self._ahead[at_hand:]
        self._bits.random_raw(count - at_hand, output=False)

    def one(self) -> int:
        """caffe_rng_rand: the next draw."""
        return int(self.raw(1)[0])

    def below(self, count: int) -> int:
        """boost::uniform_int: an integer from 0 to count - 1."""
        bucket = 2**32 // count
        while True:  # draws in the last, smaller bucket are rejected
            value = self.one() // bucket
            if value < count:
                return value

    def uniform(self, count: int, low: float, high: float) -> Floats:
        """caffe_rng_uniform: numbers from low to high, both included."""
        least, most = np.float32(low), np.nextafter(np.float32(high), np.float32(np.inf))
        found = np.empty(0, np.float32)
        while len(found) < count:  # draws that round up to the open end are repeated
            draws = self.raw(count - len(found)).astype(np.float32)
            values = draws / _TWO_32 * (most - least) + least
            found = np.concatenate([found, values[values < most]])
        return found

    def gaussian(self, count: int, mean: float, std: float) -> Floats:
        """caffe_rng_gaussian: normally distributed numbers."""
        result = np.empty(count, np.float32)
        done = 0
        while done < count:
            wanted = min(count - done, _BLOCK)
            found = ziggurat.normals(self._peek(wanted + ziggurat.LOOKAHEAD), wanted)
            self._ahead = self._ahead[found.used :]
            result[done : done + len(found.values)] = found.values
            done += len(found.values)
        return result * np.float32(std) + np.float32(mean)

    def bernoulli(self, count: int, p: float) -> npt.NDArray[np.bool_]:
        """caffe_rng_bernoulli: True with probability p."""
        if p == 0:
            return np.zeros(count, np.bool_)
        return self.raw(count).astype(np.float32) <= np.float32(p) * np.float32(2**32 - 1)

    def _peek(self, count: int) -> npt.NDArray[np.uint32]:
        """The next draws, without consuming them."""
        missing = count - len(self._ahead)
        if missing > 0:
            new = np.asarray(self._bits.random_raw(missing)).astype(np.uint32)
            self._ahead = np.concatenate([self._ahead, new]) if len(self._ahead) else new
        return self._ahead[:count]


def twister_state(bits: np.random.MT19937) -> Arrays:
    """The state of a generator, for `set_twister`."""
    inner = bits.state["state"]
    return {"key": inner["key"], "at": np.array(inner["pos"])}


def set_twister(bits: np.random.MT19937, state: Arrays) -> None:
    """Give a generator a state.

    Raises:
        KeyError, ValueError: it is no such state.
    """
    key, at = vector(state, "key", np.uint32), number(state, "at")
    if len(key) != _WORDS or not 0 <= at <= _WORDS:  # numpy does not check the second
        raise ValueError("it is no state of an MT19937")
    bits.state = {"bit_generator": "MT19937", "state": {"key": key, "pos": at}}
