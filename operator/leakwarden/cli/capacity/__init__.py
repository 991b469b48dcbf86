"""`leakwarden capacity`: the load that one pod carries, and the number of pods that a load needs."""
