"""Write the networks of a plan as files of commands, wave-0.txt, wave-1.txt, ..., here.

A wave is what can be trained when the waves before it are; a line is the command of one network.
Networks that are trained already are left out.

    caffe-transfer run paper --out /shared/paper --dry-run --json > plan.json
    python3 waves.py plan.json
"""

import json
import shlex
import sys
from pathlib import Path

plan = json.loads(Path(sys.argv[1]).read_text())
waves: list[list[str]] = []
wave_of: dict[str, int] = {}
for job in plan["networks"]:  # those that it needs stand before it
    if job["trained"]:
        continue
    number = 1 + max((wave_of[name] for name in job["needs"] if name in wave_of), default=-1)
    wave_of[job["name"]] = number
    waves += [[] for _ in range(number + 1 - len(waves))]
    waves[number].append(shlex.join(job["command"]))
for number, lines in enumerate(waves):
    path = Path(f"wave-{number}.txt")
    path.write_text("\n".join(lines) + "\n")
    print(f"{path}: {len(lines)} networks")
