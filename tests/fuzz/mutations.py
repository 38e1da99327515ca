"""Ways in which files break: by accident, by other programs, and by malice."""

import gzip
import random
import re
import zlib
from collections.abc import Callable, Sequence

Change = Callable[[random.Random, bytes], bytes]

LONG = 1 << 20  # characters in one word
DEEP = 20_000  # brackets in brackets
_LARGE = (1 << 31, (1 << 31) - 1, 1 << 32, (1 << 63) - 1, (1 << 64) - 1, 1 << 40, 10**9)
_WORDS = (
    b"-1", b"0", b"3.5", b"nan", b"inf", b"-inf", b"1e999", b"1e-400", b"9" * 5000, b"2147483648",
    b"4294967296", b"18446744073709551616", b"{}", b"[]", b'""', b"true", b"0x", b"'", b"\\", b"-",
    b"../../../../etc/passwd", b"/dev/zero", b"/etc", b"a\nb", b"a\0b", b"\x1b[31m", b"\r", b"\x07",
    b"%s%n", "ä".encode(), "ä".encode("latin-1"), "\u202e\u2028".encode(), b"\xed\xa0\x80",
)  # fmt: skip
_ENCODINGS = ("utf-16", "utf-32", "utf-8-sig", "latin-1", "cp037", "shift_jis", "utf-7")
_OPENERS = (b"[", b"{", b"a {", b"layer {", b"(", b"a = [", b"<", b"{% if 1 %}", b"a.", b'{"a":')
_FITTING = (b"0", b"1", b"2", b"3", b"5", b"7", b"12", b"40", b"300", b"2147483647")
_NUMBER = re.compile(rb"\d+")
_LETTERS = re.compile(rb"[a-z]{3,}")
_WORD = re.compile(rb"\w+")


