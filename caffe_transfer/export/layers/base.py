"""What a layer becomes in a generated module, and the registry of its types."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from caffe_transfer.errors import BadInput
from caffe_transfer.export.weights import Array
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.nets.shapes import Shape, refuse


@dataclass(frozen=True)
class Site:
    """A layer and its surroundings in the code.

    Attributes:
        own: how the code calls what the layer keeps, such as "self.conv1".
        x: the variables of its bottoms.
        bottoms, tops: their shapes, batch axis included.
        parameters: in Caffe's order and shapes.
    """

    layer: pb.LayerParameter
    own: str
    x: Sequence[str]
    bottoms: Sequence[Shape]
    tops: Sequence[Shape]
    parameters: Sequence[Array]

    def refuse(self, what: str) -> BadInput:
        """The error for a layer that has no code."""
        return refuse(
            self.layer,
            f"{what}, for which there is no PyTorch code; export the weights --to safetensors",
        )


@dataclass(frozen=True)
class Code:
    """A layer in PyTorch.

    Attributes:
        results: an expression for each top, or one that gives a tuple of them.
        made: the expression of what the module keeps for it; "" for nothing.
        state: what that has in a state_dict, by name.
        helpers: names in helpers.py that the expressions use.
    """

    results: Sequence[str]
    made: str = ""
    state: Mapping[str, Any] = field(default_factory=dict)
    helpers: Sequence[str] = ()


Coder = Callable[[Site], Code]
_CODERS: dict[str, Coder] = {}


def coder(*types: str) -> Callable[[Coder], Coder]:
    """Register a function from a layer's site to its code."""

    def register(function: Coder) -> Coder:
        _CODERS.update(dict.fromkeys(types, function))
        return function

    return register


def code_of(site: Site) -> Code:
    """The code of a layer.

    Raises:
        BadInput: its type or a setting cannot be told in PyTorch; names the layer.
    """
    if site.layer.type not in _CODERS:
        raise site.refuse("is of a type")
    return _CODERS[site.layer.type](site)


def known_types() -> list[str]:
    """The names of the types that have code."""
    return sorted(_CODERS)


def number(value: float) -> str:
    """A float32 of a prototxt as the shortest text that means it."""
    value = float(str(np.float32(value)))
    return f"{value:g}" if value == int(value) and abs(value) < 1e6 else repr(value)


def sides(values: Sequence[int]) -> str:
    """A number for each axis, as one number if they are equal."""
    return str(values[0]) if len(set(values)) == 1 else str(tuple(values))


def arguments(*given: str) -> str:
    """Arguments of a call, empty ones left out."""
    return ", ".join(each for each in given if each)
