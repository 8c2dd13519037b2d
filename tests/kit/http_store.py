"""A registry over HTTP with the face of a store: what a client of the one can do, it can do with the other."""

from collections.abc import Iterable, Sequence

import urllib3

from homeport.oci.manifest import RawManifest


class HttpStore:
    """A registry; raises ConnectionError where it did not answer, AssertionError where it failed."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._pool = urllib3.PoolManager(retries=False, timeout=60)

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> urllib3.BaseHTTPResponse:
        """Ask for something below /v2/, or at a location."""
        url = f"{self._url}{path}" if path.startswith("/") else f"{self._url}/v2/{path}"
        try:
            names = {name.replace("_", "-"): value for name, value in headers.items()}
            answer = self._pool.request(method, url, body=body, headers=names)
        except urllib3.exceptions.HTTPError as error:
            raise ConnectionError(str(error)) from None
        assert answer.status < 500, (method, path, answer.data)
        return answer

    def open_blob(self, repository: str, digest: str) -> "HttpBlob | None":
        """Look for a blob."""
        answer = self.ask("HEAD", f"{repository}/blobs/{digest}")
        return HttpBlob(self, f"{repository}/blobs/{digest}", answer) if answer.status == 200 else None

    def link_blob(self, repository: str, digest: str, source: str) -> bool:
        """Mount a blob."""
        answer = self.ask("POST", f"{repository}/blobs/uploads/?mount={digest}&from={source}")
        if answer.status == 202:
            self.ask("DELETE", answer.headers["location"])
        return answer.status == 201

    def start_upload(self, repository: str) -> str:
        """Open an upload."""
        return self.ask("POST", f"{repository}/blobs/uploads/").headers["location"]

    def open_upload(self, _repository: str, session: str) -> "HttpUpload":
        """Go on with an upload."""
        return HttpUpload(self, session)

    def put_manifest(
        self, repository: str, manifest: RawManifest, *, tags: Iterable[str], needs: Iterable[str]
    ) -> Sequence[str]:
        """Push a manifest under a tag; return the blobs that are missing."""
        [tag] = tags
        answer = self.ask("PUT", f"{repository}/manifests/{tag}", manifest.body, content_type=manifest.media_type)
        if answer.status == 201:
            return ()
        error = answer.json()["errors"][0]
        assert error["code"] == "MANIFEST_BLOB_UNKNOWN", error
        missing: list[str] = error["detail"]["digests"]
        assert missing
        assert set(missing) <= set(needs)
        return missing

    def get_manifest(self, repository: str, identifier: str) -> RawManifest | None:
        """Get a manifest."""
        answer = self.ask("GET", f"{repository}/manifests/{identifier}")
        return RawManifest.of(answer.data, answer.headers["content-type"]) if answer.status == 200 else None

    def delete_tag(self, repository: str, tag: str) -> bool:
        """Delete a tag."""
        return self.ask("DELETE", f"{repository}/manifests/{tag}").status == 202

    delete_manifest = delete_tag


class HttpBlob:
    """A blob that was there when it was looked for."""

    def __init__(self, store: HttpStore, path: str, answer: urllib3.BaseHTTPResponse) -> None:
        self._store, self._path = store, path
        self.size = int(answer.headers["content-length"])

    def read(self, offset: int, length: int) -> bytes:
        """Get a part of it."""
        return self._store.ask("GET", self._path, range=f"bytes={offset}-{offset + length - 1}").data

    def close(self) -> None:
        """There is nothing to let go of."""


class HttpUpload:
    """An upload in one piece, or in several."""

    def __init__(self, store: HttpStore, location: str) -> None:
        self._store, self._location = store, location

    def write(self, content: bytes) -> None:
        """Append."""
        answer = self._store.ask("PATCH", self._location, content)
        assert answer.status == 202, answer.data
        self._location = answer.headers["location"]

    def commit(self, digest: str) -> None:
        """Make it a blob."""
        answer = self._store.ask("PUT", f"{self._location}?digest={digest}")
        assert answer.status == 201, answer.data
