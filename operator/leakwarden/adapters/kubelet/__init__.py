"""The kubelets as a source of readings, where there is no Prometheus."""
