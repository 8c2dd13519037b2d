"""A plain web server on a free port, with files in memory, that remembers what it was asked."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec


class Page(msgspec.Struct, frozen=True):
    """An answer."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = {}


class Asked(msgspec.Struct, frozen=True):
    """A request: its path, and its Authorization, "" where there was none."""

    path: str
    authorization: str


class WebServer:
    """Pages by path; a list of them is answered one after the other, the last one ever after."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.host = url.partition("://")[2]
        self.pages: dict[str, Page | list[Page]] = {}
        self.asked: list[Asked] = []

    def page(self, path: str) -> Page:
        """Return the answer to a path."""
        found = self.pages.get(path, Page(b"no such page", 404))
        if isinstance(found, Page):
            return found
        return found.pop(0) if len(found) > 1 else found[0]


@contextmanager
def web_server() -> Iterator[WebServer]:
    """Serve pages until the end of the with statement."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.asked.append(Asked(self.path, self.headers.get("Authorization", "")))
            page = server.page(self.path)
            self.send_response(page.status)
            for name, text in {"Content-Length": str(len(page.body)), **page.headers}.items():
                self.send_header(name, text)
            self.end_headers()
            self.wfile.write(page.body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        server = WebServer(f"http://127.0.0.1:{http.server_port}")
        thread = threading.Thread(target=http.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()
