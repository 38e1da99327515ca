"""Keep freed memory in the process.

glibc returns blocks above 128 KiB to the system as soon as they are freed, so that each training
step would fault them in again page by page: a tenth of a small net's step.
"""

import ctypes

# From malloc.h.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
_MIB = 1 << 20


def keep_memory() -> None:
    """Stop malloc from returning memory to the system; does nothing without glibc."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)  # serve blocks of any size from the heap
        mallopt(_M_TRIM_THRESHOLD, 2047 * _MIB)
        mallopt(_M_TOP_PAD, 64 * _MIB)
