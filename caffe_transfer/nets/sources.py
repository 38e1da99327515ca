"""Where a study's net comes from: a template of the package, or a user's own file."""

from collections.abc import Collection
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from google.protobuf import text_format

from caffe_transfer import paths
from caffe_transfer.errors import Incomplete
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.prototxt import parse, read_net
from caffe_transfer.formats.upgrade import upgrade_net
from caffe_transfer.nets import edit
from caffe_transfer.nets.shapes import Shape
from caffe_transfer.nets.templates import SUFFIX, LearnedLayers, net_template, user_template
from caffe_transfer.reading import reading
from caffe_transfer.studies.network import Network
from caffe_transfer.studies.study import Study

_TEMPLATE_SUFFIX = ".j2"


class Source(Protocol):
    """Makes the prototxts of a study's networks."""

    @property
    def input_shape(self) -> Shape:
        """(channels, height, width) of the images that the net sees."""

    @property
    def given(self) -> pb.NetParameter | None:
        """The user's net, upgraded to V2; None for one of the package's."""

    def plain(self, network: Network) -> pb.NetParameter:
        """A network's train_val net with nothing frozen."""

    def prototxts(self, network: Network, frozen: Collection[str]) -> tuple[str, str]:
        """The texts of train_val.prototxt and deploy.prototxt; `frozen` are names of layers."""


def source_of(study: Study) -> Source:
    """The source of a study's net.

    Raises:
        Incomplete, FormatError, BadInput: the user's own is missing, no net, or cannot be used.
    """
    return BuiltIn(study) if study.net_file is None else UserNet(study, study.net_file)


class BuiltIn:
    """A template of the package, written for images of any size: the study says all."""

    def __init__(self, study: Study):
        self._study = study

    @property
    def given(self) -> None:
        return None

    @property
    def input_shape(self) -> Shape:
        images = self._study.images
        side = images.crop or images.size
        return images.channels, side, side

    def plain(self, network: Network) -> pb.NetParameter:
        return parse(self._rendered("train_val", network, ()), pb.NetParameter(), self._study.net)

    def prototxts(self, network: Network, frozen: Collection[str]) -> tuple[str, str]:
        return (
            self._rendered("train_val", network, frozen),
            self._rendered("deploy", network, frozen),
        )

    def _rendered(self, kind: str, network: Network, frozen: Collection[str]) -> str:
        study, data = self._study, paths.data_seen_from_network()
        context: dict[str, Any] = {
            "name": f"{study.net} {network.name}",
            "net": study.net,
            "learned": LearnedLayers(frozen),
            "outputs": study.outputs(network),
            "train_source": str(data.lmdb(network.train_data)),
            "valid_source": str(data.lmdb(network.valid_data)),
            "mean": str(data.mean),
            "mean_values": study.images.mean_values,
            "batch": study.batch,
            "test_batch": study.test_batch,
            "mirror": study.images.mirror is not False,
            "crop": study.images.crop,
            "size": study.images.size,
            "scale": study.images.scale or 1,
            "channels": study.images.channels,
        }
        return net_template(kind + SUFFIX, context)


class UserNet:
    """A prototxt of a user's own, or a template of one, edited to read the study's images."""

    def __init__(self, study: Study, path: Path):
        self._study, self._path = study, path
        self._net = _read(path, study.images.channels)

    @property
    def given(self) -> pb.NetParameter:
        return self._net

    @property
    def input_shape(self) -> Shape:
        side = edit.seen_size(self._net, self._data(self._study.networks[0]))
        return self._study.images.channels, side, side

    def plain(self, network: Network) -> pb.NetParameter:
        return edit.train_val(self._net, **self._edits(network))

    def prototxts(self, network: Network, frozen: Collection[str]) -> tuple[str, str]:
        edits = self._edits(network)
        train_val = edit.train_val(self._net, **edits, frozen=frozen)
        made = (train_val, edit.deploy(train_val, **edits))
        return text_format.MessageToString(made[0]), text_format.MessageToString(made[1])

    def _edits(self, network: Network) -> dict[str, Any]:
        return {
            "name": f"{self._net.name or self._path.stem} {network.name}",
            "outputs": self._study.outputs(network),
            "data": self._data(network),
            "file": str(self._path),
        }

    def _data(self, network: Network) -> edit.DataSettings:
        study, data, images = self._study, paths.data_seen_from_network(), self._study.images
        return edit.DataSettings(
            train_source=str(data.lmdb(network.train_data)),
            valid_source=str(data.lmdb(network.valid_data)),
            batch=study.batch,
            test_batch=study.test_batch,
            channels=images.channels,
            size=images.size,
            crop=images.crop,
            scale=images.scale,
            mirror=images.mirror,
            mean_file=str(data.mean),
            # A mean image that the study gives goes before the mean values that the net has.
            mean_values=images.mean_values if images.mean is None else (),
        )


def _read(path: Path, channels: int) -> pb.NetParameter:
    """The part in force of a user's net."""
    with reading(path, "a net", "correct its name"):
        if not path.is_file():
            raise Incomplete(f"there is no net {path}; correct its name")
        changed = path.stat().st_mtime_ns
    return _parsed(path, channels, changed)


@lru_cache(maxsize=8)
def _parsed(path: Path, channels: int, stamp: int) -> pb.NetParameter:
    # A study makes every network from one file: it is parsed once, until it changes.
    if path.suffix != _TEMPLATE_SUFFIX:
        return edit.checked(read_net(path), str(path))
    context = {"learned": LearnedLayers(frozen=()), "outputs": 2, "channels": channels}
    text = user_template(path, context)
    net = upgrade_net(parse(text, pb.NetParameter(), str(path)), str(path))
    return edit.checked(net, str(path))
