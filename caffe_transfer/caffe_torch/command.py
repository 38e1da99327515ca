"""The commands of caffe-torch: those of `caffe` (tools/caffe.cpp)."""

import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import torch

from caffe_transfer.allocator import keep_memory
from caffe_transfer.caffe_torch import evaluate, glog, usage
from caffe_transfer.caffe_torch.cuda_graph import CudaRecorder
from caffe_transfer.caffe_torch.flags import CommandLine, parse
from caffe_transfer.caffe_torch.gpus import check_covered, why_none
from caffe_transfer.caffe_torch.net import Net
from caffe_transfer.caffe_torch.precision import Precision
from caffe_transfer.caffe_torch.rng import Rng
from caffe_transfer.caffe_torch.snapshot import load_weights, set_prefix
from caffe_transfer.caffe_torch.solver import Action, Solver
from caffe_transfer.caffe_torch.solver_nets import build_net
from caffe_transfer.errors import BadInput, BadResume, CaffeTransferError
from caffe_transfer.formats.proto import caffe_pb2 as pb
from caffe_transfer.formats.prototxt import read_net, read_solver

FAILED = 1
_EFFECTS = {"none": Action.NONE, "stop": Action.STOP, "snapshot": Action.SNAPSHOT}


def main(arguments: Sequence[str] | None = None) -> int:
    """Read a command line and run its command.

    Returns:
        the exit status.
    """
    line = parse(sys.argv[1:] if arguments is None else arguments)
    status = usage.answer(line)
    return run(line) if status is None else status


def run(line: CommandLine) -> int:
    """Run one command; return 0, or after logging why it failed 1, or 2 for a resume file."""
    glog.set_up(line)
    keep_memory()
    try:
        name = line.arguments[0]
        if name not in _COMMANDS:
            raise BadInput(f"there is no command {name}; there are {', '.join(sorted(_COMMANDS))}")
        if line.number("threads"):
            torch.set_num_threads(line.number("threads"))
        _COMMANDS[name](line)
    except BadResume as error:  # of which Caffe knows nothing
        glog.fatal(str(error))
        return error.status
    except CaffeTransferError as error:
        glog.fatal(str(error))
        return FAILED
    except (MemoryError, RuntimeError) as error:
        if not _is_lack_of_memory(error):
            raise
        glog.fatal("there is not enough memory; lower batch_size, or raise iter_size instead")
        return FAILED
    return 0


def _is_lack_of_memory(error: Exception) -> bool:
    # PyTorch has an exception for lack of a GPU's memory only.
    lacks = isinstance(error, MemoryError | torch.OutOfMemoryError)
    return lacks or "can't allocate memory" in str(error)


def _train(line: CommandLine) -> None:
    if not line.text("solver"):
        raise BadInput("train needs --solver=FILE")
    if line.text("snapshot") and line.text("weights"):
        raise BadInput("give --snapshot to resume or --weights to finetune, but not both")
    if line.on("restart_data") and not line.text("snapshot"):
        raise BadInput("--restart-data is for a resume; give --snapshot, or leave it out")
    path = Path(line.text("solver"))
    param = read_solver(path)
    set_prefix(param, path)
    param.train_state.MergeFrom(_state(line))
    gpu = line.text("gpu")
    if not gpu and param.HasField("solver_mode") and param.solver_mode == pb.SolverParameter.GPU:
        gpu = str(param.device_id)
    if line.text("snapshot") or line.text("weights"):
        del param.weights[:]
    device = _device(gpu)
    if line.on("cuda_graph") and device.type != "cuda":
        raise BadInput("--cuda_graph is for a GPU; leave it out, or choose one by --gpu")
    recorder = CudaRecorder(device) if line.on("cuda_graph") else None
    signals = _Signals(line)
    precision = _precision(line)
    glog.info(f"Precision: {precision}, {torch.get_num_threads()} threads", "caffe")
    glog.info(f"Initializing solver from parameters: \n{param}", "solver")
    solver = Solver(param, device, precision, signals.take, recorder=recorder)
    glog.info("Solver scaffolding done.", "solver")
    try:
        if line.text("weights"):
            solver.load(line.text("weights"))
        if line.text("snapshot"):
            glog.info(f"Resuming from {line.text('snapshot')}", "caffe")
            solver.restore(Path(line.text("snapshot")), restart_data=line.on("restart_data"))
        glog.info("Starting Optimization", "caffe")
        solver.solve()
        glog.info("Optimization Done.", "caffe")
    finally:
        solver.close()


