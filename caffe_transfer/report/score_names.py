"""Which output of a test net is what: top-1 accuracy, top-5 accuracy or loss.

Caffe logs the outputs of a test by the alphabet, those of auxiliary classifiers among them, so that
only the net says which of them is the main classifier's. Without it, names tell most:

    2014        Test score #0 (accuracy), #1 (loss)
    CaffeNet    accuracy, loss
    GoogLeNet   loss1/loss1, loss1/top-1, loss1/top-5, .., loss3/loss3, loss3/top-1, loss3/top-5
    this study  accuracy, accuracy_top5, loss
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from caffe_transfer.errors import BadInput
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.nets.graph import Graph
from caffe_transfer.nets.phases import TEST

_OF_2014 = (b"0", b"1")
_TOP5 = re.compile(rb"top.?5|acc\w*5", re.I)
_TOP1 = re.compile(rb"top.?1|acc", re.I)


class Score(StrEnum):
    """What a test measures."""

    TOP1 = "top-1 accuracy"
    TOP5 = "top-5 accuracy"
    LOSS = "loss"


_SCORE_OF_TOP_K = {1: Score.TOP1, 5: Score.TOP5}


@dataclass(frozen=True)
class ScoreNames:
    """The scores by the names of outputs.

    Attributes:
        known: what a net's outputs are; empty if no net is at hand, so that names have to tell.
    """

    known: Mapping[bytes, Score] = field(default_factory=dict)

    def score(self, number: bytes, name: bytes | None, weighted: bool) -> Score | None:
        """What an output is, None if it is no score.

        Args:
            number, name: of the output in the log; logs of 2014 have no names.
            weighted: whether the log shows a loss weight.
        """
        if name is None:
            return dict(zip(_OF_2014, (Score.TOP1, Score.LOSS), strict=True)).get(number)
        if self.known:
            return self.known.get(name)
        if weighted:
            return Score.LOSS
        if _TOP5.search(name):
            return Score.TOP5
        if _TOP1.search(name):
            return Score.TOP1
        return Score.LOSS if b"loss" in name.lower() else Score.TOP1


def score_names(net: pb.NetParameter) -> ScoreNames:
    """The scores of the main classifier of a net.

    That is the one whose scores the heaviest loss reads; of several such, or without a loss, the
    last one in the net. A net without an accuracy tells nothing.
    """
    graph = Graph(net, TEST)
    accuracies = [i for i, layer in enumerate(graph.layers) if layer.type == "Accuracy"]
    if not accuracies:
        return ScoreNames()
    losses = graph.losses()
    try:
        main = graph.main_end() if losses else None
    except BadInput:
        main = losses[-1]
    classifier = graph.bottoms[main][:1] if main is not None else ()
    own = [i for i in accuracies if graph.bottoms[i][:1] == classifier] or accuracies
    found: dict[bytes, Score] = {}
    if main is not None and graph.layers[main].top:
        found[graph.layers[main].top[0].encode()] = Score.LOSS
    last = {graph.layers[i].accuracy_param.top_k: i for i in own}
    for top_k, score in _SCORE_OF_TOP_K.items():
        if top_k in last:
            found[graph.layers[last[top_k]].top[0].encode()] = score
    return ScoreNames(found)
