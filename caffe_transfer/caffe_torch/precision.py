"""How exactly a device multiplies: float32 unless asked otherwise.

fp32   as Caffe computes
tf32   float32 kept, multiplied with 10 bits of mantissa on GPUs since Ampere
bf16   convolutions and inner products in bfloat16; weights and sums stay float32
"""

from contextlib import AbstractContextManager, nullcontext
from enum import StrEnum

import torch


class Precision(StrEnum):
    """The choices of --precision."""

    FP32 = "fp32"
    TF32 = "tf32"
    BF16 = "bf16"

    def set_up(self) -> None:
        """Allow or forbid TF32 for the whole process; PyTorch allows it in convolutions."""
        torch.backends.cuda.matmul.allow_tf32 = self is Precision.TF32
        torch.backends.cudnn.allow_tf32 = self is Precision.TF32

    def autocast(self, device: torch.device) -> AbstractContextManager[object]:
        """The context in which nets run forward."""
        if self is not Precision.BF16:
            return nullcontext()
        return torch.autocast(device.type, torch.bfloat16)
