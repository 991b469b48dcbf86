"""Open descriptors by type, as `lsof` would show them: read from /proc, counted and bounded.

`proc`, `paths` and `census` run inside the pod that is looked at, so they import little: every megabyte counts there.
"""
