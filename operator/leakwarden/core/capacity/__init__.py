"""The load that one pod carries, and the number of pods that a load needs: pure arithmetic over measurements."""
