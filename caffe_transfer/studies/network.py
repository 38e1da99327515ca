"""What is trained: the networks of a study, and the names that the authors gave them.

Everything here is data without I/O.  A network's name says all about it:

    half0A                 base: half A of random split 0
    transfer0A0B_1_4       transfer A4B: layers 1..4 of half0A, frozen, target half0B
    transfer-ft0A0B_1_4    transfer A4B+: the same, fine-tuned
    transfer0A0A_1_4       selffer A4A
    transfernatmanAB_1_4   the same over the natural/man-made split
    nolearn_1_4            layers 1..4 random and frozen, all classes
    reduced-0010           base on the first ten images of each class
    netbase                base on all classes
"""

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from caffe_transfer.errors import BadInput

LEARNED_LAYERS = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8")
MAX_N = len(LEARNED_LAYERS) - 1
NATMAN = "natman"
DEFAULT_SEED = 1


class Mode(StrEnum):
    """The kinds of networks (paper section 2; random: 4.3, reduced: supplement)."""

    BASE = "base"
    SELFFER = "selffer"
    TRANSFER = "transfer"
    RANDOM = "random"
    REDUCED = "reduced"


@dataclass(frozen=True)
class Split:
    """Two tasks A and B: random halves by seed ("0".."3"), "natman", or a custom name."""

    key: str

    @property
    def kind(self) -> str:
        """ "random", "natman" or "custom"."""
        if self.key.isdigit():
            return "random"
        return NATMAN if self.key == NATMAN else "custom"

    def task(self, side: str) -> str:
        """The name of one task's data and base network, such as half0A."""
        return f"half{self.key}{side}"


_SEED = r"(?:-seed(?P<seed>[1-9]\d*))?"
_NAME_PATTERNS = tuple(
    re.compile(pattern + _SEED)
    for pattern in (
        r"(?P<netbase>netbase)",
        r"half(?P<split>\d+|[a-z]+)(?P<target>[AB])",
        r"transfer(?P<ft>-ft)?(?P<split>\d+)(?P<base>[AB])(?P=split)(?P<target>[AB])"
        r"_1_(?P<n>\d+)(?:-preserve(?P<preserve>\d+))?",
        r"transfer(?P<ft>-ft)?(?P<split>[a-z]+)(?P<base>[AB])(?P<target>[AB])"
        r"_1_(?P<n>\d+)(?:-preserve(?P<preserve>\d+))?",
        r"nolearn_1_(?P<n>\d+)",
        r"reduced-(?P<per_class>\d{4,})",
    )
)


