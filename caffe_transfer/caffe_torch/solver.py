"""The training loop, step by step that of Caffe's Solver (solver.cpp)."""

import math
import time
from collections import deque
from collections.abc import Callable
from enum import Enum
from pathlib import Path

import torch
from torch import Tensor

from caffe_transfer.caffe_torch import glog, snapshot
from caffe_transfer.caffe_torch.cuda_graph import GraphedPass, Recorder, obstacles
from caffe_transfer.caffe_torch.keeping import Changing
from caffe_transfer.caffe_torch.lr_schedules import check_schedule, learning_rate, step_of
from caffe_transfer.caffe_torch.net import Net, Outputs, Run, run_layer
from caffe_transfer.caffe_torch.optimizers import Optimizer
from caffe_transfer.caffe_torch.precision import Precision
from caffe_transfer.caffe_torch.rng import Rng
from caffe_transfer.caffe_torch.solver_nets import build_net, test_nets, training_net
from caffe_transfer.errors import BadInput, EngineError
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.resume import AS_CAFFE, Kept


class Action(Enum):
    """What a signal requests."""

    NONE = 0
    STOP = 1
    SNAPSHOT = 2


_MOST_NORMS = 100  # kept on the device before the log tells of them


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
        *,
        recorder: Recorder | None = None,
    ) -> None:
        """Build the nets, drawing random numbers in Caffe's order.

        Args:
            requested: polled once an iteration; returns each action that a signal requests once.
            recorder: records a pass and repeats it, where the net's layers allow that.

        Raises:
            BadInput: a setting or a net does not fit.
        """
        check_schedule(param)
        for name in ("iter_size", "average_loss"):
            if (value := getattr(param, name)) < 1:
                raise BadInput(f"the solver's {name} is {value}; it must be at least 1")
        self.param = param
        self.iteration = 0
        self._step = 0
        self._precision = precision
        self._requested = requested
        self._stopped = False
        rng = Rng(param.random_seed if param.random_seed >= 0 else None)
        torch.manual_seed(rng.one() if param.random_seed < 0 else param.random_seed)
        self.net = build_net(training_net(param), pb.TRAIN, [param.train_state], rng, device)
        self.test_nets = test_nets(param, rng, device)
        self._optimizer = Optimizer(param, self.net.parameters)
        if param.snapshot or param.snapshot_after_train:
            snapshot.check_prefix(param, self.net)
        self._pass = self._graphed(recorder) if recorder else self._run
        self._losses: deque[Tensor] = deque(maxlen=param.average_loss)
        self._changing = Changing((self.net, *self.test_nets), rng, self._losses)
        self._kept: Kept | None = None  # at the start of the test that runs, if one does
        self._norms: list[Tensor] = []  # of gradients, not yet told
        self._ignored: list[list[str]] = []
        for weights in param.weights:
            self.load(weights)

    def load(self, weights: str) -> None:
        """Load parameters from models, given as comma-separated paths, into all nets."""
        for net in (self.net, *self.test_nets):
            for name in weights.split(","):
                glog.info(f"Finetuning from {name.strip()}", "solver")
                snapshot.load_weights(net, Path(name.strip()))

    def restore(self, path: Path, *, restart_data: bool = False) -> None:
        """Go on from a solver state.

        Args:
            restart_data: begin with the first record and new generators, as Caffe does, also where
                a resume file lies beside the state.

        Raises:
            Incomplete, FormatError: the state, its model or its resume file is missing or broken.
            BadInput: the state is of another net or another type of solver.
        """
        self.iteration, self._step = snapshot.restore(path, self.net, self._optimizer.history)
        asked = f"{AS_CAFFE}, data from the first record: --restart-data asks for it"
        glog.info(f"Resume: {asked if restart_data else self._changing.restore(path)}", "solver")

    def solve(self) -> None:
        """Train to max_iter, or until a stop is requested; either ends with a snapshot.

        Raises:
            EngineError: the loss is not finite, or the device is out of memory.
        """
        glog.info(f"Solving {self.net.name}", "solver")
        glog.info(f"Learning Rate Policy: {self.param.lr_policy}", "solver")
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
            self._say("Optimization stopped early.")
            return
        self._kept = self._changing.keep()  # what follows is no training
        if self._due(self.param.display):
            with torch.no_grad():
                self._losses.append(self._forward(self.net).loss.detach())
            self._say(f"Iteration {self.iteration}, loss = {self._smoothed()}")
        if self._due(self.param.test_interval):
            self._test_all()
        self._say("Optimization Done.")

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

    def _run(self, run: Run = run_layer) -> Outputs:
        """One batch forward and backward."""
        with self._precision.autocast(self.net.device):
            outputs = self.net.forward(run)
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
        step = step_of(self.param, self.iteration, self._step)
        if self.param.lr_policy == "multistep" and step != self._step:
            glog.info(f"MultiStep Status: Iteration {self.iteration}, step = {step}", "sgd_solver")
        self._step = step
        rate = learning_rate(self.param, self.iteration, self._step)
        if self._due(self.param.display):
            self._say(f"Iteration {self.iteration}, lr = {glog.number(rate)}", "sgd_solver")
        norm = self._optimizer.apply(rate, self.iteration)
        if norm is not None:
            self._norms.append(norm)
        if len(self._norms) == _MOST_NORMS:
            self._tell_clipping()
        self.iteration += 1

    def _display(self, outputs: Outputs, seconds: float, iterations: int) -> None:
        loss = self._smoothed()
        rate = glog.number(iterations / (seconds or 1))
        self._say(
            f"Iteration {self.iteration} ({rate} iter/s, {glog.number(seconds)}s/"
            f"{self.param.display} iters), loss = {loss}"
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
        # A snapshot in the middle is one of the start: the test is run again after a resume.
        self._kept = self._kept or self._changing.keep()
        for index in range(len(self.test_nets)):
            if not self._stopped:
                self._test(index)
        if not self._stopped:
            self._kept = None

    @torch.inference_mode()
    def _test(self, index: int) -> None:
        self._say(f"Iteration {self.iteration}, Testing net (#{index})")
        for name in self._ignored[index]:
            glog.info(f"Ignoring source layer {name}", "net")
        net, sums = self.test_nets[index], dict[str, Tensor]()
        loss = torch.zeros((), device=net.device)
        for _ in range(self.param.test_iter[index]):
            while (request := self._requested()) is not Action.NONE:
                if request is Action.SNAPSHOT:
                    self._snapshot()
                else:
                    glog.info("Test interrupted.", "solver")
                    self._stopped = True
                    return
            outputs = self._forward(net)
            loss += outputs.loss
            for name, blob in outputs.blobs.items():
                sums[name] = sums[name] + blob if name in sums else blob.float()
        count = self.param.test_iter[index]
        if self.param.test_compute_loss:
            glog.info(f"Test loss: {glog.number(float(loss / count))}", "solver")
        means = {name: (blob / count).flatten().tolist() for name, blob in sums.items()}
        _say_outputs(net, "Test", means)

    def _say(self, text: str, place: str = "solver") -> None:
        """Write a log line, after those about clipping that are still to be written."""
        self._tell_clipping()
        glog.info(text, place)

    def _tell_clipping(self) -> None:
        """Log the norms of gradients that were clipped, read from the device all at once."""
        norms = torch.stack(self._norms).tolist() if self._norms else []
        self._norms.clear()
        limit = self.param.clip_gradients
        for norm in norms:
            if norm > limit:
                glog.info(
                    f"Gradient clipping: scaling down gradients (L2 norm {glog.number(norm)} > "
                    f"{glog.number(limit)}) by scale factor {glog.number(limit / norm)}",
                    "sgd_solver",
                )

    def _snapshot(self) -> None:
        self._tell_clipping()
        snapshot.save(
            self.param, self.net, self._optimizer.history, self.iteration, self._step,
            self._kept or self._changing.keep(),
        )  # fmt: skip

    def _share(self) -> None:
        self._ignored = [net.share(self.net) for net in self.test_nets]


def _say_outputs(net: Net, phase: str, values: dict[str, list[float]]) -> None:
    score = 0
    for name, numbers in values.items():
        weight = net.loss_weights.get(name, 0)
        for value in numbers:
            shown = glog.score(name, value, weight)
            glog.info(f"    {phase} net output #{score}: {shown}", "solver")
            score += 1
