"""What one tick thinks of one policy and its workloads."""
