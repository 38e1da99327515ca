"""The exceptions that the library raises on purpose:

CaffeTransferError
 +-- BadInput        a file, name or option that cannot be used
 |    +-- FormatError    a file that is truncated, inconsistent, or of another format
 +-- Busy            another process works in the same folder
 +-- Incomplete      something that is needed first does not exist yet
 +-- EngineError     the training program is missing or failed
 |    +-- RefusedNet     it refuses a net or a solver, and would do so again
 +-- Interrupted     stopped on request; the state is kept

Every message is one sentence that names the file, layer or option and says what to do.
The command line exits with its `status`.
"""

STOPPED = "stopped; run the same command again to go on"


class CaffeTransferError(Exception):
    """Base class of all errors that the library raises on purpose."""

    status = 2


class BadInput(CaffeTransferError):
    """A file, a name or an option cannot be used."""


class FormatError(BadInput):
    """A file is truncated, inconsistent, or of another format."""


class Busy(CaffeTransferError):
    """Another process works in the same folder."""


class Incomplete(CaffeTransferError):
    """Something that is needed first does not exist yet."""


class EngineError(CaffeTransferError):
    """The training program is missing or failed."""


class RefusedNet(EngineError):
    """The training program refuses a net or a solver, and would do so again."""


class Interrupted(CaffeTransferError):
    """Training or preparation was stopped on request; what was done is kept."""

    status = 130
