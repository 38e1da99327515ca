"""cut.json in a network's folder: where its net is cut, and which layers its base gives it."""

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from caffe_transfer.errors import Incomplete
from caffe_transfer.reading import reading


@dataclass(frozen=True)
class CutRecord:
    """The cut of one network.

    Attributes:
        n: counts the study's cuts from the images, from 1.
        name: of the cut: the blob that the layers above read.
        copied: names of the layers whose parameters come from the base, in the net's order;
            empty where nothing is copied, as with random filters.
    """

    n: int
    name: str
    copied: tuple[str, ...]


def cut_text(record: CutRecord) -> str:
    """The text of cut.json."""
    return json.dumps(asdict(record), indent=2, ensure_ascii=False) + "\n"


def read_cut(path: Path) -> CutRecord | None:
    """Read cut.json; None if there is none, as in folders that other programs wrote.

    Raises:
        FormatError: the file is no record of a cut.
    """
    with (
        suppress(Incomplete),
        reading(path, "a record of a cut", "generate the network anew"),
    ):
        found = json.loads(path.read_text(encoding="utf-8"))
        n, name, copied = found["n"], found["name"], found["copied"]
        texts = isinstance(copied, list) and all(isinstance(each, str) for each in [name, *copied])
        if type(n) is not int or not texts:
            raise ValueError("a value is of another kind")
        return CutRecord(n, name, tuple(copied))
    return None
