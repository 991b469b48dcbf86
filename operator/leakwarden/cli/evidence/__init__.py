"""`leakwarden evidence` and `leakwarden suspects`: stored and freshly taken profiles."""
