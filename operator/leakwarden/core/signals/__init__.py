"""The catalogue of signals, the queries that read them and the criteria they are judged by."""
