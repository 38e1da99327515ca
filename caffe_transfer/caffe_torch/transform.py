"""Crop, mirror, mean and scale, drawing as Caffe's DataTransformer does."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from caffe_transfer.caffe_torch.rng import Rng
from caffe_transfer.errors import BadInput
from caffe_transfer.formats.binaryproto import read_blob
from caffe_transfer.formats.proto import caffe_pb2 as pb

Whole = npt.NDArray[np.int64]


class Crops(NamedTuple):
    """Crops of a batch of images, all of shape (batch,): their first rows and columns, mirrored."""

    rows: Whole
    columns: Whole
    mirrored: npt.NDArray[np.bool_]


class Transformer:
    """Applies the transform_param of one data layer.

    In Caffe's order: subtract the mean at the source pixel, then crop, mirror and scale.
    """

    def __init__(self, param: pb.TransformationParameter, phase: int, rng: Rng) -> None:
        self.param = param
        self._rng = rng
        self._random_crop = phase == pb.TRAIN and param.crop_size > 0
        self._own: Rng | None = None
        self._mean: Tensor | None = None

    def init_rand(self) -> None:
        """DataTransformer::InitRand: seed a generator of its own by a draw, if it needs one."""
        if self._random_crop or self.param.mirror:
            self._own = Rng(self._rng.one())

    def prepare(self, shape: tuple[int, int, int], device: torch.device, layer: str) -> None:
        """Load the mean for images of (channels, height, width).

        Raises:
            BadInput: the mean or the crop does not fit them; names the layer.
        """
        param = self.param
        if param.crop_size > min(shape[1:]):
            raise BadInput(
                f"layer {layer!r} crops to {param.crop_size}, but its images have "
                f"{shape[1]}x{shape[2]} pixels"
            )
        if param.mean_file:
            mean = read_blob(Path(param.mean_file))
            if mean.shape[-3:] != shape:
                raise BadInput(
                    f"layer {layer!r}: the mean {param.mean_file} has the shape "
                    f"{mean.shape[-3:]}, its images {shape}"
                )
            self._mean = torch.from_numpy(mean.values.reshape(shape)).to(device)
        elif param.mean_value:
            values = list(param.mean_value)
            if len(values) not in (1, shape[0]):
                raise BadInput(
                    f"layer {layer!r} has {len(values)} mean values for {shape[0]} channels"
                )
            self._mean = torch.tensor(values, device=device).view(-1, 1, 1).expand(shape)

    def shape(self, images: tuple[int, int, int]) -> tuple[int, int, int]:
        """The shape of a transformed image, (channels, height, width)."""
        side = self.param.crop_size
        return (images[0], side, side) if side else images

    def draw(self, count: int, height: int, width: int) -> Crops:
        """Draw the crops of the next images: per image mirror, row and column, as needed."""
        size = self.param.crop_size
        mirrored = np.zeros(count, np.bool_)
        rows = np.full(count, (height - size) // 2 if size else 0)
        columns = np.full(count, (width - size) // 2 if size else 0)
        per_image = int(self.param.mirror) + 2 * int(self._random_crop)
        if self._own is not None and per_image:
            draws = self._own.raw(count * per_image).astype(np.int64).reshape(count, per_image)
            if self.param.mirror:
                mirrored = draws[:, 0] % 2 == 1
            if self._random_crop:
                rows = draws[:, -2] % (height - size + 1)
                columns = draws[:, -1] % (width - size + 1)
        return Crops(rows, columns, mirrored)

    def apply(self, images: Tensor, crops: Crops) -> Tensor:
        """Transform a batch.

        Args:
            images: (batch, channels, height, width), uint8 or float32, on the net's device.

        Returns:
            (batch, channels, crop, crop), float32.
        """
        count, channels, height, width = images.shape
        _, side_y, side_x = self.shape((channels, height, width))
        if (side_y, side_x) == (height, width):
            whole = self._centred(images.float(), self._mean)
            if not crops.mirrored.any():
                return whole
            mirrored = torch.from_numpy(crops.mirrored).to(images.device, non_blocking=True)
            return torch.where(mirrored.view(-1, 1, 1, 1), whole.flip(3), whole)
        rows = crops.rows[:, None] + np.arange(side_y)
        columns = np.arange(side_x)[None].repeat(count, 0)
        columns[crops.mirrored] = columns[crops.mirrored, ::-1]
        columns += crops.columns[:, None]
        flat = torch.from_numpy(rows[:, :, None] * width + columns[:, None, :])
        flat = flat.view(count, 1, -1).to(images.device, non_blocking=True)
        cut = images.view(count, channels, -1).gather(2, flat.expand(-1, channels, -1))
        mean = None
        if self._mean is not None:
            mean = self._mean.reshape(channels, -1)[:, flat[:, 0]].transpose(0, 1)
        return self._centred(cut.float(), mean).view(count, channels, side_y, side_x)

    def _centred(self, pixels: Tensor, mean: Tensor | None) -> Tensor:
        if mean is not None:
            pixels = pixels - mean
        return pixels if self.param.scale == 1 else pixels * self.param.scale
