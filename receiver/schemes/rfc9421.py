"""HTTP message signatures (RFC 9421): the sender says what it covers, and we what has to be covered at least.

How fields are written stands in `structured.py`, what of a message is signed in `message.py`.
"""

import hmac
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from receiver.errors import UserError
from receiver.schemes import Headers, Key, Refused, Request, Signed, Verified, mismatch
from receiver.schemes.clock import Clock
from receiver.schemes.jwt import check_signature, make_signature
from receiver.schemes.material import material_key, read_material
from receiver.schemes.message import Claim, check_digest, digest_of, read_claims, signature_base
from receiver.schemes.public_key import private_of
from receiver.schemes.reader import Reader
from receiver.schemes.secret import ENCODINGS, make_key
from receiver.schemes.signed_content import choice
from receiver.schemes.structured import Item, write_bytes, write_string

_HMAC: Final = "hmac-sha256"
_PSS: Final = "rsa-pss-sha512"
_KINDS: Final = {"ed25519": "Ed25519", "ecdsa-p256-sha256": "P-256", _PSS: "RSA", "rsa-v1_5-sha256": "RSA"}
_TOLERANCE_S: Final = 300
_CONTENT: Final = "{body}"
_WORD: Final = re.compile(r"\{(method|url|body|header:[!#$%&'*+.^_`|~0-9A-Za-z-]+)\}")
_SALTED = padding.PSS(padding.MGF1(hashes.SHA512()), hashes.SHA512.digest_size)


