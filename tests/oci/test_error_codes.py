import json

from homeport.oci.error_codes import ErrorCode, error_body


def test_an_error_has_the_form_of_the_specification():
    body = error_body(ErrorCode.BLOB_UNKNOWN, "no such blob", {"digest": "sha256:…"})
    assert json.loads(body) == {
        "errors": [{"code": "BLOB_UNKNOWN", "message": "no such blob", "detail": {"digest": "sha256:…"}}]
    }


def test_a_detail_that_is_not_there_is_left_out():
    assert json.loads(error_body(ErrorCode.DENIED, "no"))["errors"] == [{"code": "DENIED", "message": "no"}]
