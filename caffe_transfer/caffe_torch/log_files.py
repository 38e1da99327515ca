"""Log files with the names, links and first lines of glog 0.6 (LogFileObject, logging.cc)."""

import getpass
import os
import socket
import sys
import tempfile
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from caffe_transfer.caffe_torch.flags import CommandLine, program_name

LEVELS = ("INFO", "WARNING", "ERROR", "FATAL")
_MIB = 1 << 20


class LogFiles:
    """One file for each level that has occurred; a line goes into its level's and all below."""

    def __init__(self, flags: CommandLine) -> None:
        self._flags = flags
        self._start = time.monotonic()
        self._open: dict[str, TextIO | None] = {}

    def write(self, level: int, line: str) -> None:
        """Append a line; where no folder takes files, say so once and go on, as glog does."""
        for name in LEVELS[: level + 1]:
            if name not in self._open or self._is_full(name):
                self._open[name] = self._create(name)
            if file := self._open[name]:
                file.write(line)
                file.flush()

    def close(self) -> None:
        """Close the files."""
        for file in self._open.values():
            if file is not None:
                file.close()

    def _is_full(self, level: str) -> bool:
        """Whether a file has reached its size, and the time gives its follower another name."""
        file = self._open[level]
        size = max(1, self._flags.number("max_log_size")) * _MIB
        if file is None or file.tell() < size or Path(file.name).name == self._name(level):
            return False
        file.close()
        return True

    def _create(self, level: str) -> TextIO | None:
        given = self._flags.text("log_dir")
        mode = self._flags.number("logfile_mode")
        # In the temporary folder, another user's file or link is not followed.
        exclusive = os.O_EXCL if self._flags.on("timestamp_in_logfile_name") else 0
        for folder in [given] if given else [tempfile.gettempdir(), "."]:
            path = Path(folder) / self._name(level)
            try:
                file = open(  # noqa: SIM115 -- it stays open
                    path, "a", encoding="utf-8", errors="surrogateescape",
                    opener=lambda name, flags: os.open(name, flags | exclusive, mode),
                )  # fmt: skip
            except OSError as error:
                reason = f"no log file {path}: {error.strerror}; --log_dir names another folder"
                continue
            file.write(self._head())
            self._link(level, path)
            return file
        print(reason, file=sys.stderr)
        return None

    def _name(self, level: str) -> str:
        stem = f"{program_name()}.{socket.gethostname()}.{_user()}.log.{level}."
        if not self._flags.on("timestamp_in_logfile_name"):
            return stem
        return f"{stem}{self._now():%Y%m%d-%H%M%S}.{os.getpid()}"

    def _link(self, level: str, path: Path) -> None:
        link = f"{program_name()}.{level}"
        more = self._flags.text("log_link")
        targets = {path.parent / link: path.name} | ({Path(more) / link: str(path)} if more else {})
        for at, target in targets.items():
            with suppress(OSError):  # a convenience, which another user's link may prevent
                at.unlink(missing_ok=True)
                at.symlink_to(target)

    def _head(self) -> str:
        minutes, seconds = divmod(int(time.monotonic() - self._start), 60)
        year = "yyyy" if self._flags.on("log_year_in_prefix") else ""
        zone = " UTC" if self._flags.on("log_utc_time") else ""
        return (
            f"Log file created at: {self._now():%Y/%m/%d %H:%M:%S}{zone}\n"
            f"Running on machine: {socket.gethostname()}\n"
            f"Running duration (h:mm:ss): {minutes // 60}:{minutes % 60:02}:{seconds:02}\n"
            f"Log line format: [IWEF]{year}mmdd hh:mm:ss.uuuuuu threadid file:line] msg\n"
        )

    def _now(self) -> datetime:
        return datetime.now(UTC if self._flags.on("log_utc_time") else None)


def _user() -> str:
    try:
        return os.environ.get("USER") or getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return f"uid{os.geteuid()}"
