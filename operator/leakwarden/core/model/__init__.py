"""The values everything else is about: workloads, policies, readings, judgements and reports."""
