"""A new study from images, net and model to the text of its file; the pace is given."""

import tomllib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from caffe_transfer.data_prep.disk import record_bytes
from caffe_transfer.errors import BadInput, FormatError, Incomplete
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.nets.find import find_net
from caffe_transfer.nets.render import plain_net
from caffe_transfer.nets.shapes import parameter_shapes
from caffe_transfer.nets.sources import source_of
from caffe_transfer.new_study.plan import Plan, examine, plan_study, write_plan
from caffe_transfer.new_study.request import Request
from caffe_transfer.studies.load import load_study
from caffe_transfer.studies.study import Study
from caffe_transfer.training.engine import Engine
from caffe_transfer.training.train import Settings
from caffe_transfer.training.trial import Pace
from tests.models import write_model

SETTINGS = Settings(Engine("caffe", Path("/bin/true")))
RESIDUAL = Path(__file__).parent / "data/residual.prototxt"
CLASSES = ("cat", "dog", "car", "boat")


def planned(request: Request, iteration: float = 0.01) -> Plan:
    return plan_study(examine(request), SETTINGS, measure=lambda *_: Pace(0.1, iteration, 0.01))


def write_photos(
    root: Path,
    classes: Sequence[str] = CLASSES,
    count: int = 10,
    side: int = 40,
    gray: bool = False,
) -> Path:
    random = np.random.default_rng(0)
    for name in classes:
        (root / name).mkdir(parents=True)
        for number in range(count):
            pixels = random.integers(0, 256, (side, side, 3), np.uint8)
            image = pixels[..., 0] if gray else pixels
            (root / name / f"{number}.png").write_bytes(cv2.imencode(".png", image)[1].tobytes())
    return root


def write_weights(study: Study, path: Path, without: str = "") -> Path:
    """A model of a study's net, of zeros."""
    shapes = parameter_shapes(plain_net(study), source_of(study).input_shape)
    model = pb.NetParameter(name="given")
    for name, blobs in shapes.items():
        if name != without:
            blob = [
                pb.BlobProto(shape=pb.BlobShape(dim=each), data=np.zeros(each, np.float32).ravel())
                for each in blobs
            ]
            model.layer.add(name=name, type="Convolution", blobs=blob)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_photos(tmp_path / "photos")


class TestHalves:
    def test_small_images(self, photos: Path) -> None:
        plan = planned(Request(photos.parent / "mine.toml", photos))
        study = plan.study
        assert (study.name, study.net, study.cuts) == ("mine", "mini", None)
        images = study.images
        assert (images.size, images.crop, images.channels, images.classes) == (40, 35, 3, 4)
        assert images.valid_fraction == 0.2
        assert len(study.networks) == 30
        assert (study.batch, study.test_batch, study.solver.test_iter) == (4, 4, 1)
        assert study.solver.stepvalue == (
            study.solver.max_iter // 2, study.solver.max_iter * 3 // 4
        )  # fmt: skip
        assert study.seconds_per_iteration is not None
        assert plan.cost.data_bytes == 4 * 10 * record_bytes(3 * 40 * 40)

    def test_what_is_written_is_what_was_planned(self, photos: Path) -> None:
        plan = planned(Request(photos.parent / "mine.toml", photos))
        assert not plan.request.file.exists()
        write_plan(plan)
        read = load_study(str(plan.request.file))
        assert replace(read, about="") == plan.study
        assert read.about.startswith("caffe-transfer run mine.toml\n\nUp to which layer do")
        assert tomllib.loads(plan.text)["images"]["path"] == "photos"
        before = plan.request.file.read_bytes()
        with pytest.raises(BadInput, match="is there already"):
            write_plan(plan)
        assert plan.request.file.read_bytes() == before

    def test_gray_images_of_a_divided_folder(self, tmp_path: Path) -> None:
        for part in ("train", "valid"):
            write_photos(tmp_path / "photos" / part, gray=True)
        study = planned(Request(tmp_path / "mine.toml", tmp_path / "photos")).study
        assert (study.images.channels, study.images.valid_fraction) == (1, None)
        assert study.solver.test_iter * study.test_batch == 20

    @pytest.mark.parametrize("name", ['it\'s "mine" é ü', "a\\b", "#1 = [x]", "日本"])
    def test_names_that_need_quotes(self, tmp_path: Path, name: str) -> None:
        photos = write_photos(tmp_path / name / "fotos ä", classes=["Bär", "a b", "c'd", 'e"f'])
        net = tmp_path / name / "net ü.prototxt"
        net.write_bytes(RESIDUAL.read_bytes())
        file = tmp_path / name / f"{name}.toml"
        plan = planned(Request(file, photos, net=str(net)))
        write_plan(plan)
        assert replace(load_study(str(file)), about="") == plan.study
        assert Path(str(plan.study.images.path)).samefile(photos)
        assert Path(plan.study.net).samefile(net)

    def test_large_images_get_the_papers_net_if_there_is_time(self, tmp_path: Path) -> None:
        photos = write_photos(tmp_path / "photos", side=80, count=5)
        request = Request(tmp_path / "mine.toml", photos)
        large = planned(request).study
        assert (large.net, large.images.size, large.images.crop) == ("caffenet", 256, 227)
        small = plan_study(
            examine(request),
            SETTINGS,
            measure=lambda study, *_: Pace(0.1, 9 if study.net == "caffenet" else 0.1, 0.01),
        )
        assert (small.study.net, small.study.images.size) == ("mini", 64)
        assert "caffenet, would need more time" in small.text

    def test_what_is_left_out_where_time_is_short(self, photos: Path) -> None:
        request = Request(photos.parent / "mine.toml", photos)
        found = [planned(request, iteration=pace) for pace in (0.5, 0.7, 0.9, 1.4)]
        assert [len(each.study.networks) for each in found] == [30, 23, 17, 11]
        assert found[0].layout.left_out == ()
        assert "Left out, since time is short: the fine-tuned selffers and 2 of 7 cuts" in (
            found[2].text
        )
        assert found[2].study.cuts is not None
        with pytest.raises(BadInput, match=r"--minutes 60 is too short: .* give --minutes 5\d\d"):
            planned(request, iteration=20)


