"""A LeakReport as a page and as a screen of text: values in, text out, for people who were just woken up.

`story` says what happened in words that both share; `document` is the page, `terminal` the screen. Everything that
comes from a cluster or a profile passes `core.model.text.printable`, and the page through `markup.tag`, which escapes it.
"""
