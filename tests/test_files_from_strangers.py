"""What files from strangers cannot do: write elsewhere, fill memory or the disk, run their code."""

import gzip
import io
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from caffe_transfer.data_prep import fashion_mnist, ilsvrc12_truth, lists, sources, tiny_imagenet
from caffe_transfer.data_prep.ilsvrc12_truth import published_labels
from caffe_transfer.data_prep.prepare import prepare
from caffe_transfer.data_prep.tars import members
from caffe_transfer.errors import BadInput, CaffeTransferError, FormatError
from caffe_transfer.paths import RunFolder
from caffe_transfer.studies.load import load_study
from tests.images import write_images
from tests.replay_engine import ROOT
from tests.small_ilsvrc12 import tar_bytes
from tests.small_study import TEXT, write_study

TINY = tiny_imagenet.ROOT


def tiny_zip(path: Path, files: dict[str, bytes]) -> Path:
    """A zip in the form of Tiny ImageNet's, of one class and one image, with more files."""
    known = {
        "wnids.txt": b"n01\n",
        "val/val_annotations.txt": b"v.JPEG\tn01\n",
        "train/n01/images/n01_0.JPEG": b"x",
        "val/images/v.JPEG": b"x",
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, content in (known | files).items():
            zipped.writestr(TINY + name, content)
    return path


def everything(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")}


@pytest.mark.parametrize(
    "files",
    [
        {"wnids.txt": b"n01\n..\n", "train/../../../evil_0.JPEG": b"evil"},
        {"wnids.txt": b"n01\n", "train/n01/../../../../evil_0.JPEG": b"evil"},
        {
            "val/val_annotations.txt": b"../../../evil.JPEG\tn01\n",
            "val/images/../../../evil.JPEG": b"evil",
        },
    ],
)
def test_a_zip_writes_nothing_outside_of_its_folder(
    files: dict[str, bytes], tmp_path: Path
) -> None:
    archive = tiny_zip(tmp_path / "tiny.zip", files)
    with pytest.raises(BadInput, match=r"the name \S*\.\./\S* leads out of its folder; name the"):
        sources.fetch("tiny-imagenet", tmp_path / "a/b/images", archive)
    assert everything(tmp_path) == {"tiny.zip", "a", "a/b"}


def test_a_zip_that_would_fill_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tiny_zip(tmp_path / "tiny.zip", {"train/n01/images/n01_1.JPEG": bytes(9 << 20)})
    assert archive.stat().st_size < 20_000
    with pytest.raises(BadInput, match=r"it unpacks to 9\.4 MB, one file to 9\.4 MB, which is too"):
        sources.fetch("tiny-imagenet", tmp_path / "images", archive)
    monkeypatch.setattr(tiny_imagenet, "_MOST_OF_ALL", 100_000)
    many = {f"train/n01/images/n01_{number}.JPEG": bytes(60_000) for number in (1, 2)}
    with pytest.raises(BadInput, match=r"it unpacks to .*, which is too much"):
        sources.fetch("tiny-imagenet", tmp_path / "images", tiny_zip(tmp_path / "b.zip", many))
    assert everything(tmp_path) == {"tiny.zip", "b.zip"}


def test_a_gzip_file_that_would_fill_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "train-images-idx3-ubyte"
    (tmp_path / f"{name}.gz").write_bytes(gzip.compress(bytes(1 << 20)))
    monkeypatch.setattr(fashion_mnist, "_LARGEST", 1000)
    asked = []
    read = gzip.GzipFile.read

    def counted(file: gzip.GzipFile, size: int | None = -1) -> bytes:
        asked.append(size)
        return read(file, size)

    monkeypatch.setattr(gzip.GzipFile, "read", counted)
    with pytest.raises(BadInput, match=f"does not hold the publisher's {name}"):
        sources.fetch("fashion-mnist", tmp_path / "images", tmp_path)
    assert asked == [1000]


def deb(folder: Path, files: dict[str, bytes]) -> Path:
    """A Debian package of these files, by names that dpkg-deb itself would not give them."""
    parts = {
        "debian-binary": b"2.0\n",
        "control.tar.gz": gzip.compress(tar_bytes({"./control": b"Package: x\nVersion: 1\n"})),
        "data.tar.gz": gzip.compress(tar_bytes(files)),
    }
    content = b"!<arch>\n"
    for name, data in parts.items():
        content += f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(data):<10}`\n".encode()
        content += data + b"\n" * (len(data) % 2)
    path = folder / "x.deb"
    path.write_bytes(content)
    return path


@pytest.mark.skipif(not os.path.exists("/usr/bin/dpkg-deb"), reason="no dpkg-deb here")
def test_a_debian_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "train-images-idx3-ubyte.gz"
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    package = deb(tmp_path, {f"../../{name}": b"1", "../evil": b"2", "usr/evil": b"3"})
    assert fashion_mnist._unpack(package, scratch) == scratch
    assert everything(tmp_path) == {"x.deb", "scratch", f"scratch/{name}", "scratch/package.tar"}
    monkeypatch.setattr(fashion_mnist, "_MOST_OF_PACKAGE", 1 << 20)
    package = deb(tmp_path, {"usr/bomb": bytes(3 << 20)})
    with pytest.raises(BadInput, match=r"package \S+: it unpacks to more than 1\.0 MB; name"):
        fashion_mnist._unpack(package, scratch)
    assert (scratch / "package.tar").stat().st_size < 3 << 20
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BadInput, match="for there is no dpkg-deb here to unpack it; name that, or"):
        fashion_mnist._unpack(package, scratch)


def test_a_devkit_that_would_fill_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    devkit = tmp_path / "ILSVRC2012_devkit_t12.tar.gz"
    devkit.write_bytes(gzip.compress(tar_bytes({"x": bytes(3 << 20)})))
    monkeypatch.setattr(ilsvrc12_truth, "_MOST_OF_DEVKIT", 1 << 20)
    with pytest.raises(FormatError, match=r"t12\.tar\.gz unpacks to more than 1\.0 MB, which the"):
        published_labels(tmp_path)
    monkeypatch.setattr(ilsvrc12_truth, "_MOST_OF_META", 100)
    devkit.unlink()
    (tmp_path / "ILSVRC2012_validation_ground_truth.txt").write_text("1\n")
    (tmp_path / "meta.mat").write_bytes(bytes(101))
    with pytest.raises(FormatError, match=r"meta\.mat is not the devkit's"):
        published_labels(tmp_path)


def test_tars_within_tars_without_end(tmp_path: Path) -> None:
    content = b""
    for _ in range(1500):
        content = tar_bytes({"a.tar": content})[: 512 + len(content)] + bytes(512)
    (tmp_path / "a.tar").write_bytes(content)
    with pytest.raises(FormatError, match=r"a\.tar lies in 4 other tars; unpack the outer ones"):
        list(members(tmp_path / "a.tar"))


def test_names_in_a_tar_are_no_paths(tmp_path: Path) -> None:
    """Images in tars are read in place: nothing is unpacked, whatever their names are."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name in ("../../evil.jpg", "/evil.jpg", "a\nb.jpg"):
            tar.addfile(tarfile.TarInfo(name))
    (tmp_path / "a.tar").write_bytes(file.getvalue())
    names = [member.name for member in members(tmp_path / "a.tar")]
    assert names == ["../../evil.jpg", "evil.jpg", "a\nb.jpg"]
    assert everything(tmp_path) == {"a.tar"}


@pytest.mark.parametrize("name", ["../x", "a/b", "/tmp/x", "..", "a\nb", "a\0b", ""])
def test_names_in_a_study(name: str, tmp_path: Path) -> None:
    """A split's name is a part of names of files and folders."""
    quoted = '"' + name.replace("\n", "\\n").replace("\0", "\\u0000") + '"'
    file = write_study(
        tmp_path,
        TEXT + f'[[networks]]\nmode = "base"\nsplits = [{quoted}]\n'
        f'[splits.{quoted}]\nA = ["0"]\nB = ["1"]\n',
    )
    with pytest.raises(CaffeTransferError) as error:
        load_study(str(file))
    assert "\n" not in str(error.value)


def test_a_list_may_name_images_anywhere_and_nothing_is_written_there(tmp_path: Path) -> None:
    study = load_study(str(write_study(tmp_path)))
    outside = tmp_path / "outside"
    (tmp_path / "given/all").rename(outside)
    for name in ("train.txt", "valid.txt"):
        path = tmp_path / "given" / name
        lines = path.read_text().replace("all/", "../outside/").splitlines()
        lines[0] = lines[0].replace("../outside", str(outside))
        path.write_text("\n".join(lines) + "\n")
    before = everything(outside) | everything(tmp_path / "given")
    prepare(study, RunFolder(tmp_path / "run"), tmp_path / "given")
    assert everything(outside) | everything(tmp_path / "given") == before
    assert everything(tmp_path) - before <= {
        name for name in everything(tmp_path) if name.startswith(("run", "given", "outside"))
    } | {"small.toml"}


def folder_of_classes(root: Path, *names: str) -> Path:
    for each in (*names, "a/1.png", "a/2.png", "b/1.png", "b/2.png"):
        path = root / each
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return root


def test_a_line_break_in_the_name_of_a_class(tmp_path: Path) -> None:
    images = folder_of_classes(tmp_path / "images", "a\nb/0.png")
    with pytest.raises(BadInput, match=r"'\S*a\\nb' cannot name a class: it holds a") as error:
        sources.fetch("folder", tmp_path / "fetched", images)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "fetched").exists()


def test_a_line_break_in_the_name_of_an_image(tmp_path: Path) -> None:
    images = folder_of_classes(tmp_path / "images", "a/evil.png 1\n..", "a/0\n.png")
    found = sources.fetch("folder", tmp_path / "fetched", images)
    paths = sorted(path for listed in found.lists.values() for path in listed.paths)
    assert paths == ["a/1.png", "a/2.png", "b/1.png", "b/2.png"]
    left_out = (tmp_path / "fetched/left_out.txt").read_text()
    assert f'with a line break in the name\t"{images}/a/0\\n.png"\n' in left_out


PYTHON_LAYER = """
input: "data" input_shape { dim: 1 dim: 1 dim: 2 dim: 2 }
layer { name: "own" type: "Python" bottom: "data" top: "out"
  python_param { module: "evil" layer: "Evil" } }
"""


@pytest.mark.parametrize(
    "command", [["inspect", "net.prototxt"], ["cuts", "net.prototxt"],
                ["upgrade", "net.prototxt", "new.prototxt"],
                ["compare", "net.prototxt", "net.prototxt"]],
)  # fmt: skip
def test_a_net_is_read_without_running_its_python_layers(
    command: list[str], tmp_path: Path
) -> None:
    (tmp_path / "evil.py").write_text("open('ran', 'w')\n")
    (tmp_path / "net.prototxt").write_text(PYTHON_LAYER)
    done = subprocess.run(
        [sys.executable, "-m", "caffe_transfer", *command], cwd=tmp_path, capture_output=True,
        text=True, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode in (0, 2), done.stderr
    assert not (tmp_path / "ran").exists()


def test_a_label_that_asks_for_a_hundred_million_classes(tmp_path: Path) -> None:
    given = tmp_path / "given"
    given.mkdir()
    for name in ("train", "valid"):
        (given / f"{name}.txt").write_text("0.png 100000000\n1.png 0\n")
    with pytest.raises(BadInput, match="has the label 100000000; number the classes from 0"):
        sources.fetch("list", tmp_path / "out", given)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("data", "split", "--images", "x", "--out", "y", "--split", "9" * 5000), "is not a seed"),
        (("copy", "x.caffemodel", "y.caffemodel", "--n", "9" * 5000), "there is no file"),
        (("data", "fetch", "list", "--from", "pipe", "--out", "y"), "is a pipe or a device"),
        (("data", "fetch", "fashion-mnist", "--from", "pipe", "--out", "y"), "is a pipe or a"),
        (("data", "lmdb", "list.txt", "root", b"\xff\xfe"), "is not UTF-8, as LMDB needs; name"),
    ],
)
def test_arguments_from_strangers(
    arguments: tuple[str | bytes, ...], message: str, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe")
    lists.write(write_images(tmp_path / "root", count=4, classes=2), tmp_path / "list.txt")
    sources.fetch("list", tmp_path / "x", _listed(tmp_path))
    command: list[str | bytes] = [sys.executable, "-m", "caffe_transfer", *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, message in done.stderr) == (2, True), done.stderr
    assert done.stderr.splitlines()[-1].startswith("caffe-transfer: ")


def _listed(folder: Path) -> Path:
    """A folder with the lists of an image source."""
    given = folder / "given"
    images = write_images(given, count=4, classes=2)
    for name in ("train", "valid"):
        lists.write(images, given / f"{name}.txt")
    return given
