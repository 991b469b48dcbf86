"""The evaluation of one policy and its workloads in one tick."""
