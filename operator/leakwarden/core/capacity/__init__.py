"""How much one pod carries, and how many pods a load needs: pure arithmetic over what was measured."""
