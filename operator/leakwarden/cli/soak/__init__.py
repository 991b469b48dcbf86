"""`leakwarden soak`: a gate for CI that presses a service with load and fails the build where it leaks."""
