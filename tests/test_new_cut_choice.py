"""Which cuts of a net a new study names."""

from hypothesis import given
from hypothesis import strategies as st

from caffe_transfer.new_study.cut_choice import spread

ASCENDING = st.lists(st.floats(0, 1), min_size=1, max_size=30).map(sorted)


@given(ASCENDING, st.integers(1, 10))
def test_as_many_as_asked_in_order_with_the_highest(positions: list[float], count: int) -> None:
    found = spread(positions, count)
    assert len(found) == min(count, len(positions))
    assert found == sorted(set(found))
    assert found[-1] == len(positions) - 1
    assert count == 1 or found[0] == 0


def test_nearest_to_even_steps() -> None:
    assert spread([0.0, 0.1, 0.2, 0.45, 0.6, 0.9, 1.0], 3) == [0, 3, 6]
    assert spread([0.0, 0.01, 0.02, 0.03, 1.0], 4) == [0, 2, 3, 4]
    assert spread([0.1, 0.2], 7) == [0, 1]
