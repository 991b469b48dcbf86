"""A LeakReport as a page and as a screen of text: from values to text, for people who were just woken up.

`story` describes the events in words that both share; `document` is the page, `terminal` the screen. Everything that
comes from a cluster or a profile passes `core.model.text.printable`, and the page through `markup.tag`, which escapes
it.
"""
