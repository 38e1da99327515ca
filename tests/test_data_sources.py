"""Sources: what is fetched or given becomes one form of folder, whole or not at all."""

import gzip
import hashlib
import subprocess
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest

from caffe_transfer.data_prep import download, fashion_mnist, sources, tiny_imagenet
from caffe_transfer.data_prep.lists import ImageList
from caffe_transfer.data_prep.splits import ilsvrc12_synsets
from caffe_transfer.errors import BadInput, CaffeTransferError, Incomplete
from tests.images import write_images


class Quiet(SimpleHTTPRequestHandler):
    """A server that does not write to the terminal."""

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """An address on this machine, and the folder that it serves."""
    root = tmp_path / "served"
    root.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=root)) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_port}/", root
        httpd.shutdown()


@pytest.fixture
def idx_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four files in the form of Fashion-MNIST's, with six and four images."""
    root = tmp_path / "idx"
    root.mkdir()
    sums = {}
    for stem, count in (("train", 6), ("t10k", 4)):
        pixels = np.arange(count * 28 * 28, dtype=np.uint64).astype(np.uint8)
        for name, content in (
            (f"{stem}-images-idx3-ubyte", b"\0" * 16 + pixels.tobytes()),
            (f"{stem}-labels-idx1-ubyte", b"\0" * 8 + bytes(range(count))),
        ):
            (root / f"{name}.gz").write_bytes(gzip.compress(content))
            sums[name] = hashlib.sha256(content).hexdigest()
    monkeypatch.setattr(fashion_mnist, "SHA256", sums)
    return root


def check_small_fashion_mnist(images: Path) -> None:
    source = sources.read_source(images)
    assert source.classes == tuple(fashion_mnist.CLASSES)
    assert source.lists["train"].labels == (0, 1, 2, 3, 4, 5)
    assert source.lists["valid"].paths == ("00000.png", "00001.png", "00002.png", "00003.png")
    second = cv2.imread(str(images / "train/00001.png"), cv2.IMREAD_UNCHANGED)
    assert second is not None
    expected = (np.arange(28 * 28) + 28 * 28).astype(np.uint8).reshape(28, 28)
    np.testing.assert_array_equal(second, expected)


