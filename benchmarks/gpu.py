"""Training throughput of CaffeNet on a GPU, in images per second, compared with

the same net on constant data        an upper bound: no data to read
that as a CUDA graph                 --cuda_graph: one launch a pass
real Caffe, built with CUDA          with --caffe PROGRAM: fp32, and tf32 by CAFFE_ALLOW_TF32=1
reading alone                        the data layer, without a net
a plain PyTorch loop                 DataLoader, channels_last, autocast
the card's measured matrix rate      the share of it that the step achieves

python -m benchmarks.gpu             under 8 minutes; --device cpu --batch 4 --steps 6 tries it

It fetches nothing, and runs from a checkout that is not installed.  A machine that cannot fetch
needs Linux, Python 3.11 or later and these wheels, named in setup.py: torch (PyPI's for Linux is
built for CUDA, and brings triton and the nvidia-* wheels), numpy, opencv-python-headless, h5py,
isal, jinja2, lmdb, protobuf; and what they require.  On a machine of the same kind that can fetch:

    pip download --dest wheels torch numpy 'opencv-python-headless<5' h5py isal jinja2 lmdb protobuf

and on the one with the card the same names:

    pip install --no-index --find-links wheels torch numpy ...
"""

import argparse
import math
import os
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks import networks, peer, timing
from caffe_transfer.caffe_torch.layers import make_layer
from caffe_transfer.caffe_torch.rng import Rng
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.prototxt import read_net
from caffe_transfer.nets.phases import included_in
from caffe_transfer.nets.render import parsed_net, render
from caffe_transfer.nets.shapes import blob_shapes, parameter_shapes
from caffe_transfer.nets.sources import source_of
from caffe_transfer.paths import NetworkFolder, RunFolder
from caffe_transfer.studies.network import Network
from caffe_transfer.studies.study import Study
from caffe_transfer.training.engine import CAFFE, CAFFE_TORCH, PRECISIONS, Engine

KINDS = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16}
# Forward, and backward to the bottoms and to the weights; a multiplication and an addition each.
FLOPS_PER_WEIGHT_USE = 3 * 2
BASE = "netbase"
ROOT = Path(__file__).parent.parent
GRAPH = "--cuda_graph"
CONSTANT = "caffe-torch, constant data"
TRAIN = pb.NetState(phase=pb.TRAIN)
WARM_UP = 20  # batches; more than are made ahead
SCRIPT = """#!{python}
import sys
sys.path.insert(0, {root!r})
sys.argv += {options}
from caffe_transfer.caffe_torch.__main__ import main
sys.exit(main())
"""


