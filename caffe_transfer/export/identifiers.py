"""Names of layers and blobs as names in Python."""

import keyword
import re
from collections.abc import Collection


class Identifiers:
    """One identifier for each name, the same whenever it is asked for.

    conv1 stays conv1, inception_3a/1x1 becomes inception_3a_1x1; two names never share one.
    """

    def __init__(self, taken: Collection[str]) -> None:
        """Identifiers other than those that are taken."""
        self._taken = set(taken)
        self._found: dict[str, str] = {}

    def of(self, name: str) -> str:
        """The identifier of a name."""
        if name not in self._found:
            self._found[name] = self._free(identifier(name))
            self._taken.add(self._found[name])
        return self._found[name]

    def _free(self, wanted: str) -> str:
        found, count = wanted, 1
        while found in self._taken:
            count += 1
            found = f"{wanted}_{count}"
        return found


def identifier(name: str) -> str:
    """A name with an underscore for whatever an identifier cannot have."""
    found = re.sub(r"\W", "_", name, flags=re.ASCII) or "_"
    if found[0].isdigit() or keyword.iskeyword(found) or found.startswith("__"):
        found = f"n{found}"
    return found


def class_name(name: str) -> str:
    """The name of a net as the name of a class, such as CaffeNet or MiniHalf0A."""
    words = re.findall(r"[A-Za-z0-9]+", name)
    found = "".join(word[0].upper() + word[1:] for word in words)
    if not found or found[0].isdigit():
        found = f"Net{found}"
    return found
