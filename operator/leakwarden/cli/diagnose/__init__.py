"""`leakwarden diagnose`: why a proxy answered with errors, from a Prometheus's stored series."""
