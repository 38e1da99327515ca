"""A study of which all is known but its networks, and how long they are trained."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from caffe_transfer.data_prep.folders import VALID_FRACTION
from caffe_transfer.data_prep.sources import FOLDER
from caffe_transfer.data_prep.survey import Survey
from caffe_transfer.errors import BadInput, FormatError, Incomplete
from caffe_transfer.formats.caffemodel import open_model
from caffe_transfer.formats.layer_records import same_shapes
from caffe_transfer.nets.cuts import CutSize, measured_cuts
from caffe_transfer.nets.render import plain_net
from caffe_transfer.nets.shapes import Shape, parameter_shapes
from caffe_transfer.nets.sources import source_of
from caffe_transfer.new_study.layout import GIVEN_SPLIT, Layout, layouts
from caffe_transfer.new_study.net_choice import (
    NetChoice,
    image_settings,
    model_channels,
    net_choices,
    with_batches,
)
from caffe_transfer.new_study.request import Request
from caffe_transfer.new_study.tasks import SPLIT_SEED, Tasks, Testing, whole_tests
from caffe_transfer.studies.network import Mode, Network
from caffe_transfer.studies.solver import SolverSettings
from caffe_transfer.studies.study import ALL, CustomSplit, Images, Study, Task
from caffe_transfer.training.given import check_given
from caffe_transfer.training.transplant import stored_shapes

BASE_LR = 0.01  # of Caffe's own examples
_ANY_SIZE = 256  # stands in until the net has said what it sees


@dataclass(frozen=True)
class ModelMatch:
    """The net's layers with parameters, in its order.

    Attributes:
        same: those that the given model has in the same shapes.
        others: those that it has not, or in other shapes, such as a classifier of other classes.
    """

    same: tuple[str, ...]
    others: tuple[str, ...]


@dataclass(frozen=True)
class Draft:
    """A study of one net.

    Attributes:
        study: complete but for its networks and its solver's times; all paths absolute.
        cuts: all cuts of the net.
        match: of a given model; None without one.
    """

    choice: NetChoice
    study: Study
    cuts: tuple[CutSize, ...]
    tasks: Tasks
    testing: Testing
    match: ModelMatch | None

    def with_layout(self, layout: Layout) -> Study:
        """The study with a layout's networks and cuts."""
        names = None if layout.all_cuts else tuple(each.cut.name for each in layout.cuts)
        return replace(self.study, networks=layout.networks, cuts=names)


def drafts(request: Request, found: Survey, tasks: Tasks) -> list[Draft]:
    """A draft for each net that may be tried in turn; with a given model, of the net it fits.

    Raises:
        BadInput: a net cannot be used, or the model is of another net; names the layers.
        Incomplete, FormatError: the net or the model is missing, or is none.
    """
    choices = net_choices(request, found)
    if request.weights is None or request.net is not None:
        return [_draft(choice, request, found, tasks) for choice in choices]
    if not request.weights.is_file():
        raise Incomplete(f"there is no {request.weights}; correct --weights")
    for choice in choices:
        try:
            return [_draft(choice, request, found, tasks)]
        except FormatError:
            raise
        except BadInput:
            continue  # a model of the next one, perhaps
    raise BadInput(
        f"{request.weights} is a model of no built-in net "
        f"({', '.join(choice.net for choice in choices)}); name its net with --net"
    )


def _draft(choice: NetChoice, request: Request, found: Survey, tasks: Tasks) -> Draft:
    study = _blank(choice, request, found)
    source = source_of(study)
    channels = model_channels(request.weights, source.given or plain_net(study))
    images = image_settings(study, found, channels)
    study = with_batches(replace(study, images=images), tasks.fewest_training_images)
    testing = whole_tests(tasks, study.test_batch)
    study = replace(
        study,
        images=replace(images, valid_per_class=testing.per_class),
        test_batch=testing.test_batch,
    )
    net, shape = plain_net(study), source_of(study).input_shape
    cuts = measured_cuts(net, shape)
    match = None
    if request.weights is not None:
        match = _match(request.weights, parameter_shapes(net, shape))
    draft = Draft(choice, study, cuts, tasks, testing, match)
    complete = next(layouts(cuts, given_base=request.weights is not None))
    check_given(draft.with_layout(complete))
    return draft


def _match(weights: Path, wanted: Mapping[str, Sequence[Shape]]) -> ModelMatch:
    with open_model(weights) as model:
        stored = stored_shapes(model)
    same = tuple(
        name for name, shapes in wanted.items() if same_shapes(stored.get(name, ()), shapes)
    )
    return ModelMatch(same, tuple(name for name in wanted if name not in same))


def _blank(choice: NetChoice, request: Request, found: Survey) -> Study:
    """The study with stand-ins for what depends on the net, and for all times."""
    split, splits = str(SPLIT_SEED), {}
    if request.weights is not None:
        split, model = GIVEN_SPLIT, str(request.weights.absolute())
        splits = {split: CustomSplit(A=Task(model=model), B=Task(classes=ALL))}
    return Study(
        name=request.file.stem,
        images=Images(
            source=FOLDER,
            path=str(request.images.absolute()),
            valid_fraction=None if found.divided else VALID_FRACTION,
            classes=len(found.classes),
            channels=found.channels,
            size=_ANY_SIZE,
        ),
        net=str(Path(choice.net).absolute()) if Path(choice.net).suffix else choice.net,
        batch=1,
        test_batch=1,
        solver=SolverSettings(
            base_lr=BASE_LR, max_iter=1, test_iter=1, test_interval=1, snapshot=1,
            lr_policy="fixed",
        ),
        networks=(Network(mode=Mode.BASE, split=split, target="B"),),
        custom_splits=splits,
    )  # fmt: skip
