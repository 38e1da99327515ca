"""The order of training records: every training set follows the whole one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caffe_transfer.data_prep.lists import ImageList
from caffe_transfer.data_prep.order import places, record_order
from caffe_transfer.errors import BadInput


def images(count: int, classes: int) -> ImageList:
    labels = tuple(number * 7 % classes for number in range(count))
    return ImageList(tuple(f"{number}.png" for number in range(count)), labels)


def in_order(part: ImageList, whole: ImageList | None, seed: int | None) -> ImageList:
    return part.take(record_order(part, seed, whole).tolist())


@given(st.integers(1, 60), st.integers(0, 2**32 - 1))
def test_the_whole_set_is_shuffled_by_itself(count: int, seed: int) -> None:
    whole = images(count, 3)
    assert in_order(whole, whole, seed) == in_order(whole, None, seed) == whole.shuffled(seed)
    assert in_order(whole, None, None) == whole


@given(st.integers(1, 60), st.sets(st.integers(0, 6), min_size=1), st.integers(1, 9))
def test_a_part_is_the_shuffled_whole_without_the_others(
    count: int, classes: set[int], per_class: int
) -> None:
    whole = images(count, 7)
    for part in (whole.relabel(sorted(classes)), whole.first_of_each_class(per_class)):
        label = dict(zip(part.paths, part.labels, strict=True))
        kept = [path for path in whole.shuffled(1).paths if path in label]
        assert in_order(part, whole, 1) == ImageList(
            tuple(kept), tuple(label[path] for path in kept)
        )


def test_places_are_the_numbers_of_the_wholes_records() -> None:
    whole = images(40, 4)
    part = whole.relabel([3, 1])
    shuffled = whole.shuffled(5).paths
    assert [shuffled[place] for place in places(part, whole, 5)] == list(part.paths)


def test_an_image_that_is_listed_twice_has_two_places() -> None:
    whole = ImageList(("a", "b", "a"), (0, 1, 2))
    assert sorted(places(whole, whole, 1).tolist()) == [0, 1, 2]


def test_what_is_no_part() -> None:
    whole = images(4, 2)
    for part in (ImageList(("x.png",), (0,)), ImageList(("1.png", "0.png"), (0, 0))):
        with pytest.raises(BadInput, match=r"image (x|0)\.png is not in the whole training set"):
            places(part, whole, 1)
