"""The command line of caffe-torch: Caffe's, flags with one or two dashes as in gflags."""

import argparse
import signal
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import torch

from caffe_transfer.caffe_torch import evaluate, glog
from caffe_transfer.caffe_torch.allocator import keep_memory
from caffe_transfer.caffe_torch.cuda_graph import CudaRecorder
from caffe_transfer.caffe_torch.net import Net
from caffe_transfer.caffe_torch.precision import Precision
from caffe_transfer.caffe_torch.rng import Rng
from caffe_transfer.caffe_torch.snapshot import load_weights
from caffe_transfer.caffe_torch.solver import Action, Solver, build_net
from caffe_transfer.errors import BadInput, CaffeTransferError
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.prototxt import read_net, read_solver

FAILED = 1
_EFFECTS = {"none": Action.NONE, "stop": Action.STOP, "snapshot": Action.SNAPSHOT}
_EXAMPLE = """\
commands:
  train           train or finetune a model
  test            score a model
  time            benchmark model execution time
  device_query    show the GPUs

example:
  caffe-torch train --solver=solver.prototxt --weights=init.caffemodel
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return 0, or 1 after logging why it failed."""
    flags = _parser().parse_args(arguments)
    keep_memory()
    try:
        if flags.threads:
            torch.set_num_threads(flags.threads)
        _COMMANDS[flags.command](flags)
    except CaffeTransferError as error:
        glog.fatal(str(error))
        return FAILED
    except torch.OutOfMemoryError:
        glog.fatal("the device is out of memory; lower batch_size, or raise iter_size instead")
        return FAILED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "caffe-torch", description="The caffe command on PyTorch.", epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False,
    )  # fmt: skip
    parser.add_argument(
        "-version", "--version", action="store_true", help="print the version and exit"
    )
    parser.add_argument("command", choices=sorted(_COMMANDS))
    for name, what in (
        ("solver", "the solver, a prototxt"),
        ("model", "the net, a prototxt"),
        ("weights", "models to start from, comma-separated"),
        ("snapshot", "the solver state to resume from"),
        ("gpu", "index of the GPU; by default the solver's, or the CPU"),
        ("phase", "TRAIN or TEST; for time"),
        ("stage", "stages of the net, comma-separated"),
    ):
        parser.add_argument(f"-{name}", f"--{name}", default="", help=what)
    for name, default, what in (
        ("iterations", 50, "number of batches, for test and time"),
        ("level", 0, "level of the net"),
        ("threads", 0, "CPU threads; 0: OMP_NUM_THREADS decides"),
    ):
        parser.add_argument(f"-{name}", f"--{name}", type=int, default=default, help=what)
    for name, effect in (("sigint_effect", "stop"), ("sighup_effect", "snapshot")):
        parser.add_argument(f"-{name}", f"--{name}", choices=sorted(_EFFECTS), default=effect)
    parser.add_argument(
        "-precision", "--precision", type=Precision, choices=list(Precision),
        default=Precision.FP32, help="precision of multiplications",
    )  # fmt: skip
    parser.add_argument(
        "-cuda_graph", "--cuda_graph", action="store_true",
        help="repeat forward and backward passes as a CUDA graph; for train on a GPU",
    )  # fmt: skip
    return parser


def _train(flags: argparse.Namespace) -> None:
    if not flags.solver:
        raise BadInput("train needs --solver=FILE")
    if flags.snapshot and flags.weights:
        raise BadInput("give --snapshot to resume or --weights to finetune, but not both")
    param = read_solver(Path(flags.solver))
    gpu = flags.gpu
    if not gpu and param.HasField("solver_mode") and param.solver_mode == pb.SolverParameter.GPU:
        gpu = str(param.device_id)
    if flags.snapshot or flags.weights:
        del param.weights[:]
    device, signals = _device(gpu), _Signals(flags.sigint_effect, flags.sighup_effect)
    if flags.cuda_graph and device.type != "cuda":
        raise BadInput("--cuda_graph is for a GPU; leave it out, or choose one by --gpu")
    recorder = CudaRecorder(device) if flags.cuda_graph else None
    flags.precision.set_up()
    glog.info(f"Precision: {flags.precision}, {torch.get_num_threads()} threads", "caffe")
    solver = Solver(
        param, device, flags.precision, signals.take, _state(flags), recorder=recorder
    )  # fmt: skip
    try:
        if flags.weights:
            solver.load(flags.weights)
        if flags.snapshot:
            glog.info(f"Resuming from {flags.snapshot}", "caffe")
        glog.info("Starting Optimization", "caffe")
        solver.solve(Path(flags.snapshot) if flags.snapshot else None)
        glog.info("Optimization Done.", "caffe")
    finally:
        solver.close()


