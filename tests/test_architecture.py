"""The house: which package may import which, that imports make no circles, and how high it is."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "caffe_transfer"
# Lowest first; a package imports what stands on a lower line, and itself.
FLOORS = (
    ("allocator", "errors", "paths", "streams", "units", "version"),
    ("files", "reading"),
    ("formats",),
    ("lock_records",),
    ("lock",),
    ("studies",),
    ("nets",),
    ("report", "comparison", "old_files", "data_prep", "caffe_torch"),
    ("training", "export"),
    ("cost", "doctor"),
    ("questions",),
    ("preparation", "job_plan", "run_options"),
    ("pipeline",),
    ("new_study",),
    ("api", "cli"),
    ("__main__",),
)
FLOOR_OF = {name: floor for floor, names in enumerate(FLOORS) for name in names}


def modules() -> dict[str, Path]:
    """Every module of the package, by its dotted name without "caffe_transfer."."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")) + sorted((PACKAGE / "data_prep").glob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        if not name.endswith("caffe_pb2"):
            found[name.removesuffix(".__init__")] = path
    del found["__init__"]
    return found


MODULES = modules()


def imports(path: Path) -> Iterator[str]:
    """The modules of the package that a file imports, lazily or for types as well."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("caffe_transfer"):
            base = (node.module or "").removeprefix("caffe_transfer").lstrip(".")
            for alias in node.names:
                full = f"{base}.{alias.name}".lstrip(".")
                if full in MODULES:
                    yield full
                elif base in MODULES:
                    yield base


GRAPH = {name: set(imports(path)) - {name} for name, path in MODULES.items()}


def test_every_package_has_its_floor() -> None:
    assert {name.split(".")[0] for name in MODULES} == set(FLOOR_OF)


@pytest.mark.parametrize("name", MODULES)
def test_no_import_goes_upward(name: str) -> None:
    own = name.split(".")[0]
    for other in GRAPH[name]:
        top = other.split(".")[0]
        assert top == own or FLOOR_OF[top] < FLOOR_OF[own], f"{name} imports {other}"


def test_no_circles() -> None:
    TopologicalSorter(GRAPH).prepare()  # raises CycleError, which names them
