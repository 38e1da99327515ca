"""How fast this machine trains a network: an engine is timed on images of noise."""

from collections.abc import Callable

from caffe_transfer.studies.network import Network
from caffe_transfer.studies.study import Study
from caffe_transfer.training.train import Settings
from caffe_transfer.training.trial import Pace, try_training

# A network is timed until both are reached, or to the trial's last iteration.
ENOUGH_SECONDS = 4.0
ENOUGH_ITERATIONS = 3

Measure = Callable[[Study, Network, Settings], Pace]


def measure_pace(study: Study, network: Network, settings: Settings) -> Pace:
    """Train a network of a study for a few seconds, in a temporary folder, and time it.

    Raises:
        EngineError: the engine does not start, or cannot train the network.
    """
    (found,) = try_training(study, network, [settings], _is_enough)
    return found


def _is_enough(seconds: float, iteration: int) -> bool:
    return seconds >= ENOUGH_SECONDS and iteration >= ENOUGH_ITERATIONS
