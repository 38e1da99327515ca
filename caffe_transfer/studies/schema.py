"""What the keys of a study's file may hold, declared where the fields are.

    batch: Annotated[int, Whole(1), "training images in an iteration"]

declares a key, what it takes, and its meaning; a field without a default is required.  `read`
checks a table of a file against such a dataclass and makes one of it.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Annotated, Any, Protocol, TypeVar, get_origin, get_type_hints

from caffe_transfer.errors import BadInput
from caffe_transfer.studies.network import is_split

INT32_MAX = 2**31 - 1  # Caffe's counts are int32
FLOAT32_MAX = 3.4e38  # and its settings float
SHOWN_LENGTH = 40
T = TypeVar("T")


class Kind(Protocol):
    """A kind of values."""

    @property
    def expected(self) -> str:
        """What is accepted, to follow "it must be"."""

    def accepts(self, value: object) -> bool:
        """Whether `value`, as tomllib reads it, is of this kind."""


@dataclass(frozen=True)
class Whole:
    """Integers from `low` to `high`."""

    low: int = 0
    high: int = INT32_MAX

    @property
    def expected(self) -> str:
        if self.high == INT32_MAX:
            return f"a whole number, {self.low} or more"
        return f"a whole number from {self.low} to {self.high}"

    def accepts(self, value: object) -> bool:
        return type(value) is int and self.low <= value <= self.high


@dataclass(frozen=True)
class Number:
    """Finite numbers from `low` to `high`; `positive` leaves 0 out."""

    low: float = 0
    high: float = FLOAT32_MAX
    positive: bool = False

    @property
    def expected(self) -> str:
        if self.high < FLOAT32_MAX:
            return f"a number from {self.low} to {self.high}"
        return "a number above 0" if self.positive else f"a number, {self.low} or more"

    def accepts(self, value: object) -> bool:
        if type(value) is not int and type(value) is not float:
            return False
        finite = type(value) is int or math.isfinite(value)
        return finite and self.low <= value <= self.high and not (self.positive and value == 0)


@dataclass(frozen=True)
class Flag:
    """true and false."""

    expected = "true or false"

    def accepts(self, value: object) -> bool:
        return type(value) is bool


@dataclass(frozen=True)
class Text:
    """Strings of printable characters, not empty."""

    expected = "a string of printable characters, not empty"

    def accepts(self, value: object) -> bool:
        return isinstance(value, str) and value.isprintable() and value.strip() != ""


@dataclass(frozen=True)
class OneOf:
    """A choice of values."""

    values: tuple[int | str, ...]

    @property
    def expected(self) -> str:
        return " or ".join(map(shown, self.values))

    def accepts(self, value: object) -> bool:
        return any(type(value) is type(each) and value == each for each in self.values)


@dataclass(frozen=True)
class SplitName:
    """Names of splits: random seeds, natman, names of custom splits."""

    expected = 'a split such as "0" (a random seed), "natman" or a name of the letters a-z'

    def accepts(self, value: object) -> bool:
        return isinstance(value, str) and is_split(value)


@dataclass(frozen=True)
class ListOf:
    """Lists of values of one kind, different ones if `distinct`; `length` None is any from 1 on."""

    kind: Kind
    length: int | None = None
    distinct: bool = True

    @property
    def expected(self) -> str:
        if self.length is not None:
            return f"a list of {self.length} values, each {self.kind.expected}"
        different = " different" if self.distinct else ""
        return f"a list of one or more{different} values, each {self.kind.expected}"

    def accepts(self, value: object) -> bool:
        if not isinstance(value, list) or not all(map(self.kind.accepts, value)):
            return False
        if self.length is not None:
            return len(value) == self.length
        return len(value) > 0 and not (self.distinct and len(set(value)) < len(value))


@dataclass(frozen=True)
class TableOf:
    """Tables of values of one kind, under any names."""

    kind: Kind

    @property
    def expected(self) -> str:
        return f"a table of values, each {self.kind.expected}"

    def accepts(self, value: object) -> bool:
        return isinstance(value, Mapping) and all(map(self.kind.accepts, value.values()))


class Either:
    """Values of any of several kinds."""

    def __init__(self, *kinds: Kind):
        self._kinds = kinds

    @property
    def expected(self) -> str:
        return ", or ".join(kind.expected for kind in self._kinds)

    def accepts(self, value: object) -> bool:
        return any(kind.accepts(value) for kind in self._kinds)


@dataclass(frozen=True)
class Key:
    """A key of a table.

    Attributes:
        about: its meaning, in a few words.
        default: the value where it is left out; MISSING if it must be given.
    """

    name: str
    kind: Kind
    about: str
    default: Any

    @property
    def required(self) -> bool:
        return self.default is MISSING


def keys_of(table: type) -> dict[str, Key]:
    """The keys that a dataclass declares, in order."""
    hints = get_type_hints(table, include_extras=True)
    found = {}
    for field in fields(table):
        hint = hints[field.name]
        if get_origin(hint) is Annotated:
            kind, about = hint.__metadata__
            default = field.default
            if field.default_factory is not MISSING:
                default = field.default_factory()
            found[field.name] = Key(field.name, kind, about, default)
    return found


@dataclass(frozen=True)
class Place:
    """Where in a file a table stands, for messages.

    Attributes:
        file: the file, and in which form it is read.
        table: the table's name; "" for the file's top level.
        detail: which of several tables of that name.
    """

    file: str
    table: str = ""
    detail: str = ""

    def key(self, name: str) -> str:
        """The full name of a key."""
        return f"{self.table}.{name}" if self.table else name

    def wrong(self, name: str, value: object, expected: str) -> BadInput:
        """The error for a value that cannot be used."""
        return BadInput(
            f"{self.file}: {self.key(name)}{self.detail} is {shown(value)}; it must be {expected}"
        )

    def lacks(self, name: str) -> BadInput:
        """The error for a key that must be there."""
        return BadInput(f"{self.file} lacks {self.key(name)}{self.detail}; add it")


def read(kind: type[T], table: object, place: Place, *others: str) -> T:
    """A table as the dataclass `kind`; lists become tuples.

    Raises:
        BadInput: as `read_keys` does.
    """
    return kind(**read_keys(kind, table, place, *others))


def read_keys(kind: type, table: object, place: Place, *others: str) -> dict[str, Any]:
    """The values of a table's declared keys, checked.

    Args:
        others: names of keys that the caller reads.

    Raises:
        BadInput: `table` is not a table, or a key is unknown, missing or of a wrong value.
    """
    if not isinstance(table, Mapping):
        raise BadInput(f"{place.file}: {place.table} is {shown(table)}; it must be a table")
    keys = keys_of(kind)
    for name in table:
        if name not in keys and name not in others:
            raise BadInput(
                f"{place.file} has an unknown key {place.key(name)!r}{place.detail}; known here "
                f"are {', '.join([*keys, *others])}"
            )
    for key in keys.values():
        if key.name not in table:
            if key.required:
                raise place.lacks(key.name)
        elif not key.kind.accepts(table[key.name]):
            raise place.wrong(key.name, table[key.name], key.kind.expected)
    return {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in table.items()
        if name in keys
    }


def shown(value: object) -> str:
    """A value as TOML writes it, on one line, shortened if long."""
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, (list, tuple)) and any(isinstance(each, Mapping) for each in value):
        return "a list of tables"
    try:
        text = toml_value(value)
    except (ValueError, RecursionError):  # an int of thousands of digits, a list in lists in ...
        text = "a value too long to show"
    return text if len(text) <= SHOWN_LENGTH else f"{text[:SHOWN_LENGTH]}..."


def toml_value(value: object) -> str:
    """A value as TOML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=not value.isprintable())
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(toml_value, value))}]"
    if isinstance(value, Mapping):
        pairs = (f"{toml_value(key)} = {toml_value(each)}" for key, each in value.items())
        return f"{{ {', '.join(pairs)} }}" if value else "{}"
    return str(value)
