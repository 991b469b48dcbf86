"""Earlier actions, their counts, and the circuit and the escalation that follow from them."""
