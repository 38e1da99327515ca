"""Which output of a test is which score: by the net, and without one by names."""

from pathlib import Path

import pytest
from google.protobuf import text_format

from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.report.logs import read_logs
from caffe_transfer.report.score_names import Score, ScoreNames, score_names
from tests.edit_nets import ending

HEAD = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 4 } } }
layer { name: "label" type: "Input" top: "label" input_param { shape { dim: 1 } } }
layer { name: "aux" type: "InnerProduct" bottom: "data" top: "aux" }
layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc" }
"""


def names(text: str) -> dict[bytes, Score]:
    return dict(score_names(text_format.Parse(HEAD + text, pb.NetParameter())).known)


def test_of_several_classifiers_the_main_one_s() -> None:
    """As in GoogLeNet, where auxiliary outputs come first by the alphabet."""
    expected = {b"z": Score.LOSS, b"z/top-1": Score.TOP1, b"z/top-5": Score.TOP5}
    assert names(ending("aux", "a", 0.3) + ending("fc", "z")) == expected
    assert names(ending("fc", "z") + ending("aux", "a", 0.3)) == expected


def test_of_several_losses_of_one_weight_the_last() -> None:
    assert names(ending("aux", "a") + ending("fc", "z")).keys() == {b"z", b"z/top-1", b"z/top-5"}


def test_a_test_net_without_a_loss_or_without_an_accuracy() -> None:
    accuracy = 'layer { name: "x" type: "Accuracy" bottom: "fc" bottom: "label" top: "x" }'
    assert names(accuracy) == {b"x": Score.TOP1}
    assert (
        names('layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" }') == {}
    )


def test_an_accuracy_that_counts_others_than_the_first_or_five_is_no_score() -> None:
    three = 'bottom: "label" top: "x" accuracy_param { top_k: 3 }'
    assert names(f'layer {{ name: "x" type: "Accuracy" bottom: "fc" {three} }}') == {}


@pytest.mark.parametrize(
    ("name", "score"),
    [
        ("accuracy", Score.TOP1),
        ("accuracy_top5", Score.TOP5),
        ("accuracy5", Score.TOP5),
        ("top-1", Score.TOP1),
        ("top-5", Score.TOP5),
        ("loss3/top-1", Score.TOP1),
        ("loss3/top-5", Score.TOP5),
        ("loss", Score.LOSS),
        ("score", Score.TOP1),
    ],
)
def test_without_a_net_names_tell(name: str, score: Score) -> None:
    assert ScoreNames().score(b"0", name.encode(), weighted=False) is score
    assert ScoreNames().score(b"0", name.encode(), weighted=True) is Score.LOSS


def test_logs_of_2014_have_numbers() -> None:
    known = ScoreNames({b"x": Score.TOP5})
    for each in (ScoreNames(), known):
        scores = [each.score(number, None, weighted=False) for number in (b"0", b"1", b"2")]
        assert scores == [Score.TOP1, Score.LOSS, None]


def test_a_log_is_read_by_the_names(tmp_path: Path) -> None:
    stamp = "I20261123 06:00:00.000000 1 s.cpp:1]"
    lines = [f"{stamp} Iteration 0, Testing net (#0)"]
    outputs = ("a = 2 (* 0.3 = 0.6 loss)", "a/top-1 = 0.1", "z = 1 (* 1 = 1 loss)", "z/top-1 = 0.3")
    for number, output in enumerate((*outputs, "z/top-5 = 0.7")):
        lines.append(f"{stamp}     Test net output #{number}: {output}")
    path = tmp_path / "train.log"
    path.write_text("\n".join(lines) + "\n")
    net = text_format.Parse(HEAD + ending("aux", "a", 0.3) + ending("fc", "z"), pb.NetParameter())
    log = read_logs([path], score_names(net))
    assert [each.values.tolist() for each in (log.accuracy, log.top5, log.valid_loss)] == [
        [0.3], [0.7], [1.0],
    ]  # fmt: skip
    guessed = read_logs([path])
    assert [each.values.tolist() for each in (guessed.accuracy, guessed.top5)] == [[0.1], [0.7]]
