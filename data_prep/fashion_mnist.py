"""Fashion-MNIST: 70,000 photographs of ten kinds of clothing, 28x28 gray (Xiao et al., 2017).

Downloaded as Debian's package dataset-fashion-mnist, which needs no root and is not installed, or
from the publisher's address.
"""

import gzip
import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from caffe_transfer.data_prep.download import download
from caffe_transfer.data_prep.lists import ImageList
from caffe_transfer.data_prep.progress import OnStep
from caffe_transfer.data_prep.tars import Member, members
from caffe_transfer.data_prep.threads import worker_threads
from caffe_transfer.errors import BadInput, CaffeTransferError, Incomplete
from caffe_transfer.paths import ImagesFolder
from caffe_transfer.reading import reading
from caffe_transfer.units import size

PACKAGE = "dataset-fashion-mnist"
ADDRESS = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
CLASSES = ["t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag",
           "ankle-boot"]  # fmt: skip
SIDE = 28
# SHA-256 of the publisher's four files, unpacked.
SHA256 = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
STEMS = {"train": "train", "valid": "t10k"}
_IMAGE_HEADER, _LABEL_HEADER = 16, 8
_LARGEST = _IMAGE_HEADER + 60_000 * SIDE * SIDE  # bytes of the largest of the four, unpacked
_MOST_OF_PACKAGE = 256 << 20  # bytes that are unpacked of a package, which has 31 MB


def fill(
    folder: ImagesFolder, given: Path | None, progress: OnStep
) -> tuple[dict[str, ImageList], list[str]]:
    """Write the images as gray PNG files.

    Args:
        folder: the new source's folder.
        given: a folder with the four .gz files, or the Debian package; None to download it.

    Returns:
        the "train" and "valid" lists, and the names of the ten classes.

    Raises:
        Incomplete: it could not be downloaded from either place.
        BadInput: a file is missing or is not the publisher's.
    """
    with tempfile.TemporaryDirectory() as scratch:
        archive = _archive(given, Path(scratch), progress)
        found = {}
        for part, stem in STEMS.items():
            pixels = _read_idx(archive, f"{stem}-images-idx3-ubyte")[_IMAGE_HEADER:]
            labels = _read_idx(archive, f"{stem}-labels-idx1-ubyte")[_LABEL_HEADER:]
            found[part] = _write_images(
                pixels.reshape(-1, SIDE, SIDE), labels, folder.images(part), progress
            )
    return found, CLASSES


def _archive(given: Path | None, scratch: Path, progress: OnStep) -> Path:
    """The folder that holds the four files."""
    if given is not None and given.is_dir():
        return given
    if given is not None:
        return _unpack(given, scratch)
    package = _apt_download(scratch)
    if package is not None:
        return _unpack(package, scratch)
    try:
        for name in SHA256:
            download(f"{ADDRESS}{name}.gz", scratch / f"{name}.gz", progress)
    except CaffeTransferError as error:
        raise Incomplete(
            f"Fashion-MNIST could not be downloaded, neither by apt nor otherwise: {error}; get "
            f"the Debian package {PACKAGE} or the publisher's four .gz files and name them "
            "with --from"
        ) from error
    return scratch


def _apt_download(scratch: Path) -> Path | None:
    """Download the package as an ordinary user; None where apt cannot."""
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        return None
    # The second attempt keeps its own package lists, for systems that never updated theirs.
    own = ["-o", f"Dir::State::Lists={scratch}/lists", "-o", f"Dir::Cache={scratch}/cache"]
    for commands in ([["download", PACKAGE]], [[*own, "update"], [*own, "download", PACKAGE]]):
        for command in commands:
            subprocess.run(
                ["apt-get", "-qq", *command], cwd=scratch, capture_output=True, check=False
            )
        if found := sorted(scratch.glob("*.deb")):
            return found[0]
    return None


def _unpack(package: Path, scratch: Path) -> Path:
    """Take the four files out of a package, whatever else it holds and wherever it would put it."""
    archive = scratch / "package.tar"
    fault = _archive_of(package, archive)
    found = [] if fault else [each for each in members(archive) if _is_ours(each)]
    if not found:
        raise BadInput(
            f"{package} cannot be used as the Debian package {PACKAGE}{fault}; name that, or a "
            "folder of the publisher's four .gz files"
        )
    with archive.open("rb") as file:
        for each in found:
            file.seek(each.offset)
            (scratch / Path(each.name).name).write_bytes(file.read(each.size))
    return scratch


def _is_ours(member: Member) -> bool:
    return Path(member.name).name.removesuffix(".gz") in SHA256


def _archive_of(package: Path, archive: Path) -> str:
    """Write the tar in a Debian package to a file; why it cannot be, or ""."""
    if shutil.which("dpkg-deb") is None:
        return ", for there is no dpkg-deb here to unpack it"
    with (
        archive.open("wb") as file,
        subprocess.Popen(
            ["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as unpacking,
    ):
        assert unpacking.stdout is not None
        assert unpacking.stderr is not None
        while chunk := unpacking.stdout.read(1 << 20):
            file.write(chunk)
            if file.tell() > _MOST_OF_PACKAGE:
                unpacking.kill()
                return f": it unpacks to more than {size(_MOST_OF_PACKAGE)}"
        said = unpacking.stderr.read().decode(errors="replace").strip()
    return f": {said}" if unpacking.returncode else ""


def _read_idx(archive: Path, name: str) -> npt.NDArray[np.uint8]:
    path = archive / f"{name}.gz"
    with reading(path, "a whole .gz file", "fetch it again"), gzip.open(path) as file:
        content = file.read(_LARGEST)  # of a file with more, the hash is another
    if hashlib.sha256(content).hexdigest() != SHA256[name]:
        raise BadInput(f"{path} does not hold the publisher's {name}; fetch it again")
    return np.frombuffer(content, np.uint8)


def _write_images(
    pixels: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint8], root: Path, progress: OnStep
) -> ImageList:
    root.mkdir()
    names = [f"{number:05d}.png" for number in range(len(pixels))]
    with worker_threads() as threads:
        written = threads.map(cv2.imwrite, (f"{root}/{name}" for name in names), pixels)
        for number, whole in enumerate(written, 1):
            if not whole:
                raise OSError(28, "No space left on device")
            if number % 1000 == 0:
                progress(f"Fashion-MNIST {root.name}", number, len(pixels))
    return ImageList(tuple(names), tuple(int(label) for label in labels))