def main(
    device: str, batch: int, steps: int, images: int, folder: Path, caffe: Path | None
) -> None:
    """Print the table."""
    run, study = networks.prepared(
        folder, networks.CAFFENET, batch, steps, images, display=max(1, steps // 6),
        gpu=device == "cuda",
    )  # fmt: skip
    work = flops_per_image(study)
    rows: list[tuple[object, ...]] = []
    reading = reading_rate(networks.network(run, study, BASE, "reading"), device, steps)
    for precision in PRECISIONS:
        rates = step_rates(run, study, precision, with_graph=device == "cuda")
        if caffe is not None and precision != "bf16":
            rates |= caffe_rates(run, study, precision, caffe)
        rates["plain PyTorch loop"] = peer.images_per_second(
            run.data.lmdb(Network.parse(BASE).train_data), device, batch, steps, precision
        )
        peak = matrix_rate(device, precision)
        for title, rate in rates.items():
            share = rate * work / peak
            ceiling = rate / rates[CONSTANT]
            rows.append((precision, title, f"{rate:.0f}", f"{share:.0%}", f"{ceiling:.0%}"))
            print(*rows[-1], sep="  ", file=sys.stderr, flush=True)
        print(f"{precision}: matrix rate {peak / 1e12:.3g} Tflop/s", file=sys.stderr)
    card = torch.cuda.get_device_name() if device == "cuda" else timing.processor()
    print(f"{card}; CaffeNet, batch {batch}, training step from an LMDB of 256x256 images\n")
    header = ("precision", "what", "images/s", "of the matrix rate", "of constant data")
    print(timing.table(header, rows))
    print(f"\nreading alone: {reading:.0f} images/s with {os.cpu_count()} cores")


def step_rates(run: RunFolder, study: Study, precision: str, with_graph: bool) -> dict[str, float]:
    """Images per second of caffe-torch: from the LMDB, on constant data, and as a graph too."""
    networks_by_title = {
        "caffe-torch": networks.network(run, study, BASE, f"data-{precision}"),
        CONSTANT: on_constant_data(run, study, precision),
    }
    rates = {}
    for title, options in (
        ("caffe-torch", []), (CONSTANT, []), *([(CONSTANT, [GRAPH])] if with_graph else []),
    ):  # fmt: skip
        engine = Engine(CAFFE_TORCH, program(run.root, options), precision)
        seconds = networks.seconds_per_step(
            networks_by_title[title], engine, torch.get_num_threads()
        )
        rates[f"{title}, CUDA graph" if options else title] = study.batch / seconds
    return rates


def caffe_rates(run: RunFolder, study: Study, precision: str, caffe: Path) -> dict[str, float]:
    """Images per second of real Caffe, from the LMDB and on constant data."""
    wrapper = run.root / f"caffe-{precision}"
    allowed = int(precision == "tf32")
    wrapper.write_text(f'#!/bin/sh\nCAFFE_ALLOW_TF32={allowed} exec "{caffe}" "$@"\n')
    wrapper.chmod(0o755)
    engine = Engine(CAFFE, wrapper)
    return {
        title: study.batch / networks.seconds_per_step(made, engine, os.cpu_count() or 1)
        for title, made in (
            ("real Caffe", networks.network(run, study, BASE, f"data-{wrapper.name}")),
            ("real Caffe, constant data", on_constant_data(run, study, wrapper.name)),
        )
    }


def program(folder: Path, options: Sequence[str]) -> Path:
    """Write a program that starts the checkout's caffe-torch with more options."""
    path = folder / "-".join([CAFFE_TORCH, *(option.strip("-") for option in options)])
    text = SCRIPT.format(python=sys.executable, root=str(ROOT), options=list(options))
    path.write_text(text)
    path.chmod(0o755)
    return path


def reading_rate(made: NetworkFolder, device: str, steps: int) -> float:
    """Images per second that the net's data layer makes on the device, once it is warm."""
    net = read_net(made.net)
    (param,) = (layer for layer in net.layer if layer.type == "Data" and included_in(layer, TRAIN))
    layer = make_layer(param, pb.TRAIN, Rng(0))
    layer.device = torch.device(device)
    try:
        ((batch, *_), *_) = layer.set_up([])
        for _ in range(WARM_UP):
            layer.forward([])
        wait(device)
        start = time.perf_counter()
        for _ in range(steps):
            layer.forward([])
        wait(device)
        return batch * steps / (time.perf_counter() - start)
    finally:
        layer.close()


def on_constant_data(run: RunFolder, study: Study, name: str) -> NetworkFolder:
    """The net with its databases replaced by constant blobs."""
    made = networks.network(run, study, BASE, f"constant-{name}")
    (_, side, _), batch = source_of(study).input_shape, study.batch
    constant = (
        'layer { name: "data" type: "DummyData" top: "data" top: "label" dummy_data_param { '
        f"shape {{ dim: {batch} dim: 3 dim: {side} dim: {side} }} shape {{ dim: {batch} }} "
        'data_filler { type: "constant" value: 1 } data_filler { type: "constant" } } }\n'
    )
    layers = re.split(r"(?m)^(?=layer \{)", made.net.read_text())
    kept = [layer for layer in layers if 'type: "Data"' not in layer]
    made.net.write_text(kept[0] + constant + "".join(kept[1:]))
    return made


def flops_per_image(study: Study) -> float:
    """Floating point operations of one training step, in convolutions and inner products alone."""
    net = parsed_net(render(Network.parse(BASE), study))
    image = source_of(study).input_shape
    blobs, tops = blob_shapes(net, image), {layer.name: layer.top for layer in net.layer}
    uses = (  # every weight is used once at each place of its layer's top
        math.prod(weight) * math.prod(blobs[tops[name][0]][1:])
        for name, (weight, *_) in parameter_shapes(net, image).items()
    )
    return sum(uses) * FLOPS_PER_WEIGHT_USE


def matrix_rate(device: str, precision: str) -> float:
    """Floating point operations per second in a large matrix product."""
    size = 8192 if device == "cuda" else 1024
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    a = torch.randn(size, size, device=device, dtype=KINDS[precision])
    b = torch.randn_like(a)
    rounds = 20
    for _ in range(3):
        a @ b
    wait(device)
    start = time.perf_counter()
    for _ in range(rounds):
        a @ b
    wait(device)
    return 2 * size**3 * rounds / (time.perf_counter() - start)


def wait(device: str) -> None:
    """Wait for the device to finish its work."""
    if device == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--images", type=int, default=2048)
    parser.add_argument("--caffe", type=Path, help="a caffe program that is built with CUDA")
    given = parser.parse_args()
    if given.device == "cuda" and not torch.cuda.is_available():
        sys.exit("PyTorch finds no GPU here; --device cpu --batch 4 --steps 6 --images 16 tries it")
    with tempfile.TemporaryDirectory() as scratch:
        main(given.device, given.batch, given.steps, given.images, Path(scratch), given.caffe)
