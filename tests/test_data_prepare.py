"""prepare: everything that a study's networks read, and nothing twice."""

import hashlib
import json
import shutil
import socket
import subprocess
import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import cv2
import pytest

from caffe_transfer import paths
from caffe_transfer.data_prep import lists, means, splits
from caffe_transfer.data_prep.lists import ImageList
from caffe_transfer.data_prep.plan import data_sets
from caffe_transfer.data_prep.prepare import (
    prepare,
    validation_warnings,
)
from caffe_transfer.data_prep.splits import Halves
from caffe_transfer.data_prep.study_mean import parts_of_whole
from caffe_transfer.errors import BadInput, Interrupted
from caffe_transfer.formats.hashes import sha256
from caffe_transfer.formats.lmdb import check_lmdb, open_lmdb
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.paths import DataFolder, RunFolder
from caffe_transfer.studies.load import load_study
from caffe_transfer.studies.network import Mode, Network
from caffe_transfer.studies.study import CustomSplit, Images, Study, Task
from tests.images import count_reads, write_images


@pytest.fixture
def given_images(tmp_path: Path) -> Path:
    """Four classes, a dozen training and a handful of validation images."""
    given = tmp_path / "given"
    for part, count in (("train", 16), ("valid", 8)):
        images = write_images(given / part, count, classes=4)
        (given / f"{part}.txt").write_text(
            "".join(f"{part}/{p} {i}\n" for p, i in zip(images.paths, images.labels, strict=True))
        )
    return given


def study(*networks: Network, **images: int) -> Study:
    plain = load_study("fashion-mnist")
    small = Images(source="list", classes=4, channels=3, size=8, **images)  # type: ignore[arg-type]
    return replace(plain, images=small, networks=networks)


HALF_A = Network(mode=Mode.BASE, target="A", split="0")
HALF_B = Network(mode=Mode.BASE, target="B", split="0")
WHOLE = Network(mode=Mode.BASE)
REDUCED = Network(mode=Mode.REDUCED, per_class=2)


def entries(run: RunFolder) -> dict[str, int]:
    return {
        path.parent.name: check_lmdb(path, shape=(3, 8, 8)) for path in run.data.root.glob("*/lmdb")
    }


