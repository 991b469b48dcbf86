"""`leakwarden diagnose`: why a proxy answered with errors, from what a Prometheus remembers."""
