"""What goes wrong where keys live."""


class KeystoreError(Exception):
    """A key cannot be opened or used; the message is one sentence for people."""
