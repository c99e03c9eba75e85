"""What goes wrong where keys live."""

from custody.errors import CustodyError


class KeystoreError(CustodyError):
    """A key cannot be opened or used; the message is one sentence for people."""
