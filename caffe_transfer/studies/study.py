"""A study: images, a net, solvers, and the networks to train.  Data without I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

from caffe_transfer.errors import BadInput
from caffe_transfer.studies.network import NATMAN, Mode, Network
from caffe_transfer.studies.schema import (
    Either,
    Flag,
    ListOf,
    Number,
    OneOf,
    TableOf,
    Text,
    Whole,
)
from caffe_transfer.studies.solver import SolverSettings

ALL = "all"
IN_ORDER = "in order"
# How a data set that is part of another's database is stored: as a view of it, or as its own.
VIEW, LMDB = "view", "lmdb"
# What of its snapshots a trained network keeps.
LAST, EVERY = "last", "all"


@dataclass(frozen=True)
class Images:
    """Where a study's images come from and how a net sees them; sizes in pixels."""

    source: Annotated[str, Text(), "a source that caffe-transfer data fetch knows"]
    classes: Annotated[int, Whole(1), "number of classes of the whole source"]
    channels: Annotated[int, OneOf((1, 3)), "3 (BGR) or 1 (gray)"]
    size: Annotated[int, Whole(1), "side to which images are resized"]
    crop: Annotated[
        int | None, Whole(), "side that the net sees, 0 for all of it; by default as the net has it"
    ] = None
    mirror: Annotated[
        bool | None, Flag(), "mirror training images at random; by default as the net has it, or so"
    ] = None
    scale: Annotated[
        float | None,
        Number(positive=True),
        "factor of pixels after the mean; by default as the net has it, or 1",
    ] = None
    mean: Annotated[
        str | None, Text(), "a mean's binaryproto to use instead of the training images' own"
    ] = None
    mean_values: Annotated[
        tuple[float, ...] | None,
        ListOf(Number(), distinct=False),
        "a mean for each channel, or one for all, instead of a mean image",
    ] = None
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

    databases: Annotated[
        str | None,
        OneOf((VIEW, LMDB)),
        "how parts of a whole database, such as halves, are stored: as views of it, which "
        "caffe-torch reads, or as databases of their own; by default as the engine needs them",
    ] = None

    @property
    def gray(self) -> bool:
        """Whether images are stored in gray, as one channel."""
        return self.channels == 1


@dataclass(frozen=True)
class Task:
    """One task of a custom split: the images of some classes, a given base, or both."""

    classes: Annotated[
        tuple[str, ...] | str | None,
        Either(ListOf(Text()), OneOf((ALL,))),
        'its classes, by name or label, or "all"; needed to train on it',
    ] = None
    model: Annotated[
        str | None, Text(), "its base, a .caffemodel or HDF5 file, which is then never trained"
    ] = None
    names: Annotated[
        Mapping[str, str] | str,
        Either(TableOf(Text()), OneOf((IN_ORDER,))),
        "the model's names for layers of the net, where they differ; "
        f'"{IN_ORDER}" pairs them in the order of both files',
    ] = field(default_factory=dict)


@dataclass(frozen=True)
class CustomSplit:
    """A user's own tasks A and B."""

    A: Task
    B: Task
    overlap: Annotated[bool, Flag(), 'two lists may share classes; "all" says so by itself'] = False

    def task(self, side: str) -> Task:
        """Task "A" or "B"."""
        return self.A if side == "A" else self.B

    @property
    def may_overlap(self) -> bool:
        """Whether a class may be in both tasks."""
        return self.overlap or ALL in (self.A.classes, self.B.classes)


@dataclass(frozen=True)
class Study:
    """A question: images, a net, solvers, and the networks to train.

    Attributes:
        reduced_solver: settings for mode reduced; None for those of all.
        custom_splits: the user's own tasks, by the name of the split.
        all_outputs: as the authors had it; otherwise the classifier has an output for each class
            of its task.
        about: the comment that the study's file opens with.
    """

    name: Annotated[str, Text(), "the study's name, for messages"]
    images: Images
    net: Annotated[
        str, Text(), "a built-in net, or a prototxt or Jinja template (.j2) of one's own"
    ]
    batch: Annotated[int, Whole(1), "training images in an iteration"]
    test_batch: Annotated[int, Whole(1), "validation images in a batch of a test"]
    solver: SolverSettings
    networks: tuple[Network, ...]
    reduced_solver: SolverSettings | None = None
    custom_splits: Mapping[str, CustomSplit] = field(default_factory=dict)
    cuts: Annotated[
        tuple[str, ...] | None,
        ListOf(Text()),
        "blobs or layers to cut at, from the images up, which n then counts; "
        "by default every cut of the net",
    ] = None
    seconds_per_iteration: Annotated[
        float | None,
        Number(positive=True),
        "measured, tests included, on the machine that the file's heading names",
    ] = None
    all_outputs: Annotated[
        bool, Flag(), "halves too have an output for every class of the source"
    ] = False
    keep_snapshots: Annotated[
        str,
        OneOf((LAST, EVERY)),
        "what stays of a trained network's snapshots: its last model, or all with their solver "
        "states",
    ] = LAST
    about: str = ""

    def solver_of(self, network: Network) -> SolverSettings:
        """The settings that one network is trained with."""
        if network.mode is Mode.REDUCED and self.reduced_solver:
            return self.reduced_solver
        return self.solver

    @property
    def net_file(self) -> Path | None:
        """The user's own net; None for a built-in one."""
        path = Path(self.net)
        return path if path.suffix else None

    def with_net(self, net: str) -> "Study":
        """The same study of another net, whose own crop, mirror and scale are kept."""
        images = self.images
        if Path(net).suffix:
            images = replace(images, crop=None, mirror=None, scale=None)
        return replace(self, net=net, images=images, cuts=None)

    def given_base(self, network: Network) -> Task | None:
        """The task whose given model a network's layers are copied from; None if it is trained."""
        split = self.custom_splits.get(network.split or "")
        task = split.task(network.base) if split and network.base else None
        return task if task and task.model else None

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
            return self._classes_of_task(network)
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

    def _classes_of_task(self, network: Network) -> int:
        classes = self.custom_splits[network.split or ""].task(network.target or "").classes
        if classes is None:
            raise BadInput(
                f"network {network.name} cannot be trained: splits.{network.split}."
                f'{network.target} has no classes; list them, or give "{ALL}"'
            )
        return self.images.classes if isinstance(classes, str) else len(classes)

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
