"""Networks, and the names that the authors gave them.

A network's name describes it completely:

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
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from caffe_transfer.errors import BadInput

NATMAN = "natman"
WHOLE = "whole"
DEFAULT_SEED = 1
MAX_SPLIT_SEED = 2**32 - 1  # of numpy's RandomState, which draws the halves


class Mode(StrEnum):
    """Kinds of networks (paper section 2; random: 4.3, reduced: supplement)."""

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
        if _SEED_OF_HALVES.fullmatch(self.key):
            return "random"
        return NATMAN if self.key == NATMAN else "custom"

    def task(self, side: str) -> str:
        """The name of one task's data and base network, such as half0A."""
        return f"half{self.key}{side}"


_SEED_OF_HALVES = re.compile("[0-9]+")


def is_split(key: str) -> bool:
    """Whether `key` can name a split: a random seed, natman, or a custom name of letters a-z."""
    if _SEED_OF_HALVES.fullmatch(key):
        short = len(key) <= len(str(MAX_SPLIT_SEED))
        return short and key == str(int(key)) and int(key) <= MAX_SPLIT_SEED
    return re.fullmatch("[a-z]+", key) is not None and key != WHOLE


_LONGEST_NAME = 255  # of a folder
_SEED = r"(?:-seed(?P<seed>[1-9][0-9]*))?"
_NAME_PATTERNS = tuple(
    re.compile(pattern + _SEED)
    for pattern in (
        r"(?P<netbase>netbase)",
        r"half(?P<split>[0-9]+|[a-z]+)(?P<target>[AB])",
        r"transfer(?P<ft>-ft)?(?P<split>[0-9]+)(?P<base>[AB])(?P=split)(?P<target>[AB])"
        r"_1_(?P<n>[0-9]+)(?:-preserve(?P<preserve>[0-9]+))?",
        r"transfer(?P<ft>-ft)?(?P<split>[a-z]+)(?P<base>[AB])(?P<target>[AB])"
        r"_1_(?P<n>[0-9]+)(?:-preserve(?P<preserve>[0-9]+))?",
        r"nolearn_1_(?P<n>[0-9]+)",
        r"reduced-(?P<per_class>[0-9]{4,})",
    )
)


@dataclass(frozen=True, kw_only=True)
class Network:
    """One network: how it starts, what of it is frozen, and the task it is trained on.

    Attributes:
        target, base: "A" or "B"; None where the task is all classes, or nothing is copied.
        n: the cut, counted from the images: layers below it are copied (in mode random: kept
            frozen at their random initial weights).  In a chain, as the paper's net, these are
            weight layers 1..n.
        fine_tuned: copied layers are trained further (the paper's "+").
        preserve: layers up to cut n + preserve are copied too, and fine-tuned.
        per_class: training images of each class, for mode reduced.
        seed: tells repeats of one network apart.

    Raises:
        BadInput: the combination is not a network.
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
        if self.seed < 1:
            raise BadInput(f"seed {self.seed} is not a positive number")
        if self.split is not None and not is_split(self.split):
            raise BadInput(
                f"split {self.split!r} is neither a seed, such as 0, nor {NATMAN}, nor a name of "
                "the letters a-z"
            )
        for field, why in _UNUSED[self.mode].items():
            value = getattr(self, field)
            if value not in (None, 0, False):
                raise BadInput(f"mode {self.mode} {why}; leave {field} = {value} out")
        _CHECKS[self.mode](self)

    @property
    def name(self) -> str:
        """The name of the network and of its folder, in the authors' form."""
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
        """The network that a folder's name describes.

        Raises:
            BadInput: it is not the name of a network.
        """
        match = next(filter(None, (p.fullmatch(name) for p in _NAME_PATTERNS)), None)
        if match is None or len(name) > _LONGEST_NAME:
            raise BadInput(
                f"{name!r} is not the name of a network; names are like half0A, "
                "transfer0A0B_1_4, transfer-ft0A0B_1_4, nolearn_1_4, reduced-0010, netbase"
            )
        part = match.groupdict()
        seed = int(part["seed"] or DEFAULT_SEED)
        if part.get("per_class"):
            return cls(mode=Mode.REDUCED, per_class=int(part["per_class"]), seed=seed)
        if name.startswith("nolearn"):
            return cls(mode=Mode.RANDOM, n=int(part["n"]), seed=seed)
        if part.get("base") is None:
            return cls(
                mode=Mode.BASE, target=part.get("target"), split=part.get("split"), seed=seed
            )
        return cls(
            mode=Mode.SELFFER if part["base"] == part["target"] else Mode.TRANSFER,
            target=part["target"],
            base=part["base"],
            split=part["split"],
            n=int(part["n"]),
            fine_tuned=part["ft"] is not None,
            preserve=int(part["preserve"] or 0),
            seed=seed,
        )

    @classmethod
    def from_options(
        cls,
        mode: Mode,
        n: int = 0,
        base: str | None = None,
        target: str | None = None,
        split: str = "0",
        **more: Any,
    ) -> "Network":
        """The network that a user describes, with the paper's choices as defaults.

        A transfer goes from A to B; selffers and bases are trained on A; split "whole" means all
        classes.

        Raises:
            BadInput: the combination is not a network.
        """
        if mode in (Mode.RANDOM, Mode.REDUCED) or split == WHOLE:
            return cls(mode=mode, target=target, base=base, n=n, **more)
        if mode is Mode.TRANSFER:
            base = base or ("A" if target != "A" else "B")
            target = target or ("B" if base == "A" else "A")
        else:
            target = target or base or "A"
            base = base or (target if mode is Mode.SELFFER else None)
        return cls(mode=mode, target=target, base=base, split=split, n=n, **more)

    @property
    def base_name(self) -> str | None:
        """The name of the network that layers are copied from; None if nothing is copied."""
        if self.base is None:
            return None
        return Network(mode=Mode.BASE, target=self.base, split=self.split, seed=self.seed).name

    @property
    def copied_count(self) -> int:
        """The cut below which layers start from the base's weights, 0 for none."""
        return self.n + self.preserve if self.base else 0

    @property
    def frozen_count(self) -> int:
        """The cut below which layers keep the weights that they start from, 0 for none."""
        return 0 if self.fine_tuned else self.n

    @property
    def task(self) -> str:
        """The task that it is trained on: whole, half0A, ..."""
        return WHOLE if self.split is None else f"half{self.split}{self.target}"

    @property
    def train_data(self) -> str:
        """The name of its training set."""
        return f"{self._stem()}_train" if self.mode is Mode.REDUCED else f"{self.task}_train"

    @property
    def valid_data(self) -> str:
        """The name of its validation set."""
        return f"{self.task}_valid"

    @property
    def random_seed(self) -> int:
        """Caffe's random_seed, 0..2^31-1.

        It differs between networks: with one seed for all, the fresh upper layers of a selffer
        would start from the same weights as its base's, and co-adaptation would not be lost.
        """
        return zlib.crc32(f"{self.seed}:{self._stem()}".encode()) & 0x7FFFFFFF


