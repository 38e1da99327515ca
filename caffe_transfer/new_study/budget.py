"""How long each network of a new study is trained, so that all fit into the user's time."""

import math
from dataclasses import dataclass

from caffe_transfer.new_study.layout import Layout
from caffe_transfer.studies.network import Network
from caffe_transfer.training.trial import Pace

FEWEST_ITERATIONS = 200  # with fewer, networks have learned too little to be compared
MOST_EPOCHS = 100
# The paper's accuracy is the mean of a network's ten best tests.
MOST_TESTS, FEWEST_TESTS = 20, 10
_MOST_TEST_SHARE = 0.2  # of a network's time
_SNAPSHOT_SECONDS = 600
_SNAPSHOTS = (5, 2, 1)  # each divides both numbers of tests


@dataclass(frozen=True)
class Costs:
    """Paces of one study's networks.

    Attributes:
        base: of a network in which everything learns.
        frozen: of one that is frozen below the highest cut.
    """

    base: Pace
    frozen: Pace

    def iteration(self, network: Network, layout: Layout) -> float:
        """Seconds of an iteration: between the two, by the multiply-adds that are frozen."""
        most = layout.cuts[-1].multiply_add_share
        share = layout.frozen_share(network) / most if most else 0.0
        return self.base.iteration + share * (self.frozen.iteration - self.base.iteration)


@dataclass(frozen=True)
class Schedule:
    """How long each network is trained.

    Attributes:
        iterations: of each; a multiple of test_interval.
        seconds: of all networks, tests included, one at a time.
        enough: whether FEWEST_ITERATIONS fit into the time that there was.
        needed_seconds: the time that FEWEST_ITERATIONS need.
    """

    iterations: int
    test_interval: int
    snapshot: int
    seconds: float
    enough: bool
    needed_seconds: float


def schedule(
    layout: Layout, costs: Costs, *, seconds: float, test_iter: int, batch: int, images: int
) -> Schedule:
    """The longest trainings that fit into a time.

    Args:
        seconds: for all networks, one at a time.
        test_iter: batches in a test.
        batch, images: of a training; no image is seen more than MOST_EPOCHS times where that is
            more than FEWEST_ITERATIONS.
    """
    networks = layout.networks
    per_iteration = sum(costs.iteration(network, layout) for network in networks)
    test = len(networks) * test_iter * costs.base.test_batch
    start = len(networks) * costs.base.start
    tests = MOST_TESTS if test * MOST_TESTS <= _MOST_TEST_SHARE * seconds else FEWEST_TESTS
    fixed = start + (tests + 1) * test  # one before the first iteration
    most = max(FEWEST_ITERATIONS, math.ceil(MOST_EPOCHS * images / batch))
    fitting = min(most, int(max(0.0, seconds - fixed) / per_iteration))
    interval = _rounded_down(max(fitting, FEWEST_ITERATIONS) // tests)
    iterations = tests * interval
    total, needed = (fixed + count * per_iteration for count in (iterations, FEWEST_ITERATIONS))
    snapshots = next(
        each for each in _SNAPSHOTS
        if each == 1 or total / len(networks) >= each * _SNAPSHOT_SECONDS
    )  # fmt: skip
    return Schedule(
        iterations=iterations,
        test_interval=interval,
        snapshot=iterations // snapshots,
        seconds=total,
        enough=needed <= seconds,
        needed_seconds=needed,
    )


def _rounded_down(count: int) -> int:
    """To two digits, for reading; 1234 is 1200."""
    unit = int("1".ljust(len(str(count)) - 1, "0"))
    return max(1, count // unit * unit)
