"""`leakwarden report`: a LeakReport as a page or on the terminal."""
