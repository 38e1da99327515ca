"""Shapes of whole nets, without Caffe and without their data."""

from collections.abc import Iterator, Sequence

from caffe_transfer.errors import BadInput
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.nets.phases import included_in
from caffe_transfer.nets.shapes.rules import Shape, Shapes, infer


def parameter_shapes(
    net: pb.NetParameter, data_shape: Shape | None = None, phase: int = pb.TRAIN
) -> dict[str, tuple[Shape, ...]]:
    """The shapes of the parameter blobs of each layer that has some, in the net's order.

    They are Caffe's: convolution (num_output, channels / group, height, width), inner product
    (num_output, features), bias (num_output,), BatchNorm (channels,) twice and (1,).

    Args:
        net: a net in format V2.
        data_shape: (channels, height, width) of the images that the net reads from files, after
            cropping; not needed where all inputs are declared, as in deploy nets.
        phase: caffe_pb2.TRAIN or TEST.

    Raises:
        BadInput: a layer does not fit its bottoms; names the layer.
    """
    return {
        layer.name: shapes.parameters
        for layer, shapes in _walk(net, data_shape, phase, BlobShapes())
        if shapes.parameters
    }


def blob_shapes(
    net: pb.NetParameter, data_shape: Shape | None = None, phase: int = pb.TRAIN
) -> dict[str, Shape]:
    """The shape of every blob without its first axis, the batch; scalars have the shape ().

    Arguments and errors are those of `parameter_shapes`.
    """
    blobs = BlobShapes()
    for _ in _walk(net, data_shape, phase, blobs):
        pass
    return {name: shape[1:] for name, shape in blobs.items()}


class BlobShapes(dict[str, Shape]):
    """The blobs of a net that is followed layer by layer: name -> shape, batch axis included."""

    def read(self, layer: pb.LayerParameter) -> list[Shape]:
        """The shapes of a layer's bottoms.

        Raises:
            BadInput: no layer before it makes one of them.
        """
        for name in layer.bottom:
            if name not in self:
                raise BadInput(
                    f"layer {layer.name!r} reads blob {name!r}, which no layer before it makes"
                )
        return [self[name] for name in layer.bottom]

    def write(self, layer: pb.LayerParameter, tops: Sequence[Shape]) -> None:
        """Add a layer's named tops; one in the place of a bottom of the same name replaces it.

        Raises:
            BadInput: another layer has made one of them.
        """
        # Losses may name no tops.
        for index, (name, shape) in enumerate(zip(layer.top, tops, strict=False)):
            if name in self and layer.bottom[index : index + 1] != [name]:
                raise BadInput(f"layer {layer.name!r} makes blob {name!r}, which is there already")
            self[name] = shape


def _walk(
    net: pb.NetParameter, data_shape: Shape | None, phase: int, blobs: BlobShapes
) -> Iterator[tuple[pb.LayerParameter, Shapes]]:
    """The layers of a phase with their shapes; `blobs` gains their tops."""
    state = pb.NetState()
    state.CopyFrom(net.state)
    state.phase = phase  # type: ignore[assignment]
    for layer in net.layer:
        if included_in(layer, state):
            shapes = infer(layer, blobs.read(layer), data_items(layer, data_shape))
            blobs.write(layer, shapes.tops)
            yield layer, shapes


def data_items(layer: pb.LayerParameter, data_shape: Shape | None) -> list[Shape] | None:
    """The items of a data layer's tops: a label is the top of this name, else the second top."""
    if data_shape is None:
        return None
    label = "label" if "label" in layer.top else (*layer.top, "", "")[1]
    return [() if top == label else data_shape for top in layer.top]
