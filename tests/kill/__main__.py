"""The command of the campaign: see the package's docstring."""

import argparse
import functools
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.kill.campaign import Campaign, table
from tests.kill.subject import REPLAY, Reference

_SECONDS = 0.5  # of a replayed training


def main() -> int:
    """Run a campaign and print what was tried; 1 if something failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.kill")
    parser.add_argument("--count", type=int, default=100, help="strikes to reach")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="one study of that seed, to repeat it")
    parser.add_argument("--engine", default=REPLAY, help="replay, caffe, caffe-torch or a program")
    parser.add_argument("--faults", action="store_true", help="writes fail, instead of signals")
    parser.add_argument("--minutes", type=float, default=1e9, help="begin no study after them")
    parser.add_argument("--out", type=Path, help="an empty folder, which keeps what fails")
    given = parser.parse_args()
    # As nohup and `&` ignore them, and as all that is started here would ignore them then.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    root = given.out or Path(tempfile.mkdtemp(prefix="kill-"))
    end = time.monotonic() + 60 * given.minutes
    reference = Reference.make(root / "reference", given.engine, _SECONDS)
    say = functools.partial(print, flush=True)
    campaign = Campaign(root, given.seed, reference, say, given.faults)
    if given.only is not None:
        campaign.study(given.only)
    number = 0
    while given.only is None and len(campaign.tally.struck) < given.count:
        if time.monotonic() > end:
            break
        campaign.study(number)
        number += 1
    print(f"\n{table(campaign.tally)}\n")
    for failure in campaign.tally.failures:
        print(failure)
    if campaign.tally.failures:
        print(f"what failed is kept in {root}")
    return bool(campaign.tally.failures)


if __name__ == "__main__":
    sys.exit(main())
