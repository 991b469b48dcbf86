"""Why a proxy answered with errors: an episode's readings in, one of five causes out, or what would be needed to say.

Pure arithmetic over values; `episode` is what is known, `facts` what is measured in it, `causes` what follows.
"""
