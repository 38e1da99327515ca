"""An engine that replays the authors' published logs: the 170 networks in minutes, no ImageNet.

    python -m tests.replay_engine [--published DIR] [--seconds S] train --solver=F
        [--weights=F] [--snapshot=F] [--gpu=IDS]

It has the command line, log, snapshots and signals of `caffe train`, and trains nothing:

log        the losses and scores of the network's published logs, in Caffe 1.0's words, at the pace
           of one training in S seconds.  A network without published logs has none in its log.
snapshots  whole pairs of the net's own shapes.  Frozen layers stay as --weights or --snapshot has
           them; what would learn holds the iteration's number.  Nothing is renamed into place, as
           in Caffe: an engine that is killed may leave half of a pair.
signals    SIGINT: snapshot and stop; SIGHUP: snapshot.

While it works it holds a lock on MARK in the network's folder, which is not caffe-transfer's lock.
One that meets another says so in TWICE, which stays there, and fails.  The kernel keeps that lock:
it tells processes of one machine from each other, whatever their hosts are said to be called.
"""

import argparse
import bisect
import fcntl
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from caffe_transfer.formats.caffemodel import Blob
    from caffe_transfer.formats.proto import caffe_pb2 as pb

VERSION = "replay of the published logs, version 1"
MARK = "replay.mark"
TWICE = "trained-twice.txt"
ROOT = Path(__file__).resolve().parent.parent
_TICK_SECONDS = 0.02


def replay_script(path: Path, published: Path | None = None, seconds: float = 0.0) -> Path:
    """Write a program that is this engine.

    Args:
        published: the folder of the authors' networks; None for no published logs.
        seconds: from a network's first iteration to its last, without restarts.
    """
    options = f"--seconds={seconds}" + (f" --published='{published}'" if published else "")
    path.write_text(
        f"#!/bin/sh\nexport PYTHONPATH='{ROOT}'\n"
        f"exec '{sys.executable}' -m tests.replay_engine {options} \"$@\"\n"
    )
    path.chmod(0o755)
    return path


@dataclass
class _Wishes:
    """What signals have asked for."""

    stop: bool = False
    snapshot: bool = False

    def listen(self) -> None:
        signal.signal(signal.SIGINT, lambda *_: setattr(self, "stop", True))
        signal.signal(signal.SIGHUP, lambda *_: setattr(self, "snapshot", True))


class _Log:
    """glog's lines on standard error."""

    def write(self, messages: Sequence[str], severity: str = "I") -> None:
        head = f"{severity}{datetime.now():%Y%m%d %H:%M:%S.%f} {os.getpid():5d} solver.cpp:1] "
        text = "".join(f"{head}{message}\n" for message in messages).encode()
        while text:
            text = text[os.write(sys.stderr.fileno(), text) :]


@dataclass(frozen=True)
class _Messages:
    """What a training says, and at which iteration; ascending."""

    iterations: list[int]
    texts: list[str]

    def between(self, first: int, last: int) -> list[str]:
        """Those of iterations above `first`, up to `last`."""
        found = (bisect.bisect_right(self.iterations, bound) for bound in (first, last))
        return self.texts[slice(*found)]


def _test(iteration: int, accuracy: float, loss: float) -> list[str]:
    return [
        f"Iteration {iteration}, Testing net (#0)",
        f"    Test net output #0: accuracy = {accuracy!r}",
        f"    Test net output #1: loss = {loss!r} (* 1 = {loss!r} loss)",
    ]


def _published_messages(folder: Path | None) -> _Messages:
    """What the logs of one published network say; nothing if there are none."""
    from caffe_transfer.report.logs import log_files, read_logs

    log = read_logs(log_files(folder) if folder else [])
    # At one iteration the loss comes first, as in 2014.
    lines = [
        (iteration, 0, [f"Iteration {iteration}, loss = {value!r}"])
        for iteration, value in zip(
            log.train_loss.iterations.tolist(), log.train_loss.values.tolist(), strict=True
        )
    ]
    losses = dict(
        zip(log.valid_loss.iterations.tolist(), log.valid_loss.values.tolist(), strict=True)
    )
    lines += [
        (iteration, 1, _test(iteration, value, losses[iteration]))
        for iteration, value in zip(
            log.accuracy.iterations.tolist(), log.accuracy.values.tolist(), strict=True
        )
    ]
    return _flat(lines)


def _trial_messages(max_iter: int) -> _Messages:
    """Those of a net that learns nothing, which is enough to see how fast it goes."""
    lines = [(0, 1, _test(0, 0.001, 6.9))]
    lines += [(each, 0, [f"Iteration {each}, loss = 6.9"]) for each in range(max_iter + 1)]
    return _flat(lines)


def _flat(lines: list[tuple[int, int, list[str]]]) -> _Messages:
    ordered = [(line[0], text) for line in sorted(lines) for text in line[2]]
    return _Messages([row[0] for row in ordered], [row[1] for row in ordered])


