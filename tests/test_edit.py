"""Users' nets, edited: what changes, what stays, and what is refused."""

from dataclasses import replace
from typing import Any

import pytest
from google.protobuf import text_format

from caffe_transfer.errors import BadInput
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.prototxt import parse
from caffe_transfer.nets.edit import checked, deploy, seen_size, train_val
from caffe_transfer.nets.layers import classifiers
from caffe_transfer.nets.phases import TEST, TRAIN
from tests.edit_nets import (
    DATA,
    INPUT,
    SETTINGS,
    USERS_NETS,
    classifier,
    ending,
    learned,
    one_phase,
)  # fmt: skip
from tests.test_shapes import conv, fc, layer, source

FILE = "user.prototxt"


def user(text: str) -> pb.NetParameter:
    return checked(parse(text, pb.NetParameter(), FILE), FILE)


def edited(
    net: pb.NetParameter, frozen: tuple[str, ...] = (), outputs: int = 4, **settings: Any
) -> pb.NetParameter:
    data = replace(SETTINGS, **settings)
    return train_val(net, name="made", outputs=outputs, data=data, frozen=frozen, file=FILE)


def by_name(net: pb.NetParameter, phase: int = TRAIN) -> dict[str, pb.LayerParameter]:
    there = one_phase(net, phase)
    return {
        each.name: each for each in net.layer
        if each.name in there and (not each.include or each.include[0].phase == phase)
    }  # fmt: skip


SMALL = learned("data", "conv1", "num_output: 4 kernel_size: 3") + classifier("conv1", "fc")


class TestData:
    """The study's databases in the place of the user's data."""

    def test_two_data_layers_under_the_users_names(self) -> None:
        net = edited(user(USERS_NETS["a train_net alone"]))
        assert [(each.name, list(each.top)) for each in net.layer[:2]] == [
            ("images", ["images", "class"])
        ] * 2
        train, test = (by_name(net, phase)["images"] for phase in (TRAIN, TEST))
        assert train.transform_param.mirror
        assert not test.transform_param.mirror
        assert (train.data_param.source, train.data_param.batch_size) == ("../db", 4)

    @pytest.mark.parametrize(
        ("written", "settings", "expected"),
        [
            ("crop_size: 12 scale: 0.5", {}, "crop_size: 12 scale: 0.5 mean_file: 'm'"),
            ("mean_value: 7", {}, "mean_value: 7"),
            ("mean_value: 7", {"mean_values": (1.0, 2.0, 3.0)}, "mean_value: [1, 2, 3]"),
            ("mean_file: 'x'", {}, "mean_file: 'm'"),
            ("mean_file: 'x'", {"mean_values": (9.0,)}, "mean_value: 9"),
            ("crop_size: 12", {"crop": 14, "scale": 2.0},
             "crop_size: 14 scale: 2 mean_file: 'm'"),
            ("crop_size: 12", {"crop": 0}, "mean_file: 'm'"),
            ("scale: 3", {"scale": 1.0}, "mean_file: 'm'"),
        ],
    )  # fmt: skip
    def test_the_study_goes_before_the_user(
        self, written: str, settings: dict[str, Any], expected: str
    ) -> None:
        text = layer("Data", "", "data label", f"transform_param {{ {written} }}")
        net = user(text + SMALL + ending("fc"))
        made = edited(net, **{"mean_values": None, "mean_file": "m", **settings})
        wanted = text_format.Parse(f"{expected} mirror: false", pb.TransformationParameter())
        assert [each.transform_param for each in made.layer[:2]] == [wanted] * 2

    @pytest.mark.parametrize(
        ("text", "given", "mirrors"),
        [
            (INPUT, None, True), (INPUT, False, False), (DATA, None, True), (DATA, False, False),
            (DATA.replace("mirror: true", ""), None, False),
            (DATA.replace("mirror: true", ""), True, True),
        ],
    )  # fmt: skip
    def test_mirrors_in_train_only(self, text: str, given: bool | None, mirrors: bool) -> None:
        made = edited(user(text + SMALL + ending("fc")), mirror=given)
        assert [each.transform_param.mirror for each in made.layer[:2]] == [mirrors, False]

    @pytest.mark.parametrize(
        ("text", "settings", "side"),
        [
            (DATA, {}, 16), (DATA, {"crop": 12}, 12), (DATA, {"crop": 0}, 20), (INPUT, {}, 16),
            (INPUT, {"size": 14}, 14), (DATA.replace("crop_size: 16", ""), {}, 20),
            (source("data", 1, 3, 18, 18), {}, 18), ("", {}, 20),
            (layer("MemoryData", "", "data label", "memory_data_param { batch_size: 1 channels: 3 "
                   "height: 10 width: 10 }"), {}, 10),
            (layer("ImageData", "", "data label", 'image_data_param { source: "x" }'), {}, 20),
        ],
    )  # fmt: skip
    def test_the_size_that_the_net_sees(
        self, text: str, settings: dict[str, Any], side: int
    ) -> None:
        net, data = user(text + SMALL), replace(SETTINGS, **settings)
        assert seen_size(net, data) == side
        shape = deploy(net, name="d", outputs=4, data=data).layer[0].input_param.shape[0]
        assert list(shape.dim) == [10, 3, side, side]

    def test_a_blob_that_nothing_makes_is_the_input(self) -> None:
        made = edited(user(SMALL.replace('"data"', '"pixels"') + ending("fc")))
        assert list(made.layer[0].top) == ["pixels", "label"]


