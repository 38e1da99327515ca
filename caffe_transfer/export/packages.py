"""The libraries that exports are written with, which only exports need."""

from importlib import import_module
from typing import Any

from caffe_transfer.errors import BadInput

INSTALL = "pip install 'caffe-transfer[export]'"


def needed(*modules: str) -> None:
    """Check that libraries are there.

    Raises:
        BadInput: one is not; says how to get it.
    """
    for module in modules:
        if optional(module) is None:
            raise BadInput(
                f"this export needs the package {module}, which is missing; run {INSTALL}"
            )


def optional(module: str) -> Any | None:
    """A library, or None where it is missing."""
    try:
        return import_module(module)
    except ImportError:
        return None