@dataclass(frozen=True)
class Network:
    """One network: how it starts, what of it is frozen, and the task it is trained on.

    Attributes:
        target, base: "A" or "B"; None where the task is all classes, or nothing is copied.
        n: layers 1..n are copied (or, in mode random, frozen as they are drawn).
        fine_tuned: copied layers go on learning (the paper's "+").
        preserve: layers n+1..n+preserve are copied too, and fine-tuned.
        per_class: training images of each class, for mode reduced.
        seed: repeats of one network differ in it.

    Raises:
        BadInput: the combination means no network.
    """

    mode: Mode
    target: str | None = None
    base: str | None = None
    split: str | None = None
    n: int = 0
    fine_tuned: bool = False
    preserve: int = 0
    per_class: int | None = None
    seed: int = DEFAULT_SEED

    def __post_init__(self) -> None:
        cut = self.mode in (Mode.SELFFER, Mode.TRANSFER, Mode.RANDOM)
        copies = self.mode in (Mode.SELFFER, Mode.TRANSFER)
        if cut and not 1 <= self.n <= MAX_N:
            raise BadInput(
                f"n = {self.n} is not a layer to cut at; mode {self.mode} takes n from 1 to {MAX_N}"
            )
        if not cut and self.n:
            raise BadInput(f"mode {self.mode} copies no layers; leave n = {self.n} out")
        if not copies and self.base is not None:
            raise BadInput(f"mode {self.mode} has no base; leave {self.base} out")
        if self.mode in (Mode.RANDOM, Mode.REDUCED) and self.target is not None:
            raise BadInput(f"mode {self.mode} is trained on all classes; leave the target out")
        if self.mode is Mode.BASE and (self.split is None) != (self.target is None):
            raise BadInput("a base is of half A or B of a split, or of all classes without both")
        if self.fine_tuned and not copies:
            raise BadInput(f"mode {self.mode} has no copied layers to fine-tune")
        if self.preserve and (not copies or self.fine_tuned):
            raise BadInput("preserve needs frozen copied layers: mode selffer or transfer")
        if not 0 <= self.preserve <= len(LEARNED_LAYERS) - 1 - self.n and copies:
            raise BadInput(
                f"preserve = {self.preserve} reaches past the layer before the last; "
                f"with n = {self.n} it goes from 0 to {MAX_N - self.n}"
            )
        if copies and (self.base is None or self.target is None or self.split is None):
            raise BadInput(f"mode {self.mode} needs a split, a base and a target, each A or B")
        if copies and (self.base == self.target) != (self.mode is Mode.SELFFER):
            raise BadInput(
                f"base {self.base} and target {self.target} do not go with mode {self.mode}: "
                "a selffer has the same for both, a transfer two different ones"
            )
        if self.mode is Mode.REDUCED and (self.per_class is None or self.per_class < 1):
            raise BadInput("mode reduced needs the number of images of each class, 1 or more")
        if self.seed < 1:
            raise BadInput(f"seed {self.seed} is not a positive number")

    @property
    def name(self) -> str:
        """The name of the network and of its folder, as the authors named theirs."""
        return self._stem() + (f"-seed{self.seed}" if self.seed != DEFAULT_SEED else "")

    def _stem(self) -> str:
        match self.mode:
            case Mode.BASE:
                return "netbase" if self.split is None else f"half{self.split}{self.target}"
            case Mode.RANDOM:
                return f"nolearn_1_{self.n}"
            case Mode.REDUCED:
                return f"reduced-{self.per_class:04d}"
        assert self.split is not None
        tasks = (
            f"{self.split}{self.base}{self.split}{self.target}"
            if self.split.isdigit()
            else f"{self.split}{self.base}{self.target}"
        )
        kept = f"-preserve{self.preserve}" if self.preserve else ""
        return f"transfer{'-ft' if self.fine_tuned else ''}{tasks}_1_{self.n}{kept}"

    @classmethod
    def parse(cls, name: str) -> "Network":
        """The network that a folder's name stands for.

        Raises:
            BadInput: the name is none of this study's.
        """
        match = next(filter(None, (p.fullmatch(name) for p in _NAME_PATTERNS)), None)
        if match is None:
            raise BadInput(
                f"{name!r} is not the name of a network; names are like half0A, "
                "transfer0A0B_1_4, transfer-ft0A0B_1_4, nolearn_1_4, reduced-0010, netbase"
            )
        part = match.groupdict()
        seed = int(part["seed"] or DEFAULT_SEED)
        if part.get("per_class"):
            return cls(Mode.REDUCED, per_class=int(part["per_class"]), seed=seed)
        if name.startswith("nolearn"):
            return cls(Mode.RANDOM, n=int(part["n"]), seed=seed)
        if part.get("base") is None:
            return cls(Mode.BASE, part.get("target"), split=part.get("split"), seed=seed)
        return cls(
            Mode.SELFFER if part["base"] == part["target"] else Mode.TRANSFER,
            target=part["target"],
            base=part["base"],
            split=part["split"],
            n=int(part["n"]),
            fine_tuned=part["ft"] is not None,
            preserve=int(part["preserve"] or 0),
            seed=seed,
        )

    @classmethod
    def asked_for(
        cls,
        mode: Mode,
        n: int = 0,
        base: str | None = None,
        target: str | None = None,
        split: str = "0",
        **more: Any,
    ) -> "Network":
        """The network that a user describes, what is left out being as the paper has it.

        A transfer goes from A to B, a selffer and a base are A's; split "whole" is all classes.

        Raises:
            BadInput: the combination means no network.
        """
        if mode in (Mode.RANDOM, Mode.REDUCED) or split == "whole":
            return cls(mode, target, base, n=n, **more)
        if mode is Mode.TRANSFER:
            base = base or ("A" if target != "A" else "B")
            target = target or ("B" if base == "A" else "A")
        else:
            target = target or base or "A"
            base = base or (target if mode is Mode.SELFFER else None)
        return cls(mode, target, base, split, n, **more)

    @property
    def base_name(self) -> str | None:
        """The name of the network that layers are copied from, if any."""
        if self.base is None:
            return None
        return Network(Mode.BASE, self.base, split=self.split, seed=self.seed).name

    @property
    def copied_layers(self) -> tuple[str, ...]:
        """Learned layers that start from the base's weights."""
        return LEARNED_LAYERS[: self.n + self.preserve] if self.base else ()

    @property
    def frozen_layers(self) -> tuple[str, ...]:
        """Learned layers that keep the weights they start from."""
        return () if self.fine_tuned else LEARNED_LAYERS[: self.n]

    @property
    def task(self) -> str:
        """The name of the task it is trained on: whole, half0A, ..."""
        return "whole" if self.split is None else f"half{self.split}{self.target}"

    @property
    def train_data(self) -> str:
        """The name of its training images."""
        return f"{self._stem()}_train" if self.mode is Mode.REDUCED else f"{self.task}_train"

    @property
    def valid_data(self) -> str:
        """The name of its validation images."""
        return f"{self.task}_valid"

    @property
    def random_seed(self) -> int:
        """Caffe's random_seed, 0..2^31-1.

        Different for every network: with one seed for all, the fresh upper layers of a selffer
        would be drawn as its base's were, and co-adaptation would not be lost.
        """
        return zlib.crc32(f"{self.seed}:{self._stem()}".encode()) & 0x7FFFFFFF


@dataclass(frozen=True)
class Solver:
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
    solver: Solver
    networks: tuple[Network, ...]
    reduced_solver: Solver | None = None
    custom_splits: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = field(
        default_factory=dict
    )
    seconds_per_iteration: float | None = None
    all_outputs: bool = False
    about: str = ""

    def solver_of(self, network: Network) -> Solver:
        """The settings that one network is trained with."""
        if network.mode is Mode.REDUCED and self.reduced_solver:
            return self.reduced_solver
        return self.solver

    def outputs(self, network: Network) -> int:
        """The number of outputs of a network's fc8.

        Raises:
            BadInput: the source does not say how large the split's halves are.
        """
        if network.split is None or self.all_outputs:
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

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that its networks need."""
        return tuple(sorted({n.split for n in self.networks if n.split is not None}))
