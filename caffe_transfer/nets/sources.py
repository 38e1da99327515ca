"""Where a study's net comes from: a template of the package, or a user's own file."""

from collections.abc import Collection
from typing import Any, Protocol

from caffe_transfer import paths
from caffe_transfer.nets.shapes import Shape
from caffe_transfer.nets.templates import SUFFIX, LearnedLayers, net_template
from caffe_transfer.studies.network import Network
from caffe_transfer.studies.study import Study


class Source(Protocol):
    """Makes the prototxts of a study's networks."""

    @property
    def input_shape(self) -> Shape:
        """(channels, height, width) of the images that the net sees."""

    def train_val(self, network: Network, frozen: Collection[str]) -> str:
        """The text of a network's train_val.prototxt; `frozen` are names of layers."""

    def deploy(self, network: Network, frozen: Collection[str]) -> str:
        """The text of a network's deploy.prototxt."""


def source_of(study: Study) -> Source:
    """The source of a study's net.

    Raises:
        Incomplete, FormatError, BadInput: the user's own is missing, no net, or cannot be used.
    """
    return BuiltIn(study)


class BuiltIn:
    """A template of the package, written for images of any size: the study says all."""

    def __init__(self, study: Study):
        self._study = study

    @property
    def input_shape(self) -> Shape:
        images = self._study.images
        side = images.crop or images.size
        return images.channels, side, side

    def train_val(self, network: Network, frozen: Collection[str]) -> str:
        return self._rendered("train_val", network, frozen)

    def deploy(self, network: Network, frozen: Collection[str]) -> str:
        return self._rendered("deploy", network, frozen)

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
