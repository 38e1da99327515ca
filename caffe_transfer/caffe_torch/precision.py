"""Precision of multiplications.

fp32   as in Caffe; the default
tf32   float32, multiplied with 10 bits of mantissa on GPUs since Ampere
bf16   convolutions and inner products in bfloat16; weights and sums stay float32
"""

from contextlib import AbstractContextManager, nullcontext
from enum import StrEnum

import torch


class Precision(StrEnum):
    """Choices of --precision."""

    FP32 = "fp32"
    TF32 = "tf32"
    BF16 = "bf16"

    def set_up(self) -> None:
        """Allow or forbid TF32 process-wide; PyTorch's default allows it in convolutions.

        Where precision is given up anyway, cuDNN tries all its algorithms and keeps the fastest,
        which on an H200 saves a tenth of a step.  Some of them round more than Caffe's do.
        """
        torch.backends.cuda.matmul.allow_tf32 = self is Precision.TF32
        torch.backends.cudnn.allow_tf32 = self is Precision.TF32
        torch.backends.cudnn.benchmark = self is not Precision.FP32

    def autocast(self, device: torch.device) -> AbstractContextManager[object]:
        """The context for forward passes."""
        if self is not Precision.BF16:
            return nullcontext()
        return torch.autocast(device.type, torch.bfloat16)
