"""Names of files and folders."""

from pathlib import Path

import pytest

from caffe_transfer import paths


def test_where_caffe_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAFFE_PREFIX", "/a")
    assert paths.caffe_prefix() == Path("/a")
    monkeypatch.delenv("CAFFE_PREFIX")
    monkeypatch.setenv("XDG_CACHE_HOME", "/b")
    assert paths.caffe_prefix() == Path("/b/caffe-transfer/caffe")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/c")
    assert paths.caffe_prefix() == Path("/c/.cache/caffe-transfer/caffe")


def test_data_is_found_from_a_networks_folder(tmp_path: Path) -> None:
    run = paths.RunFolder(tmp_path)
    seen = paths.data_seen_from_network().lmdb("half0A_train")
    network = run.network("half0A").root
    network.mkdir(parents=True)
    assert (network / seen).resolve() == run.data.lmdb("half0A_train").resolve()


def test_where_a_study_is_run() -> None:
    assert paths.default_run("studies/mine.toml") == Path("studies/mine")
    assert paths.default_run("a.b.toml") == Path("a.b")
    assert paths.default_run("fashion-mnist") == Path("fashion-mnist")


def test_the_packages_own_files_are_there() -> None:
    assert (paths.templates() / "caffenet.prototxt.j2").is_file()
    assert (paths.solvers() / "1.0.prototxt.j2").is_file()
    assert (paths.built_in_studies() / "paper.toml").is_file()
