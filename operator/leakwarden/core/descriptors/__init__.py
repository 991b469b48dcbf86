"""Open descriptors by type, as `lsof` would show them: what /proc says, counted, bounded and told.

`proc`, `paths` and `census` run inside the pod that is looked at, so they import little: every megabyte counts there.
"""
