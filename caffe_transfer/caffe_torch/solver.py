"""The training loop, step by step that of Caffe's Solver (solver.cpp)."""

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum
from pathlib import Path

import torch
from torch import Tensor

from caffe_transfer.caffe_torch import glog, snapshot
from caffe_transfer.caffe_torch.cuda_graph import GraphedPass, Recorder, obstacles
from caffe_transfer.caffe_torch.lr_schedules import check_schedule, learning_rate, step_of
from caffe_transfer.caffe_torch.net import Net, Outputs, Tops
from caffe_transfer.caffe_torch.optimizers import Optimizer
from caffe_transfer.caffe_torch.precision import Precision
from caffe_transfer.caffe_torch.rng import Rng
from caffe_transfer.errors import BadInput, EngineError
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.prototxt import read_net
from caffe_transfer.formats.upgrade import upgrade_net


class Action(Enum):
    """What a signal requests."""

    NONE = 0
    STOP = 1
    SNAPSHOT = 2


class Solver:
    """A solver, its training net and its test nets.

    Attributes:
        iteration: updates done.
    """

    def __init__(
        self,
        param: pb.SolverParameter,
        device: torch.device,
        precision: Precision,
        requested: Callable[[], Action],
        state: pb.NetState | None = None,
        *,
        recorder: Recorder | None = None,
    ) -> None:
        """Build the nets, drawing random numbers in Caffe's order.

        Args:
            requested: polled once an iteration; returns each action that a signal requests once.
            state: level and stages of the command line, merged into the training net's.
            recorder: records a pass and repeats it, where the net's layers allow that.

        Raises:
            BadInput: a setting or a net does not fit.
        """
        check_schedule(param)
        self.param = param
        self.iteration = 0
        self._step = 0
        self._precision = precision
        self._requested = requested
        self._stopped = False
        rng = Rng(param.random_seed if param.random_seed >= 0 else None)
        torch.manual_seed(rng.one() if param.random_seed < 0 else param.random_seed)
        self.net = build_net(
            _training_net(param), pb.TRAIN, [param.train_state, state], rng, device
        )
        self.test_nets = _test_nets(param, rng, device)
        self._optimizer = Optimizer(param, self.net.parameters)
        self._pass = self._graphed(recorder) if recorder else self._run
        self._losses: deque[Tensor] = deque(maxlen=max(1, param.average_loss))
        for weights in param.weights:
            self.load(weights)

    def load(self, weights: str) -> None:
        """Load parameters from models, given as comma-separated paths."""
        for name in weights.split(","):
            glog.info(f"Finetuning from {name.strip()}", "caffe")
            snapshot.load_weights(self.net, Path(name.strip()))
        self._share()

    def solve(self, resume: Path | None = None) -> None:
        """Train to max_iter, or until a stop is requested; either ends with a snapshot.

        Raises:
            EngineError: the loss is not finite, or the device is out of memory.
        """
        glog.info(f"Solving {self.net.name}", "solver")
        glog.info(f"Learning Rate Policy: {self.param.lr_policy}", "solver")
        if resume is not None:
            glog.info(f"Restoring previous solver status from {resume}", "solver")
            self.iteration, self._step = snapshot.restore(resume, self.net, self._optimizer.history)
        self._share()
        try:
            self._train()
        except torch.OutOfMemoryError as error:
            raise EngineError(
                f"the device is out of memory with batches of {self.net.batch}; lower batch_size "
                "and raise iter_size in its stead"
            ) from error
        if self.param.snapshot_after_train and not self._due(self.param.snapshot):
            self._snapshot()
        if self._stopped:
            glog.info("Optimization stopped early.", "solver")
            return
        if self._due(self.param.display):
            with torch.no_grad():
                self._losses.append(self._forward(self.net).loss.detach())
            glog.info(f"Iteration {self.iteration}, loss = {self._smoothed()}", "solver")
        if self._due(self.param.test_interval):
            self._test_all()
        glog.info("Optimization Done.", "solver")

    def close(self) -> None:
        """Stop the threads that read data."""
        for net in (self.net, *self.test_nets):
            net.close()

    def _train(self) -> None:
        timer, shown = time.monotonic(), self.iteration
        while self.iteration < self.param.max_iter:
            at_start = self.iteration == 0 and not self.param.test_initialization
            if self._due(self.param.test_interval) and not at_start:
                self._test_all()
                if self._stopped:
                    return
            outputs = self._forward_backward()
            if self._due(self.param.display):
                self._display(outputs, time.monotonic() - timer, self.iteration - shown)
                timer, shown = time.monotonic(), self.iteration
            self._update()
            request = self._requested()
            if self._due(self.param.snapshot) or request is Action.SNAPSHOT:
                self._snapshot()
            if request is Action.STOP:
                self._stopped = True
                return

    def _due(self, interval: int) -> bool:
        return bool(interval) and self.iteration % interval == 0

    def _forward(self, net: Net) -> Outputs:
        with self._precision.autocast(net.device):
            return net.forward()

    def _forward_backward(self) -> Outputs:
        total: Tensor | None = None
        for _ in range(self.param.iter_size):
            outputs = self._pass()
            total = outputs.loss.clone() if total is None else total + outputs.loss
        assert total is not None, "iter_size is at least 1"
        self._losses.append(total / self.param.iter_size)
        return outputs

    def _run(self, given: Tops | None = None) -> Outputs:
        """One batch forward and backward."""
        with self._precision.autocast(self.net.device):
            outputs = self.net.forward(given=given)
        if outputs.loss.requires_grad:
            outputs.loss.backward()  # type: ignore[no-untyped-call]
        return Outputs(outputs.loss.detach(), outputs.blobs)

    def _graphed(self, recorder: Recorder) -> Callable[[], Outputs]:
        """The same, recorded after some passes and then repeated."""
        for layer in obstacles(self.net):
            glog.info(f"No CUDA graph: layer {layer.param.name} cannot be captured", "solver")
            return self._run
        return GraphedPass(self.net, self._run, recorder, accumulate=self.param.iter_size > 1)

    def _update(self) -> None:
        self._step = step_of(self.param, self.iteration, self._step)
        rate = learning_rate(self.param, self.iteration, self._step)
        if self._due(self.param.display):
            glog.info(f"Iteration {self.iteration}, lr = {glog.number(rate)}", "sgd_solver")
        norm = self._optimizer.apply(rate, self.iteration)
        if norm is not None:
            limit = glog.number(self.param.clip_gradients)
            glog.info(
                f"Gradient clipping: scaling down gradients (L2 norm {glog.number(norm)} > "
                f"{limit}) by scale factor {glog.number(self.param.clip_gradients / norm)}",
                "sgd_solver",
            )
        self.iteration += 1

    def _display(self, outputs: Outputs, seconds: float, iterations: int) -> None:
        loss = self._smoothed()
        rate = glog.number(iterations / (seconds or 1))
        glog.info(
            f"Iteration {self.iteration} ({rate} iter/s, {glog.number(seconds)}s/"
            f"{self.param.display} iters), loss = {loss}",
            "solver",
        )
        values = {name: blob.flatten().tolist() for name, blob in outputs.blobs.items()}
        _say_outputs(self.net, "Train", values)

    def _smoothed(self) -> str:
        """The mean of the last average_loss losses.

        Raises:
            EngineError: it is not finite.
        """
        loss = float(torch.stack(list(self._losses)).mean())
        if not math.isfinite(loss):
            raise EngineError(
                f"the loss is {loss} at iteration {self.iteration}: training has diverged; "
                "lower base_lr and go on from the last snapshot"
            )
        return glog.number(loss)

    def _test_all(self) -> None:
        for index in range(len(self.test_nets)):
            if not self._stopped:
                self._test(index)

    @torch.inference_mode()
    def _test(self, index: int) -> None:
        glog.info(f"Iteration {self.iteration}, Testing net (#{index})", "solver")
        net, sums = self.test_nets[index], dict[str, Tensor]()
        for _ in range(self.param.test_iter[index]):
            while (request := self._requested()) is not Action.NONE:
                if request is Action.SNAPSHOT:
                    self._snapshot()
                else:
                    glog.info("Test interrupted.", "solver")
                    self._stopped = True
                    return
            for name, blob in self._forward(net).blobs.items():
                sums[name] = sums[name] + blob if name in sums else blob.float()
        count = self.param.test_iter[index]
        means = {name: (blob / count).flatten().tolist() for name, blob in sums.items()}
        _say_outputs(net, "Test", means)

    def _snapshot(self) -> None:
        snapshot.save(self.param, self.net, self._optimizer.history, self.iteration, self._step)

    def _share(self) -> None:
        for net in self.test_nets:
            net.share(self.net)