class TestNet:
    def test_a_prototxt(self, photos: Path) -> None:
        plan = planned(Request(photos.parent / "mine.toml", photos, net=str(RESIDUAL)))
        assert plan.study.net == str(RESIDUAL.absolute())
        assert plan.study.cuts is None
        assert plan.draft.match is None

    def test_images_as_the_net_sees_them(self, photos: Path, shared: Path) -> None:
        net = shared / "nets/squeezenet_v1.1_train_val.prototxt"
        study = planned(Request(photos.parent / "mine.toml", photos, net=str(net))).study
        assert (study.images.size, study.images.crop, study.images.channels) == (256, 227, 3)
        assert study.cuts is not None
        assert len(study.cuts) == 7
        assert study.cuts[0] == "conv1"

    def test_nets_that_cannot_be_used(self, photos: Path, tmp_path: Path) -> None:
        file, bad = tmp_path / "mine.toml", tmp_path / "bad.prototxt"
        bad.write_text('layer { name: "data" type: "Data" top: "data" top: "label" }')
        with pytest.raises(BadInput, match="no loss"):
            planned(Request(file, photos, net=str(bad)))
        bad.write_text("layer {")
        with pytest.raises(FormatError):
            planned(Request(file, photos, net=str(bad)))
        with pytest.raises(Incomplete, match=r"gone\.prototxt"):
            planned(Request(file, photos, net=str(tmp_path / "gone.prototxt")))
        with pytest.raises(BadInput, match="there is no net 'vgg'; name a prototxt or one of"):
            planned(Request(file, photos, net="vgg"))
        assert not file.exists()


class TestWeights:
    @pytest.fixture
    def weights(self, photos: Path) -> Path:
        study = planned(Request(photos.parent / "mine.toml", photos)).study
        return write_weights(study, photos.parent / "given.caffemodel")

    def test_the_given_base(self, photos: Path, weights: Path) -> None:
        request = Request(photos.parent / "mine.toml", photos, net="mini", weights=weights)
        plan = planned(request)
        assert len(plan.study.networks) == 29
        assert plan.study.custom_splits["mine"].A.model == str(weights)
        assert tomllib.loads(plan.text)["splits"]["mine"] == {
            "A": {"model": "given.caffemodel"}, "B": {"classes": "all"},
        }  # fmt: skip
        assert plan.draft.match is not None
        assert plan.draft.match.others == ("fc8",)  # of two classes there, of four here
        assert len(plan.draft.match.same) == 7

    def test_the_built_in_net_that_fits(self, photos: Path, weights: Path) -> None:
        request = Request(photos.parent / "mine.toml", photos, weights=weights)
        assert planned(request).study.net == "mini"

    def test_a_model_of_another_net(self, photos: Path, weights: Path, tmp_path: Path) -> None:
        file, other = tmp_path / "mine.toml", tmp_path / "other.caffemodel"
        write_model(other)
        with pytest.raises(BadInput, match=r"lacks layers .*conv3.* of the net"):
            planned(Request(file, photos, net="mini", weights=other))
        with pytest.raises(BadInput, match=r"is a model of no built-in net .*; name its net with"):
            planned(Request(file, photos, weights=other))
        with pytest.raises(BadInput, match="layer conv1"):
            planned(Request(file, photos, net="caffenet", weights=weights))
        other.write_bytes(b"no model")
        for net in ("mini", None):
            with pytest.raises(FormatError):
                planned(Request(file, photos, net=net, weights=other))
            with pytest.raises(Incomplete, match="there is no"):
                planned(Request(file, photos, net=net, weights=tmp_path / "gone.caffemodel"))

    def test_a_model_of_gray_images(self, photos: Path, tmp_path: Path) -> None:
        """What the model's first layer reads, not what the images are."""
        gray = write_photos(tmp_path / "gray", gray=True)
        study = planned(Request(tmp_path / "old.toml", gray)).study
        weights = write_weights(study, tmp_path / "gray.caffemodel")
        found = planned(Request(tmp_path / "mine.toml", photos, net="mini", weights=weights))
        assert found.study.images.channels == 1


def test_the_built_in_nets_are_those_of_the_package() -> None:
    for net in ("mini", "caffenet"):
        assert find_net(net).layer
