"""Error codes of the registry protocol, and the body that carries them (distribution-spec, Error Codes)."""

from enum import StrEnum
from typing import Any

import msgspec


class ErrorCode(StrEnum):
    """What a registry says went wrong; the last two are Docker's, for what the specification has no word for."""

    BLOB_UNKNOWN = "BLOB_UNKNOWN"
    BLOB_UPLOAD_INVALID = "BLOB_UPLOAD_INVALID"
    BLOB_UPLOAD_UNKNOWN = "BLOB_UPLOAD_UNKNOWN"
    DIGEST_INVALID = "DIGEST_INVALID"
    MANIFEST_BLOB_UNKNOWN = "MANIFEST_BLOB_UNKNOWN"
    MANIFEST_INVALID = "MANIFEST_INVALID"
    MANIFEST_UNKNOWN = "MANIFEST_UNKNOWN"
    NAME_INVALID = "NAME_INVALID"
    NAME_UNKNOWN = "NAME_UNKNOWN"
    SIZE_INVALID = "SIZE_INVALID"
    UNAUTHORIZED = "UNAUTHORIZED"
    DENIED = "DENIED"
    UNSUPPORTED = "UNSUPPORTED"
    TOOMANYREQUESTS = "TOOMANYREQUESTS"
    UNAVAILABLE = "UNAVAILABLE"
    UNKNOWN = "UNKNOWN"


class _Error(msgspec.Struct, omit_defaults=True):
    code: ErrorCode
    message: str
    detail: Any = None


class _Errors(msgspec.Struct):
    errors: list[_Error]


def error_body(code: ErrorCode, message: str, detail: Any = None) -> bytes:
    """Return the JSON body of an error; detail is any JSON value."""
    return msgspec.json.encode(_Errors([_Error(code, message, detail)]))
