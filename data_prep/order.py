"""The order of training records: the whole training set is shuffled once, its parts follow it.

So the records of a half or of a reduced set are those of the whole in the same order, with gaps.
"""

import numpy as np
import numpy.typing as npt

from caffe_transfer.data_prep.lists import ImageList
from caffe_transfer.data_prep.names import shown
from caffe_transfer.errors import BadInput


def places(images: ImageList, whole: ImageList, seed: int) -> npt.NDArray[np.int64]:
    """The place of each image in `whole` after shuffling it with `seed`, shape (len(images),).

    The place is also the number in the key of the image's record in the database of `whole`.

    Args:
        images: some of `whole`, in its order; labels may be others.

    Raises:
        BadInput: `images` are not a part of `whole`, or the seed is not one of numpy's.
    """
    ranks = np.empty(len(whole), np.int64)
    ranks[whole.permutation(seed)] = np.arange(len(whole))
    return ranks[numbers_in(whole, images)]


def record_order(
    images: ImageList, seed: int | None, whole: ImageList | None
) -> npt.NDArray[np.int64]:
    """The numbers of a list's images in the order of their records.

    Args:
        seed: None for the list's order.
        whole: a list that the images are a part of, in the same order; it is shuffled, and they
            follow it.
    """
    if seed is None:
        return np.arange(len(images))
    return images.permutation(seed) if whole is None else np.argsort(places(images, whole, seed))


def numbers_in(whole: ImageList, images: ImageList) -> npt.NDArray[np.int64]:
    """The number of each image in a list that has them all, in their order.

    Raises:
        BadInput: it has not.
    """
    rest = enumerate(whole.paths)
    numbers: list[int] = []
    for path in images.paths:
        number = next((number for number, each in rest if each == path), None)
        if number is None:
            raise BadInput(
                f"image {shown(path)} is not in the whole training set, or in another place than "
                "in its own list; write both lists anew"
            )
        numbers.append(number)
    return np.array(numbers, np.int64)
