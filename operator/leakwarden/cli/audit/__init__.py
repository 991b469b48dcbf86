"""`leakwarden audit`: manifests from files, judged by the checks of core/audit."""
