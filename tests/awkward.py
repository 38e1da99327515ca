"""Image files that are hard to read, and files that only look like images."""

import io
import struct
import zlib
from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from caffe_transfer.data_prep.left_out import Fault

HEIGHT, WIDTH = 48, 64
_END_OF_JPEG = b"\xff\xd9"


def smooth() -> npt.NDArray[np.uint8]:
    """Colors that change slowly, 48x64 RGB."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    return np.stack([x * 4, y * 5, x + y], -1).astype(np.uint8)


def noise(side: int = 120) -> npt.NDArray[np.uint8]:
    """Random colors, square RGB: a file of which every byte counts."""
    return np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)


def file(pixels: npt.NDArray[np.uint8] | Image.Image, kind: str, **options: object) -> bytes:
    """An image file, written by Pillow."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def animation(kind: str) -> bytes:
    frames = [Image.new("RGB", (WIDTH, HEIGHT), (shade, 9, 9)) for shade in (50, 150, 250)]
    return file(frames[0], kind, save_all=True, append_images=frames[1:])


def turned(
    orientation: int, kind: str = "JPEG", pixels: npt.NDArray[np.uint8] | None = None
) -> bytes:
    """An image with EXIF's orientation, 1 to 8."""
    exif = Image.Exif()
    exif[0x112] = orientation
    return file(smooth() if pixels is None else pixels, kind, exif=exif)


def with_thumbnail(data: bytes) -> bytes:
    """A JPEG that holds another, whole one in a segment before its own data."""
    inner = file(smooth(), "JPEG")
    return data[:2] + b"\xff\xe5" + struct.pack(">H", len(inner) + 2) + inner + data[2:]


def adobe_ycck() -> bytes:
    """A JPEG whose four channels are marked as YCCK in Adobe's segment."""
    data = bytearray(file(Image.fromarray(noise()).convert("CMYK"), "JPEG"))
    data[data.index(b"Adobe") + 11] = 2
    return bytes(data)


