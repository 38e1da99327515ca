"""Reads studies from TOML files: the built-in ones and a user's own.

docs/studies.md describes the file.
"""

import functools
import itertools
import re
import tomllib
from pathlib import Path
from typing import Any

from caffe_transfer import paths
from caffe_transfer.errors import BadInput
from caffe_transfer.reading import reading
from caffe_transfer.studies.study import Study
from caffe_transfer.studies.tables import parse_study

_MOST_CHARACTERS = 1 << 20
# A dotted key, over which tomllib takes time by the square of its parts.
_LONG_KEY = re.compile(r"""(?:[\w"'-]{1,100}[ \t]*\.[ \t]*){100}""")


def built_in_studies() -> list[str]:
    """The names of the studies that come with the package."""
    return sorted(path.stem for path in paths.built_in_studies().glob("*" + paths.STUDY_SUFFIX))


def find_study(name_or_path: str) -> Path:
    """The file of a built-in study by name, or of a user's own by path.

    Raises:
        BadInput: there is none; lists the built-in ones.
    """
    if Path(name_or_path).suffix == paths.STUDY_SUFFIX:
        path = Path(name_or_path)
    else:
        path = paths.built_in_studies() / (name_or_path + paths.STUDY_SUFFIX)
    if not path.is_file():
        raise BadInput(
            f"there is no study {name_or_path!r}; name a .toml file or one of "
            f"{', '.join(built_in_studies())}"
        )
    return path


def load_study(name_or_path: str, quick: bool = False) -> Study:
    """Read a study; `quick` applies its [quick] table.

    Files that it names are relative to its own folder.

    Raises:
        BadInput: the file is missing or is not TOML, or a key is unknown, missing or of a wrong
            value, in [quick] too; names file and key.
    """
    path = find_study(name_or_path)
    text, table = _read_toml(path)
    return parse_study(table, str(path), path.absolute().parent, quick, about=_heading(text))


@functools.cache
def paper() -> Study:
    """The 170 networks of the paper."""
    return load_study("paper")


def _read_toml(path: Path) -> tuple[str, dict[str, Any]]:
    with reading(path, "a TOML file", "correct it"):
        text = path.read_text(encoding="utf-8")
        if len(text) > _MOST_CHARACTERS:
            raise ValueError(f"it has more than {_MOST_CHARACTERS:,} characters")
        if _LONG_KEY.search(text):
            raise ValueError("a key in it has more than a hundred parts")
        return text, tomllib.loads(text)


def _heading(text: str) -> str:
    """The comment that a study's file opens with: command, cost, what to expect."""
    lines = itertools.takewhile(lambda line: line.startswith("#"), text.splitlines())
    return "\n".join(line.removeprefix("#").removeprefix(" ") for line in lines)
