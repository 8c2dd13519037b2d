"""Bytes for a server's socket: requests as they should not be, and requests with something changed at random."""

import random
from collections.abc import Iterator

from homeport.oci.digest import digest_of

SMUGGLED = b"GET /v2/smuggled/tags/list HTTP/1.1\r\nhost: x\r\n\r\n"
"""A request in the place of a body: if it is answered, two parties disagree on where the body ends."""

_POST = b"POST /v2/a/blobs/uploads/ HTTP/1.1\r\nhost: x\r\n"
_GET = b"GET /v2/ HTTP/1.1\r\nhost: x\r\n"
_LENGTH = b"%d" % len(SMUGGLED)
_CHUNKED = b"%x\r\n%s\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)

REFUSED = {
    "length and chunks": _POST
    + b"content-length: "
    + _LENGTH
    + b"\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
    + SMUGGLED,
    "chunks and length": _POST + b"transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "two lengths": _POST + b"content-length: 0\r\ncontent-length: " + _LENGTH + b"\r\n\r\n" + SMUGGLED,
    "the same length twice": _POST
    + b"content-length: %s\r\ncontent-length: %s\r\n\r\n" % (_LENGTH, _LENGTH)
    + SMUGGLED,
    "a list of lengths": _POST + b"content-length: 0, " + _LENGTH + b"\r\n\r\n" + SMUGGLED,
    "a length with a sign": _POST + b"content-length: +" + _LENGTH + b"\r\n\r\n" + SMUGGLED,
    "a negative length": _POST + b"content-length: -1\r\n\r\n" + SMUGGLED,
    "a hexadecimal length": _POST + b"content-length: 0x30\r\n\r\n" + SMUGGLED,
    "a length without an end": _POST + b"content-length: " + b"9" * 40 + b"\r\n\r\n" + SMUGGLED,
    "a length in two words": _POST + b"content-length: 0 " + _LENGTH + b"\r\n\r\n" + SMUGGLED,
    "no length": _POST + b"content-length: \r\n\r\n" + SMUGGLED,
    "a space before the colon": _POST + b"content-length : " + _LENGTH + b"\r\n\r\n" + SMUGGLED,
    "chunks with a space before the colon": _POST + b"transfer-encoding : chunked\r\n\r\n" + _CHUNKED,
    "an encoding behind chunks": _POST + b"transfer-encoding: chunked, identity\r\n\r\n" + _CHUNKED,
    "two encodings": _POST + b"transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n" + _CHUNKED,
    "a folded encoding": _POST + b"transfer-encoding:\r\n chunked\r\n\r\n" + _CHUNKED,
    "a folded header": _GET + b"a: b\r\n GET /v2/smuggled/tags/list HTTP/1.1\r\n\r\n",
    "a first header that is folded": b"GET /v2/ HTTP/1.1\r\n host: x\r\n\r\n",
    "bare line feeds": b"GET /v2/ HTTP/1.1\nhost: x\n\n",
    "one bare line feed": b"GET /v2/ HTTP/1.1\r\nhost: x\ntransfer-encoding: chunked\r\n\r\n",
    "a bare line feed at the end": _POST + b"content-length: " + _LENGTH + b"\r\n\n" + SMUGGLED,
    "a bare carriage return": b"GET /v2/ HTTP/1.1\r\nhost: x\ra: b\r\n\r\n",
    "a zero in a value": _GET + b"a: b\0c\r\n\r\n",
    "a zero in a name": _GET + b"a\0: b\r\n\r\n",
    "a header without a colon": _GET + b"abc\r\n\r\n",
    "a header without a name": _GET + b": b\r\n\r\n",
    "no host": b"GET /v2/ HTTP/1.1\r\n\r\n",
    "two hosts": _GET + b"host: y\r\n\r\n",
    "HTTP/0.9": b"GET /v2/\r\n\r\n",
    "HTTP/1.2": b"GET /v2/ HTTP/1.2\r\nhost: x\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a space in the path": b"GET /v2/ /x HTTP/1.1\r\nhost: x\r\n\r\n",
    "a method that is none": b"GE\x7fT /v2/ HTTP/1.1\r\nhost: x\r\n\r\n",
}
"""Answered with 400, if at all, before anything is done."""

