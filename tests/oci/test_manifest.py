import pytest

from homeport.errors import ContentError
from homeport.oci.manifest import RawManifest, parse_manifest


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"layers":1}', b'{"mediaType":"\xe2("}', b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"]
)
def test_what_is_no_manifest_is_refused(body: bytes):
    raw = RawManifest.of(body)
    assert raw.media_type == ""
    with pytest.raises(ContentError, match=f"manifest {raw.digest} cannot be read"):
        parse_manifest(raw)
