"""What one would write by hand today: single-tower AlexNet, trained by a plain PyTorch loop."""

import os
import time
from pathlib import Path
from typing import Any

import lmdb
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from caffe_transfer.formats.proto import caffe_pb2 as pb

SIDE, CROP, CLASSES = 256, 227, 1000
WARM_UP = 3


class Records(Dataset[tuple[Tensor, int]]):
    """An LMDB of Datum records, randomly cropped and mirrored by the loader's workers."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self._reading: Any = None
        with lmdb.open(self._path, readonly=True, lock=False) as found, found.begin() as reading:
            self._keys = [bytes(key) for key in reading.cursor().iternext(values=False)]

    def __len__(self) -> int:
        return len(self._keys)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        if self._reading is None:  # once in each worker
            self._reading = lmdb.open(self._path, readonly=True, lock=False).begin()
        datum = pb.Datum.FromString(self._reading.get(self._keys[index]))
        image = np.frombuffer(datum.data, np.uint8).reshape(3, SIDE, SIDE)
        top, left = np.random.randint(0, SIDE - CROP + 1, 2)
        cut = image[:, top : top + CROP, left : left + CROP]
        if np.random.rand() < 0.5:
            cut = cut[:, :, ::-1]
        return torch.from_numpy(np.ascontiguousarray(cut)), datum.label


def alexnet() -> nn.Module:
    """Return CaffeNet, built from PyTorch's own modules."""
    norm = nn.LocalResponseNorm
    return nn.Sequential(
        nn.Conv2d(3, 96, 11, 4), nn.ReLU(True), nn.MaxPool2d(3, 2), norm(5),
        nn.Conv2d(96, 256, 5, padding=2, groups=2), nn.ReLU(True), nn.MaxPool2d(3, 2), norm(5),
        nn.Conv2d(256, 384, 3, padding=1), nn.ReLU(True),
        nn.Conv2d(384, 384, 3, padding=1, groups=2), nn.ReLU(True),
        nn.Conv2d(384, 256, 3, padding=1, groups=2), nn.ReLU(True), nn.MaxPool2d(3, 2),
        nn.Flatten(), nn.Linear(9216, 4096), nn.ReLU(True), nn.Dropout(),
        nn.Linear(4096, 4096), nn.ReLU(True), nn.Dropout(), nn.Linear(4096, CLASSES),
    )  # fmt: skip


def images_per_second(path: Path, device: str, batch: int, steps: int, precision: str) -> float:
    """Train for `steps` steps after a warm-up and return the rate."""
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    net = alexnet().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    solver = torch.optim.SGD(net.parameters(), 1e-4, momentum=0.9, weight_decay=5e-4)
    cuda = device == "cuda"
    loader = DataLoader(
        Records(path), batch, shuffle=True, drop_last=True, pin_memory=cuda,
        num_workers=(os.cpu_count() or 2) if cuda else 0, persistent_workers=cuda,
    )  # fmt: skip
    done, start = 0, 0.0
    while True:
        for images, labels in loader:
            if done == WARM_UP:
                _wait(cuda)
                start = time.perf_counter()
            if done == steps + WARM_UP:
                _wait(cuda)
                return steps * batch / (time.perf_counter() - start)
            x = images.to(device, non_blocking=True).float()
            x = x.contiguous(memory_format=torch.channels_last)
            with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
                loss = nn.functional.cross_entropy(net(x), labels.to(device, non_blocking=True))
            solver.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            solver.step()
            done += 1


def _wait(cuda: bool) -> None:
    if cuda:
        torch.cuda.synchronize()
