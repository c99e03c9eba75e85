"""How keys come in, follow each other and go: what two people decide, and what the centre's log then says.

``decide`` is pure: a request and the keys there are become an entry, or a sentence why not. ``standing`` reads the rows
back into what the running service goes by. ``ca`` issues certificates, ``commands`` is ``ingestd keys``.
"""