def test_all_that_the_networks_read(given_images: Path, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    assert prepare(study(HALF_A, WHOLE, REDUCED), run, given_images) == []
    assert entries(run) == {
        "half0A_train": 8, "half0A_valid": 4, "whole_train": 16, "whole_valid": 8,
        "reduced-0002_train": 8,
    }  # fmt: skip
    assert run.data.mean.is_file()


def test_the_second_time_nothing_is_done(given_images: Path, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    prepare(study(HALF_A, HALF_B), run, given_images)
    before = {path: path.stat().st_mtime_ns for path in run.root.rglob("*") if path.is_file()}
    prepare(study(HALF_A, HALF_B), run)
    after = {path: path.stat().st_mtime_ns for path in run.root.rglob("*") if path.is_file()}
    changed = {path.name for path in before if before[path] != after[path]}
    assert changed <= {"half0_labels.txt"}
    assert set(before) == set(after)


def test_a_half_written_database_is_made_anew(given_images: Path, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    leftover = run.data.root / "half0A_train" / f".lmdb.0.99999999@{socket.gethostname()}.part"
    leftover.mkdir(parents=True)
    prepare(study(HALF_A, HALF_B), run, given_images)
    assert entries(run)["half0A_train"] == 8
    assert not leftover.exists()


def test_limits_of_images_a_class(given_images: Path, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    prepare(study(WHOLE, train_per_class=3, valid_per_class=1), run, given_images)
    assert entries(run) == {"whole_train": 12, "whole_valid": 4}


def test_training_records_are_shuffled_and_lists_are_not(
    given_images: Path, tmp_path: Path
) -> None:
    run = RunFolder(tmp_path / "run")
    prepare(study(WHOLE), run, given_images)
    listed = [line.split()[0] for line in run.data.list("whole_train").read_text().splitlines()]
    with open_lmdb(run.data.lmdb("whole_train")) as env, env.begin() as transaction:
        written = [bytes(key).decode().split("_", 1)[1] for key, _ in transaction.cursor()]
    assert sorted(written) == sorted(listed)
    assert written != listed


def keys(run: RunFolder, name: str) -> list[str]:
    with open_lmdb(run.data.lmdb(name)) as env, env.begin() as transaction:
        return [bytes(key).decode() for key, _ in transaction.cursor()]


def test_every_training_set_has_the_order_of_the_whole(given_images: Path, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    prepare(study(HALF_A, HALF_B, WHOLE, REDUCED), run, given_images)
    order = [key.split("_", 1)[1] for key in keys(run, "whole_train")]
    for name in ("half0A_train", "half0B_train", "reduced-0002_train"):
        found = keys(run, name)
        names = [key.split("_", 1)[1] for key in found]
        assert names == [each for each in order if each in names]
        assert found == [f"{number:08d}_{each}" for number, each in enumerate(names)]


def test_a_stopped_preparation_goes_on(given_images: Path, tmp_path: Path) -> None:
    one, two = RunFolder(tmp_path / "one"), RunFolder(tmp_path / "two")
    own = study(HALF_A, WHOLE)
    prepare(own, one, given_images)
    steps: list[tuple[str, int, int]] = []
    prepare(own, RunFolder(tmp_path / "counted"), given_images, lambda *each: steps.append(each))
    for last in range(1, len(steps) + 1):
        stop, left = threading.Event(), iter(range(last))

        def progress(_step: str, _done: int, _total: int, stop=stop, left=left) -> None:  # type: ignore[no-untyped-def]
            if next(left, None) is None:
                stop.set()

        with suppress(Interrupted):
            prepare(own, two, given_images, progress, stop)
    for name in data_sets(own):
        with (
            open_lmdb(one.data.lmdb(name)) as ours,
            open_lmdb(two.data.lmdb(name)) as theirs,
            ours.begin() as first,
            theirs.begin() as second,
        ):
            assert list(first.cursor()) == list(second.cursor())
    assert one.data.mean.read_bytes() == two.data.mean.read_bytes()
    assert not [*two.data.root.rglob("*unfinished*"), *two.data.root.rglob("*.sum*")]


def test_the_mean_is_summed_while_images_are_converted(
    given_images: Path, tmp_path: Path, caffe_prefix: Path
) -> None:
    run = RunFolder(tmp_path / "run")
    steps: set[str] = set()
    prepare(study(WHOLE), run, given_images, lambda step, *_: steps.add(step))
    assert "mean image" not in steps
    subprocess.run(
        [caffe_prefix / "bin/compute_image_mean", run.data.lmdb("whole_train"), tmp_path / "mean"],
        check=True, capture_output=True,
    )  # fmt: skip
    assert run.data.mean.read_bytes() == (tmp_path / "mean").read_bytes()


def test_broken_images_are_named(given_images: Path, tmp_path: Path) -> None:
    (given_images / "train/5.png").write_bytes(b"no image")
    run = RunFolder(tmp_path / "run")
    (warning,) = prepare(study(WHOLE), run, given_images)
    assert warning == (
        f"1 file was left out: 1 not an image ({given_images}/train/5.png); see "
        f"{run.data.root}/whole_train/lmdb.left_out.txt"
    )
    assert entries(run)["whole_train"] == 15
    record = json.loads((run.data.root / "whole_train/lmdb.json").read_text())
    assert (record["count"], record["left_out"]) == (15, 1)


def test_a_split_that_does_not_go_with_the_classes(given_images: Path, tmp_path: Path) -> None:
    natman = Network(mode=Mode.BASE, target="A", split="natman")
    with pytest.raises(BadInput, match="ILSVRC2012 synsets"):
        prepare(study(natman), RunFolder(tmp_path / "run"), given_images)


@pytest.mark.parametrize(
    "networks",
    [
        [REDUCED],
        [HALF_A],
        [Network(mode=Mode.BASE, target=side, split="mine") for side in "AB"],
    ],
    ids=["reduced sets alone", "one half alone", "a split without classes 2 and 3"],
)
def test_the_mean_is_of_the_whole_training_set(
    given_images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caffe_prefix: Path,
    networks: list[Network],
) -> None:
    custom = {"mine": CustomSplit(Task(("0",)), Task(("1",)))}
    one, two = RunFolder(tmp_path / "one"), RunFolder(tmp_path / "two")
    seen = count_reads(monkeypatch)
    prepare(replace(study(*networks), custom_splits=custom), one, given_images)
    trained = [name for name in seen if name.startswith("train/")]
    assert sorted(trained) == sorted(f"train/{number}.png" for number in range(16))  # once each
    prepare(study(WHOLE), two, given_images)
    assert set(entries(one)) == {n for e in networks for n in (e.train_data, e.valid_data)}
    # The database that holds all of them, as Caffe's own tool sums it.
    subprocess.run(
        [caffe_prefix / "bin/compute_image_mean", two.data.lmdb("whole_train"), tmp_path / "mean"],
        check=True, capture_output=True,
    )  # fmt: skip
    assert one.data.mean.read_bytes() == (tmp_path / "mean").read_bytes()
    record = json.loads(paths.record(one.data.mean).read_text())
    assert record["lists"]["whole_train"] == sha256(one.data.list("whole_train"))
    assert not list(one.data.root.rglob("*.sum*"))


def test_a_damaged_image_is_not_in_the_mean_and_is_read_once(
    given_images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):  # one image of each class, two of the half
        (given_images / f"train/{number}.png").write_bytes(b"no image")
    one, two = RunFolder(tmp_path / "one"), RunFolder(tmp_path / "two")
    seen = count_reads(monkeypatch)
    prepare(study(HALF_A), one, given_images)
    assert len([name for name in seen if name.startswith("train/")]) == 16
    prepare(study(WHOLE), two, given_images)
    assert one.data.mean.read_bytes() == two.data.mean.read_bytes()


def test_a_stopped_mean_goes_on(
    given_images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(means, "KEEP_SECONDS", 0.0)
    run, other = RunFolder(tmp_path / "run"), RunFolder(tmp_path / "other")

    def stop_at_five(step: str, done: int, total: int) -> None:
        if step == "mean image" and done >= 5:
            raise Interrupted("stopped")

    monkeypatch.setattr(means, "paced", lambda progress: progress)
    with pytest.raises(Interrupted):
        prepare(study(HALF_A), run, given_images, stop_at_five)
    assert not run.data.mean.exists()
    seen = count_reads(monkeypatch)
    prepare(study(HALF_A), run, given_images)
    assert len(seen) == 3
    prepare(study(HALF_A), other, given_images)
    assert run.data.mean.read_bytes() == other.data.mean.read_bytes()
    assert not list(run.data.root.rglob("*.sum*"))


@pytest.mark.parametrize(
    ("known", "halves", "expected"),
    [
        ("whole_train halfxA_train halfxB_train", Halves((0, 1), (2,)), "whole_train"),
        ("halfxA_train halfxB_train", Halves((0, 2), (1,)), "halfxA_train halfxB_train"),
        ("halfxA_train halfxA_valid", Halves((0, 2), (1,)), "halfxA_train"),
        ("halfxA_train halfxB_train", Halves((0,), (1,)), "halfxA_train halfxB_train"),
        ("halfxA_train halfxB_train", Halves((0, 1), (1,)), "halfxA_train"),  # 1 is in both
        ("halfxA_train halfxB_train", Halves((0, 1), (0, 1, 2)), "halfxB_train"),
        ("halfxB_train", Halves((), (0, 1, 2)), "halfxB_train"),
        ("reduced-0001_train reduced-0002_train", Halves((0,), (1,)), "reduced-0002_train"),
        ("whole_valid", Halves((0,), (1,)), ""),
    ],
)
def test_databases_that_hold_many_images_once(
    known: str, halves: Halves, expected: str, tmp_path: Path
) -> None:
    data = DataFolder(tmp_path)
    whole = ImageList(tuple(map(str, range(9))), (0, 1, 2) * 3)
    splits.write_whole({"train": whole, "valid": whole}, data)
    for name, classes in (("halfxA", halves.a), ("halfxB", halves.b)):
        lists.write(whole.relabel(classes), data.list(f"{name}_train"))
    for count in (1, 2):
        splits.write_reduced(count, whole, data)
    assert parts_of_whole(known.split(), data, {"x": halves}) == expected.split()


def test_tasks_of_all_classes_and_of_none(given_images: Path, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    target = Network(mode=Mode.BASE, target="B", split="mine")
    own = replace(study(target), custom_splits={"mine": CustomSplit(Task(model="x"), Task("all"))})
    prepare(own, run, given_images)
    assert entries(run) == {"halfmineB_train": 16, "halfmineB_valid": 8}
    assert sorted(each.name for each in run.data.root.iterdir()) == [
        "halfmineB_train", "halfmineB_valid", "halfmine_labels.txt", "mean.binaryproto",
        "mean.binaryproto.json", "whole_train", "whole_valid",
    ]  # fmt: skip


def test_a_study_that_grows_keeps_its_mean(given_images: Path, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    prepare(study(HALF_A, HALF_B), run, given_images)
    before = run.data.mean.stat().st_ino
    prepare(study(HALF_A, HALF_B, WHOLE, REDUCED), run)
    assert run.data.mean.stat().st_ino == before
    assert "whole_train" in entries(run)


class TestDatabasesKnowWhatTheyWereMadeOf:
    @pytest.fixture
    def run(self, given_images: Path, tmp_path: Path) -> RunFolder:
        run = RunFolder(tmp_path / "run")
        prepare(study(WHOLE), run, given_images)
        return run

    def test_the_record(self, run: RunFolder) -> None:
        record = json.loads((run.data.root / "whole_train/lmdb.json").read_text())
        listed = run.data.list("whole_train").read_bytes()
        assert record["list_sha256"] == hashlib.sha256(listed).hexdigest()
        assert record["bytes"] == (run.data.lmdb("whole_train") / "data.mdb").stat().st_size
        assert record["versions"]["opencv"] == cv2.__version__
        expected = {
            "size": 8, "channels": 3, "shuffle": 1, "order_of": None, "count": 16, "left_out": 0,
        }  # fmt: skip
        assert {key: record[key] for key in expected} == expected
        mean = json.loads((run.data.root / "mean.binaryproto.json").read_text())
        assert mean["lists"] == {"whole_train": record["list_sha256"]}

    def test_other_images(self, run: RunFolder) -> None:
        with pytest.raises(
            BadInput, match=r"whole_train/lmdb was made from other images than .*files.txt lists"
        ):
            prepare(study(WHOLE, train_per_class=2), run)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"size": 9}, "with size 8, and 9 is wanted; remove .*whole_train/lmdb"),
            ({"channels": 1}, "with channels 3, and 1 is wanted"),
        ],
    )
    def test_another_form(self, run: RunFolder, change: dict[str, int], message: str) -> None:
        plain = study(WHOLE)
        changed = replace(plain, images=replace(plain.images, **change))  # type: ignore[arg-type]
        with pytest.raises(BadInput, match=message):
            prepare(changed, run)

    def test_the_mean_of_other_images(self, run: RunFolder) -> None:
        shutil.rmtree(run.data.root / "whole_train")
        shutil.rmtree(run.data.root / "whole_valid")
        with pytest.raises(BadInput, match=r"mean\.binaryproto was made of other images than"):
            prepare(study(WHOLE, train_per_class=2), run)

    def test_one_that_was_shuffled_by_itself_stays(
        self, given_images: Path, tmp_path: Path
    ) -> None:
        """As every training set once was."""
        run = RunFolder(tmp_path / "halves")
        prepare(study(HALF_A, HALF_B), run, given_images)
        file = paths.record(run.data.lmdb("half0A_train"))
        record = json.loads(file.read_text())
        assert record["order_of"] == sha256(run.data.list("whole_train"))
        del record["order_of"]
        record["broken"] = record.pop("left_out")
        file.write_text(json.dumps(record))
        assert prepare(study(HALF_A, HALF_B), run) == []

    def test_one_in_the_order_of_another_whole(self, given_images: Path, tmp_path: Path) -> None:
        run = RunFolder(tmp_path / "reduced")
        own = replace(study(REDUCED), solver=study(WHOLE).solver)
        prepare(replace(own, images=replace(own.images, train_per_class=3)), run, given_images)
        run.data.mean.unlink()
        with pytest.raises(
            BadInput,
            match=r"reduced-0002_train/lmdb was made in the order of another list than .*"
            r"whole_train/files\.txt; remove .*lmdb to make it anew",
        ):
            prepare(own, run)

    def test_a_database_that_was_exchanged(self, run: RunFolder) -> None:
        with (run.data.lmdb("whole_train") / "data.mdb").open("ab") as file:
            file.write(bytes(4096))
        with pytest.raises(BadInput, match=r"not the database that .* describes; remove that"):
            prepare(study(WHOLE), run)

    def test_a_database_that_lost_its_data(self, run: RunFolder) -> None:
        (run.data.lmdb("whole_train") / "data.mdb").unlink()
        with pytest.raises(BadInput, match="not the database that"):
            prepare(study(WHOLE), run)

    def test_a_mean_that_was_exchanged(self, run: RunFolder) -> None:
        run.data.mean.write_bytes(b"")
        with pytest.raises(BadInput, match=r"not the mean that .* describes; remove that record"):
            prepare(study(WHOLE), run)

    @pytest.mark.parametrize("text", ["", "[]", "{}", "\udcff", "[" * 100_000])
    def test_a_record_that_is_none(self, run: RunFolder, text: str) -> None:
        record = run.data.root / "whole_valid/lmdb.json"
        record.write_bytes(text.encode(errors="surrogateescape"))
        with pytest.raises(BadInput, match=r"not a record of what lmdb was made of: .*; remove it"):
            prepare(study(WHOLE), run)

    @pytest.mark.parametrize(("gray", "side"), [(False, 12), (True, 8)])
    def test_without_a_record_its_images_have_the_shape(
        self, run: RunFolder, caffe_prefix: Path, tmp_path: Path, gray: bool, side: int
    ) -> None:
        database = run.data.lmdb("whole_train")
        shutil.rmtree(database)
        paths.record(database).unlink()
        subprocess.run(
            [caffe_prefix / "bin/convert_imageset", f"--resize_height={side}",
             f"--resize_width={side}", *(["--gray"] if gray else []), f"{tmp_path}/given/",
             run.data.list("whole_train"), database],
            check=True, capture_output=True,
        )  # fmt: skip
        shape = f"{1 if gray else 3}x{side}x{side}"
        with pytest.raises(BadInput, match=f"holds images of {shape}, and 3x8x8 is wanted; remove"):
            prepare(study(WHOLE), run)

    def test_a_mean_of_another_size_without_a_record(self, run: RunFolder) -> None:
        paths.record(run.data.mean).unlink()
        mean = pb.BlobProto(num=1, channels=3, height=9, width=9, data=[0.0] * 243)
        run.data.mean.write_bytes(mean.SerializeToString())
        with pytest.raises(BadInput, match=r"images of 3x9x9, and .* 3x8x8; remove .* anew"):
            prepare(study(WHOLE), run)

    def test_without_a_record_it_is_trusted(self, run: RunFolder) -> None:
        for record in run.data.root.rglob("*.json"):
            record.unlink()
        assert prepare(study(WHOLE, train_per_class=2), run) == []
        assert entries(run)["whole_train"] == 16


class TestStudyAgainstItsSource:
    def fails(self, given_images: Path, tmp_path: Path, wrong: Study, message: str) -> None:
        run = RunFolder(tmp_path / "run")
        with pytest.raises(BadInput, match=message):
            prepare(wrong, run, given_images)
        assert not run.data.root.exists()

    def test_number_of_classes(self, given_images: Path, tmp_path: Path) -> None:
        wrong = replace(study(WHOLE), images=Images(source="list", classes=5, channels=3, size=8))
        self.fails(
            given_images, tmp_path, wrong,
            r"classes = 5, but its source list has 4 classes; correct the study, or correct "
            r"the images and remove .*run/images to have them listed anew",
        )  # fmt: skip
        with (given_images / "train.txt").open("a") as train:
            train.write("train/1.png 4\n")
        with (given_images / "valid.txt").open("a") as valid:
            valid.write("valid/1.png 4\n")
        run = RunFolder(tmp_path / "run")
        shutil.rmtree(run.images)
        assert prepare(wrong, run, given_images) == []

    def test_classes_of_a_custom_split(self, given_images: Path, tmp_path: Path) -> None:
        wrong = replace(
            study(WHOLE), custom_splits={"pets": CustomSplit(Task(("0",)), Task(("cat",)))}
        )
        self.fails(given_images, tmp_path, wrong, "split pets of .*: task B names the class 'cat'")

    def test_natural_and_man_made(self, given_images: Path, tmp_path: Path) -> None:
        synsets = [*splits.ilsvrc12_synsets()[:3], splits.ilsvrc12_synsets()[500]]
        (given_images / "classes.txt").write_text("\n".join(synsets))
        natman = Network(mode=Mode.BASE, target="A", split="natman")
        images = Images(source="list", classes=4, channels=3, size=8, natman_classes=(2, 2))
        wrong = replace(study(natman), images=images)
        self.fails(given_images, tmp_path, wrong, r"has 3 natural and 1 man-made .* = \[3, 1\]")


def test_validation_images_that_tests_do_not_score_evenly(
    given_images: Path, tmp_path: Path
) -> None:
    run = RunFolder(tmp_path / "run")
    plain = study(HALF_A, WHOLE)  # 4 and 8 validation images
    prepare(plain, run, given_images)

    def warnings(test_iter: int, test_batch: int) -> list[str]:
        solver = replace(plain.solver, test_iter=test_iter)
        return validation_warnings(replace(plain, solver=solver, test_batch=test_batch), run.data)

    assert warnings(4, 2) == warnings(4, 4) == []
    (one,) = warnings(2, 2)
    assert "2 x 2 = 4 images" in one
    assert "whole_valid (8)" in one
    assert "half0A_valid" not in one
    assert "half0A_valid (4), whole_valid (8)" in warnings(3, 1)[0]


def test_data_sets() -> None:
    assert set(data_sets(load_study("fashion-mnist"))) == {
        "whole_train", "whole_valid", "half0A_train", "half0A_valid", "half0B_train",
        "half0B_valid", "half1A_train", "half1A_valid", "half1B_train", "half1B_valid",
    }  # fmt: skip


def test_tasks_that_overlap(given_images: Path, tmp_path: Path) -> None:
    networks = [Network(mode=Mode.BASE, target=side, split="mine") for side in "AB"]
    for split in (
        CustomSplit(Task(("0", "1")), Task(("1", "2")), overlap=True),
        CustomSplit(Task(("0", "1")), Task("all")),
    ):
        run = RunFolder(tmp_path / str(split.overlap))
        prepare(replace(study(*networks), custom_splits={"mine": split}), run, given_images)
        shared = "1"
        assert all(
            shared in (run.data.root / f"halfmine{side}_train/files.txt").read_text()
            for side in "AB"
        )


class TestTheMeanThatAStudyGives:
    def images(self, **changes: object) -> Study:
        return replace(study(WHOLE), images=replace(study(WHOLE).images, **changes))  # type: ignore[arg-type]

    def test_a_mean_image_is_copied(self, given_images: Path, tmp_path: Path) -> None:
        other = RunFolder(tmp_path / "other")
        prepare(study(WHOLE), other, given_images)
        mean = tmp_path / "mine.binaryproto"
        mean.write_bytes(other.data.mean.read_bytes())
        run = RunFolder(tmp_path / "run")
        prepare(self.images(mean=str(mean)), run, given_images)
        assert run.data.mean.read_bytes() == mean.read_bytes()
        prepare(self.images(mean=str(mean)), run, given_images)
        blob = pb.BlobProto.FromString(mean.read_bytes())
        blob.data[0] += 1
        mean.write_bytes(blob.SerializeToString())
        with pytest.raises(BadInput, match=r"mean\.binaryproto is another mean than .*mine"):
            prepare(self.images(mean=str(mean)), run, given_images)

    def test_of_another_size(self, given_images: Path, tmp_path: Path) -> None:
        mean = tmp_path / "mine.binaryproto"
        blob = pb.BlobProto(num=1, channels=3, height=2, width=2, data=[0] * 12)
        mean.write_bytes(blob.SerializeToString())
        with pytest.raises(BadInput, match=r"mine\.binaryproto is the mean of images of 3x2x2"):
            prepare(self.images(mean=str(mean)), RunFolder(tmp_path / "run"), given_images)

    def test_nor_does_a_net_with_mean_values(self, given_images: Path, tmp_path: Path) -> None:
        net = tmp_path / "net.prototxt"
        net.write_text(
            'layer { name: "d" type: "Data" top: "data" top: "label" '
            'transform_param { mean_value: 100 } data_param { source: "x" } }\n'
            'layer { name: "c" type: "Convolution" bottom: "data" top: "c" '
            "convolution_param { num_output: 2 kernel_size: 1 } }\n"
            'layer { name: "f" type: "InnerProduct" bottom: "c" top: "f" '
            "inner_product_param { num_output: 2 } }\n"
            'layer { name: "l" type: "SoftmaxWithLoss" bottom: "f" bottom: "label" }\n'
        )
        run = RunFolder(tmp_path / "run")
        prepare(study(WHOLE).with_net(str(net)), run, given_images)
        assert not run.data.mean.exists()

    def test_mean_values_need_no_mean(self, given_images: Path, tmp_path: Path) -> None:
        run = RunFolder(tmp_path / "run")
        prepare(self.images(mean_values=(104.0,)), run, given_images)
        assert not run.data.mean.exists()