class TestEnds:
    """Losses, classifiers and accuracies."""

    def test_all_classifiers_have_an_output_for_each_class(self) -> None:
        net = user(USERS_NETS["GoogLeNet"])
        layers = by_name(edited(net, outputs=12))
        names = [each.name for each in classifiers(net)]
        assert names == ["loss1/classifier", "loss2/classifier", "loss3/classifier"]
        assert [layers[name].inner_product_param.num_output for name in names] == [12] * 3

    def test_auxiliary_losses_stay_and_are_not_tested(self) -> None:
        made = edited(user(USERS_NETS["GoogLeNet"]), outputs=11)
        weights = {each.name: list(each.loss_weight) for each in made.layer if "Loss" in each.type}
        assert {name: round(weight[0], 6) for name, weight in weights.items()} == {
            "a_loss1": 0.3, "a_loss2": 0.3, "loss": 1.0,
        }  # fmt: skip
        test = by_name(made, TEST)
        assert [name for name in test if "loss" in name] == ["loss3/classifier", "loss"]
        scores = {name: each.accuracy_param.top_k for name, each in test.items() if "acc" in name}
        assert scores == {"accuracy": 1, "accuracy_top5": 5}
        assert list(test["accuracy"].bottom) == ["loss3/classifier", "label"]

    def test_ten_classes_have_no_top5(self) -> None:
        assert "accuracy_top5" not in one_phase(edited(user(USERS_NETS["NIN"]), outputs=10), TEST)

    @pytest.mark.parametrize("name", ["MobileNet", "ResNet", "V1"])
    def test_a_deploy_net_learns(self, name: str) -> None:
        made = edited(user(USERS_NETS[name]))
        loss = by_name(made)["loss"]
        assert (loss.type, loss.bottom[1], list(loss.top)) == ("SoftmaxWithLoss", "label", ["loss"])
        assert "prob" not in by_name(made, TEST)
        kinds = [each.convolution_param for each in made.layer if each.type == "Convolution"]
        assert all(kind.weight_filler.type == "msra" for kind in kinds)
        norms = [each for each in made.layer if each.type == "BatchNorm"]
        assert not any(each.batch_norm_param.HasField("use_global_stats") for each in norms)

    def test_a_loss_of_probabilities_reads_the_scores(self) -> None:
        loss = layer("MultinomialLogisticLoss", "prob label", "loss")
        net = user(DATA + SMALL + layer("Softmax", "fc", "prob") + loss)
        assert by_name(edited(net))["loss"] == parse(
            'name: "loss" type: "SoftmaxWithLoss" bottom: ["fc", "label"] top: "loss"',
            pb.LayerParameter(), "wanted",
        )  # fmt: skip

    def test_losses_of_each_phase_become_one(self) -> None:
        twins = "".join(
            layer("SoftmaxWithLoss", "fc label", "loss", f"include {{ phase: {phase} }}")
            for phase in ("TRAIN", "TEST")
        )
        made = edited(user(DATA + SMALL + twins))
        assert [each.name for each in made.layer].count("loss") == 1
        assert "loss" in one_phase(made, TRAIN)
        assert "loss" in one_phase(made, TEST)

    def test_deploy_has_the_main_scores_alone(self) -> None:
        made = deploy(user(USERS_NETS["GoogLeNet"]), name="d", outputs=7, data=SETTINGS)
        names = [each.name for each in made.layer]
        assert names[0] == "data"
        assert names[-1] == "prob"
        assert not [name for name in names if "loss1" in name or "loss2" in name]
        assert not any(each.include or each.type.endswith("Loss") for each in made.layer)

    def test_phases_in_force(self) -> None:
        net = user(
            DATA + SMALL + ending("fc")
            + layer("Softmax", "fc", "probability", 'include { stage: "deploy" }')
            + layer("ArgMax", "fc", "best", "include { min_level: 1 }")
        )  # fmt: skip
        assert not {"probability", "best"} & {each.name for each in net.layer}


