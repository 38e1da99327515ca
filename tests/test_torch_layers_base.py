"""What all layers do: get ready anew when the shapes of their bottoms change."""

from collections.abc import Callable

import numpy as np
import pytest

pytest.importorskip("torch", reason="no PyTorch here; pip install 'caffe-transfer[torch]'")

import torch

from caffe_transfer.errors import BadInput
from caffe_transfer.nets.shapes import infer
from tests import (
    test_torch_layers,
    test_torch_layers_axes,
    test_torch_layers_batches,
    test_torch_layers_losses,
    test_torch_layers_values,
)
from tests.torch_layers import Case, Draw, one_sentence

MAKERS = [
    make
    for module in (
        test_torch_layers, test_torch_layers_axes, test_torch_layers_batches,
        test_torch_layers_losses, test_torch_layers_values,  # recurrent ones refuse more steps
    )
    for make in module.ALL
]  # fmt: skip


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_a_longer_batch(make: Callable[[Draw], Case]) -> None:
    """A layer that has seen another batch does what a fresh one with its parameters does."""
    draw = Draw(5)
    for case in (make(draw) for _ in range(15)):
        if not all(bottom.ndim for bottom in case.bottoms):
            continue
        case.draw_rest(draw)
        longer = [np.concatenate([bottom, bottom[:1]]) for bottom in case.bottoms]
        layer, _ = case.make()
        for blob, value in zip(layer.blobs, case.parameters, strict=True):
            blob.copy_(torch.from_numpy(value))
        bottoms = [torch.from_numpy(bottom) for bottom in longer]
        try:
            shapes = infer(case.layer(), [bottom.shape for bottom in longer])
        except BadInput:
            continue
        if shapes.parameters != tuple(tuple(blob.shape) for blob in layer.blobs):
            with pytest.raises(BadInput) as caught:
                layer.run(bottoms)
            assert "for which they do not fit" in one_sentence(caught.value)
            continue
        case.bottoms = longer
        fresh, _ = case.make()
        fresh.blobs = [blob.clone() for blob in layer.blobs]
        for ours, wanted in zip(layer.run(bottoms), fresh.run(bottoms), strict=True):
            assert torch.equal(ours, wanted), case
