"""Why a proxy answered with errors: from an episode's readings to one of five causes, or to the readings that are
missing for an answer.

Pure arithmetic over values: `episode` has the readings, `facts` the measurements in them, `causes` the conclusion.
"""
