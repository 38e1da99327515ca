"""`caffe-torch` and `python -m caffe_transfer.caffe_torch`."""

import importlib.util
import os
import sys
from importlib import metadata

from caffe_transfer.version import __version__

NO_TORCH = 2


def main() -> int:
    """The command; without PyTorch one sentence that says how to get it."""
    if importlib.util.find_spec("torch") is None:
        print("caffe-torch needs PyTorch; run pip install 'caffe-transfer[torch]'", file=sys.stderr)
        return NO_TORCH
    if sys.argv[1:] in (["--version"], ["-version"]):
        # Asked before every training: not worth the seconds that importing PyTorch takes.
        print(f"caffe-torch {__version__} (PyTorch {metadata.version('torch')})")
        return 0
    from caffe_transfer.caffe_torch import command

    status = command.main()
    sys.stdout.flush()
    sys.stderr.flush()
    # All is written and all threads have ended: taking PyTorch down would cost half a second.
    os._exit(status)


if __name__ == "__main__":
    sys.exit(main())