class TestFreezing:
    """Layers that training cannot change."""

    def test_every_blob_of_every_phase(self) -> None:
        net = user(USERS_NETS["BatchNorm twice, for each phase"])
        made = edited(net, ("conv1", "bn1"))
        for phase in (TRAIN, TEST):
            norm, conv1 = by_name(made, phase)["bn1"], by_name(made, phase)["conv1"]
            assert norm.batch_norm_param.use_global_stats
            for each, count in ((norm, 3), (conv1, 2)):
                assert [(s.lr_mult, s.decay_mult) for s in each.param] == [(0, 0)] * count
        learning = edited(net)
        norms = [by_name(learning, phase)["bn1"].batch_norm_param for phase in (TRAIN, TEST)]
        assert [norm.use_global_stats for norm in norms] == [False, True]

    def test_every_blob_of_recurrent_layers_and_learned_blobs(self) -> None:
        rows = "reshape_param { shape { dim: 0 dim: 0 dim: -1 } }"
        text = net_of(
            DATA,
            layer("Reshape", "data", "rows", rows),
            layer("Parameter", "", "cont", "parameter_param { shape { dim: 10 dim: 3 } }"),
            layer("LSTM", "rows cont", "lstm", "recurrent_param { num_output: 4 }"),
            layer("RNN", "lstm cont", "rnn", "recurrent_param { num_output: 5 }"),
            classifier("rnn", "fc"),
            ending("fc"),
        )
        net = user(text)
        made = by_name(edited(net, ("cont", "lstm"), batch=10, test_batch=10))
        wanted = {"cont": 1, "lstm": 3, "rnn": 0}
        for name, count in wanted.items():
            rates = [(spec.lr_mult, spec.decay_mult) for spec in made[name].param]
            assert rates == [(0, 0)] * count
        assert made["rnn"].recurrent_param.weight_filler.type == "xavier"

    def test_names_of_shared_parameters_are_kept(self) -> None:
        made = by_name(edited(user(USERS_NETS["halves that share weights"]), ("conv1", "conv1_p")))
        for name in ("conv1", "conv1_p"):
            assert [(s.name, s.lr_mult) for s in made[name].param] == [("w", 0), ("b", 0)]

    def test_parameters_shared_across_the_cut(self) -> None:
        with pytest.raises(
            BadInput,
            match=r"^user.prototxt: layer 'conv1_p' is frozen and layer 'conv1' learns, but they "
            r"share the parameter 'w'; cut the net elsewhere",
        ):
            edited(user(USERS_NETS["halves that share weights"]), ("conv1_p",))


TIES = layer("EuclideanLoss", "fc label", "loss")


def test_mean_values_of_other_channels() -> None:
    net = user(DATA.replace("crop_size: 16", "mean_value: 1 mean_value: 2") + SMALL)
    with pytest.raises(BadInput, match="2 mean values for images of 3 channels; set mean_values"):
        edited(net, mean_values=None)


