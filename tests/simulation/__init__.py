"""The whole order path in one process, from one seed: the real cores, a model broker with books of its own, and faults.

`python -m tests.simulation --seed 7 --steps 20000` runs it for as long as you like; a failure prints the command that repeats it.
"""
