"""Names of files and classes, which may hold nearly any character."""

import os
import unicodedata


def shown(name: str | os.PathLike[str]) -> str:
    """A name for messages: as it is, or quoted with escapes where it cannot be printed."""
    text = os.fspath(name)
    return text if text.isprintable() else repr(text)


def canonical(name: str) -> str:
    """A class's name in Unicode's form NFC.

    "Bär" may be written with three or four characters, and file systems, editors and archives
    differ in which they prefer; both mean one class.
    """
    return unicodedata.normalize("NFC", name)


def class_name_fault(name: str) -> str | None:
    """Why a folder's name cannot be a class's name, as half a sentence; None if it can.

    Classes are listed one a line and are named in TOML files.
    """
    if not name.isprintable():
        return "it holds a character that cannot be printed, or bytes that are not UTF-8"
    return None
