"""The same facts as the pages, as JSON for other systems: versioned under ``/api/v1``, described at ``/openapi.json``.

Filters are those of the pages. Lists are paged by keyset: ``next`` is the ``after`` of the following page, or null.
Errors are problem details (RFC 9457). What changes anything needs a token with the scope for it.
"""
