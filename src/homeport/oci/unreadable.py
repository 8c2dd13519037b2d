"""What comes of JSON from outside that nobody can read."""

from typing import Final

import msgspec

UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for it: also a nesting of thousands, and strings that are not UTF-8, are not DecodeErrors."""
