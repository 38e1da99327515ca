"""What Caffe does to an image before a net sees it, as far as the net says so."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from caffe_transfer.errors import CaffeTransferError
from caffe_transfer.export.deploy import Deploy
from caffe_transfer.formats.binaryproto import read_blob

_STEPS = (
    "decode to BGR pixels from 0 to 255, (channels, height, width); subtract the mean; crop the "
    "centre; multiply by scale"
)
_UNKNOWN = (
    "the net does not say what is done to its input; most of Caffe's nets of images take BGR "
    "pixels from 0 to 255 less a mean"
)


def preprocessing(deploy: Deploy, net: Path) -> dict[str, Any]:
    """What is done to an image, ready for JSON.

    A mean image is looked for where the net names it, and beside the net; if it is found, the
    means of its channels are told.

    Args:
        net: the file that `deploy` is of.
    """
    if deploy.source is None:
        return {"note": _UNKNOWN}
    given = deploy.source.transform_param
    (images,) = deploy.inputs.values()  # a source of files has one input
    found: dict[str, Any] = {
        "channel_order": "gray" if images[1] == 1 else "BGR",
        "steps": _STEPS,
        "mean_values": list(map(_as_written, given.mean_value)),
        "crop": given.crop_size or None,
        "scale": _as_written(given.scale),
    }
    if given.mean_file:
        found["mean_file"] = given.mean_file
        found["mean_values_of_file"] = _channel_means(given.mean_file, net.parent)
    return found


def _as_written(value: float) -> float:
    """A float32 as a prototxt has it, with no more digits than it holds."""
    return float(f"{value:.7g}")


def _channel_means(name: str, folder: Path) -> Sequence[float] | None:
    for path in (Path(name), folder / name):
        try:
            blob = read_blob(path)
        except CaffeTransferError:
            continue
        channels = blob.shape[-3] if len(blob.shape) > 2 else 1
        return [round(float(mean), 4) for mean in blob.values.reshape(channels, -1).mean(1)]
    return None
