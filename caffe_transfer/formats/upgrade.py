"""Upgrades nets and solvers of older formats to that of Caffe 1.0: V0 -> V1 -> V2.

Caffe does the same when it loads a file (upgrade_proto.cpp), and `upgrade_net_proto_text` writes
the result.  Most of each step is a table from old fields to new ones.
"""

from collections.abc import Sequence
from typing import Any

from google.protobuf.message import Message

from caffe_transfer.errors import FormatError
from caffe_transfer.formats.layer_types import V1_OF_V0, modern_type
from caffe_transfer.formats.proto import caffe_pb2 as pb

# V0 type -> the message that holds its settings in V1; in V0 they are fields of the layer itself.
_V0_PARAMS = {
    "conv": "convolution_param", "innerproduct": "inner_product_param", "pool": "pooling_param",
    "dropout": "dropout_param", "lrn": "lrn_param", "data": "data_param",
    "hdf5_data": "hdf5_data_param", "images": "image_data_param",
    "window_data": "window_data_param", "infogain_loss": "infogain_loss_param",
    "concat": "concat_param",
}  # fmt: skip
# V0 field -> the types that may have it, and its name in their message of V1.
_V0_FIELDS = {
    "num_output": (("conv", "innerproduct"), "num_output"),
    "biasterm": (("conv", "innerproduct"), "bias_term"),
    "weight_filler": (("conv", "innerproduct"), "weight_filler"),
    "bias_filler": (("conv", "innerproduct"), "bias_filler"),
    "pad": (("conv", "pool"), "pad"),
    "kernelsize": (("conv", "pool"), "kernel_size"),
    "group": (("conv",), "group"),
    "stride": (("conv", "pool"), "stride"),
    "pool": (("pool",), "pool"),
    "dropout_ratio": (("dropout",), "dropout_ratio"),
    "local_size": (("lrn",), "local_size"),
    "alpha": (("lrn",), "alpha"),
    "beta": (("lrn",), "beta"),
    "k": (("lrn",), "k"),
    "source": (("data", "hdf5_data", "images", "window_data", "infogain_loss"), "source"),
    "batchsize": (("data", "hdf5_data", "images", "window_data"), "batch_size"),
    "rand_skip": (("data", "images"), "rand_skip"),
    "shuffle_images": (("images",), "shuffle"),
    "new_height": (("images",), "new_height"),
    "new_width": (("images",), "new_width"),
    "concat_dim": (("concat",), "concat_dim"),
    "det_fg_threshold": (("window_data",), "fg_threshold"),
    "det_bg_threshold": (("window_data",), "bg_threshold"),
    "det_fg_fraction": (("window_data",), "fg_fraction"),
    "det_context_pad": (("window_data",), "context_pad"),
    "det_crop_mode": (("window_data",), "crop_mode"),
}
_V0_TRANSFORMS = {
    "scale": "scale", "meanfile": "mean_file", "cropsize": "crop_size", "mirror": "mirror",
}  # fmt: skip

# Fields of a V1 layer that are converted instead of copied.
_V1_CHANGED = {"type", "param", "blob_share_mode", "blobs_lr", "weight_decay", "layer"}
_V1_DATA = {"DATA": "data_param", "IMAGE_DATA": "image_data_param",
            "WINDOW_DATA": "window_data_param"}  # fmt: skip
_TRANSFORMS = ("scale", "mean_file", "crop_size", "mirror")


def upgrade_net(net: pb.NetParameter, name: str = "the net") -> pb.NetParameter:
    """Return a copy of a net in format V2.

    Args:
        name: the file's name, for messages.

    Raises:
        FormatError: a layer has a type or a setting that Caffe never had, an input lacks its shape,
            or the net mixes formats.
    """
    result = pb.NetParameter()
    result.CopyFrom(net)
    if result.layers and result.layer:
        raise FormatError(f"{name} has both 'layer' and 'layers'; write all of them as 'layer'")
    if any(each.HasField("layer") for each in result.layers):
        _upgrade_v0(result, name)
    for layer in result.layers:
        _move_transforms(layer)
    upgraded = [_v1_layer(layer, name) for layer in result.layers]
    result.ClearField("layers")
    result.layer.extend(upgraded)
    _input_layer(result, name)
    _fix_batch_norm(result)
    return result


def format_of(net: pb.NetParameter) -> str:
    """The format that a net was written in: V0, V1 or V2."""
    if any(layer.HasField("layer") for layer in net.layers):
        return "V0"
    return "V1" if net.layers else "V2"


def upgrade_solver(solver: pb.SolverParameter) -> pb.SolverParameter:
    """Return a copy of a solver with its type as a string, as in Caffe 1.0."""
    result = pb.SolverParameter()
    result.CopyFrom(solver)
    if result.HasField("solver_type"):
        names = {"NESTEROV": "Nesterov", "ADAGRAD": "AdaGrad", "RMSPROP": "RMSProp",
                 "ADADELTA": "AdaDelta", "ADAM": "Adam"}  # fmt: skip
        old = pb.SolverParameter.SolverType.Name(result.solver_type)
        result.type = names.get(old, old)
        result.ClearField("solver_type")
    return result


def _upgrade_v0(net: pb.NetParameter, name: str) -> None:
    _merge_padding(net, name)
    upgraded = [_v0_layer(layer, name) for layer in net.layers]
    net.ClearField("layers")
    net.layers.extend(upgraded)


