"""A net as a module of Python that needs torch alone, and its weights as a state_dict."""

import inspect
import json
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from caffe_transfer.export import helpers
from caffe_transfer.export.deploy import Deploy
from caffe_transfer.export.identifiers import Identifiers, class_name
from caffe_transfer.export.layers import Code, Site, code_of
from caffe_transfer.export.weights import Array, Weight
from caffe_transfer.nets.shapes import Shape

_HELPERS = frozenset(
    name for name, value in vars(helpers).items() if value.__class__ in (type, type(class_name))
)
_TAKEN = frozenset({
    "torch", "F", "nn", "Tensor", "self", "Path", "load", "WEIGHTS", "NET", "INPUTS", "OUTPUTS",
    "SOURCE", "PRODUCER", "PROTOTXT", "PREPROCESSING", *_HELPERS,
})  # fmt: skip
_FORMATTING = "  # fmt: skip"
_WIDTH = 100

_FILE = '''"""{title}

{text}
"""

{imports}

{constants}


{helpers}class {name}(nn.Module):
    """The layers in the order of the prototxt."""

    def __init__(self) -> None:
        super().__init__()
{made}

    def forward(self, {arguments}) -> {result}:
{lines}
{returned}


def load(weights: Path = WEIGHTS) -> {name}:
    """The net with its weights, ready for use; after .train() it can be trained on."""
    with torch.device("meta"):  # no time for values that are replaced
        net = {name}()
    net.load_state_dict(torch.load(weights, weights_only=True), assign=True)
    return net.eval()
'''


@dataclass(frozen=True)
class Module:
    """A net in PyTorch.

    Attributes:
        name: of the class.
        body: everything that the text of the file is made of.
        state: the state_dict, in the net's order.
    """

    name: str
    body: dict[str, str]
    state: dict[str, torch.Tensor]

    def text(self, weights: str, about: Mapping[str, Any]) -> str:
        """The file's content.

        Args:
            weights: the name of the file beside it that holds the state_dict.
            about: where the net is from, and what is done to images; shown as constants.
        """
        constants = [f"WEIGHTS = Path(__file__).with_name({_pretty(weights)})"]
        constants += [f"{key.upper()} = {_pretty(value)}" for key, value in about.items()]
        return _FILE.format(constants="\n".join(constants), **self.body)


@dataclass
class _Body:
    """What gathers while layers become code."""

    made: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    helpers: set[str] = field(default_factory=set)
    state: dict[str, torch.Tensor] = field(default_factory=dict)


def make_module(deploy: Deploy, weights: Sequence[Weight]) -> Module:
    """A net as a module of Python.

    Raises:
        BadInput: a layer's type or setting has no PyTorch code; names the layer.
    """
    name = class_name(deploy.net.name)
    name += "Net" if name in _TAKEN else ""
    variables = Identifiers({*_TAKEN, name})
    attributes = Identifiers({*dir(torch.nn.Module()), "load"})
    body = _Body()
    for layer, bottoms, found in deploy.walk():
        if layer.type == "Input":
            continue
        site = Site(
            layer=layer,
            own=f"self.{attributes.of(layer.name)}",
            x=[variables.of(bottom) for bottom in layer.bottom],
            bottoms=bottoms,
            tops=found.tops,
            parameters=[each.values for each in weights if each.layer == layer.name],
        )
        _add(body, site, code_of(site), [variables.of(top) for top in layer.top])
    inputs = [variables.of(name) for name in deploy.inputs]
    outputs = [variables.of(output) for output in deploy.outputs]
    return Module(
        name,
        {
            "title": f"{_plain(deploy.net.name) or 'A net'} of Caffe in PyTorch.",
            "text": _usage(deploy),
            "imports": _imports(body),
            "helpers": "".join(f"{_source(each)}\n\n" for each in _ordered(body.helpers)),
            "name": name,
            "made": "\n".join(body.made) or "        # no layer keeps anything",
            "arguments": ", ".join(f"{each}: Tensor" for each in inputs),
            "result": "Tensor" if len(outputs) == 1 else "tuple[Tensor, ...]",
            "lines": "\n".join(body.lines),
            "returned": _statement("return ", ", ".join(outputs)),
        },
        body.state,
    )


def _add(body: _Body, site: Site, code: Code, tops: Sequence[str]) -> None:
    if code.made:
        body.made.append(_line(site.own, code.made))
    if len(code.results) == len(tops):
        rows = zip(tops, code.results, site.tops, strict=True)
        body.lines += [_line(top, result, _times(shape[1:])) for top, result, shape in rows]
    else:
        (result,) = code.results
        body.lines.append(_line(", ".join(tops), result))
    body.helpers.update(code.helpers)
    attribute = site.own.removeprefix("self.")
    for name, values in code.state.items():
        body.state[f"{attribute}.{name}" if name else attribute] = _tensor(values)


def _line(target: str, value: str, remark: str = "") -> str:
    """An assignment, with a remark behind it where there is room."""
    line = _statement(f"{target} = ", value)
    remarked = f"{line}  # {remark}"
    return remarked if remark and len(remarked) <= _WIDTH else line


def _statement(start: str, value: str) -> str:
    """A statement of a method; a long one takes several lines."""
    line = f"        {start}{value}"
    if len(line) <= _WIDTH:
        return line
    indent = " " * 12
    inner = textwrap.fill(
        value, _WIDTH, initial_indent=indent, subsequent_indent=indent,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
    return f"        {start}(\n{inner}\n        )"


def _tensor(values: Array) -> torch.Tensor:
    return torch.from_numpy(values) if values.flags.writeable else torch.tensor(values)


def _imports(body: _Body) -> str:
    code = "\n".join([*body.made, *body.lines, *map(_source, body.helpers)])
    lines = ["from pathlib import Path", "", "import torch"]
    if "Sequence[" in code:
        lines.insert(0, "from collections.abc import Sequence")
    if "F." in code:
        lines.append("import torch.nn.functional as F")
    return "\n".join([*lines, "from torch import Tensor, nn"])


def _ordered(names: Iterable[str]) -> list[str]:
    """Helpers with those that they call, in the order of their file."""
    wanted = {need for name in names for need in (name, *helpers.NEEDS.get(name, ()))}
    return [name for name in vars(helpers) if name in wanted]


def _source(name: str) -> str:
    return inspect.getsource(getattr(helpers, name)).replace(_FORMATTING, "")


def _usage(deploy: Deploy) -> str:
    free = deploy.with_batch(1) is not None
    given = ", ".join(
        f"{_plain(name)} of the shape {_times(('batch', *shape[1:]) if free else shape)}"
        for name, shape in deploy.inputs.items()
    )
    return textwrap.fill(
        "Needs torch alone.  `load()` gives the net with the weights of the file beside this one.  "
        f"It takes {given}, float32; it gives {', '.join(map(_plain, deploy.outputs))}.",
        _WIDTH,
    )


def _plain(text: str) -> str:
    """A text that ends no docstring."""
    return text.replace("\\", "/").replace('"', "'").replace("\n", " ")


def _times(shape: Shape | tuple[str | int, ...]) -> str:
    return " x ".join(map(str, shape))


def _pretty(value: object) -> str:
    """A value of JSON as Python."""
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, dict):
        rows = "".join(f"    {_pretty(key)}: {_pretty(each)},\n" for key, each in value.items())
        return f"{{\n{rows}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_pretty, value))}]"
    return repr(value)
