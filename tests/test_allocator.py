"""Memory that is kept, where the C library can."""

import pytest

from caffe_transfer import allocator


def test_what_the_c_library_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []

    class Library:
        def mallopt(self, what: int, value: int) -> int:
            asked.append((what, value))
            return 1

    monkeypatch.setattr("ctypes.CDLL", lambda name: Library())
    allocator.keep_memory()
    assert asked[0] == (-4, 0)
    assert len(asked) == 3
    allocator.keep_some_memory()
    assert asked[3:] == [(-3, 1 << 25), (-1, 1 << 27)]


def test_without_glibc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctypes.CDLL", lambda name: object())
    allocator.keep_memory()
    allocator.keep_some_memory()
