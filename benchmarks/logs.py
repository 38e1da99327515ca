"""Reading all logs of a tree of networks, against `gzip -dc` of the same files, one thread each.

python -m benchmarks.logs [FOLDER]

FOLDER holds networks' folders; by default $CAFFE_TRANSFER_SHARED/authors.
"""

import os
import sys
from pathlib import Path

from benchmarks import timing
from caffe_transfer.report import logs, results

ROUNDS = 5
IMPORT = "import sys, pathlib; from caffe_transfer.report import results"
READ = f"{IMPORT}; results.collect(pathlib.Path(sys.argv[1]))"


def main(folder: Path) -> None:
    """Print the table."""
    files = [
        path
        for network in results.networks_folder(folder).iterdir()
        if network.is_dir()
        for path in logs.log_files(network)
    ]
    # -f passes uncompressed files through.
    unpack: list[str | Path] = ["gzip", "-dcf", *files]
    alone = timing.environment(threads=1)
    found = timing.in_turn(
        {
            "gzip -dc": lambda: timing.run(unpack),
            "read all logs": lambda: timing.run([sys.executable, "-c", READ, folder], alone),
            "start and import": lambda: timing.run([sys.executable, "-c", IMPORT], alone),
        },
        ROUNDS,
    )
    peer = found["gzip -dc"]
    size = sum(path.stat().st_size for path in files) / timing.MIB
    print(f"{len(files)} logs, {size:.0f} MiB as stored; {timing.processor()}\n")
    print(
        timing.table(
            ("", "seconds", "CPU seconds", "CPU / gzip -dc", "peak MiB"),
            [(name, c.wall, c.cpu, c.cpu / peer.cpu, c.memory) for name, c in found.items()],
        )
    )


if __name__ == "__main__":
    shared = os.environ.get("CAFFE_TRANSFER_SHARED")
    if len(sys.argv) < 2 and not shared:
        sys.exit("name a folder of networks, or set CAFFE_TRANSFER_SHARED")
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(shared or "") / "authors")
