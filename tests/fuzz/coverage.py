"""Three readers under libFuzzer, which looks for inputs that lead to new lines of their code.

python -m tests.fuzz.coverage wire --seconds 1200 --seed 0

Needs atheris (pip install atheris); with --where-possible its absence is told and is no failure.
"""

import argparse
import contextlib
import importlib.util
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

READERS = {
    "wire": ("V0.caffemodel", "V2.caffemodel", "net.solverstate", "mean.binaryproto"),
    "prototxt": ("net.prototxt", "old.prototxt", "solver.prototxt"),
    "log": ("train.log",),
}
SECONDS_EACH = 20  # for one input
ROUND = 240  # seconds, after which another process goes on: some code that atheris changes leaks
MOST_BYTES = 1 << 14


def main() -> int:
    """Fuzz one reader; libFuzzer ends the program itself at a failure, with status 77."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.coverage", description=__doc__)
    parser.add_argument("reader", choices=READERS)
    parser.add_argument("--seconds", type=int, default=1200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--failures", type=Path, default=Path("fuzz-failures"))
    parser.add_argument("--where-possible", action="store_true")
    parser.add_argument("--corpus", type=Path, help="a folder of inputs to go on with")
    given = parser.parse_args()
    if importlib.util.find_spec("atheris") is None:
        print(f"{given.reader}: skipped; install atheris for it", file=sys.stderr)
        return 0 if given.where_possible else 2
    if given.seconds > ROUND:
        return _rounds(given)
    _fuzz(given)
    return 0


def _rounds(given: argparse.Namespace) -> int:
    """Let several processes fuzz, one after the other, each with the inputs of those before it."""
    corpus = given.corpus or Path(tempfile.mkdtemp())
    for number, start in enumerate(range(0, given.seconds, ROUND)):
        done = subprocess.run([
            sys.executable, "-m", "tests.fuzz.coverage", given.reader, f"--corpus={corpus}",
            f"--seconds={min(ROUND, given.seconds - start)}", f"--seed={given.seed + number}",
            f"--failures={given.failures}",
        ])  # fmt: skip
        if done.returncode:
            return done.returncode
    return 0


def _fuzz(given: argparse.Namespace) -> None:
    import atheris

    with atheris.instrument_imports(include=["caffe_transfer", "google.protobuf.text_format"]):
        reader = {"wire": _wire, "prototxt": _prototxt, "log": _log}[given.reader]()
    from tests.fuzz.samples import write_samples

    scratch = Path(tempfile.mkdtemp())
    write_samples(scratch)
    corpus = given.corpus or Path(tempfile.mkdtemp())
    for name in READERS[given.reader]:
        (corpus / name).write_bytes((scratch / name).read_bytes()[:MOST_BYTES])
    given.failures.mkdir(parents=True, exist_ok=True)
    arguments = [
        sys.argv[0], str(corpus), f"-max_total_time={given.seconds}", f"-seed={given.seed + 1}",
        f"-timeout={SECONDS_EACH}", f"-max_len={MOST_BYTES}", "-rss_limit_mb=4096",
        f"-artifact_prefix={given.failures}/{given.reader}-", "-print_final_stats=1",
    ]  # fmt: skip
    atheris.Setup(arguments, reader)
    atheris.Fuzz()


def _wire() -> Callable[[bytes], None]:
    from caffe_transfer.formats import wire
    from caffe_transfer.formats.layer_records import read_records
    from caffe_transfer.formats.model_upgrade import read_settings

    def read(data: bytes) -> None:
        buffer = memoryview(data)
        with contextlib.suppress(wire.WireError):
            list(wire.fields(buffer))
        for reader in (read_records, read_settings):
            with _a_sentence_at_most():
                reader(Path("x"), buffer)

    return read


def _prototxt() -> Callable[[bytes], None]:
    from caffe_transfer.formats.prototxt import read_net, read_prototxt, read_solver

    path = Path(tempfile.mkdtemp()) / "x.prototxt"

    def read(data: bytes) -> None:
        path.write_bytes(data)
        for reader in (read_net, read_solver, read_prototxt):
            with _a_sentence_at_most():
                reader(path)

    return read


def _log() -> Callable[[bytes], None]:
    from caffe_transfer.report.logs import Follower, read_logs

    path = Path(tempfile.mkdtemp()) / "x.log"

    def read(data: bytes) -> None:
        path.write_bytes(data)
        read_logs([path])
        follower = Follower()
        follower.feed(data)

    return read


@contextlib.contextmanager
def _a_sentence_at_most() -> Iterator[None]:
    """Let the block end in an error of the library's, whose message is checked."""
    from caffe_transfer.errors import MOST_CHARACTERS, CaffeTransferError

    try:
        yield
    except CaffeTransferError as error:
        message = str(error)
        assert message.isprintable(), message
        assert len(message) <= MOST_CHARACTERS, message


if __name__ == "__main__":
    sys.exit(main())
