"""What tests of clusters share."""

import os
from collections.abc import Iterator

import pytest

from tests.cluster import ray as rays
from tests.cluster.ray import Ray


@pytest.fixture(scope="session")
def minutes() -> None:
    """For tests that take minutes."""
    if not os.environ.get("CLUSTER_TEST"):
        pytest.skip("it trains 170 networks, which takes minutes; `make cluster-test` does it")


@pytest.fixture(scope="module")
def ray() -> Iterator[Ray]:
    """A Ray of a head and two nodes."""
    if why := rays.lacking():
        pytest.skip(why)
    with rays.started(nodes=2) as running:
        yield running
