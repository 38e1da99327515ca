"""Losses of the same training on the processor and on a GPU, by real Caffe and by caffe-torch.

Same weights, same batches, no dropout, whose masks differ: what is left is rounding, which grows
from step to step.

python -m benchmarks.devices --caffe PROGRAM     a caffe program that is built with CUDA
"""

import argparse
import re
import subprocess
import tempfile
from pathlib import Path

from benchmarks import gpu, networks, timing
from caffe_transfer.paths import NetworkFolder
from caffe_transfer.report import logs
from caffe_transfer.training.engine import CAFFE, CAFFE_TORCH, Engine

BATCH, STEPS, IMAGES, THREADS = 16, 10, 64, 8
RATE = 0.001


def main(caffe: Path, folder: Path) -> None:
    """Print the table."""
    engines = (
        Engine(CAFFE, caffe.absolute()),
        Engine(CAFFE_TORCH, gpu.program(folder, []), "fp32"),
    )
    rows: list[tuple[object, ...]] = []
    for kind in (networks.CAFFENET, networks.MINI):
        run, study = networks.prepared(folder / kind.net, kind, BATCH, STEPS, IMAGES)
        found = {}
        for engine in engines:
            for mode in ("CPU", "GPU"):
                made = networks.network(run, study, gpu.BASE, f"{engine.name}-{mode}")
                net = re.sub(r"dropout_ratio: [\d.]+", "dropout_ratio: 0", made.net.read_text())
                made.net.write_text(net)
                text = made.solver.read_text().replace("solver_mode: CPU", f"solver_mode: {mode}")
                made.solver.write_text(text.replace("base_lr: 0.0001", f"base_lr: {RATE}"))
                found[engine.name, mode] = losses(made, engine)
        reference = found[CAFFE, "CPU"]
        for (name, mode), values in found.items():
            off = [abs(a - b) / b for a, b in zip(values, reference, strict=True)]
            rows.append((kind.net, name, mode, f"{values[0]:.5f}", f"{values[-1]:.5f}",
                         f"{off[0]:.1e}", f"{max(off):.1e}"))  # fmt: skip
    print(f"{STEPS} steps of {BATCH} images; differences from Caffe on the processor, relative\n")
    header = ("net", "engine", "device", "first loss", "last loss", "first differs", "at most")
    print(timing.table(header, rows))


def losses(made: NetworkFolder, engine: Engine) -> list[float]:
    """The training losses of a run, one a step."""
    with (made.logs / "train.log").open("wb") as log:
        subprocess.run(
            engine.train(made.solver.name), cwd=made.root, stderr=log, check=True,
            env=timing.environment(THREADS),
        )  # fmt: skip
    return list(map(float, logs.read_logs(logs.log_files(made.root)).train_loss.values))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--caffe", type=Path, required=True)
    with tempfile.TemporaryDirectory() as scratch:
        main(parser.parse_args().caffe, Path(scratch))
