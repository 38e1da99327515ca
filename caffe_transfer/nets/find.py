"""A net by its name or by its file."""

from pathlib import Path

from caffe_transfer.errors import BadInput
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.prototxt import read_net
from caffe_transfer.nets.render import parsed_net, render
from caffe_transfer.studies.load import built_in_studies, load_study
from caffe_transfer.studies.network import Mode, Network


def find_net(name_or_path: str) -> pb.NetParameter:
    """A built-in net by name, as a built-in study trains it on all classes, or a prototxt.

    Raises:
        Incomplete: there is no such file.
        FormatError: it is no net.
        BadInput: the name is of no built-in net.
    """
    path = Path(name_or_path)
    studies = {study.net: study for study in map(load_study, built_in_studies())}
    if name_or_path in studies:
        return parsed_net(render(Network(mode=Mode.BASE), studies[name_or_path]))
    if not path.suffix and not path.exists():
        raise BadInput(
            f"there is no net {name_or_path!r}; name a prototxt or one of {', '.join(studies)}"
        )
    net = read_net(path)
    net.name = net.name or str(path)
    return net
