"""Trains networks on a Ray cluster: each is a task that runs `caffe-transfer train` as a process.

Ray gives a task its devices, and starts it anew on another node when its worker or its node dies;
the training then goes on from the newest snapshot.  No data goes through Ray: all nodes see the
run's folder.
"""

import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError, TaskCancelledError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from caffe_transfer.errors import BadInput
from caffe_transfer.files import host
from caffe_transfer.formats.hashes import sha256
from caffe_transfer.lock import is_held
from caffe_transfer.paths import NetworkFolder, RunFolder
from caffe_transfer.studies.load import load_study
from caffe_transfer.training.engine import last_words, with_parent
from caffe_transfer.training.executor import ExecutorOptions, JobResult, begin, result_of

_ADDRESS = "RAY_ADDRESS"
_CONNECT_SECONDS = 10.0
_WAIT_SECONDS = 0.5
_BUSY_RETRY_SECONDS = 5.0
_POLL_SECONDS = 0.1
_SEEN_SECONDS = 60.0  # for all nodes to say whether they see the run's folder
_LAST_BYTES = 4000  # of what `train` says, in which its last words are
# What a network's task may ask for, by Ray's own names.
_NUMBERS = {"num_gpus": float, "num_cpus": float, "memory": float, "max_retries": int}
_TEXTS = ("accelerator_type",)


class RayExecutor:
    """`executor.Executor` for a Ray cluster.

    Args:
        folder: of the run, which all nodes see under the same path.
        task_options: Ray's own, of each network's task.

    Raises:
        BadInput: nodes do not see the run's folder.
    """

    waits_for_bases = False

    def __init__(
        self, folder: RunFolder, options: ExecutorOptions, task_options: Mapping[str, Any]
    ) -> None:
        self._folder, self._options = folder, options
        self._train = ray.remote(**task_options)(_train)
        self._names: dict[ray.ObjectRef[str], str] = {}
        self._cancelled = False
        _check_seen(folder)

    def room(self) -> bool:
        """Whether one more network may be submitted: Ray itself holds those that find no room."""
        return self._options.jobs is None or len(self._names) < self._options.jobs

    def submit(self, name: str, after: Sequence[str]) -> None:
        """Have a network trained, whose bases are done."""
        network = self._folder.network(name)
        begin(network)
        root = network.root.absolute()
        task = self._train.options(name=name).remote(str(root), self._options.command(root))
        self._names[task] = name

    def ended(self) -> list[JobResult]:
        """Wait a little; the results of those that have ended."""
        if not self._names:
            return []
        ray.wait(list(self._names), timeout=_WAIT_SECONDS)
        done, _ = ray.wait(list(self._names), num_returns=len(self._names), timeout=0)
        return [self._result(task) for task in done]

    def cancel(self) -> None:
        """Have the engines write snapshots and end; what waits for a device ends at once."""
        self._cancelled = True
        for task in self._names:
            ray.cancel(task, force=False)

    def close(self) -> None:
        """Leave the cluster."""
        ray.shutdown()

    def _result(self, task: "ray.ObjectRef[str]") -> JobResult:
        name = self._names.pop(task)
        try:
            said = ray.get(task)
        except TaskCancelledError:
            said = "cancelled"
        except RayError as error:
            said = f"Ray says: {_first_line(error)}"
        return result_of(self._folder.network(name), said, stopped=self._cancelled)


def make_executor(folder: RunFolder, options: ExecutorOptions) -> RayExecutor:
    """The executor of the cluster that $RAY_ADDRESS names.

    Raises:
        BadInput: there is no such cluster, or it does not see the run's folder, or an option of
            the scheduler is unknown.
    """
    task_options = _task_options(folder, options.scheduler)
    _connect(os.environ.get(_ADDRESS, ""))
    try:
        if not options.scheduler.keys() & _NUMBERS.keys():
            _check_room(task_options)
        return RayExecutor(folder, options, task_options)
    except BaseException:
        ray.shutdown()
        raise


def _task_options(folder: RunFolder, given: Mapping[str, str]) -> dict[str, Any]:
    """The options of a network's task.

    By default it has one GPU, or none if the study's solver has none.  It is started anew as often
    as workers or nodes die: that is how clusters are, and it loses little.
    """
    found: dict[str, Any] = {
        "num_gpus": 1 if load_study(str(folder.study)).solver.gpu else 0,
        "num_cpus": 1,
        "max_retries": -1,
    }
    for key, text in given.items():
        if key in _TEXTS:
            found[key] = text
            continue
        if key not in _NUMBERS:
            raise BadInput(
                f"--scheduler-option {key} is none that --on ray knows; it takes "
                f"{', '.join([*_NUMBERS, *_TEXTS])}"
            )
        try:
            found[key] = _NUMBERS[key](text)
        except ValueError:
            raise BadInput(
                f"--scheduler-option {key}={text} is no number; write {key}=1, for example"
            ) from None
    return found


