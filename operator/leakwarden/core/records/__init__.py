"""What was done before: actions, their counts, the circuit and the escalation they lead to."""