class TestFashionMnist:
    def test_from_a_folder(self, idx_files: Path, tmp_path: Path) -> None:
        sources.fetch("fashion-mnist", tmp_path / "images", idx_files)
        check_small_fashion_mnist(tmp_path / "images")

    def test_from_a_debian_package(self, idx_files: Path, tmp_path: Path) -> None:
        data = tmp_path / "package/usr/share/datasets/fashion-mnist"
        data.parent.mkdir(parents=True)
        idx_files.rename(data)
        (tmp_path / "package/DEBIAN").mkdir()
        (tmp_path / "package/DEBIAN/control").write_text(
            "Package: x\nVersion: 1\nArchitecture: all\nMaintainer: x <x@x.x>\nDescription: x\n"
        )
        try:
            subprocess.run(
                ["dpkg-deb", "--build", "package", "x.deb"],
                cwd=tmp_path, check=True, capture_output=True,
            )  # fmt: skip
        except FileNotFoundError:
            pytest.skip("no dpkg-deb here; install the package dpkg")
        sources.fetch("fashion-mnist", tmp_path / "images", tmp_path / "x.deb")
        check_small_fashion_mnist(tmp_path / "images")

    def test_from_the_publishers_address(
        self,
        idx_files: Path,
        tmp_path: Path,
        server: tuple[str, Path],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        address, served = server
        for each in idx_files.iterdir():
            each.rename(served / each.name)
        monkeypatch.setattr(fashion_mnist, "ADDRESS", address)
        monkeypatch.setenv("PATH", str(tmp_path))  # no apt
        sources.fetch("fashion-mnist", tmp_path / "images")
        check_small_fashion_mnist(tmp_path / "images")

    def test_from_nowhere(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(fashion_mnist, "ADDRESS", "http://127.0.0.1:9/")
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(Incomplete, match="name them with --from"):
            sources.fetch("fashion-mnist", tmp_path / "images")
        assert not (tmp_path / "images").exists()

    def test_wrong_files(self, idx_files: Path, tmp_path: Path) -> None:
        name = "t10k-labels-idx1-ubyte.gz"
        whole = (idx_files / name).read_bytes()
        for content, message in (
            (gzip.compress(b"something else"), "does not hold the publisher's t10k-labels"),
            (whole[:-9], f"{name} is not a whole .gz file: .*; fetch it again"),
            (b"no gzip", f"{name} is not a whole .gz file: .*; fetch it again"),
        ):
            (idx_files / name).write_bytes(content)
            with pytest.raises(BadInput, match=message):
                sources.fetch("fashion-mnist", tmp_path / "images", idx_files)
            assert not (tmp_path / "images").exists()
        (tmp_path / "no.deb").write_bytes(b"no package")
        with pytest.raises(BadInput, match="cannot be used as the Debian package dataset-fash"):
            sources.fetch("fashion-mnist", tmp_path / "images", tmp_path / "no.deb")


def write_zip(path: Path, without: str = "") -> None:
    with zipfile.ZipFile(path, "w") as zipped:
        files = {"wnids.txt": b"n02\nn01\n"}
        for synset in ("n02", "n01"):
            for number in (0, 2, 10):
                files[f"train/{synset}/images/{synset}_{number}.JPEG"] = synset.encode()
        files["val/val_annotations.txt"] = b"val_0.JPEG\tn02\t0\t0\t9\t9\nval_1.JPEG\tn01\t0\n"
        files |= {"val/images/val_0.JPEG": b"0", "val/images/val_1.JPEG": b"1"}
        for name, content in files.items():
            if name != without:
                zipped.writestr(tiny_imagenet.ROOT + name, content)


class TestTinyImagenet:
    def test_labels_are_of_the_sorted_synsets(self, tmp_path: Path) -> None:
        write_zip(tmp_path / "tiny.zip")
        source = sources.fetch("tiny-imagenet", tmp_path / "images", tmp_path / "tiny.zip")
        assert source.classes == ("n01", "n02")
        assert source.lists["train"] == ImageList(
            tuple(f"{s}/images/{s}_{n}.JPEG" for s in ("n01", "n02") for n in (0, 2, 10)),
            (0, 0, 0, 1, 1, 1),
        )
        assert source.lists["valid"] == ImageList(
            ("images/val_0.JPEG", "images/val_1.JPEG"), (1, 0)
        )
        assert (tmp_path / "images/train/n02/images/n02_10.JPEG").read_bytes() == b"n02"

    def test_from_the_publishers_address(
        self, tmp_path: Path, server: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        address, served = server
        write_zip(served / "tiny.zip")
        monkeypatch.setattr(tiny_imagenet, "ADDRESS", address + "tiny.zip")
        sources.fetch("tiny-imagenet", tmp_path / "images")
        assert sorted(each.name for each in (tmp_path / "images").iterdir()) == [
            "classes.txt", "train", "train.txt", "valid", "valid.txt",
        ]  # fmt: skip
        monkeypatch.setattr(tiny_imagenet, "ADDRESS", address + "none.zip")
        with pytest.raises(Incomplete, match="--from"):
            sources.fetch("tiny-imagenet", tmp_path / "more")

    @pytest.mark.parametrize("lost", ["wnids.txt", "val/images/val_1.JPEG"])
    def test_an_incomplete_zip(self, tmp_path: Path, lost: str) -> None:
        write_zip(tmp_path / "tiny.zip", without=lost)
        with pytest.raises(BadInput, match=r"tiny\.zip is not the publisher's zip"):
            sources.fetch("tiny-imagenet", tmp_path / "images", tmp_path / "tiny.zip")
        assert not (tmp_path / "images").exists()

    def test_a_truncated_zip(self, tmp_path: Path) -> None:
        write_zip(tmp_path / "tiny.zip")
        whole = (tmp_path / "tiny.zip").read_bytes()
        (tmp_path / "tiny.zip").write_bytes(whole[: len(whole) // 2])
        with pytest.raises(BadInput, match="is not the publisher's zip"):
            sources.fetch("tiny-imagenet", tmp_path / "images", tmp_path / "tiny.zip")

    def test_the_real_subset(self, shared: Path, tmp_path: Path) -> None:
        given = shared / "data/tiny-imagenet-200-subset.zip"
        source = sources.fetch("tiny-imagenet", tmp_path / "images", given)
        assert len(source.classes) == 200
        assert set(source.classes) <= set(ilsvrc12_synsets())
        assert (len(source.lists["train"]), len(source.lists["valid"])) == (40_000, 10_000)


class TestOwnImages:
    def test_one_folder_a_class(self, tmp_path: Path) -> None:
        for part in ("train", "val"):
            for name in ("dog", "cat"):
                write_images(tmp_path / "given" / part / name, count=2)
        source = sources.fetch("folder", tmp_path / "images", tmp_path / "given")
        assert source.classes == ("cat", "dog")
        assert source.lists["valid"] == ImageList(
            ("cat/0.png", "cat/1.png", "dog/0.png", "dog/1.png"), (0, 0, 1, 1)
        )
        assert source.folder.images("valid").resolve() == tmp_path / "given/val"

    def test_lists(self, tmp_path: Path) -> None:
        given = tmp_path / "given"
        images = write_images(given, count=4)
        (given / "train.txt").write_text(images.text)
        (given / "val.txt").write_text(images.text)
        source = sources.fetch("list", tmp_path / "images", given)
        assert source.lists == {"train": images, "valid": images}
        assert source.classes == ("0", "1")
        (given / "classes.txt").write_text("cat\ndog\n")
        assert sources.fetch("list", tmp_path / "named", given).classes == ("cat", "dog")

    def test_ilsvrc12(self, tmp_path: Path) -> None:
        given = tmp_path / "given"
        for part in ("train", "val"):
            images = write_images(given / part, count=2)
            (given / f"{part}.txt").write_text(images.text)
        source = sources.fetch("ilsvrc12", tmp_path / "images", given)
        assert len(source.classes) == 1000

    def test_what_is_missing_is_named(self, tmp_path: Path) -> None:
        given = tmp_path / "given"

        def fails(name: str, message: str, with_given: bool = True) -> None:
            with pytest.raises(CaffeTransferError, match=message):
                sources.fetch(name, tmp_path / "images", given if with_given else None)
            assert not (tmp_path / "images").exists()

        fails("none", "there is no source 'none'; the sources are fashion-mnist, ")
        fails("folder", "name them with --from", with_given=False)
        fails("folder", "there is no .*given; check what --from or images.path names")
        images = write_images(given / "train" / "cat", count=2)
        fails("folder", "lacks valid or val; add it")
        write_images(given / "valid" / "dog", count=1)
        fails("folder", "class cat has no validation images; class dog has no training images")
        fails("list", r"lacks train\.txt; add it")
        (given / "train.txt").write_text(images.text)
        fails("ilsvrc12", r"given/valid are not known; put .* or Caffe's val\.txt into .*given")
        (given / "valid.txt").write_text("train/cat/0.png 0\n")
        fails("list", "2 of 2 images of the list are missing")
        (given / "train.txt").write_text("train/cat/0.png 7\n")
        (given / "classes.txt").write_text("cat\n")
        fails("list", "has label 7, but there are 1 classes")


def test_fetched_images_are_not_fetched_again(idx_files: Path, tmp_path: Path) -> None:
    first = sources.fetch("fashion-mnist", tmp_path / "images", idx_files)
    assert sources.fetch("fashion-mnist", tmp_path / "images") == first


def test_a_folder_without_lists_is_no_source(tmp_path: Path) -> None:
    with pytest.raises(Incomplete, match="data fetch"):
        sources.read_source(tmp_path)


def test_a_download_that_ends_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Answer:
        headers = {"Content-Length": "10"}  # noqa: RUF012
        pieces = [b"", b"12345"]  # noqa: RUF012

        def read(self, _: int) -> bytes:
            return self.pieces.pop()

        def __enter__(self) -> "Answer":
            return self

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: Answer())
    with pytest.raises(Incomplete, match="ended after 5 of 10 bytes"):
        download.download("http://x/", tmp_path / "file", lambda *_: None)
    assert not (tmp_path / "file").exists()
