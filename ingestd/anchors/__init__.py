"""Anchors (外部锚定): somebody outside the house vouches for the size and root of the centre log.

``decide`` holds every decision and does nothing; ``tsa`` talks to RFC 3161 authorities, ``store`` keeps what they sign,
``run`` does what is due, ``verify`` checks it all against the log as it is now. ``witness`` and ``source`` are the
program that a second organisation runs, ``published`` is what it reads.
"""
