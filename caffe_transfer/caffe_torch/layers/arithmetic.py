"""Eltwise and Reduction: sums, products and maxima of and within blobs."""

import math
from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor

from caffe_transfer.caffe_torch.layers.base import Layer, Shape, canonical_axis
from caffe_transfer.formats.proto import caffe_pb2 as pb


class Eltwise(Layer):
    """eltwise_layer.cpp: the product, the weighted sum or the maximum of the bottoms.

    Of equal maxima the second of the first two bottoms takes the gradient, else the first.  The
    gradient of products is always the stable one.
    """

    bottom_count = (2, None)

    def set_up(self, bottoms: Sequence[Shape]) -> list[Shape]:
        given = self.param.eltwise_param
        if len(given.coeff) not in (0, len(bottoms)):
            raise self.refuse(f"has {len(given.coeff)} coefficients for {len(bottoms)} bottoms")
        if given.operation == pb.EltwiseParameter.PROD and given.coeff:
            raise self.refuse("takes no coefficients for a product")
        if len(set(bottoms)) > 1:
            shapes = ", ".join(map(str, bottoms))
            raise self.refuse(f"needs bottoms of one shape, not {shapes}")
        return [bottoms[0]]

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

    def set_up(self, bottoms: Sequence[Shape]) -> list[Shape]:
        given = self.param.reduction_param
        self._axis = canonical_axis(self, given.axis, bottoms[0])
        self._factor = given.coeff
        if given.operation == pb.ReductionParameter.MEAN:
            self._factor /= math.prod(bottoms[0][self._axis :])
        return [bottoms[0][: self._axis]]

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        values = bottoms[0].float().flatten(self._axis)
        operation = self.param.reduction_param.operation
        if operation == pb.ReductionParameter.ASUM:
            values = values.abs()
        if operation == pb.ReductionParameter.SUMSQ:
            values = values.square()
        return [values.sum(-1) * self._factor]
