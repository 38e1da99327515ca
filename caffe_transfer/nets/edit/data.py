"""The data layers of a study: what is the study's about them, and what the user's net says."""

from dataclasses import dataclass

from caffe_transfer.errors import BadInput
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.nets.edit.wiring import Wired, is_data, wired
from caffe_transfer.nets.phases import TEST, TRAIN, phase_layers
from caffe_transfer.nets.shapes import infer

_READERS = frozenset({"Data", "ImageData", "MemoryData"})  # they crop, mirror and scale
_DECLARED = frozenset({"Input", "DummyData", "MemoryData"})


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """How a network's data layers read the study's databases; None: as the user's net has it.

    Attributes:
        train_source, valid_source: LMDBs, relative to the network's folder.
        batch, test_batch: images.
        channels, size: of the stored images, which are square, in pixels.
        crop: the side that the net sees, in pixels; 0 for all of the image.
        scale: the factor of pixels after the mean is subtracted.
        mirror: training images at random; on where the user's net does not say.
        mean_file: the study's mean, used unless mean values are in force.
        mean_values: one for each channel, or one for all.
    """

    train_source: str
    valid_source: str
    batch: int
    test_batch: int
    channels: int
    size: int
    crop: int | None = None
    scale: float | None = None
    mirror: bool | None = None
    mean_file: str
    mean_values: tuple[float, ...] | None = None


def seen_size(net: pb.NetParameter, data: DataSettings) -> int:
    """The side of the square that a net sees, in pixels.

    That is the study's crop, else the crop of the user's net, else the height of a deploy net's
    input where it is smaller than the stored images, else all of them.

    Args:
        net: as `checked` returned it.

    Raises:
        BadInput: the stored images are smaller than the crop.
    """
    return _crop(wired(net), data) or data.size


def image_shape(net: Wired, data: DataSettings) -> tuple[int, int, int]:
    """(channels, height, width) of the images as the net sees them.

    Raises:
        BadInput: the stored images are smaller than the crop.
    """
    side = _crop(net, data) or data.size
    return (data.channels, side, side)


def data_layers(net: Wired, data: DataSettings) -> list[pb.LayerParameter]:
    """The two layers that read a study's databases under the names of the user's blobs.

    Raises:
        BadInput: the stored images are smaller than the crop, or have other channels than the net
            has mean values.
    """
    source = _source(net)
    found = []
    for phase, path, batch in (
        (TRAIN, data.train_source, data.batch),
        (TEST, data.valid_source, data.test_batch),
    ):
        layer = pb.LayerParameter(
            name=source.name if source.type in _READERS else net.images,
            type="Data",
            top=[net.images, net.label],
        )
        layer.include.add(phase=phase)
        layer.transform_param.CopyFrom(_transform(net, data, source))
        layer.transform_param.mirror = phase == TRAIN and _mirrors(data, source)
        layer.data_param.source = path
        layer.data_param.batch_size = batch
        layer.data_param.backend = pb.DataParameter.LMDB
        found.append(layer)
    return found


def _transform(
    net: Wired, data: DataSettings, source: pb.LayerParameter
) -> pb.TransformationParameter:
    given, found = source.transform_param, pb.TransformationParameter()
    crop = _crop(net, data)
    if crop:
        found.crop_size = crop
    scale = given.scale if data.scale is None else data.scale
    if scale != 1:
        found.scale = scale
    means = tuple(given.mean_value) if data.mean_values is None else data.mean_values
    if len(means) not in (0, 1, data.channels):
        raise BadInput(
            f"there are {len(means)} mean values for images of {data.channels} channels; set "
            "mean_values in the study's [images]"
        )
    if means:
        found.mean_value.extend(means)
    else:
        found.mean_file = data.mean_file
    return found


def _mirrors(data: DataSettings, source: pb.LayerParameter) -> bool:
    if data.mirror is not None:
        return data.mirror
    return source.transform_param.mirror if source.type in _READERS else True


def _crop(net: Wired, data: DataSettings) -> int:
    """The crop in force, 0 for none."""
    source = _source(net)
    crop = data.crop
    if crop is None:
        crop = source.transform_param.crop_size
    if data.crop is None and not crop:
        declared = _declared_height(net, source)
        crop = declared if declared < data.size else 0
    if crop > data.size:
        raise BadInput(
            f"layer {source.name!r} crops images to {crop} pixels, and the study stores them with "
            f"{data.size}; set a smaller crop, or a larger size, in the study's [images]"
        )
    return crop


def _source(net: Wired) -> pb.LayerParameter:
    """The user's layer that images come from while the net learns; an empty one if none does."""
    for layer in phase_layers(net.net, TRAIN):
        if is_data(layer) and net.images in layer.top:
            return layer
    return pb.LayerParameter()


def _declared_height(net: Wired, source: pb.LayerParameter) -> int:
    if source.type not in _DECLARED:
        return 0
    shape = infer(source, []).tops[list(source.top).index(net.images)]
    return shape[2] if len(shape) == 4 else 0