BROKEN_OFF = {
    "an encoding that is unknown": _POST + b"transfer-encoding: xchunked\r\n\r\n" + _CHUNKED,
    "an encoding that is none": _POST + b"transfer-encoding: identity\r\n\r\n" + SMUGGLED,
    "a chunk without an end": _POST + b"transfer-encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n" + SMUGGLED,
    "a negative chunk": _POST + b"transfer-encoding: chunked\r\n\r\n-1\r\n" + SMUGGLED,
    "a chunk in another notation": _POST + b"transfer-encoding: chunked\r\n\r\n0x5\r\nabcde\r\n0\r\n\r\n" + SMUGGLED,
    "a chunk with a space": _POST + b"transfer-encoding: chunked\r\n\r\n5 \r\nabcde\r\n0\r\n\r\n" + SMUGGLED,
    "a chunk with a bare line feed": _POST + b"transfer-encoding: chunked\r\n\r\n5\nabcde\r\n0\r\n\r\n" + SMUGGLED,
    "a bare line feed behind a chunk": _POST + b"transfer-encoding: chunked\r\n\r\n5\r\nabcde\n0\r\n\r\n" + SMUGGLED,
    "an extension with a bare line feed": _POST
    + b"transfer-encoding: chunked\r\n\r\n5;\nabcde\r\n0\r\n\r\n"
    + SMUGGLED,
    "a chunk that is longer": _POST + b"transfer-encoding: chunked\r\n\r\n5\r\nabcdeX0\r\n\r\n" + SMUGGLED,
    "a length behind the body": _POST + b"transfer-encoding: chunked\r\n\r\n0\r\ncontent-length: 5\r\n\r\n" + SMUGGLED,
}
"""The body is what is wrong: the connection ends, and what follows is not read."""

ONE_REQUEST = {
    "a body of a GET": _GET + b"connection: close\r\ncontent-length: " + _LENGTH + b"\r\n\r\n" + SMUGGLED,
    "chunks of a GET": _GET + b"connection: close\r\ntransfer-encoding: chunked\r\n\r\n" + _CHUNKED,
    "a body of a HEAD": b"HEAD /v2/ HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: %s\r\n\r\n" % _LENGTH
    + SMUGGLED,
    "a body of a GET of a manifest": b"GET /v2/a/manifests/x HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: %s\r\n\r\n"
    % _LENGTH
    + SMUGGLED,
    "an extension": _POST + b"connection: close\r\ntransfer-encoding: chunked\r\n\r\n5;a=b\r\nabcde\r\n0\r\n\r\n",
    "the address of another host": b"GET http://other/v2/ HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    "empty lines first": b"\r\n\r\n" + _GET + b"connection: close\r\n\r\n",
}
"""Odd and right: one request, one answer."""

_BLOB = b"content of a blob " * 20
_INDEX = b'{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []}'
_RIGHT = (
    _POST + b"content-length: 0\r\n\r\n" + _GET + b"\r\n",
    b"POST /v2/a/b/blobs/uploads/?digest=%s HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%s"
    % (digest_of(_BLOB).encode(), len(_BLOB), _BLOB),
    b"GET /v2/a/b/blobs/%s HTTP/1.1\r\nhost: x\r\nrange: bytes=0-3, 5-, -7\r\n\r\n" % digest_of(_BLOB).encode(),
    b"PUT /v2/a/b/manifests/x?tag=y&tag=z HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\nexpect: 100-continue\r\n\r\n%s"
    % (len(_INDEX), _INDEX),
    b"PATCH /v2/a/b/blobs/uploads/%032x HTTP/1.1\r\nhost: x\r\ncontent-range: 0-4\r\ncontent-length: 5\r\n\r\n12345"
    % 7,
    b"GET /v2/a/b/tags/list?n=3&last=a HTTP/1.1\r\nhost: x\r\nauthorization: Basic bWU6c2VjcmV0\r\n\r\n",
    b"GET /v2/a/b/manifests/x HTTP/1.1\r\nhost: x\r\n\r\n" * 5,
    b"GET /v2/%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nhost: x\r\n\r\n",
    b"DELETE /v2/a/b/manifests/x HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n",
)
_WRONG = (*REFUSED.values(), *BROKEN_OFF.values(), *ONE_REQUEST.values())
_TOKENS = (
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b":",
    b",",
    b";",
    b"%2f",
    b"..",
    b"chunked",
    b"\xff\xfe",
    b"HTTP/1.0",
    b"0",
    b"-1",
)


def mutated(chance: random.Random) -> Iterator[list[bytes]]:
    """Yield requests with something changed, without an end, each in the pieces in which it is to be sent."""
    while True:
        data = bytearray(chance.choice(chance.choice((_RIGHT, _RIGHT, _WRONG))))
        for _ in range(chance.randrange(6)):
            place = chance.randrange(len(data) + 1)
            stop = min(len(data), place + chance.randrange(1, 20))
            match chance.randrange(7):
                case 0:
                    data[place:stop] = bytes(chance.randrange(256) for _ in range(stop - place))
                case 1:
                    del data[place:stop]
                case 2:
                    data[place:place] = data[place:stop] * chance.choice((1, 2, 50))
                case 3:
                    data[place:place] = chance.choice(_TOKENS) * chance.choice((1, 1, 1, 5000))
                case 4:
                    data[place:] = chance.choice(_WRONG)
                case 5:
                    data[place:place] = chance.choice(_WRONG)
                case _:
                    del data[place:]
            if not data:
                data = bytearray(b"x")
        cuts = sorted(chance.randrange(len(data) + 1) for _ in range(chance.choice((0, 0, 1, 3))))
        yield [bytes(data[start:stop]) for start, stop in zip([0, *cuts], [*cuts, len(data)], strict=True)]