class _Training:
    """One network: its weights, its snapshots and what it says."""

    def __init__(self, options: argparse.Namespace, wishes: _Wishes, log: _Log) -> None:
        from caffe_transfer.formats.prototxt import read_net, read_solver
        from caffe_transfer.nets.layers import frozen_layers
        from caffe_transfer.nets.shapes import parameter_shapes
        from caffe_transfer.paths import NetworkFolder

        self._solver = read_solver(options.solver)
        self._net: pb.NetParameter = read_net(Path(self._solver.net))
        self._seconds, self._wishes, self._log = options.seconds, wishes, log
        # The size of the images stands in deploy.prototxt alone.
        deploy = read_net(NetworkFolder.names().deploy)
        (image,) = (shape.dim for layer in deploy.layer for shape in layer.input_param.shape)
        self._shapes = parameter_shapes(self._net, tuple(image[1:]))
        self._frozen = frozenset(frozen_layers(self._net))
        self._messages = self._what_it_says(options.published)
        self._iteration, self._saved = 0, -1
        self._weights: dict[str, tuple[Blob, ...]] = {}
        if options.snapshot:
            self._resume(options.snapshot)
        elif options.weights:
            self._take(options.weights)

    def _what_it_says(self, published: Path | None) -> _Messages:
        # A training that ends before its first regular test is a trial of caffe-transfer's.
        if self._solver.max_iter < self._solver.test_interval:
            return _trial_messages(self._solver.max_iter)
        name = self._net.name.rpartition(" ")[2]
        return _published_messages(published / name if published else None)

    def _resume(self, state_file: Path) -> None:
        from caffe_transfer.formats.solverstate import open_state

        with open_state(state_file) as state:
            self._iteration = self._saved = state.iteration
            model = Path(state.learned_net)
        self._take(model)
        self._log.write([f"Restoring previous solver status from {state_file}"])

    def _take(self, model_file: Path) -> None:
        """Take from a model the layers of the net's names, as Caffe does."""
        from caffe_transfer.formats.caffemodel import Blob, open_model

        with open_model(model_file) as model:
            for name, layer in model.with_blobs.items():
                if name in self._shapes:
                    self._weights[name] = tuple(
                        Blob(blob.shape, blob.values.copy()) for blob in layer.blobs
                    )

    def run(self) -> None:
        """Train to the end, or until asked to stop."""
        first, began, last = self._iteration, time.monotonic(), self._solver.max_iter
        if first == 0:
            self._log.write(self._messages.between(-1, 0))
        while self._iteration < last and not self._wishes.stop:
            goal = last
            if self._seconds:
                done = (time.monotonic() - began) / self._seconds
                goal = min(last, first + int(done * last))
            self._go_to(goal)
            if self._wishes.snapshot:
                self._wishes.snapshot = False
                self._save()
            if self._iteration < last and not self._wishes.stop:
                time.sleep(_TICK_SECONDS)
        if self._saved != self._iteration:
            self._save()
        done_early = self._iteration < last
        self._log.write(["Optimization stopped early." if done_early else "Optimization Done."])

    def _go_to(self, goal: int) -> None:
        """Say all up to an iteration, and write the snapshots that are due."""
        every = self._solver.snapshot
        while self._iteration < goal and not self._wishes.stop:
            due = (self._iteration // every + 1) * every if every else goal
            reached = min(goal, due)
            self._log.write(self._messages.between(self._iteration, reached))
            self._iteration = reached
            if every and reached % every == 0:
                self._save()

    def _save(self) -> None:
        from caffe_transfer.formats.caffemodel import Layer
        from caffe_transfer.formats.solverstate import SolverState
        from caffe_transfer.formats.writer import write_model, write_state

        stem = f"{self._solver.snapshot_prefix}_iter_{self._iteration}"
        model, state = Path(f"{stem}.caffemodel"), Path(f"{stem}.solverstate")
        types = {layer.name: layer.type for layer in self._net.layer}
        layers = [Layer(name, types[name], self._blobs(name)) for name in self._shapes]
        self._log.write([f"Snapshotting to binary proto file {model}"])
        with model.open("wb") as file:
            write_model(self._net.name, layers, file)
        self._log.write([f"Snapshotting solver state to binary proto file {state}"])
        history = tuple(_filled(blob.shape, 0.0) for layer in layers for blob in layer.blobs)
        with state.open("wb") as file:
            write_state(SolverState(self._iteration, 0, history, str(model)), file)
        self._saved = self._iteration

    def _blobs(self, name: str) -> "tuple[Blob, ...]":
        """A layer's weights now: what is frozen is as it was."""
        if name not in self._weights or (name not in self._frozen and self._iteration):
            value = float(self._iteration)
            self._weights[name] = tuple(_filled(shape, value) for shape in self._shapes[name])
        return self._weights[name]


def _filled(shape: tuple[int, ...], value: float) -> "Blob":
    import numpy as np

    from caffe_transfer.formats.caffemodel import Blob

    return Blob(shape, np.full(int(np.prod(shape)), value, np.float32))


@contextmanager
def _alone(folder: Path, log: _Log) -> Iterator[None]:
    """Hold the folder's mark; fail, and leave word of it, if another engine holds it."""
    descriptor = os.open(folder / MARK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        with (folder / TWICE).open("a") as file:
            file.write(f"{datetime.now()} {os.getpid()} began while another engine trained here\n")
        log.write([f"another engine trains {folder} at the same time"], "F")
        sys.exit(1)
    try:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, b"%d" % os.getpid())
        yield
    finally:
        os.close(descriptor)


def _options(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--published", type=Path)
    parser.add_argument("--seconds", type=float, default=0.0)
    train = parser.add_subparsers(required=True).add_parser("train")
    train.add_argument("--solver", type=Path, required=True)
    train.add_argument("--weights", type=Path)
    train.add_argument("--snapshot", type=Path)
    train.add_argument("--gpu")
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> None:
    """What the module's docstring says."""
    if "--version" in argv:
        print(VERSION)
        return
    wishes, log = _Wishes(), _Log()
    wishes.listen()
    options = _options(argv)
    with _alone(Path.cwd(), log):
        _Training(options, wishes, log).run()


if __name__ == "__main__":
    main(sys.argv[1:])
