"""The command line of caffe-torch against real Caffe's: the same words to both programs."""

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="no PyTorch here; pip install 'caffe-transfer[torch]'")

from caffe_transfer.caffe_torch import command, glog, usage
from caffe_transfer.caffe_torch.flag_table import FLAGS, OWN
from caffe_transfer.caffe_torch.flags import parse

# Constant parameters: `time` and `test` know no seed.
NET = """
name: "small"
layer { name: "in" type: "DummyData" top: "x" top: "label"
  dummy_data_param {
    shape { dim: 2 dim: 3 dim: 8 dim: 8 } shape { dim: 2 }
    data_filler { type: "constant" value: 0.3 } data_filler { type: "constant" value: 1 } } }
layer { name: "conv" type: "Convolution" bottom: "x" top: "conv" convolution_param {
  num_output: 4 kernel_size: 3 weight_filler { type: "constant" value: 0.1 } } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool"
  pooling_param { kernel_size: 2 stride: 2 } }
layer { name: "fc" type: "InnerProduct" bottom: "pool" top: "fc" inner_product_param {
  num_output: 3 weight_filler { type: "constant" value: 0.2 }
  bias_filler { type: "constant" value: 0.1 } } }
layer { name: "scores" type: "Power" bottom: "fc" top: "scores" power_param { scale: 1.5 } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "scores" bottom: "label" top: "loss"
  loss_weight: 0.5 }
layer { name: "squares" type: "EuclideanLoss" bottom: "scores" bottom: "fc" top: "squares" }
layer { name: "accuracy" type: "Accuracy" bottom: "scores" bottom: "label" top: "accuracy"
  include { phase: TEST } }
"""
SOLVER = """
net: "net.prototxt" base_lr: 0.001 lr_policy: "fixed" max_iter: 1 snapshot_prefix: "s"
solver_mode: CPU display: 1
"""
NUMBER = re.compile(r"[-+]?(?:\d+(?:\.\d+)?(?:e[-+]\d+)?|\bnan\b)")
MESSAGE = re.compile(r"[IWEF]\d{8} [\d:.]+ +\d+ (\w+)\.\w+:\d+\] (.*)")


@dataclass(frozen=True)
class Done:
    """What a program printed, and its exit status."""

    returncode: int
    stdout: str
    stderr: str


class Programs:
    """Both programs, in a working directory of the same files."""

    def __init__(
        self, caffe: Path, patch: pytest.MonkeyPatch, captured: pytest.CaptureFixture[str]
    ) -> None:
        self._caffe, self._patch, self._captured = caffe, patch, captured

    def run(self, arguments: str, **environment: str) -> tuple[Done, Done]:
        """What Caffe does, and what caffe-torch does: in this process, as PyTorch starts slowly."""
        words = arguments.split()
        known = {"OMP_NUM_THREADS": "1", "USER": "me", "TMPDIR": str(Path.cwd())} | environment
        done = subprocess.run(
            [str(self._caffe), *words], capture_output=True, text=True, check=False, env=known
        )
        theirs = Done(done.returncode, done.stdout, done.stderr)
        for name in [name for name in os.environ if re.match("GLOG|GOOGLE|TEST_TMPDIR|TERM", name)]:
            self._patch.delenv(name)
        for name, value in known.items():
            self._patch.setenv(name, value)
        self._patch.setattr("tempfile.tempdir", None)
        self._patch.setattr("sys.argv", ["caffe-torch", *words])
        self._captured.readouterr()
        status = command.main()
        return theirs, Done(status, *self._captured.readouterr())