class Rfc9421(Reader):
    """`content` names what has to be covered at least, in the words of the scheme hmac: the order says nothing."""

    def __init__(self, keys: Mapping[str, Any], where: str) -> None:
        super().__init__(keys, where)
        # A public key is no secret: taken for one, everybody could sign.
        default = "" if keys.get("public_keys") or keys.get("keys") else _HMAC
        self._alg = choice(keys, "alg", default, (_HMAC, *_KINDS), where) if "alg" in keys else default
        if self._alg == _HMAC and keys.get("public_keys"):
            raise UserError("public keys are no secrets", f"{where} alg", f"write one of {', '.join(_KINDS)}")
        self._keyid: str | None = keys.get("keyid")
        self._secret_prefix = keys.get("secret_prefix", "")
        self._secret_encoding = choice(keys, "secret_encoding", "utf8", ENCODINGS, where)
        self._wanted = _words(keys.get("content", _CONTENT), f"{where} content")
        self._clock = Clock(None, "s", keys.get("tolerance_s", _TOLERANCE_S), in_signed_body=False)
        self.used |= {"alg", "keyid", "content", "tolerance_s", "public_url", "public_keys", "keys"}
        self.used |= {"secret_prefix", "secret_encoding"}

    def key(self, reference: str, secret: bytes, where: str) -> Key:
        if self._alg != _HMAC:
            return material_key(reference, secret, _KINDS.get(self._alg) or _kind_of(secret), where)
        if b"-----BEGIN" in secret:
            raise UserError(f"{reference} is no secret that two share", where, f"set alg to one of {', '.join(_KINDS)}")
        return make_key(reference, secret, self._secret_prefix, self._secret_encoding, where)

    def verify(self, request: Request, keys: Sequence[Key], now: float) -> Verified:
        """Of several signatures one has to be right in everything."""
        self._refuse_doubled(request.headers, "signature_malformed", self.id, self.type)
        refusals = []
        for claim in read_claims(request.headers):
            try:
                return self._verify(claim, request, keys, now)
            except Refused as refused:
                refusals.append(refused)
            except ValueError:
                refusals.append(Refused("signature_malformed", f"{claim.text:.80} has a parameter of another kind"))
        raise refusals[0]

    def sign(self, body: bytes, key: Key, now: float, *, url: str, id: str | None, type: str | None) -> Signed:
        headers = [*self._headers_for(body, id, type), ("Content-Digest", digest_of(body))]
        lowered = Headers([(name.lower().encode(), value.encode()) for name, value in headers])
        asked = [word.removeprefix("header:").lower() for word in self._wanted if word.startswith("header:")]
        names = dict.fromkeys(["@method", "@target-uri", "content-digest", *asked])
        components = [Item(write_string(name), name, {}) for name in names]
        alg = self._alg or next(alg for alg, kind in _KINDS.items() if kind == _kind_of(key.secret))
        keyid = key.name or self._keyid
        named = f";keyid={write_string(keyid)}" if keyid else ""
        text = f'({" ".join(item.text for item in components)});created={int(now)}{named};alg="{alg}"'
        content = signature_base(Claim(components, {}, text, b""), Request("POST", url, lowered, body))
        signature = write_bytes(_made(content, key, alg, self._where))
        return Signed([*headers, ("Signature-Input", f"sig={text}"), ("Signature", f"sig={signature}")], body)

    def _verify(self, claim: Claim, request: Request, keys: Sequence[Key], now: float) -> Verified:
        self._check_cover({item.value for item in claim.components if not item.parameters}, request)
        created = claim.time("created")
        expires = claim.time("expires")
        if created is None:
            raise Refused("timestamp_missing", "the signature does not say when it was created")
        key = self._match(claim, signature_base(claim, request), keys, created)
        # Only now, so that nobody but a holder of a key learns how our clock goes.
        self._clock.check(created, now)
        if expires is not None and now > expires:
            raise Refused("timestamp_stale", f"the signature ran out {now - expires:.0f} s ago by our clock", created)
        if any(item.value == "content-digest" for item in claim.components):
            check_digest(request)
        return Verified(key, float(created))

    def _check_cover(self, covered: set[str], request: Request) -> None:
        address = {"@authority", "@path", *(("@query",) if request.query else ())}
        enough = {
            "method": {"@method"} <= covered,
            "url": {"@target-uri"} <= covered or {"@authority", "@request-target"} <= covered or address <= covered,
            "body": {"content-digest"} <= covered,
        }
        for word in self._wanted:
            if not enough.get(word, word.removeprefix("header:").lower() in covered):
                raise Refused("signature_malformed", f"the signature does not cover {{{word}}}")

    def _match(self, claim: Claim, content: bytes, keys: Sequence[Key], created: int) -> Key:
        keyid, alg = claim.string("keyid"), claim.string("alg")
        # Never HMAC because the request says so: the "secret" would be a public key, and so no secret.
        if alg is not None and alg not in ((self._alg,) if self._alg else _KINDS):
            raise Refused("signature_malformed", f"signed with {alg:.40}, and not with {self._alg or 'a private key'}")
        if self._keyid is not None and keyid != self._keyid:
            raise Refused("signature_mismatch", f"signed with {keyid!r:.80}, and not with {self._keyid}", created)
        named = [key for key in keys if key.name in (None, keyid)]
        fitting = [key for key in named if _fits(claim.signature, content, key, self._alg or alg)]
        if not fitting:
            raise mismatch(named or keys, created)
        return fitting[0]


def _words(text: str, where: str) -> list[str]:
    if _WORD.sub("", text):
        fix = "write any of {method} {url} {body} {header:NAME}, without anything between them"
        raise UserError(f"{text!r} is nothing that a message signature can cover", where, fix)
    return _WORD.findall(text)


def _kind_of(text: bytes) -> str:
    try:
        return read_material(text.strip()).kind
    except ValueError:
        return "public"


def _fits(signature: bytes, content: bytes, key: Key, alg: str | None) -> bool:
    if alg == _HMAC:
        return hmac.compare_digest(signature, hmac.digest(key.secret, content, "sha256"))
    material = read_material(key.secret)
    if _KINDS.get(alg or "", material.kind) != material.kind or (alg is None and material.kind == "RSA"):
        return False
    try:
        if alg == _PSS and isinstance(material.public, rsa.RSAPublicKey):
            material.public.verify(signature, content, _SALTED, hashes.SHA512())
        else:
            check_signature(material.public, signature, content)
    except (InvalidSignature, ValueError):
        return False
    return True


def _made(content: bytes, key: Key, alg: str, where: str) -> bytes:
    if alg == _HMAC:
        return hmac.digest(key.secret, content, "sha256")
    private = private_of(key, where)
    if alg == _PSS and isinstance(private, rsa.RSAPrivateKey):
        return private.sign(content, _SALTED, hashes.SHA512())
    return make_signature(private, content)
