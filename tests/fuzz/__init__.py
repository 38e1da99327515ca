"""Files that are broken in many ways, given to every reader and every command that takes a file.

python -m tests.fuzz --seconds 1200 --seed 0     a campaign; see __main__.py
"""
