"""What tests of clusters share."""

import os

import pytest


@pytest.fixture(scope="session")
def minutes() -> None:
    """For tests that take minutes."""
    if not os.environ.get("CLUSTER_TEST"):
        pytest.skip("it trains 170 networks, which takes minutes; `make cluster-test` does it")
