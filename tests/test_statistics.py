"""Statistics of a blob are numpy's, NaN and infinite numbers left out."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caffe_transfer.comparison.blobs import CHUNK
from caffe_transfer.comparison.statistics import Statistics, statistics_of
from caffe_transfer.formats.caffemodel import Blob

ODD = [0.0, -0.0, math.nan, math.inf, -math.inf, 1.5]


@given(st.lists(st.sampled_from(ODD) | st.floats(-100, 100, width=32)), st.sampled_from([4, 8]))
def test_as_numpy_has_them(numbers: list[float], size: int) -> None:
    values = np.array(numbers, f"f{size}")
    found = statistics_of(Blob(values.shape, values))
    usable = values[np.isfinite(values)]
    assert found.zeros == np.sum(values == 0)
    assert found.nans == np.isnan(values).sum()
    assert found.infinities == np.isinf(values).sum()
    if not usable.size:
        assert (found.least, found.most, found.mean) == (None, None, None)
        return
    assert (found.least, found.most) == (usable.min(), usable.max())
    assert found.mean == pytest.approx(usable.mean(dtype=np.float64), abs=1e-9)


def test_many_chunks() -> None:
    values = np.zeros(2 * CHUNK + 3, np.float32)
    values[0], values[CHUNK], values[-1] = np.nan, -2, 4
    expected = Statistics(-2, 4, 2 / (len(values) - 1), len(values) - 3, 1, 0)
    assert statistics_of(Blob((len(values),), values)) == expected
    assert expected.as_dict()["nans"] == 1