def flip_bits(chosen: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(chosen.choice((1, 1, 1, 2, 8, 64)) if data else 0):
        changed[chosen.randrange(len(data))] ^= 1 << chosen.randrange(8)
    return bytes(changed)


def flip_early_bits(chosen: random.Random, data: bytes) -> bytes:
    """Within the first bytes, where headers stand."""
    return flip_bits(chosen, data[:96]) + data[96:]


def cut(chosen: random.Random, data: bytes) -> bytes:
    at = chosen.randrange(len(data) + 1)
    return chosen.choice((data[:at], data[:at], data[at:], data[: min(at, 16)], b""))


def cut_out(chosen: random.Random, data: bytes) -> bytes:
    start = chosen.randrange(len(data) + 1)
    return data[:start] + data[start + chosen.choice((1, 4, 100, 4096)) :]


def insert(chosen: random.Random, data: bytes) -> bytes:
    at = chosen.randrange(len(data) + 1)
    added = chosen.choice((
        chosen.randbytes(chosen.randint(1, 64)), bytes(chosen.randint(1, 5000)), b"\0",
        data[at : at + chosen.randint(1, 4096)], chosen.choice(_WORDS),
    ))  # fmt: skip
    return data[:at] + added + data[at:]


def zero(chosen: random.Random, data: bytes) -> bytes:
    size = chosen.choice((1, 8, 512, 4096))
    at = chosen.randrange(len(data) + 1) // size * size
    return data[:at] + chosen.choice((b"\0", b"\xff"))[:1] * len(data[at : at + size]) + data[
        at + size :
    ]  # fmt: skip


def lengths(chosen: random.Random, data: bytes) -> bytes:
    """A huge or negative number, as a varint or in the bytes of some machine's."""
    number = chosen.choice(_LARGE)
    form = chosen.choice((
        _varint(number), number.to_bytes(8, "little"), (number % (1 << 32)).to_bytes(4, "little"),
        (number % (1 << 32)).to_bytes(4, "big"), b"\xff" * 9 + b"\x01", b"\xff\xff",
    ))  # fmt: skip
    at = chosen.randrange(len(data) + 1)
    return data[:at] + form + data[at + chosen.choice((0, 1, len(form))) :]


def _varint(number: int) -> bytes:
    groups = [number >> shift & 0x7F | 0x80 for shift in range(0, 64, 7)]
    return bytes(groups[:-1]) + bytes([groups[-1] & 0x7F])


def shuffle_blocks(chosen: random.Random, data: bytes) -> bytes:
    size = chosen.choice((16, 512, 4096))
    blocks = [data[start : start + size] for start in range(0, len(data), size)]
    chosen.shuffle(blocks)
    return b"".join(blocks)


def other_number(chosen: random.Random, data: bytes) -> bytes:
    return _replace(_NUMBER, chosen, data)


def near_number(chosen: random.Random, data: bytes) -> bytes:
    """Numbers that may stand in their places, but do not fit the others."""
    for _ in range(chosen.choice((1, 1, 2, 5))):
        data = _replace(_NUMBER, chosen, data, _FITTING)
    return data


def other_text(chosen: random.Random, data: bytes) -> bytes:
    """A letter of a name, in whatever stands around it, becomes one of no encoding."""
    found = list(_LETTERS.finditer(data))
    if not found:
        return data + b"\xff"
    at = chosen.randrange(*chosen.choice(found).span())
    return data[:at] + chosen.choice((b"\xff", b"\0", b"\n", b"\x1b", b"/")) + data[at + 1 :]


def other_word(chosen: random.Random, data: bytes) -> bytes:
    return _replace(_WORD, chosen, data)


def _replace(
    pattern: "re.Pattern[bytes]",
    chosen: random.Random,
    data: bytes,
    words: Sequence[bytes] = _WORDS,
) -> bytes:
    found = list(pattern.finditer(data))
    if not found:
        return data + chosen.choice(words)
    at = chosen.choice(found)
    return data[: at.start()] + chosen.choice(words) + data[at.end() :]


def long_word(chosen: random.Random, data: bytes) -> bytes:
    at = _boundary(chosen, data)
    return data[:at] + chosen.choice((b"a", b"9", b"\xc3\xa4", b" a", b"/")) * LONG + data[at:]


def nest(chosen: random.Random, data: bytes) -> bytes:
    at = _boundary(chosen, data)
    return data[:at] + chosen.choice(_OPENERS) * chosen.choice((100, 1000, DEEP)) + data[at:]


def lines(chosen: random.Random, data: bytes) -> bytes:
    """Lines are left out, twice there, in another order, or end as on other systems."""
    parts = data.splitlines(keepends=True)
    match chosen.randrange(5):
        case 0 if parts:
            del parts[chosen.randrange(len(parts))]
        case 1 if parts:
            parts.insert(chosen.randrange(len(parts)), chosen.choice(parts))
        case 2:
            chosen.shuffle(parts)
        case 3:
            return data.replace(b"\n", chosen.choice((b"\r", b"\r\n", b"\x85", b"\xe2\x80\xa8")))
        case _:
            return data * 50
    return b"".join(parts)


def encode(chosen: random.Random, data: bytes) -> bytes:
    text = "é" * chosen.randrange(2) + data.decode(errors="replace")
    return text.encode(chosen.choice(_ENCODINGS), errors="replace")


def foreign(chosen: random.Random, data: bytes) -> bytes:
    """Something else under this name."""
    return chosen.choice((
        b"", b"\0", b"\n", chosen.randbytes(1000), b"\x89HDF\r\n\x1a\n", b"\x1f\x8b\x08\0" + data,
        gzip.compress(data), zlib.compress(data), b"\x7fELF" + bytes(100), b"{}", b"[]", b"null",
        b"1", b'"a"', b"<!DOCTYPE html><html></html>", b"version https://git-lfs.github.com/spec/v1",
        bytes(1 << 20), b"\xff" * 5000, data[::-1],
    ))  # fmt: skip


OF_BYTES: dict[str, Change] = {
    "bits": flip_bits, "early bits": flip_early_bits, "cut": cut, "cut out": cut_out,
    "insert": insert, "zero": zero, "lengths": lengths, "blocks": shuffle_blocks,
    "text": other_text, "foreign": foreign,
}  # fmt: skip
OF_TEXT: dict[str, Change] = {
    "bits": flip_bits, "cut": cut, "insert": insert, "number": other_number,
    "near number": near_number, "word": other_word,
    "long word": long_word, "nest": nest, "lines": lines, "encoding": encode, "foreign": foreign,
}  # fmt: skip
# What leaves a prototxt readable, so that its settings are looked at.
OF_SETTINGS = {name: OF_TEXT[name] for name in ("number", "near number", "word", "lines")}


def zipped(change: Change) -> Change:
    """The change, within gzip's compression."""

    def inside(chosen: random.Random, data: bytes) -> bytes:
        return gzip.compress(change(chosen, gzip.decompress(data)), 1, mtime=0)

    return inside


def mutate(chosen: random.Random, data: bytes, changes: dict[str, Change]) -> tuple[str, bytes]:
    """A broken form of a file: what was done to it, and its bytes."""
    names = chosen.choices(list(changes), k=chosen.choice((1, 1, 1, 2)))
    for name in names:
        data = changes[name](chosen, data)
        if len(data) > 8 * LONG:
            break
    return " + ".join(names), data


def _boundary(chosen: random.Random, data: bytes) -> int:
    """A place before a word, or at the end of a line."""
    found = list(re.finditer(rb"\b|$", data))
    return chosen.choice(found).start() if found else 0
