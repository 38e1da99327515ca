"""Threads that work for a step of preparing images."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager


@contextmanager
def worker_threads() -> Iterator[ThreadPoolExecutor]:
    """A thread a core; an exception that leaves the block drops what they have not begun."""
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:
        try:
            yield threads
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            raise
