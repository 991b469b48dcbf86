"""`leakwarden soak`: a gate for CI that puts a service under load and fails the build where it leaks."""
