"""Layers with parameters, but for recurrent ones."""

import numpy as np

from caffe_transfer.export.layers.base import Code, Site, arguments, coder, number, sides
from caffe_transfer.export.weights import Array
from caffe_transfer.nets.shapes import Shape
from caffe_transfer.nets.shapes.convolutions import filters
from caffe_transfer.nets.shapes.learned import broadcast


@coder("Convolution", "Deconvolution")
def _convolution(site: Site) -> Code:
    given, found = site.layer.convolution_param, filters(site.layer, site.bottoms[0])
    axes = len(found.kernel)
    if found.axis != 1 or not 1 <= axes <= 3:
        raise site.refuse(f"slides along {axes} axes behind axis {found.axis}")
    name = f"Conv{'Transpose' if site.layer.type == 'Deconvolution' else ''}{axes}d"
    settings = arguments(
        f"{site.bottoms[0][1]}, {given.num_output}, {sides(found.kernel)}",
        _unless("stride", found.stride, 1),
        _unless("padding", found.pad, 0),
        f"groups={given.group}" if given.group > 1 else "",
        "" if given.bias_term else "bias=False",
        _unless("dilation", found.dilation, 1),
    )
    return Code([f"{site.own}({x})" for x in site.x], f"nn.{name}({settings})", _weights(site))


def _unless(name: str, values: Shape, usual: int) -> str:
    return "" if set(values) == {usual} else f"{name}={sides(values)}"


def _weights(site: Site) -> dict[str, Array]:
    return dict(zip(("weight", "bias"), site.parameters, strict=False))


@coder("InnerProduct")
def _inner_product(site: Site) -> Code:
    given, axis = site.layer.inner_product_param, len(site.tops[0]) - 1
    x = site.x[0] if len(site.bottoms[0]) == axis + 1 else f"{site.x[0]}.flatten({axis})"
    state = _weights(site)
    if given.transpose:
        state["weight"] = np.ascontiguousarray(site.parameters[0].T)
    outputs, inputs = state["weight"].shape
    bias = "" if given.bias_term else "bias=False"
    return Code(
        [f"{site.own}({x})"], f"nn.Linear({arguments(f'{inputs}, {outputs}', bias)})", state
    )


@coder("Embed")
def _embed(site: Site) -> Code:
    indices, outputs = site.parameters[0].shape
    bias = "" if site.layer.embed_param.bias_term else "bias=False"
    made = f"Embed({arguments(f'{indices}, {outputs}', bias)})"
    return Code([f"{site.own}({site.x[0]})"], made, _weights(site), ["Embed"])


@coder("Parameter")
def _parameter(site: Site) -> Code:
    shape = site.parameters[0].shape
    return Code([site.own], f"nn.Parameter(torch.zeros({shape}))", {"": site.parameters[0]})


@coder("BatchNorm")
def _batch_norm(site: Site) -> Code:
    """With the averages, as tests use them, unless the net wants those of the batch."""
    given, axes = site.layer.batch_norm_param, len(site.bottoms[0])
    eps = f"eps={number(given.eps)}"
    if given.HasField("use_global_stats") and not given.use_global_stats:
        return Code([f"F.batch_norm({site.x[0]}, None, None, training=True, {eps})"])
    if axes > 5:
        raise site.refuse(f"normalizes blobs of {axes} axes")
    means, variances, factor = site.parameters
    by = np.float32(0 if factor[0] == 0 else 1 / factor[0])
    state = {
        "running_mean": means * by,
        "running_var": variances * by,
        "num_batches_tracked": np.array(0, np.int64),
    }
    kind = {4: "2d", 5: "3d"}.get(axes, "1d")
    made = f"nn.BatchNorm{kind}({len(means)}, {eps}, affine=False)"
    return Code([f"{site.own}({site.x[0]})"], made, state)


@coder("PReLU")
def _prelu(site: Site) -> Code:
    slopes = site.parameters[0].reshape(-1)
    made = f"nn.PReLU({'' if slopes.size == 1 else slopes.size})"
    return Code([f"{site.own}({site.x[0]})"], made, {"weight": slopes})


@coder("Scale")
def _scale(site: Site) -> Code:
    given = site.layer.scale_param
    start, small = broadcast(site.layer, given, site.bottoms)
    behind = len(site.bottoms[0]) - start - len(small)
    view = (*small, *(1,) * behind)
    values = [each.reshape(view) for each in site.parameters]
    if len(site.x) == 1:
        bias = "" if given.bias_term else "bias=False"
        made = f"Scale({arguments(str(view), bias)})"
        state = dict(zip(("gamma", "beta"), values, strict=False))
        return Code([f"{site.own}({site.x[0]})"], made, state, ["Scale"])
    product = f"{site.x[0]} * {_spread(site.x[1], behind)}"
    if not given.bias_term:
        return Code([product])
    return Code([f"{site.own}({product})"], f"Bias({view})", {"bias": values[0]}, ["Bias"])


@coder("Bias")
def _bias(site: Site) -> Code:
    start, small = broadcast(site.layer, site.layer.bias_param, site.bottoms)
    behind = len(site.bottoms[0]) - start - len(small)
    if len(site.x) > 1:
        return Code([f"{site.x[0]} + {_spread(site.x[1], behind)}"])
    view = (*small, *(1,) * behind)
    state = {"bias": site.parameters[0].reshape(view)}
    return Code([f"{site.own}({site.x[0]})"], f"Bias({view})", state, ["Bias"])


def _spread(small: str, behind: int) -> str:
    """A blob with axes of length 1 behind its own."""
    return f"{small}[...{', None' * behind}]" if behind else small
