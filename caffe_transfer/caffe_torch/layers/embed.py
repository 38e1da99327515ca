"""Embed and Parameter: learned values that no bottom is multiplied by."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from caffe_transfer.caffe_torch.layers.base import Layer
from caffe_transfer.caffe_torch.layers.indices import read_indices
from caffe_transfer.formats.proto import caffe_pb2 as pb


class Embed(Layer):
    """embed_layer.cpp: for each index a row of the weights; the indices get no gradient."""

    def parameter_fillers(self) -> list[pb.FillerParameter]:
        given = self.param.embed_param
        return [given.weight_filler, given.bias_filler]

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        index = read_indices(self, bottoms[0], self.param.embed_param.input_dim)
        rows = F.embedding(index, self.blobs[0])
        return [rows + self.blobs[1] if len(self.blobs) > 1 else rows]


class Parameter(Layer):
    """parameter_layer.hpp: a learned blob as a top, zeros at first.

    Over the passes of iter_size its gradient adds up; Caffe's is that of the last pass.
    """

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        return [self.blobs[0]]
