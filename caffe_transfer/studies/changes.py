"""What a later run in the same folder may change of its study, and what it may not.

More networks, fewer networks, further splits, the name, the pace and the heading change nothing
that is there.  Images, net, batches and solver made the databases and the trained networks.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from caffe_transfer.studies.network import Mode
from caffe_transfer.studies.schema import shown
from caffe_transfer.studies.study import Study, Task

_FIXED = ("net", "batch", "test_batch", "all_outputs", "cuts")


@dataclass(frozen=True)
class Conflict:
    """A setting that two runs in one folder cannot have differently."""

    key: str
    kept: Any
    asked: Any

    def __str__(self) -> str:
        return f"{self.key} is {_shown(self.kept)} there and {_shown(self.asked)} here"


def conflicts(kept: Study, asked: Study) -> list[Conflict]:
    """The settings by which a run of `asked` cannot continue one of `kept`."""
    before, after = _fixed(kept), _fixed(asked)
    found = [Conflict(key, before[key], after[key]) for key in before if before[key] != after[key]]
    return [*found, *_later(kept, asked)]


def _fixed(study: Study) -> dict[str, Any]:
    settings = {key: getattr(study, key) for key in _FIXED}
    for table in ("images", "solver"):
        settings |= {f"{table}.{k}": v for k, v in asdict(getattr(study, table)).items()}
    # A folder may be moved, and a view replaced by a database.
    for key in ("natman_classes", "path", "databases"):
        del settings[f"images.{key}"]
    return settings


def _later(kept: Study, asked: Study) -> Iterator[Conflict]:
    """Settings that a later run may add, and may not change."""
    before, after = kept.images.natman_classes, asked.images.natman_classes
    if before and after and before != after:
        yield Conflict("images.natman_classes", before, after)
    for name in kept.custom_splits.keys() & asked.custom_splits.keys():
        old, new = kept.custom_splits[name], asked.custom_splits[name]
        for side in "AB":
            yield from _changed_task(f"splits.{name}.{side}", old.task(side), new.task(side))
    own_solver = kept.reduced_solver is not None or asked.reduced_solver is not None
    if own_solver and all(_has_reduced(study) for study in (kept, asked)):
        old_solver = asdict(kept.reduced_solver or kept.solver)
        new_solver = asdict(asked.reduced_solver or asked.solver)
        for key in old_solver:
            if old_solver[key] != new_solver[key]:
                yield Conflict(f"reduced_solver.{key}", old_solver[key], new_solver[key])


def _changed_task(key: str, old: Task, new: Task) -> Iterator[Conflict]:
    """The order of a task's classes changes nothing."""
    for field, before in asdict(old).items():
        after = getattr(new, field)
        lists = isinstance(before, tuple) and isinstance(after, tuple)
        if sorted(before) != sorted(after) if lists else before != after:
            yield Conflict(f"{key}.{field}", before, after)


def _has_reduced(study: Study) -> bool:
    return any(network.mode is Mode.REDUCED for network in study.networks)


def _shown(value: object) -> str:
    return "not set" if value is None else shown(value)
