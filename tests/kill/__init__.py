"""Kills and signals at random points of a small study, which must end as if nothing had happened.

    python -m tests.kill --count 100 --seed 1 [--engine replay|caffe|caffe-torch] [--out DIR]

points.py    where in its work a process is, and how it strikes at a point of it
strikes.py   what strikes whom: chosen by a seed, and done
subject.py   the study, its command, its processes
checks.py    what must hold afterwards
campaign.py  studies struck and run again; what was tried and what held
"""
