"""The size of the task that a network is trained on, from its settings and from what ILSVRC is."""

from caffe_transfer.errors import BadInput
from caffe_transfer.report.settings import NetworkSettings
from caffe_transfer.studies.load import paper
from caffe_transfer.studies.network import Network

_ILSVRC_CLASSES = 1000
_ILSVRC_VALID_PER_CLASS = 50


def classes(network: Network, settings: NetworkSettings) -> int | None:
    """The number of classes of a network's task, which may be fewer than its outputs.

    The authors' halves keep all 1000 outputs, so the loss of guessing is ln(500), not ln(1000).
    """
    if settings.outputs != _ILSVRC_CLASSES:
        return settings.outputs
    try:
        return paper().outputs(network)
    except BadInput:  # a split that is not the paper's
        return None


def valid_images(settings: NetworkSettings, classes: int | None) -> int | None:
    """The different images that a test scores: it may read a part of them, or some of them twice.

    The authors' tests read 50000 images, so that each of a half's 25000 is scored twice. None where
    it is unknown how many a test reads.
    """
    if settings.tested is None:
        return None
    there = settings.validation_set
    if there is None and classes and settings.outputs == _ILSVRC_CLASSES:
        there = classes * _ILSVRC_VALID_PER_CLASS
    return min(settings.tested, there or settings.tested)
