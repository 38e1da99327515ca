"""The weights that a network starts from."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from caffe_transfer.errors import BadInput, EngineError, Incomplete
from caffe_transfer.formats.caffemodel import open_model
from caffe_transfer.paths import NetworkFolder
from caffe_transfer.training.init_weights import (
    draw_weights,
    prepare_init,
    trained_model,
)
from caffe_transfer.training.preflight import load_network
from tests.small_study import SmallRun, script


def test_only_copied_layers_are_in_it(small_run: SmallRun) -> None:
    small_run.train("half0A")
    loaded = load_network(small_run.write("transfer0A0B_1_3"))
    init = prepare_init(loaded, small_run.settings.engine)
    assert init is not None
    with open_model(init) as ours, open_model(trained_model(loaded.folder.basenet)) as base:
        assert list(ours.with_blobs) == ["conv1", "conv2", "conv3"]
        for name, layer in ours.with_blobs.items():
            source = base.with_blobs[name]
            assert layer.type == source.type
            assert [b.shape for b in layer.blobs] == [b.shape for b in source.blobs]
            assert [b.tobytes() for b in layer.blobs] == [b.tobytes() for b in source.blobs]


def test_another_base_under_the_same_name_is_refused(small_run: SmallRun) -> None:
    small_run.train("half0A")
    small_run.train("half0B")
    loaded = load_network(small_run.write("transfer0A0B_1_3"))
    prepare_init(loaded, small_run.settings.engine)
    loaded.folder.basenet.unlink()
    loaded.folder.basenet.symlink_to("../half0B")
    with pytest.raises(BadInput, match="does not hold the layers conv1 to conv3 of"):
        prepare_init(loaded, small_run.settings.engine)


def test_a_base_of_another_shape_is_refused_before_launch(small_run: SmallRun) -> None:
    small_run.train("half0A")
    loaded = load_network(small_run.write("transfer0A0B_1_3"))
    for file in (loaded.folder.net, loaded.folder.deploy):
        file.write_text(file.read_text().replace("num_output: 24", "num_output: 20", 1))
    with pytest.raises(BadInput, match=r"conv2 has the shape 24x16x3x3 .* and 20x16x3x3 .* in the"):
        prepare_init(load_network(loaded.folder.root), small_run.settings.engine)


def test_an_untrained_base(small_run: SmallRun) -> None:
    loaded = load_network(small_run.write("transfer0A0B_1_3"))
    small_run.write("half0A")
    with pytest.raises(Incomplete, match="not trained to its end yet"):
        trained_model(loaded.folder.basenet)


def test_random_filters_are_what_caffe_draws_for_the_seed(
    small_run: SmallRun, pycaffe: Callable[..., str]
) -> None:
    loaded = load_network(small_run.write("nolearn_1_2"))
    init = prepare_init(loaded, small_run.settings.engine)
    assert init is not None
    drawn = pycaffe(
        "import sys, os, hashlib, caffe\n"
        "os.chdir(sys.argv[1]); caffe.set_random_seed(int(sys.argv[2]))\n"
        "net = caffe.Net('train_val.prototxt', caffe.TRAIN)\n"
        "print(hashlib.sha256(net.params['conv1'][0].data.tobytes()).hexdigest())\n",
        loaded.folder.root,
        str(loaded.solver.random_seed),
    )
    with open_model(init) as model:
        ours = hashlib.sha256(model.with_blobs["conv1"].blobs[0].tobytes()).hexdigest()
    assert drawn.strip() == ours


def test_an_engine_that_cannot_draw(small_run: SmallRun, tmp_path: Path) -> None:
    loaded = load_network(small_run.write("nolearn_1_2"))
    engine = script(tmp_path / "broken", "echo 'F1123 1 a.cpp:1] no memory' >&2; exit 1")
    with pytest.raises(EngineError, match=r"broken did not draw .* nolearn_1_2: no memory"):
        draw_weights(loaded, engine, loaded.folder.init)
    names = {path.name for path in loaded.folder.root.iterdir()}
    files = NetworkFolder.names()
    assert names == {str(files.net), str(files.solver), str(files.deploy), str(files.cut)}


def test_a_folder_without_space_is_one_sentence(
    small_run: SmallRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    loaded = load_network(small_run.write("nolearn_1_2"))
    monkeypatch.setattr(Path, "write_text", fail)
    with pytest.raises(BadInput, match=r"init\.caffemodel: No space left on device; free"):
        draw_weights(loaded, small_run.settings.engine, loaded.folder.init)


def test_a_base_whose_model_has_changed_is_refused(small_run: SmallRun) -> None:
    small_run.train("half0A")
    loaded = load_network(small_run.write("transfer0A0B_1_3"))
    model = trained_model(loaded.folder.basenet)
    content = bytearray(model.read_bytes())
    content[content.index(b"conv1") + 300] ^= 0x40
    model.write_bytes(content)
    with pytest.raises(BadInput, match=r"iter_\d+\.caffemodel has changed since training ended"):
        prepare_init(loaded, small_run.settings.engine)
    assert not loaded.folder.init.exists()
