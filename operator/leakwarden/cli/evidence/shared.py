"""What both commands of this folder and their second files use: the errors that end them, and the usual path."""

from __future__ import annotations

PATH = "/debug/pprof"


class NotGiven(Exception):
    """Something was not given; the message is one line for people."""


class NoProfiles(Exception):
    """There is nothing to name suspects from; the message is one line for people."""
