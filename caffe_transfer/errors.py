"""What can go wrong, as a tree:

CaffeTransferError
 +-- BadInput        a file, name or option that cannot be used as asked
 |    +-- FormatError    a file that is truncated, foreign or inconsistent inside
 +-- Busy            another process works on the same folder
 +-- Incomplete      something that has to be there first is not
 +-- EngineError     the training program is missing or failed
 +-- Interrupted     stopped on request; the state is kept

Every message is one sentence that names the file, layer or option and says what to do.
The command line turns each into exit status `status`.
"""


class CaffeTransferError(Exception):
    """Base of all errors that the library raises on purpose."""

    status = 2


class BadInput(CaffeTransferError):
    """A file, a name or an option that cannot be used as asked."""


class FormatError(BadInput):
    """A file that is truncated, foreign or inconsistent inside."""


class Busy(CaffeTransferError):
    """Another process works on the same folder."""


class Incomplete(CaffeTransferError):
    """Something that has to be there first is not there yet."""


class EngineError(CaffeTransferError):
    """The training program is missing or has failed."""


class Interrupted(CaffeTransferError):
    """Training was stopped on request; what was learned is kept."""

    status = 130
