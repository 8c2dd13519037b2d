"""The one tree of exceptions.

HomeportError                  what was being done, to what, what came back; ``hint`` says what to do next
├── UsageError                 nothing could be started: command line, configuration
│   ├── ConfigError            a configuration file, with its line and field
│   └── CollisionError         two sources that would land on one target name
├── InvalidReferenceError      a text that is no image name
├── InvalidDigestError         a text that is no digest
├── InputError                 a file that cannot be read or parsed, with line and column
├── UnprovenError              a rewritten manifest that does not scan as planned; it is not written
├── ContentError               content that is not what its digest, size or type says
├── RegistryError              a registry that did not do what was asked
│   ├── UnreachableError       no connection: refused, name unknown, silence
│   ├── TLSError               no trusted connection
│   ├── NotARegistryError      something answers, but it does not speak the registry protocol
│   ├── AuthenticationError    401: who are you
│   ├── ForbiddenError         403: not for you
│   ├── NotFoundError          404: no such repository, manifest or blob
│   │   └── UnknownNameError   the registry knows no repository of that name
│   ├── BeganAnewError         a source without ranges, which gives a blob from its start alone
│   ├── RateLimitedError       429, with the seconds to wait where they are known
│   └── BlockedAddressError    an address found in data that must not be dialled
├── StoreError                 a content store that cannot read or write
│   ├── StoreFullError         no room is left; what was there before is untouched
│   ├── UploadTakenError       another request has taken an upload over
│   └── TagFixedError          a tag that is not to move or go
└── ClusterError               a Kubernetes API server that did not do what was asked
"""


class HomeportError(Exception):
    """Something that went wrong and that a person can act on."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(HomeportError):
    """Nothing could be started."""


class ConfigError(UsageError):
    """A configuration file is wrong; names file, line and field."""

    def __init__(self, message: str, *, file: str, line: int | None = None, field: str = "", hint: str = "") -> None:
        place = file if line is None else f"{file}:{line}"
        super().__init__(f"{place}: {field}: {message}" if field else f"{place}: {message}", hint=hint)
        self.file, self.line, self.field = file, line, field


class InvalidReferenceError(HomeportError):
    """A text is no image name."""


class InvalidDigestError(HomeportError):
    """A text is no digest."""


class InputError(HomeportError):
    """A file cannot be read or parsed; line and column count from 1."""

    def __init__(
        self, message: str, *, file: str, line: int | None = None, column: int | None = None, hint: str = ""
    ) -> None:
        place = ":".join(str(part) for part in (file, line, column) if part is not None)
        super().__init__(f"{place}: {message}", hint=hint)
        self.file, self.line, self.column = file, line, column


class CollisionError(UsageError):
    """Two sources would land on one target name; refused before anything is done."""


class UnprovenError(HomeportError):
    """A rewritten manifest does not scan as planned."""


class ContentError(HomeportError):
    """Content is not what its digest, size or type says."""


class RegistryError(HomeportError):
    """A registry did not do what was asked; ``status`` is its HTTP status, where one came back."""

    def __init__(self, message: str, *, host: str = "", status: int | None = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.host, self.status = host, status


class UnreachableError(RegistryError):
    """No connection came about, or it fell silent."""


class TLSError(RegistryError):
    """No trusted connection came about."""


class NotARegistryError(RegistryError):
    """Something answers, but it does not speak the registry protocol."""


class AuthenticationError(RegistryError):
    """The registry wants (other) credentials."""


class ForbiddenError(RegistryError):
    """The credentials are known and do not suffice."""


class NotFoundError(RegistryError):
    """There is no such repository, manifest or blob, or it is hidden from this identity."""


class UnknownNameError(NotFoundError):
    """The registry says that it knows no repository of that name (NAME_UNKNOWN), so that there is nothing in it."""


class BeganAnewError(RegistryError):
    """The rest of a blob was asked for, and all of it comes again: whoever reads on reads from its start."""


class RateLimitedError(RegistryError):
    """The registry refuses for now; ``retry_after`` in seconds, where it is known."""

    def __init__(self, message: str, *, host: str = "", retry_after: float | None = None, hint: str = "") -> None:
        super().__init__(message, host=host, status=429, hint=hint)
        self.retry_after = retry_after


class BlockedAddressError(RegistryError):
    """An address found in data must not be dialled."""


class StoreError(HomeportError):
    """A content store cannot read or write."""


class StoreFullError(StoreError):
    """A content store has no room left; what it held before is untouched."""


class UploadTakenError(StoreError):
    """Another request has taken an upload over."""


class TagFixedError(StoreError):
    """A tag is immutable and names something already."""


class ClusterError(HomeportError):
    """A Kubernetes API server did not do what was asked; ``status`` is its HTTP status, where one came back."""

    def __init__(self, message: str, *, status: int | None = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status