def _test(line: CommandLine) -> None:
    if not line.text("model"):
        raise BadInput("test needs --model=FILE")
    if not line.text("weights"):
        raise BadInput("test needs --weights=FILE")
    net = _net(line, pb.TEST)
    try:
        load_weights(net, Path(line.text("weights")))
        evaluate.test(net, line.number("iterations"), _precision(line))
    finally:
        net.close()


def _time(line: CommandLine) -> None:
    if not line.text("model"):
        raise BadInput("time needs --model=FILE")
    if line.text("phase") not in ("", "TRAIN", "TEST"):
        raise BadInput("--phase must be TRAIN or TEST")
    net = _net(line, pb.TEST if line.text("phase") == "TEST" else pb.TRAIN)
    try:
        evaluate.time_passes(net, line.number("iterations"), _precision(line))
    finally:
        net.close()


def _device_query(line: CommandLine) -> None:
    gpus, count = line.text("gpu"), torch.cuda.device_count()
    glog.info(f"Querying GPUs {gpus}", "caffe")
    if not count:
        if gpus:
            raise BadInput(why_none())
        glog.info("There is no GPU that PyTorch can use.")
    for gpu in range(count) if gpus in ("", "all") else gpus.split(","):
        index = _gpu(str(gpu))
        found = torch.cuda.get_device_properties(index)
        glog.info(f"Device id:                     {index}")
        glog.info(f"Major revision number:         {found.major}")
        glog.info(f"Minor revision number:         {found.minor}")
        glog.info(f"Name:                          {found.name}")
        glog.info(f"Total global memory:           {found.total_memory}")
        glog.info(f"Number of multiprocessors:     {found.multi_processor_count}")
        check_covered(index)


_COMMANDS = {"train": _train, "test": _test, "time": _time, "device_query": _device_query}


def _net(line: CommandLine, phase: int) -> Net:
    device = _device(line.text("gpu"))
    param = read_net(Path(line.text("model")))
    net = build_net(param, phase, [_state(line)], Rng(), device)
    glog.info("Network initialization done.", "net")
    return net


def _state(line: CommandLine) -> pb.NetState:
    stages = [stage for stage in line.text("stage").split(",") if stage]
    return pb.NetState(level=line.number("level"), stage=stages)


def _precision(line: CommandLine) -> Precision:
    precision = Precision(line.text("precision"))
    precision.set_up()
    return precision


def _device(gpus: str) -> torch.device:
    """The device that a net runs on: one GPU, or the CPU."""
    if not gpus:
        glog.info("Use CPU.", "caffe")
        return torch.device("cpu")
    if "," in gpus or (gpus == "all" and torch.cuda.device_count() > 1):
        raise BadInput(f"--gpu={gpus}: caffe-torch trains on one GPU; give its number")
    device = torch.device("cuda", _gpu("0" if gpus == "all" else gpus))
    glog.info(f"Using GPUs {device.index}", "caffe")
    glog.info(f"GPU {device.index}: {torch.cuda.get_device_name(device)}", "caffe")
    return device


def _gpu(number: str) -> int:
    if not number.isdecimal():
        raise BadInput(f"--gpu={number} is not the number of a GPU")
    count = torch.cuda.device_count()
    if int(number) >= count:
        raise BadInput(
            f"there is no GPU {number}; PyTorch finds {count}. Set solver_mode: CPU in the solver, "
            "or --gpu to one that is there"
        )
    return int(number)


class _Signals:
    """A queue of the actions that SIGINT and SIGHUP request."""

    def __init__(self, line: CommandLine) -> None:
        self._effects = {
            signal.SIGINT: _effect(line, "sigint_effect"),
            signal.SIGHUP: _effect(line, "sighup_effect"),
        }
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


def _effect(line: CommandLine, flag: str) -> Action:
    name = line.text(flag)
    if name not in _EFFECTS:
        raise BadInput(f"--{flag}={name} must be one of {', '.join(_EFFECTS)}")
    return _EFFECTS[name]
