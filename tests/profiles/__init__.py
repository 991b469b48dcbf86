"""The corpus of real Go profiles: programs that leak and programs that do not, and how well the leaking line is
named."""
