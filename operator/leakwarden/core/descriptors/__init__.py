"""Open descriptors by type, as `lsof` would show them: read from /proc, counted and bounded.

`proc`, `paths` and `census` run inside the examined pod, so they import little: every megabyte counts there.
"""
