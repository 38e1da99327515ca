"""The flags of `caffe` (tools/caffe.cpp), of caffe-torch alone, of glog 0.6 and of gflags 2.2."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

Value = bool | int | str

TOOL, OWN = "tools/caffe.cpp", "caffe_torch/command.py"
_LOGGING, _REPORTING = "src/logging.cc", "src/gflags_reporting.cc"
NO_EFFECT = "accepted, without effect here"


@dataclass(frozen=True)
class Flag:
    """A flag.

    Attributes:
        kind: bool, int32, uint32 or string.
        meaning: for the help text.
        source: the file that defines it, by which help texts group the flags.
        choices: of a string's values; empty for any.
    """

    name: str
    kind: str
    default: Value
    meaning: str
    source: str
    choices: tuple[str, ...] = ()


def default_of(flag: Flag, environment: Mapping[str, str]) -> Value:
    """A flag's default; for glog's, environment variables come first, and `caffe` sets one."""
    if flag.name == "alsologtostderr":
        return True
    text = environment.get(f"GLOG_{flag.name}") if flag.source in _GLOG_FILES else None
    if text is None:
        if flag.name == "log_dir":
            return environment.get("GOOGLE_LOG_DIR") or environment.get("TEST_TMPDIR") or ""
        return flag.default
    if flag.kind == "bool":
        return text[:1] in ("", "t", "T", "y", "Y", "1")
    if flag.kind == "string":
        return text
    digits = re.match(r"\s*[+-]?[0-9]+", text)  # as the C library's strtol
    return int(digits[0]) if digits else 0


_Rows = tuple[tuple[str, str, Value, str], ...]
_CAFFE: _Rows = (
    ("gpu", "string", "",
     "the GPU to use, by its number; 'all' where there is one. By default the solver's, or the "
     "CPU. Several GPUs are refused"),
    ("iterations", "int32", 50, "number of iterations, for test and time"),
    ("level", "int32", 0, "level of the net"),
    ("model", "string", "", "the net, a prototxt"),
    ("phase", "string", "", "phase of the net, TRAIN or TEST, for time"),
    ("sighup_effect", "string", "snapshot", "what SIGHUP does: snapshot, stop or none"),
    ("sigint_effect", "string", "stop", "what SIGINT does: snapshot, stop or none"),
    ("snapshot", "string", "", "the solver state to resume from"),
    ("solver", "string", "", "the solver, a prototxt"),
    ("stage", "string", "", "stages of the net, comma-separated"),
    ("weights", "string", "",
     "models to start from, comma-separated; for test, one. Not together with snapshot"),
)  # fmt: skip
_OWN_FLAGS = (
    Flag("precision", "string", "fp32",
         "precision of multiplications: fp32 as in Caffe, tf32, or bf16",
         OWN, ("fp32", "tf32", "bf16")),
    Flag("cuda_graph", "bool", False,
         "repeat forward and backward passes as a CUDA graph; for train on a GPU", OWN),
    Flag("restart_data", "bool", False,
         "with snapshot: begin the data at its first record and draw anew, as Caffe does, instead "
         "of going on where the training was", OWN),
    Flag("threads", "uint32", 0, "CPU threads; 0: OMP_NUM_THREADS decides", OWN),
)  # fmt: skip
_GLOG: _Rows = (
    ("alsologtoemail", "string", "", NO_EFFECT),
    ("alsologtostderr", "bool", False, "log to standard error in addition to files"),
    ("colorlogtostderr", "bool", False, "color errors on standard error, if TERM can"),
    ("colorlogtostdout", "bool", False, "color errors on standard output, if TERM can"),
    ("drop_log_memory", "bool", True, NO_EFFECT),
    ("log_backtrace_at", "string", "", NO_EFFECT),
    ("log_dir", "string", "", "folder of the log files instead of the temporary folder"),
    ("log_link", "string", "", "folder of additional links to the log files"),
    ("log_prefix", "bool", True, "begin each line with level, time, thread and place"),
    ("log_utc_time", "bool", False, "log in UTC"),
    ("log_year_in_prefix", "bool", True, "include the year in the prefix"),
    ("logbuflevel", "int32", 0, NO_EFFECT + ": no line is held back"),
    ("logbufsecs", "int32", 30, NO_EFFECT + ": no line is held back"),
    ("logcleansecs", "int32", 300, NO_EFFECT),
    ("logemaillevel", "int32", 999, NO_EFFECT),
    ("logfile_mode", "int32", 0o664, "mode of the log files"),
    ("logmailer", "string", "", NO_EFFECT),
    ("logtostderr", "bool", False, "log to standard error instead of files"),
    ("logtostdout", "bool", False, "log to standard output instead of files"),
    ("max_log_size", "uint32", 1800, "MiB after which a new log file begins"),
    ("minloglevel", "int32", 0, "log nothing below this level: 0 INFO to 3 FATAL"),
    ("stderrthreshold", "int32", 2, "copy lines from this level on to standard error"),
    ("stop_logging_if_full_disk", "bool", False, NO_EFFECT),
    ("timestamp_in_logfile_name", "bool", True, "end the names of log files with time and process"),
)  # fmt: skip
_GLOG_FILES = (_LOGGING, "src/utilities.cc", "src/vlog_is_on.cc")
_GFLAGS = (
    Flag("symbolize_stacktrace", "bool", True, NO_EFFECT, "src/utilities.cc"),
    Flag("v", "int32", 0, NO_EFFECT + ": there are no such messages", "src/vlog_is_on.cc"),
    Flag("vmodule", "string", "", NO_EFFECT + ": there are no such messages", "src/vlog_is_on.cc"),
    Flag("flagfile", "string", "", "files of flags, comma-separated", "src/gflags.cc"),
    Flag("fromenv", "string", "",
         "flags to take from the environment [use 'export FLAGS_flag1=value']", "src/gflags.cc"),
    Flag("tryfromenv", "string", "",
         "flags to take from the environment if they are there", "src/gflags.cc"),
    Flag("undefok", "string", "",
         "flags that may be given though there are none such, comma-separated; their values need "
         "flag=value", "src/gflags.cc"),
    Flag("tab_completion_columns", "int32", 80, NO_EFFECT, "src/gflags_completions.cc"),
    Flag("tab_completion_word", "string", "",
         "print the flags that begin so, and exit", "src/gflags_completions.cc"),
    Flag("help", "bool", False, "show all flags [all take one dash or two]", _REPORTING),
    Flag("helpfull", "bool", False, "show all flags", _REPORTING),
    Flag("helpmatch", "string", "", "show the flags of files with this in their names", _REPORTING),
    Flag("helpon", "string", "", "show the flags of the file of this name", _REPORTING),
    Flag("helppackage", "bool", False, "show the flags of the command", _REPORTING),
    Flag("helpshort", "bool", False, "show the flags of the command", _REPORTING),
    Flag("helpxml", "bool", False, "show all flags as XML", _REPORTING),
    Flag("version", "bool", False, "show the version and exit", _REPORTING),
)  # fmt: skip

FLAGS: Mapping[str, Flag] = {
    flag.name: flag
    for flag in (
        *(Flag(*row, TOOL) for row in _CAFFE),
        *_OWN_FLAGS,
        *(Flag(*row, _LOGGING) for row in _GLOG),
        *_GFLAGS,
    )
}
