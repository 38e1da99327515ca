"""A study: images, a net, solvers, and the networks to train.  Data without I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from caffe_transfer.errors import BadInput
from caffe_transfer.studies.network import NATMAN, Mode, Network


@dataclass(frozen=True)
class SolverSettings:
    """Settings of Caffe's SGD with the step policy (paper section 3; times in iterations)."""

    base_lr: float
    stepsize: int
    max_iter: int
    test_iter: int
    test_interval: int
    snapshot: int
    gamma: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 0.0005
    display: int = 20
    gpu: bool = False


@dataclass(frozen=True)
class Images:
    """Where a study's images come from and how a net sees them (sizes in pixels).

    Attributes:
        source: a name that `caffe-transfer data fetch` knows.
        classes: number of classes of the whole source.
        channels: 3 (BGR) or 1 (gray).
        size: side to which images are resized; crop: side that the net sees, 0 for all of it.
        natman_classes: classes of natman A and B, where the source has that split.
        train_per_class, valid_per_class: at most so many images of each class, None for all.
    """

    source: str
    classes: int
    channels: int
    size: int
    crop: int = 0
    mirror: bool = True
    scale: float = 1
    natman_classes: tuple[int, int] | None = None
    train_per_class: int | None = None
    valid_per_class: int | None = None

    @property
    def side(self) -> int:
        """The side of the square that the net sees, in pixels."""
        return self.crop or self.size


@dataclass(frozen=True)
class Study:
    """A question: images, a net, solvers, and the networks to train.

    Attributes:
        custom_splits: the class names of A and B, by the name of the split.
        seconds_per_iteration: measured for this study, tests included, on the machine that its
            file names; an estimate's only source.
        all_outputs: fc8 has an output for every class of the source, for halves too, as the
            authors had it; otherwise one for each class of the task.
        about: the comment that the study's file opens with.
    """

    name: str
    images: Images
    net: str
    batch: int
    test_batch: int
    solver: SolverSettings
    networks: tuple[Network, ...]
    reduced_solver: SolverSettings | None = None
    custom_splits: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = field(
        default_factory=dict
    )
    seconds_per_iteration: float | None = None
    all_outputs: bool = False
    about: str = ""

    def solver_of(self, network: Network) -> SolverSettings:
        """The settings that one network is trained with."""
        if network.mode is Mode.REDUCED and self.reduced_solver:
            return self.reduced_solver
        return self.solver

    def outputs(self, network: Network) -> int:
        """The number of outputs of a network's fc8.

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
