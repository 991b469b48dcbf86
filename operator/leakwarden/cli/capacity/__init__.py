"""`leakwarden capacity`: what one pod carries and how many a load needs."""
