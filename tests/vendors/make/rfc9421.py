"""An independent library signs and verifies, with every algorithm that we know; two examples are the standard's own."""

from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from http_message_signatures import (
    HTTPMessageSigner,
    HTTPMessageVerifier,
    HTTPSignatureAlgorithm,
    MappingKeyResolver,
    algorithms,
)
from http_message_signatures.structures import CaseInsensitiveDict

from tests.vendors.make.made_up_keys import ec_key, ed25519_key, pem, raw, rsa_key
from tests.vendors.make.vectors import NOW, OTHER_SECRET, Vectors, by_bytes, fixture, package
from tests.vendors.sources import PUBLIC_URL

SECRET, KEYID = b"larkspur-made-up-shared-secret", "larkspur-1"
TOLERANCE_S = 300
BODY = fixture("rfc9421/order.created")
COVERED = ("@method", "@target-uri", "content-digest", "content-type")
JSON = {"Content-Type": "application/json"}
KNOWN: dict[str, Any] = {"ids": [by_bytes(BODY)], "types": ["order.created"]}


@ec.EllipticCurvePrivateKey.register
class Deterministic:
    """The key that the library signs with, without chance."""

    def __init__(self, key: Any) -> None:
        self.key = key
        self.curve = key.curve

    def public_key(self) -> Any:
        return self.key.public_key()

    def sign(self, data: bytes, signature_algorithm: Any) -> Any:
        return self.key.sign(data, ec.ECDSA(signature_algorithm.algorithm, deterministic_signing=True))


KEYS: dict[type[HTTPSignatureAlgorithm], Any] = {
    algorithms.ED25519: ed25519_key("rfc9421"),
    algorithms.ECDSA_P256_SHA256: Deterministic(ec_key("rfc9421")),
    algorithms.RSA_V1_5_SHA256: rsa_key("rfc9421"),
}
# https://www.rfc-editor.org/rfc/rfc9421#appendix-B.2
EXAMPLE_BODY = '{"hello": "world"}'
EXAMPLE_AT = 1618884473
EXAMPLE = {
    "Host": "example.com",
    "Date": "Tue, 20 Apr 2021 02:07:55 GMT",
    "Content-Type": "application/json",
    "Content-Digest": "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm"
    "+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:",
    "Content-Length": "18",
}
EXAMPLE_URL: dict[str, Any] = {"public_url": "https://example.com/foo", "secrets": [], "keyid": None}
B_2_3_KEY = """-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAr4tmm3r20Wd/PbqvP1s2
+QEtvpuRaV8Yq40gjUR8y2Rjxa6dpG2GXHbPfvMs8ct+Lh1GH45x28Rw3Ry53mm+
oAXjyQ86OnDkZ5N8lYbggD4O3w6M6pAvLkhk95AndTrifbIFPNU8PPMO7OyrFAHq
gDsznjPFmTOtCEcN2Z1FpWgchwuYLPL+Wokqltd11nqqzi+bJ9cvSKADYdUAAN5W
Utzdpiy6LbTgSxP7ociU4Tn0g5I6aDZJ7A8Lzo0KSyZYoA485mqcO0GVAdVw9lq4
aOT9v6d+nb4bnNkQVklLQ3fVAvJm+xdDOp9LCNCN48V2pnDOkFV6+U9nV5oyc6XI
2wIDAQAB
-----END PUBLIC KEY-----"""
B_2_3 = {
    "Signature-Input": 'sig-b23=("date" "@method" "@path" "@query" "@authority" "content-type" "content-digest" '
    '"content-length");created=1618884473;keyid="test-key-rsa-pss"',
    "Signature": "sig-b23="
    ":bbN8oArOxYoyylQQUU6QYwrTuaxLwjAC9fbY2F6SVWvh0yBiMIRGOnMYwZ/5MR6fb0Kh1rIRASVxFkeGt683+qRpRRU5p2voTp"
    "768ZrCUb38K0fUxN0O0iC59DzYx8DFll5GmydPxSmme9v6ULbMFkl+V5B1TP/yPViV7KsLNmvKiLJH1pFkh/aYA2HXXZzNBXmIkoQoLd7YfW91kE9o"
    "/CCoC1xMy7JA1ipwvKvfrs65ldmlu9bpG6A9BmzhuzF8Eim5f8ui9eH8LZH896+QIF61ka39VBrohr9iyMUJpvRX2Zbhl5ZJzSRxpJyoEZAFL2FUo5"
    "fTIztsDZKEgM4cUA==:",
}
B_2_5_SECRET = "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ=="
B_2_5 = {
    "Signature-Input": 'sig-b25=("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"',
    "Signature": "sig-b25=:pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=:",
}
B_2_6_KEY = (
    "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=\n-----END PUBLIC KEY-----"
)
B_2_6 = {
    "Signature-Input": 'sig-b26=("date" "@method" "@path" "@authority" "content-type" "content-length")'
    ';created=1618884473;keyid="test-key-ed25519"',
    "Signature": "sig-b26=:wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==:",
}


