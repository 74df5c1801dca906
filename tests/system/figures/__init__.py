"""Every figure of the snapshots of a running product, held against its source at that moment. Run by hand:

python -m tests.system.figures --minutes 15 --deployment embedded
"""