def _test(flags: argparse.Namespace) -> None:
    if not flags.weights:
        raise BadInput("test needs --weights=FILE")
    net = _net(flags, pb.TEST)
    try:
        for name in flags.weights.split(","):
            load_weights(net, Path(name))
        evaluate.test(net, flags.iterations, flags.precision)
    finally:
        net.close()


def _time(flags: argparse.Namespace) -> None:
    if flags.phase not in ("", "TRAIN", "TEST"):
        raise BadInput("--phase must be TRAIN or TEST")
    net = _net(flags, pb.TEST if flags.phase == "TEST" else pb.TRAIN)
    try:
        evaluate.time_passes(net, flags.iterations, flags.precision)
    finally:
        net.close()


def _device_query(flags: argparse.Namespace) -> None:
    count = torch.cuda.device_count()
    wanted = range(count) if flags.gpu in ("", "all") else map(int, flags.gpu.split(","))
    if not count:
        raise BadInput("there is no GPU that PyTorch can use")
    for index in wanted:
        _device(str(index))
        found = torch.cuda.get_device_properties(index)
        glog.info(f"Device id:                     {index}")
        glog.info(f"Major revision number:         {found.major}")
        glog.info(f"Minor revision number:         {found.minor}")
        glog.info(f"Name:                          {found.name}")
        glog.info(f"Total global memory:           {found.total_memory}")
        glog.info(f"Number of multiprocessors:     {found.multi_processor_count}")


_COMMANDS = {"train": _train, "test": _test, "time": _time, "device_query": _device_query}


def _net(flags: argparse.Namespace, phase: int) -> Net:
    if not flags.model:
        raise BadInput(f"{flags.command} needs --model=FILE")
    flags.precision.set_up()
    param = read_net(Path(flags.model))
    return build_net(param, phase, [_state(flags)], Rng(), _device(flags.gpu))


def _state(flags: argparse.Namespace) -> pb.NetState:
    return pb.NetState(level=flags.level, stage=[s for s in flags.stage.split(",") if s])


def _device(gpu: str) -> torch.device:
    if not gpu:
        glog.info("Use CPU.", "caffe")
        return torch.device("cpu")
    if not gpu.isdigit():
        raise BadInput(f"--gpu={gpu}: caffe-torch trains on one GPU; give its number")
    count = torch.cuda.device_count()
    if int(gpu) >= count:
        raise BadInput(
            f"there is no GPU {gpu}; PyTorch finds {count}. Set solver_mode: CPU in the solver, "
            "or --gpu to one that is there"
        )
    device = torch.device("cuda", int(gpu))
    glog.info(f"Using GPUs {gpu}", "caffe")
    glog.info(f"GPU {gpu}: {torch.cuda.get_device_name(device)}", "caffe")
    return device


class _Signals:
    """A queue of the actions that SIGINT and SIGHUP request."""

    def __init__(self, interrupt: str, hangup: str) -> None:
        self._effects = {signal.SIGINT: _EFFECTS[interrupt], signal.SIGHUP: _EFFECTS[hangup]}
        self._requests: list[Action] = []
        for number in self._effects:
            signal.signal(number, self._enqueue)

    def take(self) -> Action:
        """Remove and return the oldest request."""
        return self._requests.pop(0) if self._requests else Action.NONE

    def _enqueue(self, number: int, _frame: FrameType | None) -> None:
        effect = self._effects[signal.Signals(number)]
        if effect is not Action.NONE:
            self._requests.append(effect)
