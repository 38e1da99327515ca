"""`caffe-torch` and `python -m caffe_transfer.caffe_torch`."""

import importlib.util
import os
import signal
import sys

from caffe_transfer import streams
from caffe_transfer.caffe_torch import usage
from caffe_transfer.caffe_torch.flags import parse

NO_TORCH = 2


def main() -> int:
    """Run the command; without PyTorch, say in one sentence how to get it."""
    if importlib.util.find_spec("torch") is None:
        print("caffe-torch needs PyTorch; run pip install 'caffe-transfer[torch]'", file=sys.stderr)
        return NO_TORCH
    streams.reserve()
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # ends it, as it ends Caffe; train takes it over
    line = parse(sys.argv[1:])
    # Every training asks for the version first: not worth the seconds of importing PyTorch.
    status = usage.answer(line)
    if status is not None:
        return status
    from caffe_transfer.caffe_torch import command

    status = command.run(line)
    sys.stdout.flush()
    sys.stderr.flush()
    # Everything is written and no thread runs: a regular exit of PyTorch takes half a second.
    os._exit(status)


if __name__ == "__main__":
    sys.exit(main())
