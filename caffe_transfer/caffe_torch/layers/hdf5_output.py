"""HDF5Output (hdf5_output_layer.cpp)."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import h5py
import numpy as np
from torch import Tensor

from caffe_transfer.caffe_torch.layers.base import Layer
from caffe_transfer.caffe_torch.rng import Rng
from caffe_transfer.files import atomic_write
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.resume import Arrays
from caffe_transfer.nets.shapes import Shape
from caffe_transfer.nets.shapes.programs import four_axes


class HDF5Output(Layer):
    """Writes its bottoms into a file as `data` and `label`, float32, of four axes.

    A file holds one batch; at a second one Caffe aborts.
    """

    capturable: ClassVar[bool] = False

    def __init__(self, param: pb.LayerParameter, phase: int, rng: Rng) -> None:
        super().__init__(param, phase, rng)
        self._written = False

    def prepare(self, bottoms: Sequence[Shape], tops: Sequence[Shape]) -> None:
        if not self.param.hdf5_output_param.file_name:
            raise self.refuse("has no file_name")

    def state(self) -> Arrays:
        return {"written": np.array(self._written)}

    def restore(self, state: Arrays) -> None:
        self._written = bool(state["written"])

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        path = Path(self.param.hdf5_output_param.file_name)
        if self._written:
            raise self.refuse(
                f"has written a batch to {path}, and takes no second one; run one iteration, with "
                "all that it shall write as one batch"
            )
        with atomic_write(path) as file, h5py.File(file, "w") as found:
            for name, bottom in zip(("data", "label"), bottoms, strict=True):
                values = np.asarray(bottom.detach().float().cpu().numpy(), order="C")
                found[name] = values.reshape(four_axes(self.param, bottom.shape))
        self._written = True
        return []
