"""Eltwise and Reduction: sums, products and maxima of and within blobs."""

import math
from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor

from caffe_transfer.caffe_torch.layers.base import Layer
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.nets.shapes import Shape


class Eltwise(Layer):
    """eltwise_layer.cpp: the product, the weighted sum or the maximum of the bottoms.

    Ties of MAX: of the first two bottoms the second takes the gradient, of later ones the earlier.
    The gradient of PROD is always that of stable_prod_grad.
    """

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        given = self.param.eltwise_param
        first, second, *others = (bottom.float() for bottom in bottoms)
        if given.operation == pb.EltwiseParameter.PROD:
            return [reduce(torch.mul, others, first * second)]
        if given.operation == pb.EltwiseParameter.MAX:
            top = torch.where(first > second, first, second)
            return [reduce(lambda most, x: torch.where(x > most, x, most), others, top)]
        factors = list(given.coeff) or [1.0] * len(bottoms)
        top = torch.add(_times(first, factors[0]), second, alpha=factors[1])
        for factor, bottom in zip(factors[2:], others, strict=True):
            top = torch.add(top, bottom, alpha=factor)
        return [top]


def _times(x: Tensor, factor: float) -> Tensor:
    return x if factor == 1 else x * factor


class Reduction(Layer):
    """reduction_layer.cpp: coeff times the SUM, ASUM, SUMSQ or MEAN of the axes from `axis` on."""

    def prepare(self, bottoms: Sequence[Shape], tops: Sequence[Shape]) -> None:
        given = self.param.reduction_param
        self._axis = len(tops[0])
        self._factor = given.coeff
        if given.operation == pb.ReductionParameter.MEAN:
            self._factor /= math.prod(bottoms[0][self._axis :])

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        values = bottoms[0].float().flatten(self._axis)
        operation = self.param.reduction_param.operation
        if operation == pb.ReductionParameter.ASUM:
            values = values.abs()
        if operation == pb.ReductionParameter.SUMSQ:
            values = values.square()
        return [values.sum(-1) * self._factor]
