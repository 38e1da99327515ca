"""Which data sets are decoded and which are taken from others, and that both are the same."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import lmdb
import pytest

from caffe_transfer import paths
from caffe_transfer.data_prep import conversion, decode_pool, lists, lmdbs, means
from caffe_transfer.data_prep.plan import Plan, data_sets, part_of, plans
from caffe_transfer.data_prep.prepare import prepare, validation_warnings
from caffe_transfer.errors import BadInput, EngineError
from caffe_transfer.formats.lmdb import check_lmdb, open_lmdb
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.views import is_view, read_view
from caffe_transfer.nets.write import write_network
from caffe_transfer.paths import RunFolder
from caffe_transfer.pipeline import prepare_run, run
from caffe_transfer.report.settings import SettingsReader
from caffe_transfer.run_options import Callbacks, RunOptions
from caffe_transfer.studies.load import load_study
from caffe_transfer.studies.network import Network
from caffe_transfer.studies.study import CustomSplit, Study, Task
from caffe_transfer.training.engine import CAFFE, CAFFE_TORCH, Engine
from caffe_transfer.training.train import Settings
from tests.images import write_images
from tests.small_study import write_study


@pytest.fixture
def given_images(tmp_path: Path) -> Path:
    """Four classes, of which one training image of each part cannot be used."""
    given = tmp_path / "given"
    for part, count in (("train", 24), ("valid", 12)):
        images = write_images(given / part, count, broken=4, classes=4)
        (given / f"{part}.txt").write_text(
            "".join(f"{part}/{p} {i}\n" for p, i in zip(images.paths, images.labels, strict=True))
        )
    return given


def study(*names: str, **custom: CustomSplit) -> Study:
    plain = load_study("fashion-mnist")
    images = replace(
        plain.images, source="list", classes=4, channels=3, size=8, train_per_class=None,
        valid_per_class=None,
    )  # fmt: skip
    networks = tuple(map(Network.parse, names))
    return replace(plain, images=images, networks=networks, custom_splits=custom)


ALL = ("netbase", "half0A", "half0B", "half1A", "reduced-0002", "reduced-0006")


@pytest.mark.parametrize(
    ("names", "there", "converted", "base"),
    [
        ("netbase half0A reduced-0002", "", "whole_train", "whole_train"),
        ("netbase", "", "whole_train", None),
        ("half0A", "", "half0A_train", None),
        ("half0A half0B", "", "half0A_train half0B_train", None),
        ("half0A half1A", "", "whole_train", "whole_train"),
        ("half0A half1A", "half1A_train", "half0A_train", None),
        ("half0A half1A", "whole_train", "", "whole_train"),
        ("reduced-0002 reduced-0010", "", "reduced-0010_train", "reduced-0010_train"),
        ("reduced-0002 half0A", "", "whole_train", "whole_train"),
        ("halfmineA halfmineB", "", "halfmineA_train halfmineB_train", None),
        ("halfbothA halfbothB", "", "whole_train", "whole_train"),
    ],
)
def test_no_image_is_decoded_twice(names: str, there: str, converted: str, base: str) -> None:
    own = study(
        *names.split(),
        mine=CustomSplit(Task(("0",)), Task(("1", "2"))),
        both=CustomSplit(Task(("0",)), Task("all")),
    )
    found = next(iter(plans(own, there.split())))
    assert (found.converted, found.base) == (tuple(converted.split()), base)
    made = {*found.converted, *found.taken, *there.split()}
    assert made >= {name for name in data_sets(own) if part_of(name) == "train"}


def test_nothing_is_missing() -> None:
    assert list(plans(study("netbase"), ["whole_train", "whole_valid"])) == []
    assert list(plans(study("netbase"), ["whole_valid"])) == [Plan(("whole_train",), None, ())]


def stored(path: Path) -> list[tuple[bytes, bytes]]:
    with lmdb.open(str(path), readonly=True, lock=False) as env, env.begin() as transaction:
        return list(transaction.cursor())


def as_converted(own: Study, run: RunFolder, folder: Path) -> dict[str, list[tuple[bytes, bytes]]]:
    """The records of each data set, had it been made of its images by itself."""
    found = {}
    whole = lists.read(run.data.list("whole_train"))
    for name in data_sets(own):
        part = part_of(name)
        lmdbs.write_lmdb(
            lists.read(run.data.list(name)), run.images / part, folder / name, size=8,
            shuffle=1 if part == "train" else None, whole=whole if part == "train" else None,
        )  # fmt: skip
        found[name] = stored(folder / name)
    return found


def test_databases_from_views_from_databases(
    given_images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = study(*ALL)
    folder = RunFolder(tmp_path / "run")
    decoded: list[str] = []
    real = decode_pool.decoded

    def counting(store, names, *rest):  # type: ignore[no-untyped-def]
        decoded.extend(names)
        return real(store, names, *rest)

    monkeypatch.setattr(conversion, "decoded", counting)
    monkeypatch.setattr(means, "decoded", counting)
    said = prepare(own, folder, given_images, views=True)
    assert len(decoded) == 24 + 12
    views = {name for name in data_sets(own) if is_view(folder.data.lmdb(name))}
    assert views == {
        "half0A_train", "half0B_train", "half1A_train", "reduced-0002_train", "half0A_valid",
        "half0B_valid", "half1A_valid",
    }  # fmt: skip
    assert folder.data.lmdb("reduced-0006_train").samefile(folder.data.lmdb("whole_train"))
    warnings = validation_warnings(own, folder.data)
    before = {
        path: path.stat().st_mtime_ns for path in folder.data.root.glob("*/**/*") if path.is_file()
    }  # fmt: skip
    assert prepare(own, folder, views=True) == said
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert prepare(own, folder) == said
    assert len(decoded) == 24 + 12
    expected = as_converted(own, folder, tmp_path / "own")
    for name in data_sets(own):
        assert not is_view(folder.data.lmdb(name))
        assert stored(folder.data.lmdb(name)) == expected[name]
    assert folder.data.lmdb("reduced-0006_train").is_symlink()
    assert validation_warnings(own, folder.data) == warnings
    databases = {name: folder.data.lmdb(name).stat().st_ino for name in data_sets(own)}
    assert prepare(own, folder, views=True) == said
    assert databases == {name: folder.data.lmdb(name).stat().st_ino for name in data_sets(own)}


def test_a_whole_that_is_there_already(
    given_images: Path, tmp_path: Path, caffe_prefix: Path
) -> None:
    """Made by convert_imageset, in an order of its own."""
    own, folder = study("half0A", "half1A"), RunFolder(tmp_path / "run")
    listed = (given_images / "train.txt").read_text().splitlines()
    (tmp_path / "list.txt").write_text("".join(f"{line}\n" for line in reversed(listed)))
    folder.data.lmdb("whole_train").parent.mkdir(parents=True)
    subprocess.run(
        [
            caffe_prefix / "bin/convert_imageset", "--resize_height=8", "--resize_width=8",
            f"{given_images}/", tmp_path / "list.txt", folder.data.lmdb("whole_train"),
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    prepare(own, folder, given_images, views=True)
    for name in ("half0A_train", "half1A_train"):
        assert read_view(folder.data.lmdb(name)).database == folder.data.lmdb("whole_train")
    assert is_view(folder.data.lmdb("half0A_valid"))
    shutil.rmtree(folder.data.lmdb("half0A_train"))
    paths.record(folder.data.lmdb("half0A_train")).unlink()
    (tmp_path / "list.txt").write_text(f"{listed[0]}\n{listed[0]}\n")
    shutil.rmtree(folder.data.lmdb("whole_train"))
    subprocess.run(
        [
            caffe_prefix / "bin/convert_imageset", "--resize_height=8", "--resize_width=8",
            f"{given_images}/", tmp_path / "list.txt", folder.data.lmdb("whole_train"),
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    with pytest.raises(BadInput, match=r"is a view of another database than .*of another size"):
        prepare(own, folder, views=True)
    shutil.rmtree(folder.data.lmdb("half1A_train"))
    with pytest.raises(BadInput, match=r"whole_train/lmdb has a record 0.*that it has twice; rem"):
        prepare(own, folder, views=True)


def test_a_whole_that_was_removed_is_made_again(given_images: Path, tmp_path: Path) -> None:
    own, folder = study(*ALL), RunFolder(tmp_path / "run")
    prepare(own, folder, given_images, views=True)
    before = {name: check_lmdb(folder.data.lmdb(name)) for name in data_sets(own)}
    shutil.rmtree(folder.data.lmdb("whole_train"))
    prepare(study("half0A", "reduced-0006"), folder, views=True)
    prepare(own, folder, views=True)
    assert {name: check_lmdb(folder.data.lmdb(name)) for name in data_sets(own)} == before
    shutil.rmtree(folder.data.lmdb("whole_train"))
    prepare(study("reduced-0006", "reduced-0002"), folder, views=True)
    assert not folder.data.lmdb("reduced-0006_train").is_symlink()


def test_a_report_where_the_whole_is_gone(given_images: Path, tmp_path: Path) -> None:
    own, folder = study("netbase", "half0A"), RunFolder(tmp_path / "run")
    prepare(own, folder, given_images, views=True)
    network = write_network(Network.parse("half0A"), own, folder.results)
    found = check_lmdb(folder.data.lmdb("half0A_valid"))
    assert SettingsReader().read(network).validation_set == found
    shutil.rmtree(folder.data.lmdb("whole_valid"))
    assert SettingsReader().read(network).validation_set == 6  # in the list beside


def test_a_class_without_an_image_is_named_whoever_reads_it(
    given_images: Path, tmp_path: Path
) -> None:
    for line in (given_images / "valid.txt").read_text().splitlines():
        if line.endswith(" 1"):
            (given_images / line.split()[0]).write_bytes(b"no image")
    own = study("half0A", "half1A", "half1B")
    with pytest.raises(
        BadInput, match=r"class \d has no validation image that can be used: 3 not an im"
    ):
        prepare(own, RunFolder(tmp_path / "run"), given_images, views=True)


class TestEngines:
    """A small study run by one engine and by the other."""

    @pytest.fixture
    def small(self, tmp_path: Path) -> Study:
        return load_study(str(write_study(tmp_path)))

    @pytest.fixture
    def torch(self) -> Engine:
        pytest.importorskip("torch", reason="no PyTorch here; pip install 'caffe-transfer[torch]'")
        return Engine(CAFFE_TORCH, Path(sys.executable).with_name(CAFFE_TORCH))

    def run(self, small: Study, folder: Path, engine: Engine) -> RunFolder:
        options = RunOptions(
            settings=Settings(engine, threads=1, keep_snapshots="all"),
            images_from=folder.parent / "given",
        )
        failed: list[str] = []
        done = Callbacks(ended=lambda result: failed.append(result.reason))
        run(small, folder, options=options, callbacks=done)
        assert not any(failed)
        return RunFolder(folder)

    def test_the_same_snapshots_from_views_and_from_databases(
        self, small: Study, torch: Engine, tmp_path: Path
    ) -> None:
        small = replace(small, networks=small.networks[:3])
        forced = replace(small, images=replace(small.images, databases="lmdb"))
        seen = self.run(small, tmp_path / "views", torch)
        stored_ones = self.run(forced, tmp_path / "databases", torch)
        assert is_view(seen.data.lmdb("half0A_train"))
        assert not is_view(stored_ones.data.lmdb("half0A_train"))
        snapshots = [path.relative_to(seen.root) for path in seen.root.rglob("net_iter_*")]
        assert len(snapshots) == 18
        for path in snapshots:
            assert (seen.root / path).read_bytes() == (stored_ones.root / path).read_bytes()

    def test_caffe_goes_on_where_caffe_torch_began(
        self, small: Study, torch: Engine, caffe_bin: Path, tmp_path: Path
    ) -> None:
        one = replace(small, networks=small.networks[:1])
        folder = self.run(one, tmp_path / "run", torch)
        prepare_run(small, folder.root)
        assert is_view(folder.data.lmdb("half0A_train"))
        self.run(small, folder.root, Engine(CAFFE, caffe_bin))
        assert check_lmdb(folder.data.lmdb("half0A_train"), classes=2) == 8
        assert not is_view(folder.data.lmdb("half0A_train"))
        before = folder.data.lmdb("half0A_train").stat().st_ino
        prepare_run(small, folder.root)
        assert folder.data.lmdb("half0A_train").stat().st_ino == before

    def test_caffe_trains_alike_on_copies_and_on_what_its_own_tool_makes(
        self, small: Study, caffe_bin: Path, caffe_prefix: Path, tmp_path: Path
    ) -> None:
        small, engine = replace(small, networks=small.networks[:3]), Engine(CAFFE, caffe_bin)
        copies, own = RunFolder(tmp_path / "copies"), RunFolder(tmp_path / "own")
        prepare_run(small, copies.root, images_from=tmp_path / "given", reads_views=True)
        assert is_view(copies.data.lmdb("half0A_train"))
        self.run(small, copies.root, engine)
        shutil.copytree(copies.data.root, own.data.root, symlinks=True)
        for name in data_sets(small):
            database, listed = own.data.lmdb(name), tmp_path / f"{name}.txt"
            with open_lmdb(database) as environment, environment.begin() as transaction:
                listed.write_text(
                    "".join(
                        f"{bytes(key).decode().split('_', 1)[1]} "
                        f"{pb.Datum.FromString(value).label}\n"
                        for key, value in transaction.cursor()
                    )
                )
            if database.is_symlink():
                database.unlink()
            else:
                shutil.rmtree(database)
            paths.record(database).unlink()
            subprocess.run(
                [
                    caffe_prefix / "bin/convert_imageset", "--gray", "--resize_height=28",
                    "--resize_width=28", f"{tmp_path}/given/", listed, database,
                ],
                check=True, capture_output=True,
            )  # fmt: skip
        self.run(small, own.root, engine)
        snapshots = [path.relative_to(own.root) for path in own.root.rglob("net_iter_*")]
        assert len(snapshots) == 12
        for path in snapshots:
            assert (own.root / path).read_bytes() == (copies.root / path).read_bytes()

    def test_what_an_engine_cannot_read(self, small: Study, tmp_path: Path) -> None:
        forced = replace(small, images=replace(small.images, databases="view"))
        with pytest.raises(
            BadInput, match=r'images\.databases = "view", which only caffe-torch ca'
        ):
            self.run(forced, tmp_path / "run", Engine(CAFFE, Path("/bin/false")))
        assert not (tmp_path / "run").exists()
        with pytest.raises(EngineError):
            self.run(small, tmp_path / "run", Engine(CAFFE, Path("/bin/false")))