@pytest.fixture
def programs(
    caffe_bin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Iterator[Programs]:  # fmt: skip
    """Both programs, where there are a net, a solver, a model and files of flags."""
    files = {
        "net.prototxt": NET,
        "solver.prototxt": SOLVER,
        "flags": "# all\n-nolog_prefix\r\n  --log_dir=logs\n-nothing=3\n-minloglevel 2\n",
        "sections": "another\n-nolog_prefix\nno ca*fe*\n-log_dir=logs\n",
        "bad": "-iterations=x\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "logs").mkdir()
    monkeypatch.chdir(tmp_path)
    argv = [str(caffe_bin), "train", "-solver=solver.prototxt", "-logtostderr"]
    subprocess.run(argv, check=True, capture_output=True)
    yield Programs(caffe_bin, monkeypatch, capfd)
    glog.set_up(parse(["-logtostderr"], {}))


def messages(log: str) -> list[tuple[str, str]]:
    """Log lines as (source file without ending, text)."""
    return [(found[1], found[2]) for found in map(MESSAGE.fullmatch, log.splitlines()) if found]


ALWAYS_THE_SAME = """
train | -logtostderr | time -- -model net.prototxt | train - | train more -solver=solver.prototxt
prove | - | -- | -- -version | -bogus device_query | --bogus=3 -bogus device_query
-bogus -undefok bogus device_query | -undefok=a,b -nob -a=3 device_query
-undefok=a,b -a -noa device_query | device_query --undefok x --x=3
-iterations x device_query | -iterations= device_query | -iterations=0x10 device_query
-iterations=99999999999 device_query | -iterations=+7 device_query | -iterations=010 device_query
-iterations=7. device_query | -level=-3 device_query | -max_log_size=-1 device_query
-noiterations device_query | -noversion | -version=false device_query | -version=no -logtostderr
device_query -solver | device_query -log_dir | -v device_query | -v=2 -vmodule=x=3 device_query
-alsologtostderr=maybe device_query | -alsologtostderr= device_query | -logtostderr T device_query
-alsologtostderr=YES device_query | -log-dir=logs device_query | -help=false device_query
-version | --version | -bogus -version | -help | -helpfull | -helpshort | -bogus -help
-helpon=caffe | -helpon=logging | -helpon=none | -helpmatch=log | -helppackage | -helpxml
-flagfile=flags device_query | -flagfile=none device_query | -flagfile=bad device_query
-flagfile=sections device_query | -flagfile=flags,sections device_query
-fromenv=log_dir device_query | -fromenv=solver device_query | -fromenv=bogus device_query
-tryfromenv=log_dir,solver device_query | -tryfromenv=bogus device_query
device_query | device_query -gpu=all | device_query -gpu=0,1
train -solver=solver.prototxt -gpu=0 | train -solver=solver.prototxt -gpu=0,1
train -solver=solver.prototxt -gpu=all | train -solver=solver.prototxt -gpu=x -logtostderr
train -solver=solver.prototxt -sigint_effect=x | train -solver=net.prototxt | train -solver=none
train -solver=solver.prototxt -snapshot=a -weights=b | train -solver=solver.prototxt -phase=x
test -model=net.prototxt | test -weights=s_iter_1.caffemodel | time | time -model=none
time -model=net.prototxt -phase=TRIAN | time -model net.prototxt -phase=TEST -sigint_effect=x
time -model=net.prototxt -iterations=0 | time -model=net.prototxt -iterations=-1
test -model=net.prototxt -weights=s_iter_1.caffemodel,s_iter_1.caffemodel
-logfile_mode=384 -log_dir=logs device_query | -nosymbolize_stacktrace -colorlogtostderr prove
-logbuflevel=-1 -logbufsecs=3 -logcleansecs=9 -stop_logging_if_full_disk device_query
-tab_completion_word=-sig | -log_dir=logs -log_dir= device_query
"""


@pytest.mark.parametrize(
    "arguments",
    [each.strip() for line in ALWAYS_THE_SAME.splitlines() for each in line.split("|") if each],
)
def test_the_same_words_have_the_same_effect(arguments: str, programs: Programs) -> None:
    """Exit status, where it is printed, which flags are named as wrong, which files appear."""
    theirs, ours = programs.run(arguments, FLAGS_log_dir="logs")
    assert (theirs.returncode == 0) == (ours.returncode == 0), (theirs, ours)
    assert bool(theirs.stdout) == bool(ours.stdout)
    assert bool(theirs.stderr) == bool(ours.stderr)
    if theirs.returncode == 1:  # gflags says what is wrong; Caffe aborts with another status
        told = [
            [line.removeprefix("ERROR: ").split("; flag")[0] for line in each.stderr.splitlines()]
            for each in (theirs, ours)
        ]
        assert told[0] == told[1]
    assert "Traceback" not in ours.stderr
    appeared = map(str, Path().rglob("caffe*"))
    named = [re.sub(r"\.\d+$", "", re.sub(r"\d{8}-\d{6}", "", path)) for path in appeared]
    assert sorted(name for name in named if "caffe-torch" not in name) == sorted(
        name.replace("caffe-torch", "caffe") for name in named if "caffe-torch" in name
    )


LOGGED: tuple[tuple[str, dict[str, str]], ...] = (
    ("", {}),
    ("-logtostderr", {}),
    ("-logtostderr=1 -log_dir=logs", {}),
    ("-alsologtostderr -log_dir=logs", {}),
    ("-noalsologtostderr -log_dir=logs", {}),
    ("-noalsologtostderr -stderrthreshold=0 -log_dir=logs", {}),
    ("-noalsologtostderr -stderrthreshold=3 -log_dir=logs -log_link=links", {}),
    ("-logtostdout", {}),
    ("-minloglevel=1 -log_dir=logs", {}),
    ("-minloglevel 4", {}),
    ("-nolog_prefix", {}),
    ("-nolog_year_in_prefix -log_utc_time", {}),
    ("-notimestamp_in_logfile_name -log_dir=logs", {}),
    ("-log_dir=missing", {}),
    ("", {"GLOG_logtostderr": ""}),
    ("", {"GLOG_logtostderr": "0"}),
    ("", {"GLOG_logtostderr": "on"}),
    ("-nologtostderr", {"GLOG_logtostderr": "1"}),
    ("", {"GLOG_log_dir": "logs", "GLOG_alsologtostderr": "0"}),
    ("", {"GOOGLE_LOG_DIR": "logs"}),
    ("", {"TEST_TMPDIR": "logs"}),
    ("", {"GLOG_minloglevel": "1", "GLOG_log_prefix": "0"}),
    ("", {"GLOG_minloglevel": "high"}),
    ("-colorlogtostderr", {"TERM": "xterm"}),
)


@pytest.mark.parametrize(("flags", "environment"), LOGGED)
@pytest.mark.parametrize("command", ["device_query", "train"])
def test_logs_go_where_glog_sends_them(
    command: str, flags: str, environment: dict[str, str], programs: Programs
) -> None:
    """One command that succeeds, one that fails."""
    if command == "train" and flags == "-logtostdout":
        pytest.skip("Caffe aborts without having written what it buffered")
    Path("links").mkdir()
    theirs, ours = programs.run(f"{command} {flags}", **environment)
    for one, other in ((theirs.stdout, ours.stdout), (theirs.stderr, ours.stderr)):
        assert levels(one) == levels(other), (one, other)
    files = [p for p in Path().rglob("caffe*") if not p.is_symlink()]
    links = {p: p.readlink() for p in Path().rglob("caffe*") if p.is_symlink()}
    for found in (files, links):
        by_us = sorted(masked(path) for path in found if "caffe-torch" in path.name)
        assert by_us == sorted(masked(path) for path in found if "caffe-torch" not in path.name)
    assert all(
        p.parent.joinpath(to).exists() for p, to in links.items() if p.parent.name != "links"
    )
    for path in files:
        twin = next(p for p in files if p != path and masked(p) == masked(path))
        assert levels(path.read_text()) == levels(twin.read_text())
        assert [re.sub(r"\d", "", line) for line in path.read_text().splitlines()[:4]] == [
            re.sub(r"\d", "", line) for line in twin.read_text().splitlines()[:4]
        ]
        assert path.stat().st_mode == twin.stat().st_mode


def masked(path: Path) -> str:
    name = path.name.replace("caffe-torch", "caffe")
    return str(path.parent / re.sub(r"\d{8}-\d{6}\.\d+$", "TIME", name))


def levels(text: str) -> list[str]:
    """The form of each line up to its message; without Caffe's stack traces and own sentences."""
    form = r"(?:\x1b\[\S*m)*[IWEF]?(?:\d{8}|\d{4}) [\d:.]+ +\d+ |Querying GPUs|Check failed"
    text = re.sub(r"(LOGGINGFILE [\d.-]+!)", r"\1\n", text)  # glog forgets to end the line
    text = re.sub(r"train needs", "Check failed", re.sub(".*There is no GPU.*\n", "", text))
    found = re.findall(f"^(?:{form})", text, re.MULTILINE)
    return [re.sub(r"\d", "0", re.sub(r" +\d+ $", "", each)) for each in found]


def test_caffes_flags_are_all_there(caffe_bin: Path) -> None:
    """With their types and defaults, as -helpfull lists them."""
    done = subprocess.run(
        [caffe_bin, "-helpfull"], capture_output=True, text=True, check=False, env={}
    )
    form = r"^    -(\w+) \(.*?\)\s+type: (\w+)\s+default: (\S+)"
    listed = re.findall(form, done.stdout, re.MULTILINE | re.DOTALL)
    assert len(listed) > 50
    assert {name: (kind, default) for name, kind, default in listed} == {
        flag.name: (
            flag.kind,
            f'"{flag.default}"' if flag.kind == "string" else str(flag.default).lower(),
        )
        for flag in FLAGS.values()
        if flag.source != OWN
    }


def test_times_are_told_line_by_line_as_by_caffe(programs: Programs) -> None:
    for phase in ("TRAIN", "TEST"):
        flags = f"-model=net.prototxt -phase={phase} -iterations=2 -logtostderr"
        theirs, ours = programs.run(f"time {flags}")
        compare_tails(theirs.stderr, ours.stderr, numbers=("Initial loss",))


def test_times_of_no_iterations_are_no_numbers(programs: Programs) -> None:
    theirs, ours = programs.run("time -model=net.prototxt -iterations=0 -logtostderr")
    compare_tails(theirs.stderr, ours.stderr, numbers=("Initial loss", "Average", "forward"))


@pytest.mark.parametrize("iterations", [3, 0, -1])
def test_scores_are_told_line_by_line_as_by_caffe(iterations: int, programs: Programs) -> None:
    flags = f"-model=net.prototxt -weights=s_iter_1.caffemodel -iterations={iterations}"
    theirs, ours = programs.run(f"test {flags} -logtostderr")
    compare_tails(theirs.stderr, ours.stderr, numbers=("",))


def test_training_is_told_in_the_same_order(programs: Programs) -> None:
    theirs, ours = programs.run("train -solver=solver.prototxt -logtostderr")
    compare_tails(theirs.stderr, ours.stderr, "Solver scaffolding done.", ("loss = ",))
    settings = re.compile(r"parameters: \n(.*?)^\w*train_state", re.DOTALL | re.MULTILINE)
    found = [settings.search(each.stderr) for each in (theirs, ours)]
    assert found[0]
    assert found[1]
    assert found[0][1] == found[1][1]


def compare_tails(
    theirs: str, ours: str, start: str = "Network initialization done.",
    numbers: tuple[str, ...] = (),
) -> None:  # fmt: skip
    """The same lines from `start` on; in those that contain one of `numbers`, the same numbers."""
    tails = []
    for log in (theirs, ours):
        found = messages(log)
        tails.append(found[[text for _, text in found].index(start) :])
    assert [(place, NUMBER.sub("N", text)) for place, text in tails[0]] == [
        (place, NUMBER.sub("N", text)) for place, text in tails[1]
    ]
    for (_, one), (_, other) in zip(*tails, strict=True):
        if any(text in one for text in numbers) and "iter/s" not in one:
            expected, got = (list(map(float, NUMBER.findall(text))) for text in (one, other))
            assert got == pytest.approx(expected, rel=1e-5, nan_ok=True)


def test_a_flag_file_that_reads_itself_is_told(tmp_path: Path) -> None:
    file = tmp_path / "flags"
    file.write_text(f"-flagfile={file}\n")
    assert parse([f"-flagfile={file}"], {}).errors == [f"ERROR: the flag file {file} reads itself"]


def test_a_mistake_is_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever stands in a flag file."""
    flags = tmp_path / "flags.txt"
    flags.write_text(f"--iterations=\x1b[31m{'9' * 5000}\n--threads=two\n")
    assert command.main([f"--flagfile={flags}"]) == usage.BAD_FLAGS
    one, two, end = capsys.readouterr().err.split("\n")
    assert one.isprintable()
    assert len(one) < 300
    assert "int32 flag 'iterations'" in one
    assert (two, end) == ("ERROR: illegal value 'two' specified for uint32 flag 'threads'", "")


def test_full_log_files_are_followed_by_new_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from caffe_transfer.caffe_torch.log_files import LogFiles

    files = LogFiles(parse([f"-log_dir={tmp_path}", "-max_log_size=0"], {}))
    names = iter(("one", "two", "two", "three"))
    monkeypatch.setattr(LogFiles, "_name", lambda self, level: next(names))
    for _ in range(2):
        files.write(0, "x" * (1 << 20))
    files.close()
    assert sorted(p.name for p in tmp_path.iterdir() if not p.is_symlink()) == ["one", "two"]
