"""Where images lie."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from caffe_transfer.data_prep import stores
from caffe_transfer.data_prep.ilsvrc12_scan import scan
from caffe_transfer.data_prep.image_index import Draft, Holder, holder_of_tar
from caffe_transfer.data_prep.progress import silent
from caffe_transfer.data_prep.stores import check_names, open_store, own_paths
from caffe_transfer.errors import BadInput, FormatError
from caffe_transfer.paths import image_index
from tests.small_ilsvrc12 import tar_bytes, write_files


class TestFolder:
    def test_reads_by_name(self, tmp_path: Path) -> None:
        (tmp_path / "cat").mkdir()
        (tmp_path / "cat/a.jpg").write_bytes(b"bytes")
        with open_store(tmp_path) as store:
            assert store.read("cat/a.jpg") == b"bytes"
            with pytest.raises(FileNotFoundError):
                store.read("cat/b.jpg")

    def test_missing_images_are_named(self, tmp_path: Path) -> None:
        (tmp_path / "a.jpg").touch()
        with (
            open_store(tmp_path) as store,
            pytest.raises(BadInput, match=r"1 of 2 images .* first .*b\.jpg"),
        ):
            check_names(store, ("a.jpg", "b.jpg"), tmp_path)

    def test_many_images_of_a_folder(self, tmp_path: Path) -> None:
        (tmp_path / "cat").mkdir()
        names = [f"cat/{number}.jpg" for number in range(100)]
        for name in names:
            (tmp_path / name).touch()
        (tmp_path / names[3]).unlink()
        for name, end in ((names[5], "6.jpg"), (names[7], "nowhere")):
            (tmp_path / name).unlink()
            (tmp_path / name).symlink_to(end)
        (tmp_path / names[9]).unlink()
        (tmp_path / names[9]).mkdir()
        more = ["cat/../cat/1.jpg", "dog/1.jpg", *(f"none/{number}.jpg" for number in range(50))]
        with open_store(tmp_path) as store:
            assert store.missing([*names, *more]) == [names[3], names[7], names[9], *more[1:]]


class TestTar:
    @pytest.fixture
    def tar(self, tmp_path: Path) -> Path:
        inner = tar_bytes({f"{number}.jpg": b"%d" % number for number in range(200)})
        (tmp_path / "a.tar").write_bytes(tar_bytes({"b.jpg": b"bytes", "cat.tar": inner}))
        return tmp_path / "a.tar"

    def test_reads_in_place(self, tar: Path, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to(tar)
        with open_store(tmp_path / "link") as store:
            assert store.read("b.jpg") == b"bytes"
            assert store.missing(("b.jpg", "cat/1.jpg", "1.jpg")) == ["1.jpg"]
            with pytest.raises(FileNotFoundError, match=r"a\.tar/1\.jpg"):
                store.read("1.jpg")

    def test_many_threads(self, tar: Path) -> None:
        before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
        with open_store(tar) as store, ThreadPoolExecutor(8) as threads:
            names = [f"cat/{number % 200}.jpg" for number in range(2000)]
            assert list(threads.map(store.read, names)) == [
                b"%d" % (number % 200) for number in range(2000)
            ]
        if before is not None:
            assert len(os.listdir("/proc/self/fd")) == before

    def test_no_tar(self, tmp_path: Path) -> None:
        (tmp_path / "a.tar").write_bytes(b"no tar")
        with pytest.raises(FormatError, match="no tar file"), open_store(tmp_path / "a.tar"):
            pass


class TestIndex:
    def test_folders_and_more_tars_than_stay_open(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(stores, "_KEPT_OPEN", 2)
        root = tmp_path / "given"
        (root / "cat").mkdir(parents=True)
        (root / "cat/a.jpg").write_bytes(b"a file")
        draft = Draft([Holder("cat")])
        draft.add("a.jpg")
        for number in range(4):
            (root / f"{number}.tar").write_bytes(tar_bytes({"x": b"%d" % number}))
            draft.holders.append(holder_of_tar(root, f"{number}.tar"))
            draft.add(f"{number}.jpg", 512, 1)
        (tmp_path / "images").symlink_to(root)
        draft.index().write(image_index(tmp_path / "images"))
        with open_store(tmp_path / "images") as store:
            assert store.read("a.jpg") == b"a file"
            assert [store.read(f"{number}.jpg") for number in range(4)] == [b"0", b"1", b"2", b"3"]
            with (root / "3.tar").open("wb"), pytest.raises(OSError, match="ends early"):
                store.read("3.jpg")


class TestOwnPaths:
    """Where a message says that an image lies."""

    def named(self, root: Path, names: list[str], part: str, tmp_path: Path) -> list[str]:
        (tmp_path / "images").mkdir()
        images = tmp_path / "images" / part
        images.symlink_to(root)
        scan(root, part, silent).draft.index().write(image_index(images))
        return own_paths(images, names)

    def test_validation_images_in_folders_of_classes(self, tmp_path: Path) -> None:
        root, name = tmp_path / "val", "ILSVRC2012_val_00000001.JPEG"
        write_files(root, {f"n01440764/{name}": b""})
        assert self.named(root, [name], "valid", tmp_path) == [f"{root}/n01440764/{name}"]

    def test_in_tars(self, tmp_path: Path) -> None:
        root = tmp_path / "train"
        one, two = "n01440764/n01440764_1.JPEG", "n01443537/n01443537_2.JPEG"
        files = {
            "n01440764.tar": tar_bytes({"n01440764_1.JPEG": b"x"}),
            "more.tar": tar_bytes({two: b"x"}),
        }
        write_files(root, files)
        assert self.named(root, [one, two], "train", tmp_path) == [
            f"{root}/n01440764.tar/n01440764_1.JPEG", f"{root}/more.tar/{two}",
        ]  # fmt: skip
        (root / "more.tar").write_bytes(b"another")  # no reason to say nothing
        assert own_paths(tmp_path / "images/train", [one]) == [f"{root}/{one}"]


@pytest.mark.parametrize("is_indexed", [False, True])
def test_what_no_image_can_be_is_not_read(is_indexed: bool, tmp_path: Path) -> None:
    root, names = tmp_path / "given", ("pipe.png", "large.png")
    root.mkdir()
    os.mkfifo(root / "pipe.png")
    (root / "large.png").touch()
    os.truncate(root / "large.png", (1 << 30) + 1)
    (tmp_path / "images").symlink_to(root)
    if is_indexed:
        draft = Draft([Holder("")])
        for name in names:
            draft.add(name)
        draft.index().write(image_index(tmp_path / "images"))
    with open_store(tmp_path / "images") as store:
        for name in names:
            with pytest.raises(OSError, match="Invalid argument"):
                store.read(name)