class Message:
    def __init__(self, headers: dict[str, str], query: str = "") -> None:
        self.method = "POST"
        self.url = f"{PUBLIC_URL}rfc9421{'?' if query else ''}{query}"
        self.headers = CaseInsensitiveDict(headers)


def resolver(private: Any, public: Any) -> MappingKeyResolver:
    return MappingKeyResolver(private_keys={KEYID: private}, public_keys={KEYID: public})


def signed(
    body: bytes | None = BODY,
    algorithm: type[HTTPSignatureAlgorithm] = algorithms.HMAC_SHA256,
    key: Any = SECRET,
    *,
    covered: tuple[str, ...] = COVERED,
    headers: dict[str, str] = JSON,
    query: str = "",
    **more: Any,
) -> dict[str, str]:
    message = Message(headers, query)
    signer = HTTPMessageSigner(signature_algorithm=algorithm, key_resolver=resolver(key, key))
    kept = covered if body is not None else tuple(name for name in covered if name != "content-digest")
    said = {"created": moment(NOW), "body": body, "label": "sig1", **more}
    signer.sign(message, key_id=KEYID, covered_component_ids=kept, **said)
    return {name.title(): value for name, value in message.headers.items()}


def moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def verify(headers: dict[str, str], body: bytes) -> None:
    keys = resolver(SECRET, SECRET)
    verifier = HTTPMessageVerifier(signature_algorithm=algorithms.HMAC_SHA256, key_resolver=keys)
    verifier.verify(Message(headers), body=body)


def add_algorithms(vectors: Vectors) -> None:
    somebody = f"literal:{pem(ed25519_key('somebody else').public_key())}"
    for algorithm, key in KEYS.items():
        name, public = algorithm.algorithm_id, f"literal:{pem(key.public_key())}"
        headers = signed(algorithm=algorithm, key=key)
        pinned = {"secrets": [], "alg": name, "public_keys": [public]}
        vectors.add(name, headers, BODY, source=pinned, **KNOWN)
        named: dict[str, Any] = {"secrets": [], "keyid": None, "keys": {"other": somebody, KEYID: public}}
        vectors.add(f"{name}, by its key id", headers, BODY, source=named, **KNOWN)
        missing = {**named, "keys": {"other": public}}
        vectors.add(f"{name}, with another key id", headers, BODY, source=missing, verdict="signature_mismatch")
    # Whoever knows a public key could sign with it, if it were taken for a secret.
    public = pem(ed25519_key("rfc9421").public_key())
    for what, text in (
        ("PEM", public),
        ("stripped", public.strip()),
        ("raw", raw(ed25519_key("rfc9421").public_key()).hex()),
    ):
        forged, source = signed(key=text.encode()), {"secrets": [], "public_keys": [f"literal:{text}"]}
        vectors.add(f"HMAC with a public key, {what}", forged, BODY, source=source, verdict="signature_malformed")
        silent = signed(key=text.encode(), include_alg=False)
        vectors.add(
            f"HMAC with a public key, {what}, unsaid", silent, BODY, source=source, verdict="signature_mismatch"
        )


