"""Tasks of a new study, and tests that read every validation image once."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caffe_transfer.data_prep.survey import ClassCount, Survey
from caffe_transfer.errors import BadInput
from caffe_transfer.new_study.tasks import Tasks, tasks_of, whole_tests


def surveyed(*classes: ClassCount, problems: tuple[str, ...] = ()) -> Survey:
    return Survey(Path("photos"), True, classes, 1, 64, 64, 64, 0.0, (), problems)


def counts(*valid: int) -> tuple[ClassCount, ...]:
    return tuple(ClassCount(f"c{number}", 10, each) for number, each in enumerate(valid))


def test_halves_of_the_classes_are_the_papers() -> None:
    tasks = tasks_of(surveyed(*counts(5, 5, 5, 5)), given_base=False)
    assert tasks.other is not None
    assert [each.name for each in tasks.other] == ["c0", "c3"]  # by numpy's RandomState([0])
    assert [each.name for each in tasks.target] == ["c1", "c2"]
    assert (tasks.target_training_images, tasks.fewest_training_images) == (20, 20)


def test_all_classes_beside_a_given_base() -> None:
    tasks = tasks_of(surveyed(*counts(5, 5)), given_base=True)
    assert (len(tasks.target), tasks.other) == (2, None)


def test_all_problems_are_told_at_once() -> None:
    found = surveyed(ClassCount("a", 0, 3), ClassCount("b", 3, 0), problems=("class c is odd",))
    with pytest.raises(BadInput) as error:
        tasks_of(found, given_base=False)
    assert str(error.value) == (
        "photos cannot be used: class c is odd; class a has no training image that can be used; "
        "class b has no validation image that can be used; correct the folders"
    )


@pytest.mark.parametrize(
    ("count", "given_base", "words"),
    [
        (1, False, "photos has 1 class, c0; a study of two halves of the classes needs 4"),
        (3, False, "photos has 3 classes, c0, c1, c2; .* needs 4, one with --weights 2"),
        (1, True, "photos has 1 class, c0; a study with --weights needs 2"),
    ],
)
def test_too_few_classes(count: int, given_base: bool, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        tasks_of(surveyed(*counts(*[5] * count)), given_base=given_base)


@given(
    st.lists(st.integers(1, 60), min_size=2, max_size=12),
    st.lists(st.integers(1, 60), min_size=0, max_size=12),
    st.integers(1, 100),
)
def test_a_test_reads_each_image_once(target: list[int], other: list[int], largest: int) -> None:
    tasks = Tasks(counts(*target), counts(*other) if other else None)
    found = whole_tests(tasks, largest)
    assert found.images == tasks.valid_counts(found.per_class)[0]
    assert 1 <= found.test_batch <= largest
    if found.even:
        assert all(found.images % each == 0 for each in tasks.valid_counts(found.per_class))


def test_numbers_that_divide_well_are_kept_whole() -> None:
    found = whole_tests(Tasks(counts(50, 50), counts(50, 50)), 100)
    assert (found.test_batch, found.test_iter, found.per_class, found.even) == (100, 1, None, True)


def test_a_prime_number_of_images_is_cut_down() -> None:
    found = whole_tests(Tasks(counts(100, 101, 26)), 100)  # 227 is prime
    assert (found.per_class, found.test_batch, found.test_iter) == (99, 56, 4)


def test_uneven_halves_are_cut_to_the_same_number() -> None:
    found = whole_tests(Tasks(counts(40, 30), counts(33, 32)), 100)
    assert (found.per_class, found.images, found.even) == (35, 65, True)


def test_a_rare_class_does_not_take_most_images_away() -> None:
    found = whole_tests(Tasks(counts(40, 30), counts(40, 1)), 100)
    assert (found.images, found.even) == (70, False)
