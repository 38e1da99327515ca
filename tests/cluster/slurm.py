"""A real Slurm on this machine: one controller and two nodes, in a temporary folder.

It needs root, and the Debian packages slurm-wlm and munge; `make cluster-test` installs them.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

PROGRAMS = (
    "munged",
    "slurmctld",
    "slurmd",
    "sbatch",
    "squeue",
    "scontrol",
    "scancel",
    "srun",
    "setpriv",
)
# Cores of each node: jobs wait for cores, and those of a test hardly compute.
CORES = 4
NODES = ("n1", "n2")
START_SECONDS = 60.0
_NVIDIA_MAJOR = 195

# Short times: a test cannot wait two minutes for a requeued job, or five for a dead node.
CONF = """
ClusterName=tests
SlurmctldHost={host}
SlurmctldPort={ports[0]}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={root}/munge.socket,cred_expire=5
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=2,sched_min_interval=200000,batch_sched_delay=0
StateSaveLocation={root}/state
SlurmctldPidFile={root}/slurmctld.pid
SlurmctldLogFile={root}/slurmctld.log
SlurmdSpoolDir={root}/spool-%n
SlurmdPidFile={root}/slurmd-%n.pid
SlurmdLogFile={root}/slurmd-%n.log
SlurmdParameters=config_overrides
SlurmdTimeout=10
ReturnToService=2
KillWait=10
MaxJobCount=5000
EnforcePartLimits=ALL
GresTypes=gpu
NodeName=n1 NodeHostname={host} Port={ports[1]} CPUs={cores} Sockets=1 CoresPerSocket={cores} \
ThreadsPerCore=1 RealMemory=1000 Gres=gpu:2
NodeName=n2 NodeHostname={host} Port={ports[2]} CPUs={cores} Sockets=1 CoresPerSocket={cores} \
ThreadsPerCore=1 RealMemory=1000 Gres=gpu:2
PartitionName=all Nodes=n1,n2 Default=YES MaxTime=60 DefaultTime=10 State=UP
"""


def lacking() -> str:
    """Why no Slurm can be started here; empty if one can."""
    missing = [name for name in PROGRAMS if shutil.which(name, path=_path()) is None]
    if missing:
        return f"no {missing[0]} here; `make cluster-test`, as root, installs Slurm and munge"
    if os.geteuid() != 0:
        return "a Slurm of its own needs root; run `make cluster-test` as root"
    return ""


class Slurm:
    """A running Slurm.

    Attributes:
        root: the folder of its files; `slurmctld.log` and `slurmd-n1.log` tell what it does.
        environment: in which Slurm's commands reach it.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environment = os.environ | {"SLURM_CONF": str(root / "slurm.conf"), "PATH": _path()}
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}

    def run(self, *argv: str | Path) -> str:
        """What a command of Slurm prints; an error if it fails."""
        done = subprocess.run(argv, capture_output=True, text=True, env=self.environment)
        assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
        return done.stdout

    def jobs(self, form: str = "%i %T") -> list[str]:
        """A line for each job that waits or runs."""
        return self.run("squeue", "--noheader", "--array", f"--format={form}").splitlines()

    def start(self) -> None:
        """Start all daemons, and wait until both nodes take jobs."""
        _write_conf(self.root)
        self._start(
            "munged", "munged", "--foreground", "--force", f"--key-file={self.root}/munge.key",
            f"--socket={self.root}/munge.socket", f"--pid-file={self.root}/munge.pid",
            f"--log-file={self.root}/munge.log", f"--seed-file={self.root}/munge.seed",
        )  # fmt: skip
        wait_until(lambda: (self.root / "munge.socket").exists(), "munged has a socket")
        self._start("slurmctld", "slurmctld", "-D", "-c")
        for node in NODES:
            self.start_node(node)
        wait_until(lambda: self.idle() == set(NODES), "both nodes are idle", self.logs)

    def start_node(self, node: str) -> None:
        """Start a node's daemon."""
        self._start(node, "slurmd", "-D", "-N", node)

    def kill_node(self, node: str) -> None:
        """End a node as a loss of power would: its daemon and all that it has started."""
        process = self._daemons.pop(node)
        _kill_with_children(process.pid)
        # The daemons of its jobs have left their parent, and write to its log.
        for pid in _pids_that_hold(self.root / f"slurmd-{node}.log"):
            _kill_with_children(pid)
        process.wait()

    def stop(self) -> None:
        """End all jobs and daemons."""
        with suppress(AssertionError):
            self.end_all_jobs()
        for process in reversed(self._daemons.values()):
            _kill_with_children(process.pid)
            process.wait()

    def end_all_jobs(self) -> None:
        """End whatever a test has left."""
        self.run("scancel", "--user=root", "--state=PENDING")
        self.run("scancel", "--user=root")
        wait_until(lambda: not self.jobs(), "all jobs are gone", self.logs)

    def logs(self) -> str:
        """The ends of the daemons' logs."""
        return "\n".join(
            f"{path.name}:\n{path.read_text(errors='replace')[-2000:]}"
            for path in sorted(self.root.glob("*.log"))
        )

    def _start(self, name: str, *argv: str) -> None:
        with (self.root / f"{name}.out").open("wb") as output:
            # A test that is killed leaves no daemon.
            self._daemons[name] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *argv], env=self.environment,
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip

    def idle(self) -> set[str]:
        try:
            lines = self.run("sinfo", "--noheader", "--Node", "--format=%N %t").splitlines()
        except AssertionError:  # the controller does not listen yet
            return set()
        return {line.split()[0] for line in lines if line.split()[1] == "idle"}


@contextmanager
def started(root: Path) -> Iterator[Slurm]:
    """A Slurm for the block, in an empty folder."""
    slurm = Slurm(root)
    try:
        slurm.start()
        yield slurm
    finally:
        slurm.stop()


def wait_until(
    condition: Callable[[], object],
    what: str,
    explain: Callable[[], str] = lambda: "",
    seconds: float = START_SECONDS,
) -> None:
    """Wait until a condition holds; an error that names it if it never does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds:.0f} s: {what}\n{explain()}"
        time.sleep(0.1)


def _path() -> str:
    """PATH with the folders of root's programs."""
    return f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"


def _write_conf(root: Path) -> None:
    root.chmod(0o755)  # munged refuses a socket in a folder that others cannot enter
    for name in ("state", *(f"spool-{node}" for node in NODES)):
        (root / name).mkdir()
    key = root / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    text = CONF.format(host=os.uname().nodename, root=root, ports=_free_ports(3), cores=CORES)
    (root / "slurm.conf").write_text(text)
    # A node whose devices have no files becomes invalid.
    for number in range(4):
        os.mknod(root / f"gpu{number}", 0o666 | 0o020000, os.makedev(_NVIDIA_MAJOR, number))
    (root / "gres.conf").write_text(
        f"NodeName=n1 Name=gpu File={root}/gpu[0-1]\nNodeName=n2 Name=gpu File={root}/gpu[2-3]\n"
    )


def _free_ports(count: int) -> Sequence[int]:
    sockets = [socket.create_server(("", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _pids_that_hold(file: Path) -> set[int]:
    """The processes that have a file open."""
    found = set()
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):
            if link.readlink() == file:
                found.add(int(link.parts[2]))
    return found


def _children(pid: int) -> list[int]:
    with suppress(OSError):
        tasks = Path(f"/proc/{pid}/task").glob("*/children")
        return [int(child) for task in tasks for child in task.read_text().split()]
    return []


def _kill_with_children(pid: int) -> None:
    children = _children(pid)
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    for child in children:
        _kill_with_children(child)