def _connect(address: str) -> None:
    if not address:
        raise BadInput(
            f"--on ray needs the address of a Ray cluster; set {_ADDRESS} to the one that `ray "
            "start` has printed, such as 10.0.0.7:6379, or to auto on a node of the cluster"
        )
    if address.startswith("http"):
        raise BadInput(
            f"{_ADDRESS}={address} is the address of Ray's dashboard; set it to the one that `ray "
            "start` has printed, such as 10.0.0.7:6379"
        )
    name, colon, port = address.rpartition(":")
    try:
        if colon and port.isdecimal() and "/" not in name:
            # Ray itself would try for a minute.
            socket.create_connection((name, int(port)), _CONNECT_SECONDS).close()
        ray.init(address, log_to_driver=False, logging_level="ERROR", configure_logging=True)
    except (OSError, RuntimeError, ValueError) as error:
        raise BadInput(
            f"there is no Ray cluster at {_ADDRESS}={address}: {_first_line(error)}; start one "
            "with ray start, or correct the address"
        ) from error


def _check_room(task_options: Mapping[str, Any]) -> None:
    """Refuse a cluster that has no node for a network, where the user has not said what it needs.

    Ray would wait for such a node to come, and some clusters do start nodes when they are needed.

    Raises:
        BadInput: it is so.
    """
    gpus, cpus = task_options["num_gpus"], task_options["num_cpus"]
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if not any(each.get("GPU", 0) >= gpus and each.get("CPU", 0) >= cpus for each in nodes):
        wanted = f"{gpus} GPU and {cpus} CPU" if gpus else f"{cpus} CPU"
        raise BadInput(
            f"no node of the Ray cluster has {wanted} for a network; add nodes, or, if the cluster "
            "adds them by itself or a network needs something else, say what it needs with "
            f"--scheduler-option num_gpus={gpus}"
        )


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".:") if lines else type(error).__name__


def _check_seen(folder: RunFolder) -> None:
    """Ask each node whether it sees the run's folder.

    Raises:
        BadInput: one does not, or sees another; names the nodes.
    """
    study = folder.study.absolute()
    probe = ray.remote(num_cpus=0, max_retries=0)(_hash_of)
    tasks = {}
    for node in ray.nodes():
        if node["Alive"]:
            on_node = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            task = probe.options(scheduling_strategy=on_node).remote(str(study))
            tasks[task] = node["NodeManagerHostname"]
    done, _ = ray.wait(list(tasks), num_returns=len(tasks), timeout=_SEEN_SECONDS)
    expected, blind = sha256(study), []
    for task in done:
        try:
            if ray.get(task) != expected:
                blind.append(tasks[task])
        except RayError:  # it has just died, and gets no networks
            continue
    if blind:
        raise BadInput(
            f"{', '.join(sorted(set(blind)))} of the Ray cluster cannot see {folder.root}; name an "
            "--out on a file system that all nodes mount under the same path"
        )


# What follows runs on the nodes.


def _hash_of(file: str) -> str | None:
    """The hash of a file; None if this node does not see it."""
    return sha256(Path(file)) if Path(file).is_file() else None


def _train(root: str, command: Sequence[str]) -> str:
    """Train a network's folder on this node; what there is to say about the end.

    It is tried again as long as another process works there, such as one that was left behind on a
    node that seemed to have died.
    """
    folder = NetworkFolder(Path(root))
    if not folder.solver.is_file():
        return f"{host()} does not see {root}"
    while True:
        status, words = _run(command)
        if status == 0 or not is_held(folder.lock):
            return f"caffe-transfer train ended with status {status} on {host()}: {words}"
        time.sleep(_BUSY_RETRY_SECONDS)


def _run(command: Sequence[str]) -> tuple[int, str]:
    """Run a command to its end: its status and its last words.

    Where this task is cancelled, the command stops as by Ctrl-C, with a snapshot.

    Where this worker is killed, the command is told to stop as well, so that its device is free for
    what Ray starts there next.
    """
    argv = [*with_parent(command[0], signal.SIGTERM), *command[1:]]
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True
        )
        try:
            while process.poll() is None:
                time.sleep(_POLL_SECONDS)
        except KeyboardInterrupt:  # Ray's way to cancel a task
            process.send_signal(signal.SIGTERM)
            process.wait()
            raise
        said.seek(max(0, said.tell() - _LAST_BYTES))
        return process.returncode, last_words(said.read().decode(errors="replace"))
