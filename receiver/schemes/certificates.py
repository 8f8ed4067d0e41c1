"""Whether a certificate is to be trusted: its time, who issued it, whose name it holds. Pure: `now` is given."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import NoReturn

from cryptography.x509 import BasicConstraints, Certificate, DNSName, SubjectAlternativeName
from cryptography.x509.extensions import ExtensionNotFound
from cryptography.x509.oid import NameOID
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from receiver.schemes import Key, Refused
from receiver.schemes.material import read_certificates


def check_certificate(chain: Sequence[Certificate], anchors: Sequence[Key], now: float) -> None:
    """Its time counts always, its issuer where there are anchors. Errors: Refused."""
    leaf, time = chain[0], datetime.fromtimestamp(now, UTC)
    if time < leaf.not_valid_before_utc:
        _refuse(f"is valid only from {leaf.not_valid_before_utc:%Y-%m-%d} on")
    if time > leaf.not_valid_after_utc:
        _refuse(f"was valid until {leaf.not_valid_after_utc:%Y-%m-%d}")
    roots = [certificate for anchor in anchors for certificate in read_certificates(anchor.secret)]
    if anchors and leaf not in roots:
        _check_issuer(chain, roots, time)


def check_name(leaf: Certificate, domain: str) -> None:
    """Errors: Refused, unless it names the domain or something under it."""
    names = [str(one.value) for one in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    with suppress(ExtensionNotFound):
        names += leaf.extensions.get_extension_for_class(SubjectAlternativeName).value.get_values_for_type(DNSName)
    if not any(f".{name.lower()}".endswith(f".{domain}") for name in names):
        _refuse(f"is for {', '.join(names)[:100] or 'nobody'} and not for {domain}")


def _check_issuer(chain: Sequence[Certificate], roots: Sequence[Certificate], time: datetime) -> None:
    # These certificates are for signing: what browsers ask of a server's (its names, what it may be used for) they
    # need not have. An authority has to be one, or whoever has any certificate could issue more.
    authority = ExtensionPolicy.permit_all().require_present(BasicConstraints, Criticality.AGNOSTIC, _is_authority)
    policy = PolicyBuilder().extension_policies(ca_policy=authority, ee_policy=ExtensionPolicy.permit_all())
    try:
        policy.store(Store(list(roots))).time(time).build_client_verifier().verify(chain[0], list(chain[1:]))
    except (VerificationError, ValueError) as error:
        _refuse(f"does not lead to a trust anchor: {error!s:.150}")


def _is_authority(policy: Policy, certificate: Certificate, constraints: BasicConstraints) -> None:
    if not constraints.ca:
        raise ValueError("issued by one who is no authority")


def _refuse(what: str) -> NoReturn:
    raise Refused("signature_mismatch", f"the certificate that it is signed with {what}")
