"""What a user gives: the part of the net that is in force, and what no study can use."""

from caffe_transfer.errors import BadInput
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.upgrade import upgrade_net
from caffe_transfer.nets.cuts import cuts
from caffe_transfer.nets.edit.freezing import choose_by_phase
from caffe_transfer.nets.edit.messages import naming, with_layers
from caffe_transfer.nets.edit.wiring import set_phases, wired
from caffe_transfer.nets.phases import TEST, TRAIN, phases_of

# They bring data of their own, or run code that an engine need not have.
_UNUSABLE = {
    "HDF5Data": "reads HDF5 files, and a study reads LMDBs; put a Data layer in its place",
    "WindowData": "reads windows of images, and a study whole ones; put a Data layer in its place",
    "Python": "runs Python code, whose shapes and parameters no file tells; write it with Caffe's "
    "own layers",
}


def checked(net: pb.NetParameter, file: str) -> pb.NetParameter:
    """The part of a user's net that is in force, once it is known that a study can use it.

    That is the layers that TRAIN or TEST has at level 0 without stages, under rules that name a
    phase or none.  A file of one phase, such as the train_net of two files or a deploy net, serves
    for both: an explicit `use_global_stats: false` is dropped, so that Caffe chooses by phase.

    Args:
        net: of any format.
        file: its name, for messages.

    Raises:
        FormatError: the net mixes formats, or has what Caffe never had.
        BadInput: it has no main loss of scores and labels and no single output, no images, data of
            a kind that a study has not, or nowhere to be cut; names file and layer.
    """
    upgraded = upgrade_net(net, file)
    with naming(file):
        found = _in_force(upgraded)
        for layer in found.layer:
            if layer.type in _UNUSABLE:
                raise BadInput(f"layer {layer.name!r} {_UNUSABLE[layer.type]}")
        wired(found)
        cuts(found)
    return found


def _in_force(net: pb.NetParameter) -> pb.NetParameter:
    default = with_layers(net, net.layer)
    default.ClearField("state")
    phases = [phases_of(default, layer) for layer in default.layer]
    found = with_layers(
        default, (layer for layer, where in zip(default.layer, phases, strict=True) if where)
    )
    phases = [where for where in phases if where]
    computing = {where for layer, where in zip(found.layer, phases, strict=True) if layer.bottom}
    one_phase = (TEST,) not in phases or computing == {(TEST,)}
    for layer, where in zip(found.layer, phases, strict=True):
        layer.ClearField("blobs")
        set_phases(layer, (TRAIN, TEST) if one_phase else where)
        if one_phase and not layer.batch_norm_param.use_global_stats:
            choose_by_phase(layer)
    return found