def add_examples(vectors: Vectors) -> None:
    def add(name: str, headers: dict[str, str], content: str | None, query: str = "", **keys: Any) -> None:
        source = {**EXAMPLE_URL, **keys, **({"content": content} if content else {})}
        known: dict[str, Any] = {"ids": [by_bytes(EXAMPLE_BODY.encode())], "types": ["unknown"]}
        known |= {"at": EXAMPLE_AT, "source": source, "query": query}
        vectors.add(f"RFC 9421 {name}", {**EXAMPLE, **headers}, EXAMPLE_BODY, **known)

    add("B.2.3", B_2_3, None, "param=Value&Pet=dog", alg="rsa-pss-sha512", public_keys=[f"literal:{B_2_3_KEY}"])
    secret: dict[str, Any] = {"secrets": [f"literal:{B_2_5_SECRET}"], "secret_encoding": "base64"}
    add("B.2.5", B_2_5, "{header:date}{header:Content-Type}", **secret)
    add("B.2.6", B_2_6, "{method}{url}", keys={"test-key-ed25519": f"literal:{B_2_6_KEY}"})
    strict: dict[str, Any] = {**EXAMPLE_URL, **secret}
    late: dict[str, Any] = {"at": EXAMPLE_AT, "verdict": "signature_malformed", "source": strict}
    vectors.add("RFC 9421 B.2.5, which covers no body", {**EXAMPLE, **B_2_5}, EXAMPLE_BODY, **late)


def add_covers(vectors: Vectors) -> None:
    parts = ("@method", "@authority", "@path", "content-digest")
    vectors.add("the address in parts", signed(covered=parts), BODY, **KNOWN)
    query = "a=1&b=%C3%A9+x"
    asked = signed(covered=(*parts, "@query", "@scheme", '"@query-param";name="b"'), query=query)
    vectors.add("the query in parts", asked, BODY, query=query, **KNOWN)
    target = signed(covered=("@method", "@authority", "@request-target", "content-digest"), query=query)
    vectors.add("the request's target", target, BODY, query=query, **KNOWN)
    refused: dict[str, Any] = {"verdict": "signature_malformed"}
    whole: dict[str, Any] = {"source": {"content": "{method}{url}{body}"}}
    uncovered = signed(covered=parts, query=query)
    vectors.add("a query that is not covered", uncovered, BODY, query=query, **whole, **refused)
    vectors.add("a query that need not be covered", uncovered, BODY, query=query, **KNOWN)
    vectors.add("another query", signed(query=query), BODY, query="a=2", verdict="signature_mismatch")
    for less in ("@method", "@target-uri", "content-digest"):
        headers = signed(
            None if less == "content-digest" else BODY, covered=tuple(one for one in COVERED if one != less)
        )
        vectors.add(f"{less} is not covered", headers, BODY, **whole, **refused)
    vectors.add("only the body is covered", signed(covered=("content-digest",)), BODY, **KNOWN)
    asks = {"source": {"content": "{method}{url}{body}{header:X-Tenant}"}}
    vectors.add(
        "a header that is asked for",
        signed(covered=(*COVERED, "x-tenant"), headers={**JSON, "X-Tenant": "1"}),
        BODY,
        **asks,
        **KNOWN,
    )
    vectors.add("a header that is asked for and not covered", signed(), BODY, **asks, **refused)
    member = signed(covered=("@method", "@target-uri", '"content-digest";key="sha-256"'), use_existing_digest=False)
    vectors.add("a member of the digest", member, BODY, **refused)


def add_several(vectors: Vectors) -> None:
    """A proxy adds its own signature: one that is right in everything is enough."""
    good, other = signed(), signed(key=b"other", label="sig2")
    both = {name: f"{other[name]}, {good[name]}" for name in ("Signature-Input", "Signature")}
    vectors.add("two signatures, the second right", {**good, **both}, BODY, **KNOWN)
    rest = [(name, value) for name, value in good.items() if name not in both]
    lines = [(name, headers[name]) for headers in (other, good) for name in both]
    vectors.add("two signatures in lines of their own", [*rest, *lines], BODY, **KNOWN)
    vectors.add("two signatures, none right", {**other}, BODY, verdict="signature_mismatch")


