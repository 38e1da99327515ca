"""A study: images, a net, solvers, and the networks to train.  Data without I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated

from caffe_transfer.errors import BadInput
from caffe_transfer.studies.network import NATMAN, Mode, Network
from caffe_transfer.studies.schema import Flag, ListOf, Number, OneOf, Text, Whole


@dataclass(frozen=True)
class SolverSettings:
    """Settings of Caffe's SGD with the step policy (paper section 3); times in iterations."""

    base_lr: Annotated[float, Number(), "learning rate at the start"]
    stepsize: Annotated[int, Whole(1), "iterations after which the rate is multiplied by gamma"]
    max_iter: Annotated[int, Whole(1), "iterations of the training"]
    test_iter: Annotated[int, Whole(1), "batches in a test"]
    test_interval: Annotated[int, Whole(1), "iterations between tests"]
    snapshot: Annotated[int, Whole(1), "iterations between snapshots"]
    gamma: Annotated[float, Number(), "factor of the rate after each stepsize"] = 0.1
    momentum: Annotated[float, Number(0, 1), "share of the last update in the next"] = 0.9
    weight_decay: Annotated[float, Number(), "factor of the L2 penalty"] = 0.0005
    display: Annotated[int, Whole(), "iterations between losses in the log, 0 for none"] = 20
    gpu: Annotated[bool, Flag(), "train on a GPU"] = False


@dataclass(frozen=True)
class Images:
    """Where a study's images come from and how a net sees them; sizes in pixels."""

    source: Annotated[str, Text(), "a source that caffe-transfer data fetch knows"]
    classes: Annotated[int, Whole(1), "number of classes of the whole source"]
    channels: Annotated[int, OneOf((1, 3)), "3 (BGR) or 1 (gray)"]
    size: Annotated[int, Whole(1), "side to which images are resized"]
    crop: Annotated[int, Whole(), "side that the net sees, 0 for all of it"] = 0
    mirror: Annotated[bool, Flag(), "mirror training images at random"] = True
    scale: Annotated[float, Number(positive=True), "factor of pixels after the mean"] = 1
    path: Annotated[str | None, Text(), "folder or archive that holds the images"] = None
    valid_fraction: Annotated[
        float | None,
        Number(0.01, 0.99),
        "share of each class set aside for validation, where the images are not divided",
    ] = None
    natman_classes: Annotated[
        tuple[int, int] | None,
        ListOf(Whole(1), length=2),
        "number of natural and of man-made classes, for the split natman",
    ] = None
    train_per_class: Annotated[
        int | None, Whole(1), "at most so many training images of each class"
    ] = None
    valid_per_class: Annotated[
        int | None, Whole(1), "at most so many validation images of each class"
    ] = None

    @property
    def side(self) -> int:
        """The side of the square that the net sees, in pixels."""
        return self.crop or self.size


@dataclass(frozen=True)
class Study:
    """A question: images, a net, solvers, and the networks to train.

    Attributes:
        reduced_solver: settings for mode reduced; None for those of all.
        custom_splits: the class names of A and B, by the name of the split.
        all_outputs: as the authors had it; otherwise the classifier has an output for each class
            of its task.
        about: the comment that the study's file opens with.
    """

    name: Annotated[str, Text(), "the study's name, for messages"]
    images: Images
    net: Annotated[str, Text(), "the net's template"]
    batch: Annotated[int, Whole(1), "training images in an iteration"]
    test_batch: Annotated[int, Whole(1), "validation images in a batch of a test"]
    solver: SolverSettings
    networks: tuple[Network, ...]
    reduced_solver: SolverSettings | None = None
    custom_splits: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = field(
        default_factory=dict
    )
    seconds_per_iteration: Annotated[
        float | None,
        Number(positive=True),
        "measured, tests included, on the machine that the file's heading names",
    ] = None
    all_outputs: Annotated[
        bool, Flag(), "halves too have an output for every class of the source"
    ] = False
    about: str = ""

    def solver_of(self, network: Network) -> SolverSettings:
        """The settings that one network is trained with."""
        if network.mode is Mode.REDUCED and self.reduced_solver:
            return self.reduced_solver
        return self.solver

    def outputs(self, network: Network) -> int:
        """The number of outputs of a network's classifier.

        Raises:
            BadInput: the source does not say how large the split's halves are.
        """
        return self.images.classes if self.all_outputs else self.classes_of(network)

    def classes_of(self, network: Network) -> int:
        """The number of classes of a network's task.

        Raises:
            BadInput: the study does not say how large the split's halves are.
        """
        if network.split is None:
            return self.images.classes
        if network.split.isdigit():
            half = self.images.classes // 2
            return half if network.target == "A" else self.images.classes - half
        if network.split in self.custom_splits:
            return len(self.custom_splits[network.split][0 if network.target == "A" else 1])
        if network.split != NATMAN:
            raise BadInput(
                f"study {self.name!r} has no split {network.split!r}; give its classes in "
                f"[splits.{network.split}]"
            )
        if self.images.natman_classes is None:
            raise BadInput(
                f"study {self.name!r} does not say how many classes the halves of split "
                f"{network.split!r} have; set natman_classes in its [images]"
            )
        return self.images.natman_classes[0 if network.target == "A" else 1]

    def select(self, *names: str) -> "Study":
        """The same study with only the networks of these names.

        Raises:
            BadInput: the study has no such network.
        """
        networks = {network.name: network for network in self.networks}
        for name in names:
            if name not in networks:
                raise BadInput(
                    f"study {self.name!r} has no network {name!r}; it has "
                    f"{', '.join(list(networks)[:5])}, ..."
                )
        return replace(self, networks=tuple(networks[name] for name in names))

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that its networks need."""
        return tuple(sorted({n.split for n in self.networks if n.split is not None}))
