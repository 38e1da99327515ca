"""Images decoded by all cores, in order, a bounded number at a time."""

import os
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice

import cv2

from caffe_transfer.allocator import keep_some_memory
from caffe_transfer.data_prep.decode import Pixels, read_image
from caffe_transfer.data_prep.left_out import Fault
from caffe_transfer.data_prep.stores import Store

# Images of a task: enough to hide its cost where images are small, few enough to stop soon.
_AT_ONCE = 4
# Enough decoded images to go on while a commit waits for the disk.
_TASKS_A_THREAD, _LEAST_TASKS = 4, 32


@contextmanager
def decoded(
    store: Store, names: Sequence[str], size: int | None, gray: bool
) -> Iterator[Iterator[Pixels | Fault]]:
    """Yield an iterator over the images of these names, as read_image gives each.

    Threads suffice: reading, decoding and resizing leave Python's lock free.  OpenCV's own threads
    are off meanwhile, which would only stand in the way.
    """
    threads = len(os.sched_getaffinity(0))
    stopped = threading.Event()
    at_once, ahead = _AT_ONCE, max(threads * _TASKS_A_THREAD, _LEAST_TASKS)
    if size is None:  # they may be large
        at_once, ahead = 1, threads + 2

    def task(some: Sequence[str]) -> list[Pixels | Fault]:
        return [read_image(store, name, size, gray) for name in some if not stopped.is_set()]

    def images(pool: ThreadPoolExecutor) -> Iterator[Pixels | Fault]:
        parts = (names[at : at + at_once] for at in range(0, len(names), at_once))
        tasks: deque[Future[list[Pixels | Fault]]] = deque()
        tasks.extend(pool.submit(task, part) for part in islice(parts, ahead))
        while tasks:
            found = tasks.popleft().result()
            tasks.extend(pool.submit(task, part) for part in islice(parts, 1))
            yield from found

    keep_some_memory()
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")
    try:
        yield images(pool)
    finally:
        stopped.set()
        pool.shutdown(cancel_futures=True)
        cv2.setNumThreads(before)
