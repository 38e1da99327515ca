"""Crop, mirror, mean and scale, drawing as Caffe's DataTransformer does.

Crop and mirror are done on the host while an image is copied into its batch, which costs no more
than copying it whole; mean and scale on the net's device, so that a GPU is sent the bytes that it
needs and no floats.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from caffe_transfer.caffe_torch.rng import Rng
from caffe_transfer.errors import BadInput
from caffe_transfer.formats.binaryproto import read_blob
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.resume import Arrays

Image = tuple[int, ...]  # (channels, height, width)

_LARGE = 1 << 15  # numbers in an image, from which on to pass over a whole batch misses the cache
_MOST_MERGED = 4  # channels, for which OpenCV merges planes in vectors


class Crop(NamedTuple):
    """Where an image is cut: first row and column, and whether it is mirrored afterwards."""

    row: int
    column: int
    mirrored: bool


class Transformer:
    """Applies the transform_param of one data layer (data_transformer.cpp).

    In Caffe's order: subtract the mean at the source pixel, then crop, mirror and scale.
    """

    def __init__(self, param: pb.TransformationParameter, phase: int, rng: Rng) -> None:
        self.param = param
        self._rng = rng
        self._random_crop = phase == pb.TRAIN and param.crop_size > 0
        self._per_image = int(param.mirror) + 2 * int(self._random_crop)
        self._own: Rng | None = None  # ahead, where images are transformed
        self._taken: Rng | None = None  # the same one after the draws for batches that were taken
        self._images_taken = 0  # since it was moved on
        self._channels = 0
        self._mean_shape: Image | None = None
        self._mean: Tensor | None = None  # broadcasts over images
        self._means: Tensor | None = None  # as it is and mirrored: (2, height, width, channels)

    def init_rand(self) -> None:
        """DataTransformer::InitRand: seed a generator of its own by a draw, if it needs one."""
        if self._per_image:
            seed = self._rng.one()
            self._own, self._taken = Rng(seed), Rng(seed)

    def take(self, images: int) -> None:
        """Note that the net takes so many more images, in the order of their draws."""
        self._images_taken += images

    def state(self) -> Arrays:
        """The state of its own generator after the images that were taken; empty without one."""
        if self._taken is None:
            return {}
        self._taken.skip(self._images_taken * self._per_image)
        self._images_taken = 0
        return self._taken.state()

    def restore(self, state: Arrays) -> None:
        """Go on with a state of `state`; nothing may be drawn meanwhile."""
        self._images_taken = 0
        for generator in (self._own, self._taken):
            if generator is not None:
                generator.restore(state)

    def prepare(self, image: Image, device: torch.device, layer: str) -> None:
        """Load the mean for images like the first one.

        Raises:
            BadInput: the settings or the mean do not fit it; names the layer.
        """
        param = self.param
        self._channels = image[0]
        if param.crop_size > min(image[1:]):
            raise BadInput(
                f"layer {layer!r} crops to {param.crop_size}, but its images have "
                f"{image[1]}x{image[2]} pixels"
            )
        if param.mean_file and param.mean_value:
            raise BadInput(f"layer {layer!r} sets both mean_file and mean_value; keep one of them")
        if param.mean_file:
            self._load_mean(image, device, layer)
        elif param.mean_value:
            values = list(param.mean_value)
            if len(values) not in (1, image[0]):
                raise BadInput(
                    f"layer {layer!r} has {len(values)} mean values for {image[0]} channels"
                )
            self._mean = torch.tensor(values, device=device).view(-1, 1, 1)

    def _load_mean(self, image: Image, device: torch.device, layer: str) -> None:
        mean = read_blob(Path(self.param.mean_file))
        if mean.shape[-3:] != image:
            raise BadInput(
                f"layer {layer!r}: the mean {self.param.mean_file} has the shape "
                f"{mean.shape[-3:]}, its images {image}"
            )
        self._mean_shape = image
        self._mean = torch.from_numpy(mean.values.reshape(image)).to(device)
        if self._per_image or self.param.crop_size:
            self._means = torch.stack([self._mean, self._mean.flip(2)]).permute(0, 2, 3, 1)
            self._means = self._means.contiguous()

    def shape(self, image: Image) -> Image:
        """The shape of a transformed image, (channels, height, width)."""
        side = self.param.crop_size
        return (image[0], side, side) if side else image

    def check(self, image: Image, name: str) -> None:
        """Check that an image other than the first can be transformed.

        Raises:
            BadInput: it cannot, as in Caffe; begins with the image's name.
        """
        if image[0] != self._channels:
            raise BadInput(
                f"{name} has {image[0]} channels and the first image {self._channels}; rebuild the "
                "database with one kind of images"
            )
        if self.param.crop_size > min(image[1:]):
            raise BadInput(
                f"{name} has {image[1]}x{image[2]} pixels, fewer than the crop of "
                f"{self.param.crop_size}; rebuild the database of larger images"
            )
        if self._mean_shape not in (None, image):
            raise BadInput(
                f"{name} has the shape {image} and the mean {self.param.mean_file} "
                f"{self._mean_shape}; use mean_value, or give all images one size"
            )

    def draw(self, count: int) -> list[list[int]]:
        """Draw for the next images: for each mirror, row and column, as far as they are needed."""
        if self._own is None:
            return [[]] * count
        draws = self._own.raw(count * self._per_image).reshape(count, self._per_image)
        return draws.tolist()

    def crop(self, image: Image, draws: Sequence[int]) -> Crop:
        """Where to cut an image, by its own size and its draws."""
        size = self.param.crop_size
        rows, columns = (image[1] - size, image[2] - size) if size else (0, 0)
        mirrored = self.param.mirror and draws[0] % 2 == 1
        if self._random_crop:
            return Crop(draws[-2] % (rows + 1), draws[-1] % (columns + 1), mirrored)
        return Crop(rows // 2, columns // 2, mirrored)

    def place(self, crop: Crop, image: Image) -> tuple[int, int, int]:
        """A crop as `apply` wants it: mirrored, row, and column, from the right if mirrored."""
        if not crop.mirrored:
            return 0, crop.row, crop.column
        return 1, crop.row, image[2] - self.shape(image)[2] - crop.column

    def apply(self, images: Tensor, places: Tensor) -> Tensor:
        """Subtract the mean and scale.

        Args:
            images: (batch, channels, height, width), uint8 or float32, cropped and mirrored, on
                the net's device.
            places: (3, batch), int64, those of `place`; on any device.

        Returns:
            A new tensor of the same shape, float32.
        """
        _, channels, height, width = images.shape
        if images.is_cpu and channels <= _MOST_MERGED and images[0].numel() >= _LARGE:
            return self._apply_by_image(images, places)
        if not images.is_cpu:  # where the format changes fastest while it is bytes
            images = images.contiguous(memory_format=torch.channels_last)
        mean = self._mean
        if self._means is not None:
            mirrored, rows, columns = places.to(images.device, non_blocking=True)
            windows = self._means.unfold(1, height, 1).unfold(2, width, 1)
            mean = windows[mirrored, rows, columns]
        values = images.to(torch.float32, copy=True) if mean is None else images - mean
        return values if self.param.scale == 1 else values.mul_(self.param.scale)

    def _apply_by_image(self, images: Tensor, places: Tensor) -> Tensor:
        """The same, in channels_last, one image after the other, each within the cache.

        By numpy: torch's threads would meet after each of these short steps.
        """
        count, channels, height, width = images.shape
        values = np.empty((count, height, width, channels), np.float32)
        mean, scale = None, np.float32(self.param.scale)
        if self._mean is not None and self._means is None:
            mean = self._mean.expand(images.shape[1:]).permute(1, 2, 0).contiguous().numpy()
        for image, top, place in zip(images.numpy(), values, places.T.tolist(), strict=True):
            top[...] = cv2.merge(list(image)).reshape(top.shape)
            if self._means is not None:
                mirrored, row, column = place
                mean = self._means[mirrored, row : row + height, column : column + width].numpy()
            if mean is not None:
                np.subtract(top, mean, out=top)
            if scale != 1:
                np.multiply(top, scale, out=top)
        return torch.from_numpy(values).permute(0, 3, 1, 2)


def cut(image: npt.NDArray[Any], crop: Crop, into: npt.NDArray[Any]) -> None:
    """Copy the part of an image that `into` has room for; both (channels, height, width)."""
    _, height, width = into.shape
    part = image[:, crop.row : crop.row + height, crop.column : crop.column + width]
    if not crop.mirrored:
        into[...] = part
        return
    part = part.astype(into.dtype, copy=False)
    for plane, target in zip(part, into, strict=True):
        cv2.flip(plane, 1, target)  # 15 times as fast as numpy's reversed copy
