from processors.handlers.stripe import book_payment, book_refund
from processors.testing import deliver


def test_a_payment_is_booked_in_the_ledger() -> None:
    result = deliver(book_payment, "stripe/payment_intent.succeeded", apis={"ledger": [(201, {"id": "entry_1"})]})
    (call,) = result.calls
    assert (result.state, call.method, call.path) == ("succeeded", "POST", "/entries")
    assert call.json() == {"reference": "pi_3PosternvshDCl8ARxXhs7P6", "cents": 4590, "currency": "eur"}


def test_a_payment_without_a_customer_is_dropped_and_books_nothing() -> None:
    result = deliver(book_payment, "stripe/payment_intent.succeeded__anonymous")
    assert (result.state, result.reason, result.calls) == ("dropped", "anonymous payment", [])


def test_a_ledger_that_fails_is_asked_again_with_the_same_key() -> None:
    answers = [(500, "out of paper"), (201, {"id": "entry_1"})]
    first = deliver(book_payment, "stripe/payment_intent.succeeded", apis={"ledger": answers})
    second = first.again()
    assert (first.state, second.state) == ("waiting", "succeeded")
    assert first.calls[0].key == second.calls[0].key is not None


def test_a_refund_is_booked_with_the_charges_total() -> None:
    result = deliver(book_refund, "stripe/charge.refunded", apis={"ledger": [(200, {})]})
    assert result.state == "succeeded"
    assert result.calls[0].json() == {"charge": "ch_3Postern3IsxXltbkDghRezD", "total_cents": 1500, "currency": "eur"}
