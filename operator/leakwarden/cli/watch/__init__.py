"""`leakwarden watch`: the operator's judgement of one process, without a cluster and without Prometheus."""
