"""Real input from a sender that is not ours: localstripe signs and sends, a handler calls it back."""

import hashlib
import hmac
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from receiver.http import httpx
from tests.support.postern import serving, write_project
from tests.support.rows import count, rows
from tests.support.until import until

SECRET = "whsec_known_to_both"
TOKEN = "sk_test_12345"
SERVER = """
import socket
from aiohttp import web
from localstripe.resources import store
from localstripe.server import app

store.dump_to_disk = lambda: None
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
web.run_app(app, sock=listener, access_log=None, print=None)
"""
CONFIG = """
[sources.stripe]
preset = "stripe"
secrets = ["env:STRIPE_WEBHOOK_SECRET"]

[apis.stripe]
base_url = "{url}"
auth = {{type = "bearer", token = "env:STRIPE_KEY"}}
"""
HANDLERS = """
from pydantic import BaseModel
from processors import Context, Event, SyncContext, on

class Customer(BaseModel):
    id: str
    email: str

class PaymentIntent(BaseModel):
    id: str
    amount: int
    customer: str

@on("stripe", "customer.created")
async def greet(event: Event[Customer], ctx: Context) -> None:
    await ctx.api("stripe").post(f"/v1/customers/{event.data.id}", data={"metadata[seen]": event.data.email})

@on("stripe", "payment_intent.succeeded")
def thank(event: Event[PaymentIntent], ctx: SyncContext) -> None:
    paid = {"metadata[paid]": str(event.data.amount)}
    ctx.api("stripe").post(f"/v1/customers/{event.data.customer}", data=paid)
"""


@contextmanager
def localstripe() -> Iterator[str]:
    """Its address, in a process of its own."""
    with subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


@pytest.fixture
def vendor() -> Iterator[httpx.Client]:
    with localstripe() as url, httpx.Client(base_url=url, headers={"Authorization": f"Bearer {TOKEN}"}) as client:
        yield client


def make(vendor: httpx.Client, path: str, **form: str) -> dict[str, Any]:
    answer = vendor.post(f"/v1/{path}", data=form)
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()
    return made


def pay(vendor: httpx.Client) -> str:
    """A new customer pays; its id."""
    customer = make(vendor, "customers", email="ada@example.com")["id"]
    card = {"card[number]": "4242424242424242", "card[exp_month]": "12", "card[exp_year]": "2040", "card[cvc]": "123"}
    method = make(vendor, "payment_methods", type="card", **card)["id"]
    make(vendor, f"payment_methods/{method}/attach", customer=customer)
    make(
        vendor,
        "payment_intents",
        amount="1250",
        currency="eur",
        customer=customer,
        payment_method=method,
        confirm="true",
    )
    return str(customer)


def test_what_localstripe_sends_is_stored_as_it_came_and_its_handlers_call_it_back(
    vendor: httpx.Client, tmp_path: Path
) -> None:
    write_project(tmp_path, CONFIG.format(url=vendor.base_url), HANDLERS)
    with serving(tmp_path, {"STRIPE_WEBHOOK_SECRET": SECRET, "STRIPE_KEY": TOKEN}) as postern:
        webhook = {"url": f"{postern.url}/webhooks/stripe", "secret": SECRET}
        assert vendor.post("/_config/webhooks/postern", data=webhook).status_code == 200
        customer = pay(vendor)

        def done() -> bool:
            found = rows(postern.store, "SELECT handler FROM run WHERE state = 'succeeded'")
            return {handler for (handler,) in found} == {"greet", "thank"}

        def echoed() -> bool:
            return count(postern.store, "event", "type = 'customer.updated'") == 2

        until(done, what="both handlers' end")
        until(echoed, what="the events that the handlers' calls caused")
        stored = rows(
            postern.store,
            "SELECT type, external_id, headers, body FROM event JOIN delivery ON delivery.id = event.delivery_id",
        )
    seen = vendor.get(f"/v1/customers/{customer}").json()["metadata"]
    assert seen == {"seen": "ada@example.com", "paid": "1250"}
    assert {"customer.created", "payment_intent.succeeded"} <= {type_ for type_, _, _, _ in stored}
    for _, external_id, headers, body in stored:
        assert its_signature_covers(headers, body)
        assert vendor.get(f"/v1/events/{external_id}").json()["id"] == external_id


def its_signature_covers(headers: bytes, body: bytes) -> bool:
    """Whether these are the very bytes that it signed."""
    lines = dict(line.split(": ", 1) for line in headers.decode().split("\n"))
    at, _, signature = lines["stripe-signature"].removeprefix("t=").partition(",v1=")
    expected = hmac.new(SECRET.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected, signature)
