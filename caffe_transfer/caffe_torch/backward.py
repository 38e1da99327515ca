"""Which layers run backward, and to which bottoms they pass a gradient (the end of Net::Init)."""

from collections.abc import Mapping, Sequence

from caffe_transfer.caffe_torch.fusion import Step
from caffe_transfer.formats.proto import caffe_pb2 as pb

# Bottoms to which Caffe refuses to pass a gradient.
_NO_GRADIENT: Mapping[str, Sequence[int]] = {
    "Accuracy": (0, 1),
    "ArgMax": (0,),
    "BatchReindex": (1,),
    "Embed": (0,),
    "HingeLoss": (1,),
    "InfogainLoss": (1, 2),
    "MultinomialLogisticLoss": (1,),
    "SigmoidCrossEntropyLoss": (1,),
    "SoftmaxWithLoss": (1,),
    "Threshold": (0,),
}
# Bottoms that force_backward leaves as they are (AllowForceBackward).
_NOT_FORCED: Mapping[str, int] = {"ContrastiveLoss": 2, "LSTM": 1, "RNN": 1}


def plan_backward(steps: Sequence[Step], *, force: bool) -> None:
    """Set `backward`, `stops` and `outweighed` of a net's steps.

    Args:
        force: the net's force_backward.
    """
    learned = _from_parameters(steps)
    _from_losses(steps)
    if force:
        for step in steps:
            step.backward = True
            step.passes = [
                passes or _may_be_forced(step.layer.param, index)
                for index, passes in enumerate(step.passes)
            ]
    reached = {
        bottom
        for step in steps
        for bottom, passes in zip(step.bottoms, step.passes, strict=True)
        if step.backward and passes
    }
    for step in steps:
        step.stops = [
            (force or bottom in learned) and not (step.backward and passes)
            for bottom, passes in zip(step.bottoms, step.passes, strict=True)
        ]
        step.outweighed = [top in reached and top not in step.bottoms for top in step.tops]


def check_backward(steps: Sequence[Step]) -> None:
    """Check that every layer can pass a gradient where it has to.

    Raises:
        BadInput: one cannot; names it and the bottom.
    """
    for step in steps:
        param = step.layer.param
        for index in _NO_GRADIENT.get(param.type, ()):
            if step.backward and index < len(step.passes) and step.passes[index]:
                raise step.layer.refuse(
                    f"cannot pass a gradient to its bottom {step.bottoms[index]!r}; set "
                    f"propagate_down to false for it, or compute it without learning"
                )


def _from_parameters(steps: Sequence[Step]) -> set[str]:
    """Mark what lies above a learning parameter; return the blobs there."""
    learned: set[str] = set()
    for step in steps:
        wanted = [blob in learned for blob in step.bottoms]
        step.passes = list(step.layer.param.propagate_down) or wanted
        specs = [*step.specs, *[pb.ParamSpec()] * len(step.layer.blobs)]
        step.backward = any(wanted) or any(
            spec.lr_mult != 0 for spec in specs[: len(step.layer.blobs)]
        )
        if step.backward:
            learned.update(step.tops)
    return learned


def _from_losses(steps: Sequence[Step]) -> None:
    """Unmark the layers under no loss, and those from whose tops no gradient comes.

    Like Caffe's, the sets are of names, so that all values of a blob changed in place count as one.
    """
    under_loss: set[str] = set()
    skipped: set[str] = set()
    for step in reversed(steps):
        contributes = any(step.loss_weights) or not under_loss.isdisjoint(step.tops)
        if not contributes or skipped.issuperset(step.tops):
            step.passes = [False] * len(step.passes)
            step.backward = False
        if contributes:
            under_loss.update(step.bottoms)
        skipped.update(
            bottom for bottom, passes in zip(step.bottoms, step.passes, strict=True) if not passes
        )


def _may_be_forced(param: pb.LayerParameter, bottom: int) -> bool:
    default = 1 if param.type.endswith("Loss") and param.type != "EuclideanLoss" else None
    return bottom != _NOT_FORCED.get(param.type, default)
