"""Training steps of caffe-torch on the processor, against real Caffe in the same run.

python -m benchmarks.training [--iterations 8] [--rounds 3]
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from benchmarks import networks, timing
from caffe_transfer.training.engine import CAFFE_TORCH, Engine, find_engine

MINI_STEPS = 20  # of the mini net in the time of one of CaffeNet's


def main(iterations: int, rounds: int, folder: Path) -> None:
    """Print the table."""
    engines = engines_here()
    rows = []
    for title, kind, batch, threads, name, steps in (
        ("CaffeNet, batch 32, 2 threads", networks.CAFFENET, 32, 2, "netbase", iterations),
        ("the same, frozen at n = 5", networks.CAFFENET, 32, 2, "transfer0A0B_1_5", iterations),
        ("mini net, batch 64, 1 thread", networks.MINI, 64, 1, "netbase", iterations * MINI_STEPS),
    ):
        home = folder / f"{kind.net}-{name}"
        run, study = networks.prepared(home, kind, batch, steps, images=64)
        seen: dict[str, list[float]] = {engine: [] for engine in engines}
        for number in range(rounds):
            for engine, program in engines.items():
                # Every training has a folder of its own: none resumes from another's snapshots.
                made = networks.network(run, study, name, f"{number}-{engine}")
                seen[engine].append(networks.seconds_per_step(made, program, threads))
        peer = statistics.median(seen["Caffe"])
        for engine, times in seen.items():
            step = statistics.median(times)
            rows.append((title, engine, step * 1000, batch / step, peer / step))
    print(f"{timing.processor()}; real data from LMDB, crop and mirror included\n")
    print(timing.table(("net", "engine", "ms a step", "images/s", "times Caffe"), rows))


def engines_here() -> Mapping[str, Engine]:
    """The engines to compare; bf16 is worth measuring only on processors that have AMX."""
    torch = Engine(CAFFE_TORCH, Path(sys.executable).with_name(CAFFE_TORCH))
    engines = {"Caffe": find_engine("caffe"), "caffe-torch, fp32": torch}
    if "amx_bf16" in timing.CPU_INFO.read_text():
        engines["caffe-torch, bf16"] = replace(torch, precision="bf16")
    return engines


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--iterations", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        main(given.iterations, given.rounds, Path(scratch))
