"""The public face: lazy, complete, and as the page about it says."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import caffe_transfer as ct
from caffe_transfer.formats.views import is_view
from caffe_transfer.paths import RunFolder
from tests.small_study import write_study

PAGE = Path(__file__).parent.parent / "docs/python.md"


def test_every_name_is_there() -> None:
    for name in ct.__all__:
        assert getattr(ct, name) is not None
    assert set(ct.__all__) <= set(dir(ct))
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = ct.nonsense


def test_functions_stay_functions_after_all_modules_were_imported() -> None:
    """A submodule of the same name would take a function's place."""
    code = (
        "import pkgutil, importlib, caffe_transfer as ct\n"
        "for each in pkgutil.walk_packages(ct.__path__, 'caffe_transfer.'):\n"
        "    if each.name.endswith('__main__'):\n"
        "        continue\n"
        "    try:\n"
        "        importlib.import_module(each.name)\n"
        "    except ModuleNotFoundError as error:\n"
        "        if error.name not in ('submitit', 'ray'):  # extras\n"
        "            raise\n"
        "print([name for name in ct.__all__ if type(getattr(ct, name)).__name__ == 'module'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_importing_it_imports_nothing_else() -> None:
    code = (
        "import sys; before = set(sys.modules); import caffe_transfer\n"
        "print(len(set(sys.modules) - before))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) == 1


def test_the_page_names_every_function() -> None:
    table = PAGE.read_text().split("## The names")[1]
    listed = set(re.findall(r"`(\w+)(?:\([^`]*\))?`", table))
    errors = {name for name in ct.__all__ if isinstance(getattr(ct, name), type)
              and issubclass(getattr(ct, name), Exception)}  # fmt: skip
    assert set(ct.__all__) - errors - {"__version__"} <= listed


def test_a_study_with_some_of_its_networks() -> None:
    study = ct.load_study("fashion-mnist")
    assert [network.name for network in study.select("half0B", "netbase").networks] == [
        "half0B", "netbase",
    ]  # fmt: skip
    with pytest.raises(ct.BadInput, match="has no network 'half2A'; it has netbase, half0A"):
        study.select("half2A")


def test_folders_of_networks(tmp_path: Path) -> None:
    study = ct.load_study("fashion-mnist", quick=True)
    (folder,) = ct.generate(study, ct.Network.parse("half0A"), out=tmp_path)
    assert folder == tmp_path / "half0A"
    assert len(ct.generate("fashion-mnist", out=str(tmp_path))) == 73
    (comparison,) = ct.compare(folder / "solver.prototxt", folder / "solver.prototxt")
    assert comparison.verdict == "identical"


@pytest.mark.parametrize(("engine", "views"), [("caffe", False), ("caffe-torch", True)])
def test_a_run_that_is_prepared(engine: str, views: bool, tmp_path: Path) -> None:
    """For an engine that need not be here."""
    file = write_study(tmp_path)
    ct.prepare(file, tmp_path / "run", engine=engine, images=tmp_path / "given")
    folder = RunFolder(tmp_path / "run")
    assert is_view(folder.data.lmdb("half0A_train")) == views
    assert folder.network("half0A").root.is_dir()
    assert folder.data.mean.is_file()
