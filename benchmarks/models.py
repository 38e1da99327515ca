"""`copy` and `compare` on CaffeNet models of 240 MB, against `cp`, `cmp` and pycaffe.

python -m benchmarks.models
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks import timing
from caffe_transfer import paths
from caffe_transfer.formats.caffemodel import Blob, Layer
from caffe_transfer.formats.writer import write_model
from caffe_transfer.nets.render import parsed_net, render
from caffe_transfer.nets.shapes import parameter_shapes
from caffe_transfer.studies.load import paper
from caffe_transfer.studies.network import Network

ROUNDS = 3
MAKE = "import sys, pathlib; from benchmarks import models; \
models.make_caffenet(pathlib.Path(sys.argv[1]), int(sys.argv[2]))"
PYCAFFE = """
import sys, caffe
net = caffe.Net(sys.argv[1], sys.argv[2], caffe.TEST)
net.save(sys.argv[3])
"""


def make_caffenet(path: Path, seed: int) -> None:
    """Write CaffeNet with random parameters, and its deploy.prototxt beside it."""
    files = render(Network.parse("netbase"), paper())
    net = parsed_net(files)
    types = {layer.name: layer.type for layer in net.layer}
    random = np.random.default_rng(seed)
    layers = [
        Layer(name, types[name], tuple(
            Blob(shape, random.standard_normal(int(np.prod(shape)), np.float32))
            for shape in shapes
        ))
        for name, shapes in parameter_shapes(net, (3, 227, 227)).items()
    ]  # fmt: skip
    with path.open("wb") as file:
        write_model("CaffeNet", layers, file)
    path.with_name(paths.NetworkFolder.names().deploy.name).write_text(
        files[paths.NetworkFolder.names().deploy.name]
    )


def main(folder: Path) -> None:
    """Print the table."""
    a, b, same, out = (folder / f"{name}.caffemodel" for name in ("a", "b", "same", "out"))
    for seed, path in enumerate((a, b)):  # in a child, so that this process stays small
        timing.run([sys.executable, "-c", MAKE, path, str(seed)])
    timing.run(["cp", a, same])
    ours = [sys.executable, "-m", "caffe_transfer"]
    runs = {
        "cp": lambda: timing.run(["cp", a, out]),
        "cp, then sync": lambda: timing.run(["sh", "-c", f"cp {a} {out} && sync {out}"]),
        "start and import": lambda: timing.run([*ours, "copy", "--help"]),
        "copy --n 8": lambda: timing.run([*ours, "copy", a, out, "--n", "8"]),
        "cmp, identical": lambda: timing.run(["cmp", a, same]),
        "compare, identical": lambda: timing.run([*ours, "compare", a, same]),
        "compare, all different": lambda: timing.run([*ours, "compare", a, b], status=1),
        "sha256sum of both": lambda: timing.run(["sha256sum", a, b]),
    }
    python = paths.caffe_prefix() / "venv/bin/python"
    if python.exists():
        deploy = folder / paths.NetworkFolder.names().deploy.name
        runs["pycaffe load and save"] = lambda: timing.run(
            [python, "-c", PYCAFFE, deploy, a, out], {"GLOG_minloglevel": "2"}
        )
    found = timing.in_turn(runs, ROUNDS)
    print(f"CaffeNet, {a.stat().st_size / timing.MIB:.0f} MiB; {timing.processor()}\n")
    cp = found["cp"]
    print(
        timing.table(
            ("", "seconds", "CPU seconds", "seconds / cp", "peak MiB"),
            [(name, c.wall, c.cpu, c.wall / cp.wall, c.memory) for name, c in found.items()],
        )
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(Path(folder))