def add_times(vectors: Vectors) -> None:
    expired = signed(expires=moment(NOW - 1), created=moment(NOW - 60))
    vectors.add("expired", expired, BODY, verdict="timestamp_stale")
    vectors.add("expires later", signed(expires=moment(NOW + 60)), BODY, **KNOWN)
    good = signed()
    made = good["Signature-Input"]
    for name, text, verdict in (
        ("without a time", made.replace(f";created={NOW}", ""), "timestamp_missing"),
        ("a time with a fraction", made.replace(str(NOW), f"{NOW}.5"), "timestamp_malformed"),
        ("a time as text", made.replace(str(NOW), f'"{NOW}"'), "timestamp_malformed"),
        ("a negative time", made.replace(str(NOW), "-1"), "timestamp_malformed"),
        ("another time", made.replace(str(NOW), str(NOW + 1)), "signature_mismatch"),
    ):
        vectors.add(name, {**good, "Signature-Input": text}, BODY, verdict=verdict)


def add_forged(vectors: Vectors) -> None:
    good = signed()
    made, signature, digest = good["Signature-Input"], good["Signature"], good["Content-Digest"]
    malformed = {
        "another algorithm": {"Signature-Input": made.replace("hmac-sha256", "hmac-sha1")},
        "the same component twice": {"Signature-Input": made.replace('("@method"', '("@method" "@method"')},
        "an unknown component": {"Signature-Input": made.replace('("@method"', '("@status" "@method"')},
        "a component's unknown parameter": {"Signature-Input": made.replace('"content-type"', '"content-type";tr')},
        "two spaces": {"Signature-Input": made.replace('" "', '"  "', 1)},
        "a key id that is no text": {"Signature-Input": made.replace(f'"{KEYID}"', "7")},
        "a parameter twice": {"Signature-Input": f'{made};keyid="{KEYID}"'},
        "another label": {"Signature-Input": made.replace("sig1=", "sig2=")},
        "no list": {"Signature-Input": 'sig1="@method"'},
        "a signature without colons": {"Signature": signature.replace(":", "")},
        "a signature with a space in it": {"Signature": signature.replace("sig1=:", "sig1=: ")},
        "no such hash": {"Content-Digest": "md5=:AAAA:"},
        "a digest that is a text": {"Content-Digest": 'sha-256="AAAA"'},
        "nine signatures": {
            name: ", ".join(f"s{n}={good[name].partition('=')[2]}" for n in range(9))
            for name in ("Signature-Input", "Signature")
        },
    }
    for name, changed in malformed.items():
        # What is not covered by the signature is refused for its form; what is covered, for its value.
        verdict = "signature_mismatch" if "Content-Digest" in changed else "signature_malformed"
        vectors.add(name, {**good, **changed}, BODY, verdict=verdict)
    mismatch = {
        "another content type": {"Content-Type": "text/plain"},
        "another body's digest": {"Content-Digest": signed(BODY + b" ")["Content-Digest"]},
        "another key id": {"Signature-Input": made.replace(KEYID, "larkspur-2")},
        "a digest more": {"Content-Digest": f"{digest}, sha-512=:AAAA:"},
    }
    for name, changed in mismatch.items():
        vectors.add(name, {**good, **changed}, BODY, verdict="signature_mismatch")
    no_input = {name: value for name, value in good.items() if name != "Signature-Input"}
    vectors.add("no Signature-Input", no_input, BODY, verdict="signature_missing")
    no_type = {name: value for name, value in good.items() if name != "Content-Type"}
    vectors.add("a covered header gone", no_type, BODY, verdict="signature_missing")


def main() -> None:
    made_by = f"{package('http-message-signatures')}, and RFC 9421 B.2.3, B.2.5 and B.2.6"
    vectors = Vectors("rfc9421", made_by, secrets=[f"literal:{SECRET.decode()}"], keyid=KEYID)
    vectors.add("an order", signed(), BODY, **KNOWN)
    vectors.add("without its algorithm", signed(include_alg=False), BODY, **KNOWN)
    nothing = {"ids": [by_bytes(b"")], "types": ["unknown"]}
    vectors.add("no body", signed(b""), b"", **nothing)
    vectors.verified_by(verify)
    for add in (add_algorithms, add_examples, add_covers, add_several, add_times, add_forged):
        add(vectors)
    vectors.forge("Signature", tolerance_s=TOLERANCE_S, other={"secrets": [OTHER_SECRET]})
    vectors.write()


if __name__ == "__main__":
    main()