def _check_base(network: Network) -> None:
    if (network.split is None) != (network.target is None):
        raise BadInput("a base is of half A or B of a split, or of all classes without both")


def _check_reduced(network: Network) -> None:
    if network.per_class is None or network.per_class < 1:
        raise BadInput("mode reduced needs the number of images of each class, 1 or more")


def _check_copied(network: Network) -> None:
    """Rules of selffers and transfers."""
    _check_n(network)
    base, target = network.base, network.target
    if base is None or target is None or network.split is None:
        raise BadInput(f"mode {network.mode} needs a split, a base and a target, each A or B")
    if (base == target) != (network.mode is Mode.SELFFER):
        raise BadInput(
            f"base {base} and target {target} do not go with mode {network.mode}: "
            "a selffer has the same for both, a transfer two different ones"
        )
    if network.preserve < 0 or (network.preserve and network.fine_tuned):
        raise BadInput(
            f"preserve = {network.preserve} does not fit: it counts layers that are copied and "
            "fine-tuned above frozen ones, so leave fine-tune out and give 0 or more"
        )


def _check_n(network: Network) -> None:
    if network.n < 1:
        raise BadInput(
            f"n = {network.n} is not a layer to cut at; mode {network.mode} takes n from 1 on"
        )


_NOTHING_COPIED = {
    "n": "copies no layers",
    "base": "has no base",
    "fine_tuned": "has no copied layers to fine-tune",
    "preserve": "has no copied layers to preserve",
}
_ALL_CLASSES = {"target": "is trained on all classes", "split": "is trained on all classes"}
_ONE_SIZE = {"per_class": "is trained on every image"}
# For each mode, the fields that it does not use, and why.
_UNUSED: dict[Mode, dict[str, str]] = {
    Mode.BASE: _NOTHING_COPIED | _ONE_SIZE,
    Mode.SELFFER: _ONE_SIZE,
    Mode.TRANSFER: _ONE_SIZE,
    Mode.RANDOM: {k: v for k, v in _NOTHING_COPIED.items() if k != "n"} | _ALL_CLASSES | _ONE_SIZE,
    Mode.REDUCED: _NOTHING_COPIED | _ALL_CLASSES,
}
_CHECKS: dict[Mode, Callable[[Network], None]] = {
    Mode.BASE: _check_base,
    Mode.SELFFER: _check_copied,
    Mode.TRANSFER: _check_copied,
    Mode.RANDOM: _check_n,
    Mode.REDUCED: _check_reduced,
}
