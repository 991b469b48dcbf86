"""The one error every verb reports as a single line."""

from __future__ import annotations


class ClusterError(Exception):
    """An error for the person at the terminal; its text names the failure, the cause and the log."""
