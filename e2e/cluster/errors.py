"""The one error every verb reports as a single line."""

from __future__ import annotations


class ClusterError(Exception):
    """Something the person at the terminal can act on; its text says what, why and where the log is."""