def net_of(*parts: str) -> str:
    return "".join(parts)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (net_of(DATA, SMALL, ending("fc"), ending("fc", "other")),
         "the net has several losses of one weight, loss, other; give the main one a larger"),
        (net_of(DATA, SMALL, layer("ReLU", "conv1", "side")),
         "the net has no loss, and several outputs, fc, side; add a loss"),
        (DATA, "the net has no loss, and no layers; add a loss"),
        (net_of(layer("Parameter", "", "data", "parameter_param { shape { dim: 4 } }"), SMALL,
                ending("fc")), "the main loss is not computed from any data; add a Data layer"),
        (net_of(DATA, classifier("data", "fc"), ending("fc")),
         "has no place to cut at: no weight layer below its classifier"),
        (net_of(layer("HDF5Data", "", "data label", 'hdf5_data_param { source: "x" }'), SMALL,
                ending("fc")), "layer 'data' reads HDF5 files, .* put a Data layer in its place"),
        (net_of(layer("WindowData", "", "data label"), SMALL, ending("fc")),
         "layer 'data' reads windows of images"),
        (net_of(DATA, SMALL, layer("Python", "fc", "mine"), ending("mine")),
         "layer 'mine' runs Python code"),
        (net_of(DATA, SMALL, TIES),
         r"layer 'loss' \(EuclideanLoss\), does not compare scores of classes with labels; make"),
        (net_of(DATA, SMALL, layer("ContrastiveLoss", "fc conv1 label", "loss")),
         r"layer 'loss' \(ContrastiveLoss\), does not compare"),
        (net_of(DATA, SMALL, layer("InfogainLoss", "fc label", "loss")), r"\(InfogainLoss\)"),
        (net_of(DATA, SMALL, layer("SoftmaxWithLoss", "fc conv1", "loss")),
         "compares its scores with 'conv1', which is no label of a data layer; make its second"),
        (net_of(source("data", 1, 3, 16, 16), source("more", 1, 3, 16, 16),
                layer("Eltwise", "data more", "both"), SMALL.replace('"data"', '"both"'),
                ending("fc")),
         "several inputs, data, more; a study has images alone, so leave one input"),
        (net_of(DATA, source("boxes", 1, 4), SMALL, fc("conv1", "where", "num_output: 4"),
                layer("EuclideanLoss", "where boxes", "aux", "loss_weight: 0.1"), ending("fc")),
         "layer 'aux' reads 'boxes', which is neither image nor label"),
        (net_of(DATA, SMALL.replace('"conv1"', '"accuracy"'), ending("fc")),
         "layer 'accuracy' uses the name 'accuracy', which a study's own layers have; rename it"),
        (layer("SoftmaxWithLoss", "x y", "loss"), "does not compare scores of classes"),
    ],
)  # fmt: skip
def test_what_no_study_can_use(text: str, message: str) -> None:
    with pytest.raises(BadInput, match=f"^{FILE}: .*{message}"):
        user(text)


@pytest.mark.parametrize(
    ("text", "settings", "message"),
    [
        (net_of(DATA, SMALL, ending("fc")), {"size": 12},
         "layer 'data' crops images to 16 pixels, and the study stores them with 12; set a"),
        (net_of(DATA, SMALL.replace("kernel_size: 3", "kernel_size: 17"), ending("fc")), {},
         r"layer 'conv1' \(Convolution\) has a window larger than its input of 16 x 16; .* "
         r"\(the net sees images of 16 x 16 pixels\)$"),
        (net_of(INPUT, learned("data", "conv1", "num_output: 8 kernel_size: 16"),
                conv("conv1", "last", "num_output: 8 kernel_size: 1 group: 8")), {},
         "the classifier, layer 'last', has 8 groups, into which 4 classes do not divide"),
        (net_of(DATA, SMALL, classifier("conv1", "fc2"), layer("Concat", "fc fc2", "all"),
                ending("all")), {}, "reads 'all', which has 8 scores of an image .* 4 classes"),
    ],
)  # fmt: skip
def test_what_does_not_fit_the_study(text: str, settings: dict[str, Any], message: str) -> None:
    net = user(text)
    for make in (train_val, deploy):
        with pytest.raises(BadInput, match=f"^{FILE}: .*{message}"):
            make(
                net, name="n", outputs=4, file=FILE,
                data=replace(SETTINGS, **settings),
            )  # fmt: skip
