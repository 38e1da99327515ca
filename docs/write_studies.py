"""Writes the tables of docs/studies.md from the schema; `--check` only says if they are stale.

A table stands between the marks <!-- keys images --> and <!-- end -->.
"""

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from caffe_transfer.studies.groups import GROUPS
from caffe_transfer.studies.network import Mode
from caffe_transfer.studies.schema import Key, keys_of, toml_value
from caffe_transfer.studies.solver import POLICIES, SolverSettings
from caffe_transfer.studies.study import CustomSplit, Images, Study, Task

PAGE = Path(__file__).with_name("studies.md")
TABLES: Mapping[str, type] = {
    "top": Study,
    "images": Images,
    "solver": SolverSettings,
    **{str(mode): GROUPS[mode] for mode in Mode},
    "split": CustomSplit,
    "task": Task,
}
_CUTS = {"n": [1, 2, 3], "fine_tune": [False, True], "preserve": [1], "seeds": [1, 2]}
# A value for each key, which its kind accepts.
EXAMPLES: Mapping[str, Mapping[str, Any]] = {
    "top": {
        "name": "pets", "net": "nets/train_val.prototxt", "batch": 64, "test_batch": 100,
        "cuts": ["pool1", "inception_4a/output"], "seconds_per_iteration": 0.028,
        "all_outputs": True, "keep_snapshots": "all",
    },
    "images": {
        "source": "folder", "path": "photos", "valid_fraction": 0.2, "classes": 37, "channels": 3,
        "size": 256, "crop": 227, "mirror": False, "scale": 0.0078125, "mean": "mean.binaryproto",
        "mean_values": [104, 117, 123], "natman_classes": [449, 551], "train_per_class": 500,
        "valid_per_class": 50, "databases": "view",
    },
    "solver": {
        "base_lr": 0.01, "max_iter": 10000, "test_iter": 20, "test_interval": 500,
        "snapshot": 5000, "stepsize": 4000, "type": "Adam", "lr_policy": "multistep",
        "gamma": 0.1, "stepvalue": [5000, 7500], "power": 0.75, "momentum": 0.9,
        "momentum2": 0.999, "rms_decay": 0.98, "delta": 1e-8, "weight_decay": 0.0005,
        "regularization_type": "L1", "clip_gradients": 35.0, "iter_size": 4, "average_loss": 40,
        "display": 20, "gpu": True,
    },
    "base": {"whole": True, "splits": ["0", "1"], "targets": ["B"], "seeds": [1, 2]},
    "selffer": {"splits": ["0"], "targets": ["B"], **_CUTS},
    "transfer": {"splits": ["0", "natman"], "pairs": ["AB", "BA"], **_CUTS},
    "random": {"n": [1, 2, 3], "seeds": [1, 2]},
    "reduced": {"per_class": [10, 100], "seeds": [1, 2]},
    "split": {"overlap": True},
    "task": {"classes": ["cat", "dog"], "model": "vgg.caffemodel", "names": {"conv1": "conv1_1"}},
}  # fmt: skip
_MARKED = re.compile(r"(<!-- (keys|policies)(?: (\w+))? -->\n).*?(<!-- end -->)", re.S)


def page(text: str) -> str:
    """The page with all tables written anew."""
    return _MARKED.sub(lambda mark: f"{mark[1]}\n{_table(mark[2], mark[3])}\n{mark[4]}", text)


def tables(text: str) -> list[str]:
    """The names of the tables that a page has marks for."""
    return [mark[3] or mark[2] for mark in _MARKED.finditer(text)]


def _table(kind: str, name: str | None) -> str:
    if kind == "policies":
        rows = [[f'`"{policy}"`', _code(*keys) or "-"] for policy, keys in POLICIES.items()]
        return _rows(["lr_policy", "reads, besides base_lr and max_iter"], rows)
    assert name is not None
    rows = [
        [
            _code(key.name),
            key.kind.expected,
            _default(key),
            key.about,
            _code(toml_value(EXAMPLES[name][key.name])),
        ]
        for key in keys_of(TABLES[name]).values()
    ]
    return _rows(["key", "takes", "default", "meaning", "example"], rows)


def _default(key: Key) -> str:
    if key.required:
        return "needed"
    return "-" if key.default is None or key.default == {} else _code(toml_value(key.default))


def _rows(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |\n" for row in lines)


def _code(*texts: str) -> str:
    return ", ".join(f"`{text}`" for text in texts)


if __name__ == "__main__":
    before = PAGE.read_text()
    after = page(before)
    if "--check" in sys.argv:
        sys.exit(0 if after == before else "docs/studies.md is stale")
    PAGE.write_text(after)