def huge_png() -> bytes:
    """A PNG that says that it has 1.6 billion pixels, more than OpenCV takes."""
    header = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def damaged_png() -> bytes:
    """A PNG with a wrong byte, which its checksum tells."""
    data = bytearray(file(noise(), "PNG"))
    data[len(data) // 2] ^= 0xFF
    return bytes(data)


def restarting(interval: int) -> bytes:
    """A JPEG with restart markers."""
    ok, data = cv2.imencode(".jpg", noise(), [cv2.IMWRITE_JPEG_RST_INTERVAL, interval])
    assert ok
    return data.tobytes()


def _alpha() -> npt.NDArray[np.uint8]:
    return np.dstack([smooth(), smooth()[..., 0]])


# Files that are used, as real Caffe reads them.
WHOLE: dict[str, Callable[[], bytes]] = {
    "plain.jpg": lambda: file(smooth(), "JPEG"),
    "plain.png": lambda: file(smooth(), "PNG"),
    "plain.bmp": lambda: file(smooth(), "BMP"),
    "plain.tif": lambda: file(smooth(), "TIFF"),
    "two pages.tif": lambda: file(
        smooth(), "TIFF", save_all=True, append_images=[Image.fromarray(noise())]
    ),
    "plain.ppm": lambda: file(smooth(), "PPM"),
    "plain.webp": lambda: file(smooth(), "WEBP", lossless=True),
    "PLAIN.JPEG": lambda: file(smooth(), "JPEG"),
    "progressive.jpg": lambda: file(smooth(), "JPEG", progressive=True),
    "restarts.jpg": lambda: restarting(4),
    "bytes after the end.jpg": lambda: file(smooth(), "JPEG") + bytes(100),
    "thumbnail.jpg": lambda: with_thumbnail(file(smooth(), "JPEG")),
    "all gray.jpg": lambda: file(np.full((40, 40, 3), 128, np.uint8), "JPEG"),
    "cmyk.jpg": lambda: file(Image.fromarray(smooth()).convert("CMYK"), "JPEG"),
    "ycck.jpg": adobe_ycck,
    "alpha.png": lambda: file(_alpha(), "PNG"),
    "16 bit.png": lambda: cv2.imencode(".png", smooth().astype(np.uint16) * 257)[1].tobytes(),
    "palette.png": lambda: file(Image.fromarray(smooth()).quantize(64), "PNG"),
    "one bit.png": lambda: file(Image.fromarray(smooth()).convert("1"), "PNG"),
    "gray.jpg": lambda: file(smooth()[..., 0], "JPEG"),
    "gray.png": lambda: file(smooth()[..., 0], "PNG"),
    "gray with alpha.png": lambda: file(Image.fromarray(smooth()).convert("LA"), "PNG"),
    "exif.png": lambda: turned(6, "PNG"),
    "one pixel.png": lambda: file(np.full((1, 1, 3), 7, np.uint8), "PNG"),
    "one pixel.jpg": lambda: file(np.full((1, 1, 3), 7, np.uint8), "JPEG"),
    "wide.png": lambda: file(np.arange(9000, dtype=np.uint8).reshape(1, 3000, 3), "PNG"),
    "a png.jpg": lambda: file(smooth(), "PNG"),
    **{f"turned {n}.jpg": partial(turned, n) for n in range(1, 9)},
}  # fmt: skip

# Files that are left out, and why.
FAULTY: dict[str, tuple[Fault, Callable[[], bytes]]] = {
    "nothing.jpg": (Fault.EMPTY, lambda: b""),
    "text.jpg": (Fault.NOT_AN_IMAGE, lambda: b"no image at all"),
    "page.png": (Fault.NOT_AN_IMAGE, lambda: b"<html>404 Not Found</html>"),
    "half.jpg": (Fault.TRUNCATED, lambda: half(file(noise(), "JPEG"))),
    "half and zeros.jpg": (
        Fault.TRUNCATED, lambda: half(file(noise(), "JPEG")) + bytes(20_000)
    ),
    "half and an end.jpg": (
        Fault.TRUNCATED, lambda: half(file(noise(), "JPEG")) + _END_OF_JPEG
    ),
    "half of the restarts.jpg": (
        Fault.TRUNCATED, lambda: half(restarting(4)) + _END_OF_JPEG
    ),
    "half cmyk.jpg": (
        Fault.TRUNCATED,
        lambda: half(file(Image.fromarray(noise()).convert("CMYK"), "JPEG")) + _END_OF_JPEG,
    ),
    "half turned.jpg": (
        Fault.TRUNCATED, lambda: half(turned(6, pixels=noise())) + _END_OF_JPEG
    ),
    "half ycck.jpg": (Fault.TRUNCATED, lambda: half(adobe_ycck()) + _END_OF_JPEG),
    "half with a thumbnail.jpg": (
        Fault.TRUNCATED, lambda: half(with_thumbnail(file(noise(), "JPEG")))
    ),
    "half progressive.jpg": (
        Fault.TRUNCATED, lambda: half(file(noise(), "JPEG", progressive=True))
    ),
    "without an end.jpg": (Fault.TRUNCATED, lambda: file(noise(), "JPEG")[:-2]),
    "beginning.jpg": (Fault.TRUNCATED, lambda: file(noise(), "JPEG")[:20]),
    "half.png": (Fault.TRUNCATED, lambda: half(file(noise(), "PNG"))),
    "without an end.png": (Fault.TRUNCATED, lambda: file(noise(), "PNG")[:-12]),
    "half.gif": (Fault.TRUNCATED, lambda: half(file(noise(), "GIF"))),
    "half.webp": (Fault.TRUNCATED, lambda: half(file(noise(), "WEBP"))),
    "half.bmp": (Fault.DAMAGED, lambda: half(file(noise(), "BMP"))),
    "half.tif": (Fault.DAMAGED, lambda: half(file(noise(), "TIFF"))),
    "damaged.png": (Fault.DAMAGED, damaged_png),
    "moving.gif": (Fault.ANIMATED, lambda: animation("GIF")),
    "moving.webp": (Fault.ANIMATED, lambda: animation("WEBP")),
    "moving.png": (Fault.ANIMATED, lambda: animation("PNG")),
    "huge.png": (Fault.TOO_LARGE, huge_png),
}  # fmt: skip

# Names that other programs stumble over.
NAMES = (
    "with a space.png", "two  spaces .png", "tab\t.png", "grün.png", "gru\u0308n 2.png", "日本.png",
    "'quotes' \"both\".png", "[brackets] {braces}.png", "-dash.png", "--help.png", "#hash.png",
    "100%.png", "%s %d.png", "back\\slash.png", "$HOME.png", "*?.png", "a;b&c|d.png", "0 1.png",
    "carriage\rreturn.png", "next\u2028line.png", "UPPER.PNG", ".".join(["x"] * 100) + ".png",
    "not utf-8 \udcff\udce4.png", "😀.png",
)  # fmt: skip
