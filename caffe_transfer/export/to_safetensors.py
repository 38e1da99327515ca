"""Weights as a safetensors file, which says in its metadata what each tensor is."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from caffe_transfer.export.weights import Weight
from caffe_transfer.files import atomic_write


def write_safetensors(weights: Sequence[Weight], about: Mapping[str, Any], out: Path) -> None:
    """Write the weights by name.

    Args:
        about: where the net is from, and what is done to images; ready for JSON.

    Raises:
        BadInput: the folder is not writable, or the disk is full.
    """
    from safetensors.numpy import save

    tensors = {each.name: np.ascontiguousarray(each.values) for each in weights}
    with atomic_write(out) as file:
        file.write(save(tensors, _metadata(weights, about)))


def _metadata(weights: Sequence[Weight], about: Mapping[str, Any]) -> dict[str, str]:
    return texts(about) | {
        "format": "pt",  # as programs that load for PyTorch ask
        "tensors": json.dumps(
            {
                each.name: {
                    "layer": each.layer,
                    "type": each.type,
                    "blob": each.index,
                    "shape": list(each.values.shape),
                    "meaning": each.meaning,
                }
                for each in weights
            }
        ),
    }


def texts(values: Mapping[str, Any]) -> dict[str, str]:
    """Values as texts, as metadata of files must be: what is no text becomes JSON."""
    return {
        key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()
    }
