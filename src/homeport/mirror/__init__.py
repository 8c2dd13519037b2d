"""Bring images from their sources to the target: a pure plan, and an executor."""
