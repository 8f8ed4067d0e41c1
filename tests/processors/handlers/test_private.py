from processors.handlers.private import release, reserve, seal
from processors.testing import deliver


def test_an_order_is_reserved_in_the_warehouse() -> None:
    result = deliver(reserve, "acme/order.created", apis={"warehouse": [(201, {})]})
    order = result.calls[0].json()
    assert (result.state, result.calls[0].path) == ("succeeded", "/orders")
    assert (order["order"], order["customer"]) == ("A-4171", "c-88")
    assert order["lines"][0] == {"sku": "LQ-30-LA", "quantity": 1, "price": "64.00"}


def test_an_order_whose_answer_was_lost_in_a_crash_is_repeated_under_its_key() -> None:
    crashed = deliver(reserve, "acme/order.created", apis={"warehouse": [(201, {}), (201, {})]}, crash_after=1)
    after = crashed.again()
    assert (crashed.state, after.state) == ("running", "succeeded")
    assert crashed.calls[0].key == after.calls[0].key is not None


def test_an_order_number_that_could_be_another_path_is_parked() -> None:
    event = {"type": "order.cancelled", "id": "acme-1", "data": {"order": "A-1/../../stock", "reason": "none"}}
    result = deliver(release, event)
    assert (result.state, result.code, result.calls) == ("parked", "schema_error", [])


def test_a_cancelled_order_is_deleted() -> None:
    result = deliver(release, "acme/order.cancelled", apis={"warehouse": [(200, {}), (204, None)]})
    assert result.state == "succeeded"
    assert [(call.method, call.path) for call in result.calls] == [
        ("GET", "/orders/A-4169"),
        ("DELETE", "/orders/A-4169"),
    ]


def test_a_cancellation_that_comes_before_its_order_waits_for_it_and_at_last_asks() -> None:
    result = deliver(release, "acme/order.cancelled", apis={"warehouse": lambda call: (404, None)})
    assert (result.state, result.code) == ("waiting", "retry_asked")
    for _ in range(9):
        result = result.again()
    assert (result.state, result.reason) == ("parked", "the warehouse never heard of A-4169")


def test_each_order_of_a_batch_is_sealed_once_although_the_last_one_fails() -> None:
    answers = [(200, {}), (200, {}), (500, ""), (200, {})]
    first = deliver(seal, "acme/batch.sealed", apis={"warehouse": answers})
    second = first.again()
    assert (first.state, second.state) == ("waiting", "succeeded")
    assert list(second.steps) == ["seal A-4171", "seal A-4174", "seal A-4180"]
    assert [call.path for call in second.calls] == ["/orders/A-4180/seal"]
    assert second.calls[0].json() == {"batch": "B-2026-10"}
