"""Tasks that come with QueueQL."""

DEMO = "jobs.tasks.demo"
"""The module that is used until somebody names modules of their own."""
