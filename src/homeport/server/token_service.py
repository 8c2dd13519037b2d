"""`/token`: a login for a token, as Docker and containerd ask for it."""

import base64
import time
from collections.abc import Mapping
from urllib.parse import parse_qs

import msgspec

from homeport.oci.error_codes import ErrorCode
from homeport.server.access import Identity
from homeport.server.gate import Gate
from homeport.server.login import LoginError
from homeport.server.replies import Refusal, Reply, json_reply
from homeport.server.requests import Receive, Scope, read_body
from homeport.server.tokens import Tokens, parse_scopes

PATH = b"/token"
MAX_FORM = 64 << 10


class _Answer(msgspec.Struct):
    token: str
    access_token: str
    expires_in: int
    issued_at: str
    scope: str


async def answer_token(gate: Gate, tokens: Tokens, scope: Scope, headers: Mapping[str, str], receive: Receive) -> Reply:
    """Answer GET with a Basic login or none, and POST with a form; a token grants what was asked for and is allowed."""
    method = scope["method"]
    fields = parse_qs(scope["query_string"].decode("latin-1"), max_num_fields=256)
    authorization = headers.get("authorization", "")
    if method == "POST":
        body = await read_body(receive, MAX_FORM, "a form")
        fields |= parse_qs(body.decode("latin-1"), max_num_fields=256)
        if fields.get("grant_type") != ["password"]:
            # There are no refresh tokens; containerd goes on with GET.
            return Reply(400, (("content-type", "application/json"),), b'{"error":"unsupported_grant_type"}')
        authorization = _basic(fields.get("username", [""])[0], fields.get("password", [""])[0])
    elif method != "GET":
        raise Refusal(405, ErrorCode.UNSUPPORTED, "tokens come by GET and POST", headers=(("allow", "GET, POST"),))
    user = await _user(gate, authorization)
    granted = [
        (name, action)
        for name, action in parse_scopes(fields.get("scope", []))
        if gate.may(Identity(user), name, action)
    ]
    token = tokens.issue(user, granted)
    issued = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    given = " ".join(f"repository:{name}:{action}" for name, action in granted)
    return json_reply(_Answer(token, token, tokens.lifetime, issued, given), headers=(("cache-control", "no-store"),))


async def _user(gate: Gate, authorization: str) -> str:
    if not authorization or gate.login is None:
        if gate.login and not gate.rules.open_to_all:
            raise _refused("a login is needed")
        return ""
    try:
        return gate.login.remembered(authorization) or await gate.login.check(authorization)
    except LoginError as error:
        raise _refused(str(error)) from None


def _refused(message: str) -> Refusal:
    challenge = ("www-authenticate", 'Basic realm="homeport", charset="UTF-8"')
    return Refusal(401, ErrorCode.UNAUTHORIZED, message, headers=(challenge,))


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode("latin-1")).decode()