def _merge_padding(net: pb.NetParameter, name: str) -> None:
    """Move the pad of V0's padding layers into the convolution or pooling that reads them."""
    padding: dict[str, pb.V1LayerParameter] = {}
    kept = []
    for layer in net.layers:
        if layer.layer.type == "padding":
            padding[layer.top[0]] = layer
            continue
        for index, bottom in enumerate(layer.bottom):
            if bottom in padding:
                if layer.layer.type not in ("conv", "pool"):
                    raise FormatError(
                        f"{name}: layer {layer.layer.name!r} reads a padding layer, but is "
                        "neither a convolution nor a pooling"
                    )
                layer.layer.pad = padding[bottom].layer.pad
                layer.bottom[index] = padding[bottom].bottom[0]
        kept.append(layer)
    kept = [_copy(layer) for layer in kept]
    net.ClearField("layers")
    net.layers.extend(kept)


def _copy(layer: pb.V1LayerParameter) -> pb.V1LayerParameter:
    result = pb.V1LayerParameter()
    result.CopyFrom(layer)
    return result


def _v0_layer(connection: pb.V1LayerParameter, name: str) -> pb.V1LayerParameter:
    old = connection.layer
    new = pb.V1LayerParameter(bottom=connection.bottom, top=connection.top)
    if old.type and old.type not in V1_OF_V0:
        raise FormatError(f"{name}: layer {old.name!r} has the unknown type {old.type!r}")
    for field, value in old.ListFields():
        key = field.name
        if key == "name":
            new.name = old.name
        elif key == "type":
            new.type = getattr(pb.V1LayerParameter, V1_OF_V0[old.type])
        elif key in ("blobs", "blobs_lr", "weight_decay"):
            getattr(new, key).extend(value)
        elif key in _V0_TRANSFORMS:
            setattr(new.transform_param, _V0_TRANSFORMS[key], value)
        elif key == "hdf5_output_param":
            new.hdf5_output_param.CopyFrom(value)
        else:
            types, new_key = _V0_FIELDS.get(key, ((), ""))
            if old.type not in types:
                raise FormatError(
                    f"{name}: layer {old.name!r} of type {old.type!r} cannot have {key}"
                )
            _assign(getattr(new, _V0_PARAMS[old.type]), new_key, value)
    return new


def _assign(message: Message, key: str, value: object) -> None:
    """Set a field, which may be a number, a message, or repeated."""
    current = getattr(message, key)
    if isinstance(value, Message):
        current.CopyFrom(value)
    elif hasattr(current, "append"):
        current.append(value)
    else:
        setattr(message, key, value)


def _move_transforms(layer: pb.V1LayerParameter) -> None:
    """Move crop, mirror, mean and scale from a data layer's settings to transform_param."""
    param = _V1_DATA.get(pb.V1LayerParameter.LayerType.Name(layer.type))
    if param is None or not layer.HasField(param):
        return
    data = getattr(layer, param)
    for key in _TRANSFORMS:
        if data.HasField(key):
            setattr(layer.transform_param, key, getattr(data, key))
            data.ClearField(key)


def _v1_layer(old: pb.V1LayerParameter, name: str) -> pb.LayerParameter:
    new = pb.LayerParameter()
    for field, value in old.ListFields():
        if field.name in _V1_CHANGED:
            continue
        if not hasattr(new, field.name):
            raise FormatError(f"{name}: layer {old.name!r} cannot have {field.name} in Caffe 1.0")
        target = getattr(new, field.name)
        if hasattr(target, "extend"):
            target.extend(value)
        elif isinstance(value, Message):
            target.CopyFrom(value)
        else:
            setattr(new, field.name, value)
    if old.HasField("type"):
        new.type = modern_type(pb.V1LayerParameter.LayerType.Name(old.type))
    columns: tuple[Sequence[Any], ...] = (
        old.param,
        old.blob_share_mode,
        old.blobs_lr,
        old.weight_decay,
    )
    keys = ("name", "share_mode", "lr_mult", "decay_mult")
    for index in range(max(map(len, columns))):
        spec = new.param.add()
        for key, column in zip(keys, columns, strict=True):
            if index < len(column):
                setattr(spec, key, column[index])
    return new


def _input_layer(net: pb.NetParameter, name: str) -> None:
    """Turn the net's input fields into an Input layer.

    Old models can have them without shapes; those are dropped.
    """
    if net.input and (net.input_shape or net.input_dim):
        declared = len(net.input_shape) or len(net.input_dim) // 4
        if declared < len(net.input):
            raise FormatError(
                f"{name} has {len(net.input)} inputs, but shapes for {declared} of them; give each "
                "its shape"
            )
        layer = pb.LayerParameter(name="input", type="Input", top=net.input)
        for index in range(len(net.input)):
            shape = layer.input_param.shape.add()
            if net.input_shape:
                shape.CopyFrom(net.input_shape[index])
            else:
                shape.dim.extend(net.input_dim[4 * index : 4 * index + 4])
        others = list(net.layer)
        rest = [pb.LayerParameter.FromString(each.SerializeToString()) for each in others]
        net.ClearField("layer")
        net.layer.extend([layer, *rest])
    if net.input:
        for key in ("input", "input_shape", "input_dim"):
            net.ClearField(key)


def _fix_batch_norm(net: pb.NetParameter) -> None:
    """Set the multipliers of BatchNorm's three blobs, which are statistics, to 0 as Caffe does."""
    for layer in net.layer:
        if layer.type == "BatchNorm" and len(layer.param) == 3:
            for spec in layer.param:
                spec.lr_mult = 0
                spec.decay_mult = 0
