"""The sum of images in float32, as Caffe's compute_image_mean adds them up for the mean."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from caffe_transfer.errors import BadInput, CaffeTransferError
from caffe_transfer.files import atomic_write
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.reading import reading


class PixelSum:
    """The sum of the images of a database's first records, in the order of their keys.

    Attributes:
        total: float32, channels x height x width; None before the first image.
        count: number of images.
        last: key of the last one.
    """

    def __init__(
        self, total: npt.NDArray[np.float32] | None = None, count: int = 0, last: bytes = b""
    ) -> None:
        self.total, self.count, self.last = total, count, last

    def add(self, pixels: npt.NDArray[np.uint8], name: str, key: bytes = b"") -> None:
        """Add an image.

        Args:
            name: for messages.

        Raises:
            BadInput: it has another shape than those before.
        """
        if self.total is None:
            self.total = np.zeros(pixels.shape, np.float32)
        if pixels.shape != self.total.shape:
            raise BadInput(
                f"{name} has the shape {pixels.shape}, those before {self.total.shape}; make the "
                "database with one size"
            )
        width = pixels.shape[-1]
        cv2.accumulate(pixels.reshape(-1, width), self.total.reshape(-1, width))
        self.count += 1
        self.last = key

    def add_sum(self, other: "PixelSum", name: str) -> None:
        """Add the sum of another database.

        Raises:
            BadInput: its images have another shape.
        """
        if self.total is None or other.total is None:
            self.total = other.total if self.total is None else self.total
        elif self.total.shape != other.total.shape:
            raise BadInput(
                f"images of {name} have the shape {other.total.shape}, those before "
                f"{self.total.shape}; make the databases with one size"
            )
        else:
            self.total = self.total + other.total
        self.count += other.count

    def write_mean(self, path: Path, record: Callable[[str], None]) -> None:
        """Write the mean as a binaryproto, whole or not at all; there must be an image.

        Args:
            record: called with the SHA-256 of the file before it takes its name.
        """
        assert self.total is not None
        channels, height, width = self.total.shape
        mean = pb.BlobProto(num=1, channels=channels, height=height, width=width)
        mean.data.extend((self.total / np.float32(self.count)).ravel().tolist())
        content = mean.SerializeToString()
        with atomic_write(path) as file:
            file.write(content)
            record(hashlib.sha256(content).hexdigest())

    def save(self, path: Path) -> None:
        """Write the sum to a file, for `load`; many times, so that it is not forced to the disk."""
        assert self.total is not None
        temporary = path.with_suffix(".new")
        with temporary.open("wb") as file:
            np.savez(
                file, total=self.total, count=self.count, last=np.frombuffer(self.last, np.uint8)
            )
        temporary.replace(path)

    @classmethod
    def load(cls, path: Path) -> "PixelSum | None":
        """The sum that `save` has written; None if there is no such file, or it is torn."""
        try:
            with (
                reading(path, "a sum of images", "make it anew"),
                path.open("rb") as file,
                np.load(file, allow_pickle=False) as arrays,
            ):
                found: dict[str, Any] = dict(arrays)
                return cls(found["total"], int(found["count"]), found["last"].tobytes())
        except CaffeTransferError:
            return None
