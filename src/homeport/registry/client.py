"""One registry, in the terms of the distribution specification."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urljoin, urlsplit

import msgspec

from homeport.errors import ContentError, RegistryError, UnknownNameError
from homeport.oci.digest import digest_of, is_digest
from homeport.oci.error_codes import ErrorCode
from homeport.oci.manifest import MAX_MANIFEST_BYTES, Descriptor, ManifestHead, RawManifest, is_index, parse_manifest
from homeport.oci.media_types import ACCEPT, OCI_INDEX
from homeport.oci.transfer import NOTHING, Begun, BlobReader, Upload
from homeport.oci.unreadable import UNREADABLE
from homeport.quota.reading import Reading
from homeport.registry.answers import error_text, is_page, not_a_registry
from homeport.registry.auth import delete_scope, pull_scope, push_scope
from homeport.registry.downloads import BlobDownload
from homeport.registry.http import Answer, Ask, Host
from homeport.registry.uploads import Uploads, check_stored

_TAGS_BYTES = 16 << 20
_ERROR_BYTES = 1 << 14
_NEXT = re.compile(r'<([^>]*)>\s*;[^,]*\brel="?next"?')


class _Tags(msgspec.Struct):
    tags: list[str] | None = None


class RegistryClient:
    """Asks one registry; any number of threads may use it."""

    is_local = False

    def __init__(self, host: Host) -> None:
        self._host = host
        self._uploads = Uploads(host)
        self._lists_referrers: bool | None = None
        self._first_list = threading.Lock()

    @property
    def registry(self) -> str:
        """The registry's name, as references write it."""
        return self._host.name

    @property
    def speaks_tls(self) -> bool:
        """Whether the registry was found to, in the first request."""
        return self._host.speaks_tls

    def ping(self) -> None:
        """Make sure that a registry answers and takes the stored credentials; raises RegistryError."""
        self._host.request(Ask("GET", "/v2/", "/v2/"), lambda _: None)

    def head_manifest(self, repository: str, identifier: str) -> ManifestHead | None:
        """Ask for a manifest by tag or digest without fetching it; None where there is none. Never a counted pull."""
        return self.look_up(repository, identifier)[0]

    def look_up(self, repository: str, identifier: str) -> tuple[ManifestHead | None, Reading | None]:
        """Ask as `head_manifest` does, and also for the limit that pulls of this very image count against, if any."""
        head, reading = self._host.request(self._manifest_ask("HEAD", repository, identifier), self._read_head)
        if head is None or head.digest:
            return head, reading
        if is_digest(identifier):
            return msgspec.structs.replace(head, digest=identifier), reading
        if reading:
            raise RegistryError(
                f"{self.registry}: HEAD manifest {_named(repository, identifier)}: no digest came back",
                host=self.registry,
                hint="Name the image by its digest.",
            )
        raw = self.get_manifest(repository, identifier)
        return ManifestHead(raw.digest, raw.media_type, len(raw.body)), None

    def get_manifest(self, repository: str, identifier: str) -> RawManifest:
        """Fetch a manifest by tag or digest, verified; raises NotFoundError, ContentError."""
        ask = self._manifest_ask("GET", repository, identifier)
        raw = self._host.request(ask, lambda answer: self._read_manifest(answer, ask, identifier))
        if is_index(raw.media_type):
            self._host.saw_index(repository, raw)
        return raw

    def find_manifest(self, repository: str, digest: str) -> RawManifest | None:
        """Fetch a manifest if it is there; raises UnknownNameError where the registry knows no such repository."""
        if self._host.is_limited:  # a GET may count even where it finds nothing
            return self.get_manifest(repository, digest) if self.head_manifest(repository, digest) else None
        # A HEAD would not say why there is none.
        ask = msgspec.structs.replace(self._manifest_ask("GET", repository, digest), expected=frozenset({200, 404}))
        return self._host.request(ask, lambda answer: self._read_found(answer, ask, digest))

    def put_manifest(self, repository: str, identifier: str, manifest: RawManifest) -> None:
        """Store a manifest byte for byte under a tag or its digest."""
        ask = Ask(
            "PUT",
            f"/v2/{repository}/manifests/{identifier}",
            f"manifest {_named(repository, identifier)}",
            repository=repository,
            scopes=(push_scope(repository),),
            expected=frozenset({201}),
            headers={"Content-Type": manifest.media_type},
            body=manifest.body,
        )
        self._host.request(ask, lambda answer: check_stored(answer, self.registry, manifest.digest))
        self._host.sent(len(manifest.body))

    def delete_manifest(self, repository: str, digest: str) -> bool:
        """Delete a manifest and its tags; False where the registry allows no deletion, True also if there was none."""
        ask = Ask(
            "DELETE",
            f"/v2/{repository}/manifests/{digest}",
            f"manifest {repository}@{digest}",
            repository=repository,
            scopes=(delete_scope(repository),),
            expected=frozenset({200, 202, 204, 400, 403, 404, 405}),
        )
        return self._host.request(ask, lambda answer: answer.status not in (400, 403, 405))

    def has_blob(self, repository: str, digest: str) -> bool:
        """Tell whether a blob is in a repository."""
        return self._uploads.has(repository, digest)

    @contextmanager
    def open_blob(self, repository: str, blob: Descriptor, begun: Begun = NOTHING, /) -> Iterator[BlobReader]:
        """Stream a blob, or what follows its first bytes, resumed after cuts and verified; raises NotFoundError, ContentError."""
        download = BlobDownload(self._host, repository, blob, begun)
        try:
            yield download
        finally:
            download.close()

    def start_blob(self, repository: str, digest: str, *, mount_from: str | None = None) -> Upload | None:
        """Open an upload, or mount the blob from another repository of this registry: then None comes back."""
        return self._uploads.start(repository, digest, mount_from)

    def find_upload(self, repository: str, upload: Upload) -> Upload | None:
        """Ask how far an upload has come, and where it goes on; None where the registry does not say, or has forgotten it."""
        return self._uploads.find(repository, upload)

    def put_blob(self, repository: str, blob: Descriptor, content: BlobReader, upload: Upload) -> None:
        """Stream content, from the upload's offset on, and close it; a cut upload goes on where the registry has it.

        Where the registry does not say, the content is sent anew; in pieces where whole blobs are refused.
        """
        self._uploads.put(repository, blob, content, upload)

    def put_blob_in_pieces(self, repository: str, blob: Descriptor, content: BlobReader, size: int) -> None:
        """Send a blob in several requests, of `size` bytes each or of as many as the registry wants at least."""
        self._uploads.put_pieces(repository, blob, content, size)

    def announce_blob(self, repository: str, blob: Descriptor, upload: Upload) -> int:
        """Ask whether a blob of that size would be taken in one request, and send nothing of it.

        Returns the status: 100 where it would be, 413 where it is too large, 0 where nothing is said.
        """
        return self._uploads.announce(repository, blob, upload)

    def cancel_upload(self, repository: str, upload: Upload) -> None:
        """Let the registry forget an upload, if it does that."""
        self._uploads.cancel(repository, upload)

    def referrers(self, repository: str, digest: str) -> tuple[Descriptor, ...] | None:
        """List the manifests that are about another one; None from a registry that does not list them, which is asked once."""
        if self._lists_referrers is None:
            with self._first_list:
                if self._lists_referrers is None:
                    found = self._list_referrers(repository, digest)
                    self._lists_referrers = found is not None
                    return found
        return self._list_referrers(repository, digest) if self._lists_referrers else None

    def _list_referrers(self, repository: str, digest: str) -> tuple[Descriptor, ...] | None:
        found: list[Descriptor] = []
        path: str | None = f"/v2/{repository}/referrers/{digest}"
        seen: set[str] = set()
        while path is not None and path not in seen:
            seen.add(path)
            ask = Ask(
                "GET",
                path,
                f"referrers of {repository}@{digest}",
                repository=repository,
                scopes=(pull_scope(repository),),
                expected=frozenset({200, 303, 307, 400, 404, 405}),
                headers={"Accept": OCI_INDEX},
                leaves=False,  # ghcr.io sends clients to a page that is no list and is limited (artifacthub/hub 4785)
            )
            page, path = self._host.request(ask, self._read_referrers)
            if page is None:
                self._lists_referrers = False  # it would have listed none (distribution-spec, Listing Referrers)
                return None
            found += page
        return tuple(found)

    def tags(self, repository: str) -> Iterator[str]:
        """Yield the tags of a repository, page after page; raises NotFoundError."""
        query, seen = "n=1000", set[str]()
        while query and query not in seen:
            seen.add(query)
            path = f"/v2/{repository}/tags/list?{query}"
            ask = Ask("GET", path, f"tags of {repository}", repository=repository, scopes=(pull_scope(repository),))
            page, query = self._host.request(ask, self._read_tags)
            yield from page

    def _manifest_ask(self, method: str, repository: str, identifier: str) -> Ask:
        return Ask(
            method,
            f"/v2/{repository}/manifests/{identifier}",
            f"manifest {_named(repository, identifier)}",
            repository=repository,
            scopes=(pull_scope(repository),),
            expected=frozenset({200, 404}) if method == "HEAD" else frozenset({200}),
            headers={"Accept": ACCEPT},
            is_pull=method == "GET",
            is_manifest=True,
        )

    def _read_head(self, answer: Answer) -> tuple[ManifestHead | None, Reading | None]:
        if answer.status == 404:
            return None, None
        if is_page(answer.headers):
            raise not_a_registry(self.registry, "HEAD of a manifest", "a web page")
        digest = answer.headers.get("Docker-Content-Digest", "")
        size = answer.headers.get("Content-Length", "")
        head = ManifestHead(
            digest=digest if is_digest(digest) else "",
            media_type=_media_type(answer),
            size=int(size) if size.isdigit() else 0,
        )
        return head, Reading.of(answer.headers)

    def _read_found(self, answer: Answer, ask: Ask, digest: str) -> RawManifest | None:
        if answer.status == 200:
            return self._read_manifest(answer, ask, digest)
        text = error_text(answer.read(_ERROR_BYTES))
        if text.partition(":")[0] == ErrorCode.NAME_UNKNOWN:
            raise UnknownNameError(f"{self.registry}: {ask.shown}: {text}", host=self.registry, status=404)
        return None

    def _read_manifest(self, answer: Answer, ask: Ask, identifier: str) -> RawManifest:
        body = answer.read(MAX_MANIFEST_BYTES + 1)
        self._host.received(len(body))
        if len(body) > MAX_MANIFEST_BYTES:
            raise ContentError(f"{self.registry}: {ask.shown}: it is larger than {MAX_MANIFEST_BYTES >> 20} MiB")
        if is_page(answer.headers, body):
            raise not_a_registry(self.registry, ask.shown, "a web page")
        stated = answer.headers.get("Docker-Content-Digest", "")
        digest = next(filter(is_digest, (identifier, stated)), digest_of(body))
        if digest_of(body, digest.partition(":")[0]) != digest:
            raise ContentError(
                f"{self.registry}: {ask.shown}: {digest} was named, the content that came is {digest_of(body)}",
                hint=f"The content at {self.registry} is damaged, or a proxy changes it; nothing of it was kept.",
            )
        return msgspec.structs.replace(RawManifest.of(body, _media_type(answer)), digest=digest)

    def _read_referrers(self, answer: Answer) -> tuple[tuple[Descriptor, ...] | None, str | None]:
        """Read a page; what is no index comes from a registry, or a proxy, that knows no referrers."""
        body = answer.read(MAX_MANIFEST_BYTES)
        if answer.status != 200 or is_page(answer.headers, body):
            return None, None
        try:
            listed = parse_manifest(RawManifest.of(body, OCI_INDEX)).children
        except ContentError:
            return None, None
        following = _NEXT.search(answer.headers.get("Link", ""))
        return listed, urljoin(answer.url, following[1]) if following and listed else None

    def _read_tags(self, answer: Answer) -> tuple[list[str], str]:
        """Read a page, and the query of the next one; its path is the same, and Artifactory and Nexus name a wrong one.

        (RTFACT-18971, sonatype/nexus-public 1011)
        """
        body = answer.read(_TAGS_BYTES)
        try:
            tags = msgspec.json.decode(body, type=_Tags).tags or []
        except UNREADABLE:
            raise not_a_registry(self.registry, "GET tags", "no JSON") from None
        following = _NEXT.search(answer.headers.get("Link", ""))
        return tags, urlsplit(following[1]).query if following and tags else ""


def _named(repository: str, identifier: str) -> str:
    return f"{repository}@{identifier}" if is_digest(identifier) else f"{repository}:{identifier}"


def _media_type(answer: Answer) -> str:
    return answer.headers.get("Content-Type", "").partition(";")[0].strip()
