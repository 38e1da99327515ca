"""The nets that a new study may be of, and how they see the images."""

import math
from dataclasses import dataclass, replace
from pathlib import Path

from caffe_transfer.data_prep.survey import Survey
from caffe_transfer.errors import BadInput
from caffe_transfer.formats.caffemodel import open_model
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.nets.render import plain_net
from caffe_transfer.nets.shapes import blob_shapes
from caffe_transfer.nets.sizes import COLOUR_CHANNELS, GRAY_CHANNELS, image_shape
from caffe_transfer.nets.sources import source_of
from caffe_transfer.new_study.request import Request
from caffe_transfer.studies.study import Images, Study
from caffe_transfer.training.transplant import stored_shapes

SMALL_SIDE = 64  # pixels: up to here images are small
SMALL_NET, LARGE_NET = "mini", "caffenet"
SMALL_SCALE = 0.0078125  # 1/128: pixels from -1 to 1, for which the small net's fillers are made
LARGE_CROP = 227
# Stored sizes that Caffe's own examples have; others in the same proportion.
_STORED = {227: 256, 224: 256}
_STORED_PER_CROP = 8 / 7
_SMALLEST_WITH_CROP = 32
_BATCHES = (64, 32, 16, 8, 4, 2, 1)
_LARGE_BATCH = 32
_MOST_TEST_BATCH = 100
# Of activations and their gradients, so that an ordinary machine has room for several trainings.
_MEMORY_BYTES = 2 << 30
_FLOAT_BYTES = 4
_BATCHES_PER_EPOCH = 4  # at least


@dataclass(frozen=True)
class NetChoice:
    """A net that a study may be of.

    Attributes:
        net: as in a study's file, its path absolute.
        why: a sentence for the file; "" where the user named the net.
    """

    net: str
    why: str = ""


def net_choices(request: Request, found: Survey) -> list[NetChoice]:
    """The nets to try in turn: the user's, or built-in ones."""
    if request.net is not None:
        return [NetChoice(request.net)]
    if request.weights is not None:
        return [NetChoice(net, f"The built-in net that {request.weights.name} is a model of.")
                for net in (LARGE_NET, SMALL_NET)]  # fmt: skip
    seen = f"their median is {found.median_width}x{found.median_height} pixels"
    if _small_side(found) <= SMALL_SIDE:
        return [NetChoice(SMALL_NET, f"The built-in net for small images: {seen}.")]
    return [
        NetChoice(LARGE_NET, f"The paper's net, for images above {SMALL_SIDE} pixels."),
        NetChoice(
            SMALL_NET,
            f"The built-in net for small images: the paper's, {LARGE_NET}, would need more time "
            "than there is.",
        ),
    ]


def image_settings(study: Study, found: Survey, weights_channels: int | None) -> Images:
    """How the net of a study is to see a survey's images.

    Args:
        study: whose images have the source, and stand-ins for all sizes.
        weights_channels: what a given model reads; None where it is not known.

    Raises:
        BadInput: the net sees images of neither one channel nor three.
        Incomplete, FormatError: the net is missing, or is none.
    """
    net = source_of(study).given
    if net is None:
        images = replace(study.images, channels=weights_channels or found.channels)
        return _for_small_net(images, found) if study.net == SMALL_NET else _for_large_net(images)
    shape, side = image_shape(net), _small_side(found)
    channels = _channels(net) or weights_channels or found.channels
    if channels not in (GRAY_CHANNELS, COLOUR_CHANNELS):
        raise BadInput(
            f"{study.net} reads images of {channels} channels, and a study has 1 (gray) or 3; "
            "name another net"
        )
    if shape is None:
        return replace(study.images, channels=channels, size=min(side, _STORED[LARGE_CROP]))
    return replace(study.images, channels=channels, crop=shape[1], size=_stored(shape[1]))


def model_channels(weights: Path | None, net: pb.NetParameter) -> int | None:
    """The channels of the images that a model's first layer reads; None where it does not tell."""
    first = next((layer for layer in net.layer if layer.type == "Convolution"), None)
    if weights is None or first is None:
        return None
    with open_model(weights) as model:
        blobs = stored_shapes(model).get(first.name, [])
    if not blobs or len(blobs[0]) != 4:
        return None
    return blobs[0][1] * first.convolution_param.group


def with_batches(study: Study, training_images: int) -> Study:
    """The study with the largest batches that its images and a machine's memory have room for."""
    shape = source_of(study).input_shape
    blobs = blob_shapes(plain_net(study), shape)
    bytes_per_image = 2 * _FLOAT_BYTES * sum(map(math.prod, blobs.values()))
    fitting = max(1, _MEMORY_BYTES // bytes_per_image)
    most = min(fitting, max(1, training_images // _BATCHES_PER_EPOCH))
    if shape[1] > SMALL_SIDE:
        most = min(most, _LARGE_BATCH)
    batch = next(each for each in _BATCHES if each <= most)
    return replace(study, batch=batch, test_batch=min(fitting, _MOST_TEST_BATCH))


def _for_small_net(images: Images, found: Survey) -> Images:
    size = min(_small_side(found), SMALL_SIDE)
    crop = round(size / _STORED_PER_CROP) if size >= _SMALLEST_WITH_CROP else 0
    return replace(images, size=size, crop=crop, scale=SMALL_SCALE)


def _for_large_net(images: Images) -> Images:
    return replace(images, size=_STORED[LARGE_CROP], crop=LARGE_CROP)


def _channels(net: pb.NetParameter) -> int | None:
    """As far as the net says it: by its input, by mean values, or as gray."""
    for layer in net.layer:
        for shape in layer.input_param.shape:
            if len(shape.dim) == 4:
                return int(shape.dim[1])
        if len(layer.transform_param.mean_value) > 1:
            return len(layer.transform_param.mean_value)
        if layer.transform_param.force_gray:
            return GRAY_CHANNELS
    return None


def _stored(crop: int) -> int:
    if crop in _STORED:
        return _STORED[crop]
    return crop if crop < _SMALLEST_WITH_CROP else round(crop * _STORED_PER_CROP)


def _small_side(found: Survey) -> int:
    return min(found.median_width, found.median_height)
