"""Layers without parameters that compute values: one by one, normalized, or over several blobs."""

import math
from functools import reduce

from caffe_transfer.export.layers.base import Code, Site, coder, number
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.nets.shapes import Shape


@coder("AbsVal", "BNLL", "Sigmoid", "TanH")
def _plain(site: Site) -> Code:
    functions = {
        "AbsVal": "torch.abs", "BNLL": "F.softplus", "Sigmoid": "torch.sigmoid",
        "TanH": "torch.tanh",
    }  # fmt: skip
    return Code([f"{functions[site.layer.type]}({site.x[0]})"])


@coder("ReLU")
def _relu(site: Site) -> Code:
    slope = site.layer.relu_param.negative_slope
    return Code(
        [f"F.leaky_relu({site.x[0]}, {number(slope)})" if slope else f"F.relu({site.x[0]})"]
    )


@coder("Dropout")
def _dropout(site: Site) -> Code:
    """Nothing in tests, and torch's own in training: both scale what is kept."""
    ratio = number(site.layer.dropout_param.dropout_ratio)
    return Code([f"F.dropout({site.x[0]}, {ratio}, self.training)"])


@coder("ELU")
def _elu(site: Site) -> Code:
    return Code([f"F.elu({site.x[0]}, {number(site.layer.elu_param.alpha)})"])


@coder("Clip")
def _clip(site: Site) -> Code:
    given = site.layer.clip_param
    return Code([f"{site.x[0]}.clamp({number(given.min)}, {number(given.max)})"])


@coder("Swish")
def _swish(site: Site) -> Code:
    inner = _times(site.x[0], site.layer.swish_param.beta)
    return Code([f"{site.x[0]} * torch.sigmoid({inner})"])


@coder("Threshold")
def _threshold(site: Site) -> Code:
    return Code([f"({site.x[0]} > {number(site.layer.threshold_param.threshold)}).float()"])


@coder("Power")
def _power(site: Site) -> Code:
    """(shift + scale x)^power, a constant where power or scale is 0."""
    given, x = site.layer.power_param, site.x[0]
    if not given.power or not given.scale:
        constant = given.shift**given.power if given.power else 1.0
        return Code([f"torch.full_like({x}, {number(constant)})"])
    base = _line(x, given.scale, given.shift)
    if given.power == 1:
        return Code([base])
    return Code([f"{base if base == x else f'({base})'} ** {number(given.power)}"])


@coder("Exp")
def _exp(site: Site) -> Code:
    """base^(shift + scale x); base -1 stands for e."""
    given = site.layer.exp_param
    inner = _line(site.x[0], given.scale, given.shift)
    if given.base == -1:
        return Code([f"torch.exp({inner})"])
    return Code([f"torch.exp({math.log(given.base)!r} * ({inner}))"])


@coder("Log")
def _log(site: Site) -> Code:
    """log(shift + scale x) to a base; base -1 stands for e."""
    given = site.layer.log_param
    value = f"torch.log({_line(site.x[0], given.scale, given.shift)})"
    return Code([value if given.base == -1 else f"{value} / {math.log(given.base)!r}"])


@coder("Softmax")
def _softmax(site: Site) -> Code:
    return Code([f"torch.softmax({site.x[0]}, {site.layer.softmax_param.axis})"])


@coder("MVN")
def _mvn(site: Site) -> Code:
    """The top always has four axes."""
    given, x = site.layer.mvn_param, site.x[0]
    lacking = 4 - len(site.bottoms[0])
    x += f"[...{', None' * lacking}]" if lacking else ""
    axes = (1, 2, 3) if given.across_channels else (2, 3)
    if not given.normalize_variance:
        return Code([f"{x} - {x}.mean({axes}, keepdim=True)"])
    return Code([f"mvn({x}, {axes}, {number(given.eps)})"], helpers=["mvn"])


@coder("Eltwise")
def _eltwise(site: Site) -> Code:
    given = site.layer.eltwise_param
    if given.operation == pb.EltwiseParameter.PROD:
        return Code([" * ".join(site.x)])
    if given.operation == pb.EltwiseParameter.MAX:
        return Code([reduce(lambda most, x: f"torch.maximum({most}, {x})", site.x)])
    factors = list(given.coeff) or [1.0] * len(site.x)
    return Code([" + ".join(map(_times, site.x, factors))])


@coder("Reduction")
def _reduction(site: Site) -> Code:
    given, axis = site.layer.reduction_param, len(site.tops[0])
    x = site.x[0] if _is_last(axis, site.bottoms[0]) else f"{site.x[0]}.flatten({axis})"
    operations = pb.ReductionParameter
    value = {
        operations.SUM: f"{x}.sum(-1)",
        operations.ASUM: f"{x}.abs().sum(-1)",
        operations.SUMSQ: f"{x}.square().sum(-1)",
        operations.MEAN: f"{x}.mean(-1)",
    }[given.operation]
    return Code([_times(value, given.coeff)])


@coder("ArgMax")
def _argmax(site: Site) -> Code:
    """Along an axis; or in each image as a whole, indices first, then values if wanted."""
    given = site.layer.argmax_param
    whole = not given.HasField("axis")
    x, axis = (f"{site.x[0]}.flatten(1)", 1) if whole else (site.x[0], given.axis)
    found = f"largest({x}, {axis}, {given.top_k})"
    if not whole:
        return Code([f"{found}[{0 if given.out_max_val else 1}]"], helpers=["largest"])
    both = f"torch.stack({found}[::-1], 1)" if given.out_max_val else f"{found}[1].unsqueeze(1)"
    return Code([both], helpers=["largest"])


def _is_last(axis: int, shape: Shape) -> bool:
    return axis == len(shape) - 1


def _times(x: str, factor: float) -> str:
    return x if factor == 1 else f"{number(factor)} * {x}"


def _line(x: str, scale: float, shift: float) -> str:
    """scale x + shift."""
    product = _times(x, scale)
    return f"{product} + {number(shift)}" if shift else product
