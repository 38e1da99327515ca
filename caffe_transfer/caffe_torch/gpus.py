"""Which GPUs PyTorch can use, and why not the others."""

import warnings

import torch

from caffe_transfer.errors import BadInput
from caffe_transfer.formats.fatbin import GpuCode, dotted


def why_none() -> str:
    """One sentence on why PyTorch finds no GPU, and what to do."""
    if torch.version.cuda is None:
        return (
            "this PyTorch is built without CUDA; install one with CUDA, as pip does by default on "
            "Linux, in its place"
        )
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        torch.cuda.is_available()
    if any("too old" in str(each.message) for each in said):
        return (
            f"the driver is too old for this PyTorch, which is built with CUDA "
            f"{torch.version.cuda}; install a newer driver, or a PyTorch for an older CUDA"
        )
    return (
        "there is no GPU that PyTorch can use; nvidia-smi says whether there are a card and a "
        "driver, and CUDA_VISIBLE_DEVICES may hide them"
    )


def check_covered(gpu: int) -> None:
    """Refuse a GPU for which PyTorch has no code.

    Raises:
        BadInput: it has none; names the card and what there is code for.
    """
    found, code = torch.cuda.get_device_properties(gpu), code_of(torch.cuda.get_arch_list())
    capability = (found.major, found.minor)
    if not code.runs_on(capability):
        raise BadInput(
            f"this PyTorch has no code for {found.name} ({dotted(capability)}), only for {code}; "
            "install one that has, or choose another GPU"
        )


def code_of(architectures: list[str]) -> GpuCode:
    """What PyTorch has code for, by names such as sm_90, sm_90a and compute_120."""
    numbers = {
        kind: {
            divmod(int(each.removeprefix(kind).rstrip("af")), 10)
            for each in architectures
            if each.startswith(kind)
        }
        for kind in ("sm_", "compute_")
    }
    return GpuCode(tuple(sorted(numbers["sm_"])), tuple(sorted(numbers["compute_"])))
