"""The long campaign, and what a failure of it needs to be looked into.

python -m tests.fuzz --seconds 1200 --seed 0      a campaign; failures are kept with their commands
python -m tests.fuzz --count 500 --seed 1
python -m tests.fuzz --read models x.caffemodel   one file by one of the library's readers
"""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.fuzz.campaign import Campaign, table
from tests.fuzz.targets import READERS


def main() -> int:
    """Run what the command line says; return 1 if anything failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--count", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--failures", type=Path, default=Path("fuzz-failures"))
    parser.add_argument("--only", default="", help="targets whose names hold this")
    parser.add_argument("--read", nargs=2, metavar=("READER", "FILE"))
    given = parser.parse_args()
    if given.read:
        print(READERS[given.read[0]][0](Path(given.read[1])))
        return 0
    if given.seconds is None and given.count is None:
        parser.error("give --seconds or --count")
    with tempfile.TemporaryDirectory() as scratch:
        campaign = Campaign(Path(scratch) / "fuzz", given.seed, given.failures, only=given.only)
        campaign.run(count=given.count, seconds=given.seconds)
    for line in table(campaign.counts):
        print(line)
    for line in campaign.failed:
        print(line)
    return int(bool(campaign.failed))


if __name__ == "__main__":
    sys.exit(main())
