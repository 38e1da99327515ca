"""templates/, solvers/, studies and data_prep work from a wheel, an editable install and a
plain checkout alike."""

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
GENERATE = ["-m", "caffe_transfer", "generate", "--all", "--study", "fashion-mnist", "--out"]


def generated(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*.prototxt"))
    }


@pytest.fixture(scope="module")
def from_checkout(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What the package beside this test writes."""
    out = tmp_path_factory.mktemp("checkout")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run(
        [sys.executable, *GENERATE, out], cwd="/", env=environment, check=True, capture_output=True
    )
    return generated(out)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from the checkout."""
    out = tmp_path_factory.mktemp("wheel")
    # What an earlier build left there would go into the wheel as well.
    shutil.rmtree(ROOT / "build", ignore_errors=True)
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, ROOT],
        check=True, capture_output=True,
    )  # fmt: skip
    return next(out.glob("*.whl"))


def installed_elsewhere(tmp_path: Path, *what: str) -> Path:
    """The Python of a new environment in which our package is installed and the others are seen."""
    venv.create(tmp_path / "venv", system_site_packages=False)
    python = tmp_path / "venv/bin/python"
    # A pip of its own would take the environment longer than all else.
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", python,
         "install", "--quiet", "--no-deps", "--no-build-isolation", *what],
        check=True, capture_output=True, env=os.environ | {"PYTHONPATH": others()},
    )  # fmt: skip
    return python


def others() -> str:
    """The folder of the packages that ours depends on; it does not make ours visible."""
    import click

    return str(Path(click.__file__).parent.parent)


@pytest.mark.parametrize("form", ["wheel", "editable"])
def test_installed(form: str, wheel: Path, from_checkout: dict[str, bytes], tmp_path: Path) -> None:
    what = [str(wheel)] if form == "wheel" else ["--editable", str(ROOT)]
    python = installed_elsewhere(tmp_path, *what)
    environment = os.environ | {"PYTHONPATH": others()}
    where = subprocess.run(
        [python, "-c", "import caffe_transfer, caffe_transfer.data_prep.splits as s;"
         "print(caffe_transfer.__file__, len(s.ilsvrc12_synsets()))"],
        cwd="/", env=environment, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    assert where.endswith(" 1000\n")
    assert where.startswith(str(ROOT if form == "editable" else tmp_path))
    command: list[str | Path] = [
        python.with_name("caffe-transfer"),
        *GENERATE[2:],
        tmp_path / "out",
    ]
    subprocess.run(command, cwd="/", env=environment, check=True, capture_output=True)
    assert generated(tmp_path / "out") == from_checkout


def test_the_wheel_holds_no_tests(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"caffe_transfer"}


def test_the_wheel_holds_the_packages_data_files(wheel: Path) -> None:
    package = ROOT / "caffe_transfer"
    data = {p for p in package.rglob("*") if p.suffix in (".j2", ".toml", ".proto", ".pyi")}
    data |= {p for p in (package / "report/page").rglob("*") if p.suffix in (".js", ".css", ".txt")}
    assert package / "report/page/page.html.j2" in data
    assert package / "report/page/vendor/d3.min.js" in data
    held = set(zipfile.ZipFile(wheel).namelist())
    assert {str(path.relative_to(ROOT)) for path in data} - held == set()


def test_73_networks_were_written(from_checkout: dict[str, bytes]) -> None:
    assert len({name.split("/")[0] for name in from_checkout}) == 73
