import json
from importlib.resources import files
from typing import Any

from processors.handlers.shopify import ship
from processors.testing import deliver


def paid_order(**changed: Any) -> dict[str, Any]:
    body: dict[str, Any] = json.loads((files("receiver.fixtures") / "shopify/orders/paid.json").read_bytes())
    return body | changed


def test_a_paid_order_becomes_a_parcel_that_is_picked_up() -> None:
    result = deliver(ship, "shopify/orders/paid", apis={"courier": [(201, {"id": "p-1"}), (201, {})]})
    parcel, pickup = result.calls
    assert (result.state, parcel.path, pickup.path) == ("succeeded", "/parcels", "/pickups")
    assert parcel.json()["reference"] == "#1418"
    assert parcel.json()["goods"] == [{"sku": "LQ-30-LA", "quantity": 1}]
    assert parcel.json()["to"].keys() == {"name", "address1", "city", "zip", "country_code"}
    assert pickup.json() == {"parcel": "p-1"}


def test_a_parcel_is_not_ordered_again_when_the_pickup_fails() -> None:
    answers = [(201, {"id": "p-1"}), (500, ""), (201, {})]
    first = deliver(ship, "shopify/orders/paid", apis={"courier": answers})
    second = first.again()
    assert (first.state, second.state) == ("waiting", "succeeded")
    assert [call.path for call in first.calls] == ["/parcels", "/pickups"]
    assert [call.json() for call in second.calls] == [{"parcel": "p-1"}]


def test_an_order_without_an_address_or_goods_is_dropped() -> None:
    for order in (paid_order(shipping_address=None), paid_order(line_items=[])):
        result = deliver(ship, order, source="shopify", type="orders/paid")
        assert (result.state, result.reason) == ("dropped", "nothing to ship")
