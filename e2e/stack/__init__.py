"""The surroundings of the operator in the end-to-end tests: Go services that leak, nginx, Prometheus, load."""
