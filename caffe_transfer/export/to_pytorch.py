"""A state_dict, and beside it the module that it is of."""

import importlib.util
import io
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from caffe_transfer.errors import BadInput
from caffe_transfer.export.deploy import Deploy
from caffe_transfer.export.identifiers import identifier
from caffe_transfer.export.module import Module
from caffe_transfer.export.weights import Array
from caffe_transfer.files import atomic_text, atomic_write


def module_path(out: Path) -> Path:
    """The file beside a state_dict that defines its module; its name can be imported."""
    name = identifier(out.stem)
    if name in sys.stdlib_module_names or name in ("torch", "numpy"):
        name += "_net"
    return out.with_name(f"{name}.py")


def write_pytorch(module: Module, about: Mapping[str, Any], out: Path) -> Path:
    """Write the state_dict, then the module beside it.

    Returns:
        the module's file.

    Raises:
        BadInput: the folder is not writable, or the disk is full.
    """
    content = io.BytesIO()  # to a full disk, torch's own errors are of another kind
    torch.save(module.state, content)
    with atomic_write(out) as file:
        file.write(content.getbuffer())
    text = module_path(out)
    atomic_text(text, module.text(out.name, about))
    return text


def built(module: Module, about: Mapping[str, Any]) -> torch.nn.Module:
    """The net that the file defines, with its weights; the file is run as users will."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "net.py")
        path.write_text(module.text("net.pt", about))
        spec = importlib.util.spec_from_file_location("net", path)
        assert spec is not None
        assert spec.loader is not None
        loaded = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(loaded)
        with torch.device("meta"):
            net: torch.nn.Module = getattr(loaded, module.name)()
    net.load_state_dict(module.state, assign=True)
    return net.eval()


def outputs(net: torch.nn.Module, deploy: Deploy, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """What a built net gives, by name.

    Raises:
        BadInput: it cannot run.
    """
    try:
        with torch.no_grad():
            found = net(*(torch.from_numpy(values) for values in inputs.values()))
    except RuntimeError as error:
        raise BadInput(f"the PyTorch module cannot run: {first_line(error)}") from error
    tops = [found] if isinstance(found, torch.Tensor) else found
    return {name: top.numpy() for name, top in zip(deploy.outputs, tops, strict=True)}


def first_line(error: Exception) -> str:
    """The first line of an error's message, which may have a page."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
