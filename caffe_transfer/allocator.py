"""Keep freed memory in the process.

glibc returns large blocks to the system as soon as they are freed, so that the next ones are
faulted in again page by page: a tenth of a small net's training step, and two thirds of the
system's time where images are decoded.  Without glibc nothing is done.
"""

import ctypes

# From malloc.h.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -2, -3, -4
_MIB = 1 << 20


def keep_memory() -> None:
    """Keep all of it: for a process that trains and then ends."""
    # Blocks of any size come from the heap.
    _set({_M_MMAP_MAX: 0, _M_TRIM_THRESHOLD: 2047 * _MIB, _M_TOP_PAD: 64 * _MIB})


def keep_some_memory() -> None:
    """Keep what a few images need: for a process that goes on with other work."""
    _set({_M_MMAP_THRESHOLD: 32 * _MIB, _M_TRIM_THRESHOLD: 128 * _MIB})


def _set(options: dict[int, int]) -> None:
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for option, value in options.items():
            mallopt(option, value)
