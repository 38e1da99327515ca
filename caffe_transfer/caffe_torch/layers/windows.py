"""Windows that slide over images: what their settings say."""

from typing import Any

from caffe_transfer.caffe_torch.layers.base import Layer, Shape

Pair = tuple[int, int]


def pair(
    layer: Layer,
    settings: Any,
    stem: str,
    both: str,
    default: int | None = None,
    *,
    alone: bool = False,
) -> Pair:
    """(height, width) of a setting given as STEM_h and STEM_w, or as one or two numbers.

    Args:
        settings: a ConvolutionParameter or a PoolingParameter.
        both: the field that holds the numbers for both directions.
        default: both numbers where none are given; None: they have to be.
        alone: whether one of STEM_h and STEM_w suffices, the other being 0.

    Raises:
        BadInput: the setting is missing, there twice, or has too many numbers.
    """
    fields = [f"{stem}_h", f"{stem}_w"] if f"{stem}_h" in settings.DESCRIPTOR.fields_by_name else []
    values = _numbers(settings, both)
    if any(settings.HasField(field) for field in fields):
        if values or not (alone or all(settings.HasField(field) for field in fields)):
            raise layer.refuse(f"needs either {both}, or both of {fields[0]} and {fields[1]}")
        values = [getattr(settings, field) for field in fields]
    if len(values) > 2:
        raise layer.refuse(f"has {len(values)} numbers for {both}; give one, or height and width")
    if values:
        return values[0], values[-1]
    if default is None:
        raise layer.refuse(f"has no {both}")
    return default, default


def _numbers(settings: Any, field: str) -> list[int]:
    """The numbers of a field, which may be a repeated one."""
    value = getattr(settings, field)
    if not isinstance(value, int):
        return list(value)
    return [value] if settings.HasField(field) else []


def positive(layer: Layer, what: str, values: Pair) -> Pair:
    """The values, checked.

    Raises:
        BadInput: one of them is not above zero.
    """
    if min(values) < 1:
        raise layer.refuse(f"has {what} {values[0]} x {values[1]}; both must be above 0")
    return values


def image(layer: Layer, shape: Shape) -> tuple[int, int, int, int]:
    """(batch, channels, height, width) of a blob.

    Raises:
        BadInput: it has other axes.
    """
    if len(shape) != 4:
        raise layer.refuse(f"needs images (batch, channels, height, width), not the shape {shape}")
    return shape[0], shape[1], shape[2], shape[3]
