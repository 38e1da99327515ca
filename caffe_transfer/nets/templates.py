"""The Jinja templates of nets and solvers, and the weight layers as they see them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from google.protobuf import text_encoding
from jinja2.sandbox import SandboxedEnvironment

from caffe_transfer import paths
from caffe_transfer.errors import BadInput
from caffe_transfer.reading import reading

SUFFIX = ".prototxt.j2"


@dataclass(frozen=True)
class LearnedLayer:
    """A weight layer as the templates see it.

    Attributes:
        index: counts from 1 in the order in which the template names its layers.
    """

    name: str
    frozen: bool
    index: int

    def position(self, kind: str) -> str:
        """The name of a companion layer: relu3 beside conv3."""
        return f"{kind}{self.index}"


class LearnedLayers(dict[str, LearnedLayer]):
    """The weight layers of a template by the names that it gives them, made as it names them.

    Args:
        frozen, fresh: names of layers that do not learn, and of those that get `suffix`.
    """

    def __init__(self, frozen: Collection[str], fresh: Collection[str] = (), suffix: str = ""):
        super().__init__()
        self._frozen, self._fresh, self._suffix = frozen, fresh, suffix

    def __missing__(self, name: str) -> LearnedLayer:
        written = name + self._suffix if name in self._fresh else name
        layer = LearnedLayer(written, name in self._frozen, len(self) + 1)
        self[name] = layer
        return layer


def built_in_nets() -> list[str]:
    """The names of the nets that come as templates."""
    others = {"train_val", "deploy"}
    names = {path.name.removesuffix(SUFFIX) for path in paths.templates().glob("*" + SUFFIX)}
    return sorted(names - others)


def net_template(name: str, context: Mapping[str, Any]) -> str:
    """The text of one of the package's templates of nets.

    Raises:
        BadInput: there is no such net; lists those that there are.
    """
    try:
        return _environment(paths.templates()).get_template(name).render(context)
    except jinja2.TemplateNotFound as error:
        raise BadInput(
            f"there is no net {str(error.name).removesuffix(SUFFIX)!r}; name a prototxt or one of "
            f"{', '.join(built_in_nets())}"
        ) from error


def solver_template(name: str, context: Mapping[str, Any]) -> str:
    """The text of one of the package's templates of solvers."""
    return _environment(paths.solvers()).get_template(name).render(context)


def user_template(path: Path, context: Mapping[str, Any]) -> str:
    """The text of a user's template, which may import the package's own.

    Raises:
        Incomplete: there is no such file.
        BadInput: it cannot be rendered; names the fault.
    """
    with reading(path, "a template that can be rendered", "correct it"):
        return _environment(path.parent, paths.templates()).get_template(path.name).render(context)


@cache
def _environment(*folders: Path) -> jinja2.Environment:
    # In a sandbox: a template from a stranger may write a net, and nothing else.
    environment = SandboxedEnvironment(
        loader=jinja2.FileSystemLoader(folders),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters["quoted"] = quoted
    return environment


def quoted(text: str) -> str:
    """`text` as a string of protobuf's text format: quotes and line breaks cannot break out."""
    return f'"{text_encoding.CEscape(text.encode(), as_utf8=False)}"'
