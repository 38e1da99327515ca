"""`caffe-torch` and `python -m caffe_transfer.caffe_torch`."""

import importlib.util
import os
import sys
from importlib import metadata

from caffe_transfer.version import __version__

NO_TORCH = 2


def main() -> int:
    """Run the command; without PyTorch, say in one sentence how to get it."""
    if importlib.util.find_spec("torch") is None:
        print("caffe-torch needs PyTorch; run pip install 'caffe-transfer[torch]'", file=sys.stderr)
        return NO_TORCH
    if sys.argv[1:] in (["--version"], ["-version"]):
        # Every training asks for it first: not worth the seconds of importing PyTorch.
        print(f"caffe-torch {__version__} (PyTorch {metadata.version('torch')})")
        return 0
    from caffe_transfer.caffe_torch import command

    status = command.main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Everything is written and no thread runs: a regular exit of PyTorch takes half a second.
    os._exit(status)


if __name__ == "__main__":
    sys.exit(main())
