"""The contract that station and centre share, byte for byte (证据保管链).

Bytes in, values out: nothing here opens a file, a socket or a clock, so an auditor can read this package alone and
know what every signature, log and receipt means. ``FORMAT.md`` beside this file is the same contract in prose.

Reading order: ``canonical`` → ``record`` → ``envelope`` → ``merkle`` → ``log`` → ``checkpoint`` → ``receipt`` →
``messages``; then ``keyring``, ``enrolment`` and ``authority``: how keys come in, follow each other and go.
"""
