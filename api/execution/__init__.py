"""Runs operations on the schema of the moment."""