def _say_outputs(net: Net, phase: str, values: dict[str, list[float]]) -> None:
    score = 0
    for name, numbers in values.items():
        weight = net.loss_weights.get(name, 0)
        for value in numbers:
            shown = glog.score(name, value, weight)
            glog.info(f"    {phase} net output #{score}: {shown}", "solver")
            score += 1


def build_net(
    param: pb.NetParameter, phase: int, states: Sequence[pb.NetState | None],
    rng: Rng, device: torch.device,
) -> Net:  # fmt: skip
    """Build the net of a phase; level and stages come from the net itself, then from the states.

    Raises:
        BadInput: a layer does not fit; names it.
    """
    state = pb.NetState(phase=phase)  # type: ignore[arg-type]
    state.MergeFrom(param.state)
    for more in states:
        if more is not None:
            state.MergeFrom(more)
    return Net(param, state, rng, device)


def _training_net(param: pb.SolverParameter) -> pb.NetParameter:
    given = [key for key in ("net", "net_param", "train_net", "train_net_param")
             if param.HasField(key)]  # fmt: skip
    if len(given) != 1:
        raise BadInput(
            "the solver must name its training net once, by net, net_param, train_net or "
            f"train_net_param; it has {' and '.join(given) or 'none'}"
        )
    value = getattr(param, given[0])
    return read_net(Path(value)) if isinstance(value, str) else upgrade_net(value, given[0])


def _test_nets(param: pb.SolverParameter, rng: Rng, device: torch.device) -> list[Net]:
    nets = [upgrade_net(net, "test_net_param") for net in param.test_net_param]
    nets += [read_net(Path(name)) for name in param.test_net]
    missing = len(param.test_iter) - len(nets)
    shared = param.HasField("net") or param.HasField("net_param")
    if missing < 0 or (missing > 0 and not shared):
        raise BadInput(
            f"the solver has {len(param.test_iter)} test_iter for {len(nets)} test nets; "
            "give one for each"
        )
    nets += [_training_net(param)] * missing
    if param.test_state and len(param.test_state) != len(nets):
        raise BadInput(f"the solver has {len(param.test_state)} test_state for {len(nets)} nets")
    if nets and param.test_interval <= 0:
        raise BadInput("the solver has test_iter, but no test_interval above 0")
    states: Sequence[pb.NetState | None] = list(param.test_state) or [None] * len(nets)
    return [
        build_net(net, pb.TEST, [state], rng, device)
        for net, state in zip(nets, states, strict=True)
    ]
