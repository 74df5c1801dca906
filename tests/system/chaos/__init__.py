"""The chaos run: a seed decides what is broken and when, and a checker compares what was promised with what was kept.

`python -m tests.system.chaos --seed 7` runs one by hand; see plan.py for what a seed stands for.
"""
