"""Python: a layer that a module of the user's defines (python_layer.hpp)."""

import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from caffe_transfer.caffe_torch import pycaffe
from caffe_transfer.caffe_torch.layers.base import Layer
from caffe_transfer.caffe_torch.pycaffe import Array, Blob
from caffe_transfer.errors import BadInput
from caffe_transfer.formats.resume import Arrays
from caffe_transfer.nets.shapes import Shape


class Python(Layer):
    """Runs setup, then reshape and forward for each batch, and backward for its gradient.

    The module is looked up as Python does, PYTHONPATH included, then in the working directory.
    Bottoms are read-only, unless the layer works in place: then they are its tops, as in Caffe.
    """

    capturable: ClassVar[bool] = False

    def set_up(self, bottoms: Sequence[Shape]) -> list[Shape]:
        self._program = self._made()
        self._inputs = [Blob(shape) for shape in bottoms]
        by_name = dict(zip(self.param.bottom, self._inputs, strict=True))
        self._outputs = [by_name.get(name) or Blob() for name in self.param.top]
        self._call("setup", self._inputs, self._outputs)
        self._call("reshape", self._inputs, self._outputs)
        self.blobs = [torch.from_numpy(blob.data.copy()) for blob in self._program.blobs]
        self._bottoms = list(bottoms)
        return [blob.shape for blob in self._outputs]

    def reshape(self, bottoms: Sequence[Shape]) -> None:
        self._bottoms = list(bottoms)  # forward calls the program's own reshape

    def forward(self, bottoms: Sequence[Tensor]) -> list[Tensor]:
        for blob, tensor in zip(self._inputs, bottoms, strict=True):
            blob.take(_array(tensor).copy() if blob in self._outputs else _read_only(tensor))
        for blob, tensor in zip(self._program.blobs, self.blobs, strict=True):
            blob.take(_array(tensor).copy())
        self._call("reshape", self._inputs, self._outputs)
        self._call("forward", self._inputs, self._outputs)
        self._keep_parameters()
        tops = [torch.from_numpy(blob.data.copy()).to(self.device) for blob in self._outputs]
        read = (*bottoms, *self.blobs)
        if tops and torch.is_grad_enabled() and any(tensor.requires_grad for tensor in read):
            return list(_Program.apply(self, tops, *read))  # type: ignore[no-untyped-call]
        return tops

    def backward(self, diffs: Sequence[Tensor], wanted: Sequence[bool]) -> list[Tensor | None]:
        """The gradients of bottoms and parameters, None where it is not wanted."""
        read = [*self._inputs, *self._program.blobs]
        for blob in read:
            blob.diff[...] = 0
        for blob, diff in zip(self._outputs, diffs, strict=True):
            blob.diff[...] = _array(diff)
        self._call("backward", self._outputs, list(wanted[: len(self._inputs)]), self._inputs)
        return [
            torch.from_numpy(blob.diff.copy()).to(self.device) if want else None
            for blob, want in zip(read, wanted, strict=True)
        ]

    def state(self) -> Arrays:
        """What the program's own get_state returns, arrays or numbers by name."""
        if self.lacking:
            return {}
        found = self._call("get_state")
        try:
            arrays = {str(name): np.array(value) for name, value in found.items()}
        except (AttributeError, ValueError) as error:
            raise self._failure("get_state", error) from error
        for name, array in arrays.items():
            if array.dtype.hasobject:
                raise self.refuse(f"gives no array or number as {name!r} of its get_state")
        return arrays

    def restore(self, state: Arrays) -> None:
        if not self.lacking:
            self._call("set_state", dict(state))

    @property
    def lacking(self) -> str:
        if all(hasattr(self._program, method) for method in ("get_state", "set_state")):
            return ""
        return f"what the Python layer {self.param.name!r} keeps without get_state and set_state"

    def _made(self) -> pycaffe.Layer:
        given = self.param.python_param
        pycaffe.provide()
        if os.getcwd() not in sys.path:
            sys.path.append(os.getcwd())
        try:
            module = importlib.import_module(given.module)
        except Exception as error:
            raise self.refuse(
                f"cannot import the module {given.module!r}: {_told(error)}; the folders of "
                "PYTHONPATH and the working directory are searched"
            ) from error
        kind = getattr(module, given.layer, None)
        if not isinstance(kind, type) or not issubclass(kind, pycaffe.Layer):
            raise self.refuse(f"finds no class {given.layer!r} of caffe.Layer in {given.module!r}")
        try:
            made = kind(self.param)
        except Exception as error:
            raise self._failure("__init__", error) from error
        made.param_str, made.phase = given.param_str, self.phase
        return made

    def _call(self, method: str, *arguments: object) -> Any:
        try:
            return getattr(self._program, method)(*arguments)
        except Exception as error:
            raise self._failure(method, error) from error

    def _failure(self, method: str, error: Exception) -> BadInput:
        return self.refuse(f"fails in {self.param.python_param.layer}.{method}: {_told(error)}")

    @torch.no_grad()
    def _keep_parameters(self) -> None:
        """Keep what the program has written into its parameters, as into running statistics."""
        for blob, tensor in zip(self._program.blobs, self.blobs, strict=True):
            if not np.array_equal(blob.data, _array(tensor)):
                tensor.copy_(torch.from_numpy(blob.data))


class _Program(torch.autograd.Function):
    """The tops as computed from bottoms and parameters, with the program's gradients."""

    @staticmethod
    def forward(ctx: Any, layer: Python, tops: list[Tensor], *read: Tensor) -> tuple[Tensor, ...]:
        ctx.layer = layer
        return tuple(tops)

    @staticmethod
    def backward(ctx: Any, *diffs: Tensor) -> tuple[Tensor | None, ...]:
        return (None, None, *ctx.layer.backward(diffs, ctx.needs_input_grad[2:]))


def _array(tensor: Tensor) -> Array:
    """The values in C order, float32; on the CPU perhaps the tensor's own memory."""
    values: Array = tensor.detach().float().cpu().contiguous().numpy()
    return values


def _read_only(tensor: Tensor) -> Array:
    values = _array(tensor)
    values.flags.writeable = False
    return values


def _told(error: Exception) -> str:
    """An error of the user's code in one line, with the place that raised it."""
    message = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(".")
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{message} ({place.filename}, line {place.lineno})"
