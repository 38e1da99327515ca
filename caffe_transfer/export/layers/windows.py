"""Layers that slide windows without parameters over images."""

from collections.abc import Sequence

from caffe_transfer.export.layers.base import Code, Site, arguments, coder, number, sides
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.nets.shapes import Shape, infer
from caffe_transfer.nets.shapes.convolutions import filters
from caffe_transfer.nets.shapes.windows import Windows, pooling_windows, pyramid


@coder("Pooling")
def _pooling(site: Site) -> Code:
    result = _pooled(site, site.layer, site.x[0], site.tops[0])
    if len(site.tops) == 1:
        return Code([result])
    windows = pooling_windows(site.layer, site.bottoms[0][2:])  # type: ignore[arg-type]
    if _needs_own_pad(windows) or site.layer.pooling_param.global_pooling:
        raise site.refuse("has a second top, the indices of the maxima, and such windows")
    call = result.removesuffix(")")
    return Code([result, f"{call}, return_indices=True)[1].float()"])


@coder("SPP")
def _pyramid(site: Site) -> Code:
    levels = []
    for layer in pyramid(site.layer, site.bottoms[0]):
        (top,) = infer(layer, site.bottoms).tops
        levels.append(_pooled(site, layer, site.x[0], top))
    if len(levels) == 1:
        return Code(levels)
    return Code([f"torch.cat([{', '.join(f'{level}.flatten(1)' for level in levels)}], 1)"])


def _pooled(site: Site, layer: pb.LayerParameter, x: str, top: Shape) -> str:
    """A pooling as an expression; its windows are Caffe's, the last ones of an axis cut off."""
    given, shape = layer.pooling_param, site.bottoms[0]
    if given.pool == pb.PoolingParameter.STOCHASTIC:
        raise site.refuse("is STOCHASTIC")
    maximum = given.pool == pb.PoolingParameter.MAX
    if given.global_pooling:
        return f"{x}.{'amax' if maximum else 'mean'}((2, 3), keepdim=True)"
    windows = pooling_windows(layer, (shape[2], shape[3]))
    function = f"F.{'max' if maximum else 'avg'}_pool2d"
    own_pad = _needs_own_pad(windows)
    padding = "" if own_pad or not any(windows.pad) else f"padding={sides(windows.pad)}"
    settings = arguments(
        f"{sides(windows.kernel)}, {sides(windows.stride)}",
        padding,
        "ceil_mode=True" if _rounds_up(layer, windows, shape[2:], top[2:]) else "",
    )
    if not own_pad:
        return f"{function}({x}, {settings})"
    (down, right), filling = windows.pad, ", value=-torch.inf" if maximum else ""
    padded = f"F.pad({x}, ({right}, {right}, {down}, {down}){filling})"
    return f"{function}({padded}, {settings})[:, :, :{top[2]}, :{top[3]}]"


def _needs_own_pad(windows: Windows) -> bool:
    """Whether a pad is more than the half of a window that torch's poolings take."""
    return any(2 * pad > side for pad, side in zip(windows.pad, windows.kernel, strict=True))


def _rounds_up(
    layer: pb.LayerParameter, windows: Windows, bottom: Sequence[int], top: Sequence[int]
) -> bool:
    """Whether the number of windows is rounded up, as Caffe does, less those in the padding.

    Where all that rounding up gains begins in the padding, rounding down says it more plainly.
    """
    if layer.pooling_param.round_mode != pb.PoolingParameter.CEIL:
        return False
    room = [
        side + 2 * pad - kernel
        for side, pad, kernel in zip(bottom, windows.pad, windows.kernel, strict=True)
    ]
    down = [r // stride + 1 for r, stride in zip(room, windows.stride, strict=True)]
    up = [-(-r // stride) + 1 for r, stride in zip(room, windows.stride, strict=True)]
    return list(top) != down or up == down


@coder("LRN")
def _lrn(site: Site) -> Code:
    given = site.layer.lrn_param
    size, alpha, beta = given.local_size, number(given.alpha), number(given.beta)
    if not size % 2:
        raise site.refuse(f"has local_size {size}, which is even")
    if given.norm_region == pb.LRNParameter.WITHIN_CHANNEL:
        return Code([f"lrn_within({site.x[0]}, {size}, {alpha}, {beta})"], helpers=["lrn_within"])
    settings = f"{size}, alpha={alpha}, beta={beta}, k={number(given.k)}"
    return Code([f"F.local_response_norm({site.x[0]}, {settings})"])


@coder("Im2col")
def _im2col(site: Site) -> Code:
    found = filters(site.layer, site.bottoms[0])
    if found.axis != 1 or len(found.kernel) != 2:
        raise site.refuse(f"slides along {len(found.kernel)} axes behind axis {found.axis}")
    settings = arguments(
        sides(found.kernel),
        f"dilation={sides(found.dilation)}, padding={sides(found.pad)}",
        f"stride={sides(found.stride)}",
    )
    places = tuple(site.tops[0][2:])
    return Code([f"F.unfold({site.x[0]}, {settings}).unflatten(2, {places})"])
