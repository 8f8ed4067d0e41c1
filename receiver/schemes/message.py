"""What a message signature says of itself, and what of a request it covers (RFC 9421 2 and 4). Pure.

Whether it covers enough, and is right, is asked in `rfc9421.py`.
"""

import hashlib
import hmac
import re
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, quote

from receiver.schemes import Headers, Refused, Request
from receiver.schemes.structured import Item, read_bytes, read_dictionary, read_string, read_strings, write_bytes

_ADDRESS: Final = re.compile(r"(https?)://([^/?#]*)([^?#]*)(?:\?([^#]*))?.*", re.DOTALL)
_HASHES: Final = {"sha-256": "sha256", "sha-512": "sha512"}
_MOST_SIGNATURES: Final = 8
_TIME: Final = re.compile(r"[0-9]{1,12}")
_PORTS: Final = {"http": ":80", "https": ":443"}


class Claim(NamedTuple):
    """A signature as it was sent, and what it says of itself."""

    components: list[Item]
    parameters: dict[str, str]
    text: str
    """The components and the parameters, which are signed too."""
    signature: bytes

    def string(self, name: str) -> str | None:
        return read_string(self.parameters[name]) if name in self.parameters else None

    def time(self, name: str) -> int | None:
        text = self.parameters.get(name)
        if text is not None and not _TIME.fullmatch(text):
            raise Refused("timestamp_malformed", f"{name} is {text:.40}")
        return None if text is None else int(text)


def read_claims(headers: Headers) -> list[Claim]:
    """The signatures of a request. Errors: Refused."""
    inputs, signatures = (headers.all(name) for name in ("signature-input", "signature"))
    if not any(inputs) or not any(signatures):
        raise Refused("signature_missing", "there is no Signature-Input or no Signature")
    try:
        covers, made = (read_dictionary(b", ".join(lines).decode("ascii")) for lines in (inputs, signatures))
        if covers.keys() != made.keys() or len(made) > _MOST_SIGNATURES:
            raise ValueError("labels")
        return [Claim(*read_strings(text), text, read_bytes(made[label])) for label, text in covers.items()]
    except ValueError:
        detail = "Signature-Input and Signature are not as RFC 9421 has them"
        raise Refused("signature_malformed", detail) from None


def signature_base(claim: Claim, request: Request) -> bytes:
    """The bytes that are signed (RFC 9421 2.5). Errors: Refused."""
    lines = {item.text: f"{item.text}: {_component(request, item)}" for item in claim.components}
    if len(lines) < len(claim.components):
        raise Refused("signature_malformed", "a component is covered twice")
    return "\n".join([*lines.values(), f'"@signature-params": {claim.text}']).encode()


def _component(request: Request, item: Item) -> str:
    """Errors: Refused."""
    if item.value == "@query-param" and [*item.parameters] == ["name"]:
        return _query_parameter(request, item.parameters["name"])
    if item.parameters:
        raise Refused("signature_malformed", f"{item.text:.80} is a component that is not understood")
    return _derived(request, item.value) if item.value.startswith("@") else _field(request, item.value)


def _derived(request: Request, name: str) -> str:
    found = _ADDRESS.fullmatch(request.url)
    scheme, host, path, query = found.groups() if found else ("", "", "", None)
    path = path or "/"
    target = path if query is None else f"{path}?{query}"
    values = {
        "@method": request.method,
        "@scheme": scheme,
        "@authority": host.lower().removesuffix(_PORTS.get(scheme, "")),
        "@path": path,
        "@query": f"?{query or ''}",
        "@request-target": target,
        "@target-uri": f"{scheme}://{host}{target}",
    }
    if name not in values:
        raise Refused("signature_malformed", f"{name:.80} is a component that is not understood")
    return values[name]


def _field(request: Request, name: str) -> str:
    values = request.headers.all(name)
    if not values:
        raise Refused("signature_missing", f"the header {name:.80}, which is signed, is missing")
    try:
        return ", ".join(value.decode("ascii").strip(" \t") for value in values)
    except UnicodeDecodeError:
        raise Refused("signature_malformed", f"the header {name:.80} is not ASCII") from None


def _query_parameter(request: Request, text: str) -> str:
    try:
        pairs = parse_qsl(request.query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=1000)
        values = [value for name, value in pairs if _encoded(name) == read_string(text)]
    except ValueError:
        values = []
    if len(values) != 1:
        raise Refused("signature_malformed", f"the query does not hold {text:.80} once")
    return _encoded(values[0])


def _encoded(text: str) -> str:
    """As in a form, but for the space (RFC 9421 2.2.8)."""
    return quote(text, safe="*").replace("~", "%7E")


def check_digest(request: Request) -> None:
    """Content-Digest (RFC 9530) against the body: each hash that we know, and one at least. Errors: Refused."""
    try:
        members = read_dictionary(_field(request, "content-digest"))
        digests = {name: read_bytes(text) for name, text in members.items() if name in _HASHES}
    except ValueError:
        raise Refused("signature_malformed", "Content-Digest is not as RFC 9530 has it") from None
    if not digests:
        raise Refused("signature_malformed", f"Content-Digest has none of {', '.join(_HASHES)}")
    for name, digest in digests.items():
        if not hmac.compare_digest(digest, hashlib.new(_HASHES[name], request.body).digest()):
            raise Refused("signature_mismatch", "the body is not the one that Content-Digest tells of")


def digest_of(body: bytes) -> str:
    return f"sha-256={write_bytes(hashlib.sha256(body).digest())}"
