import pytest

from processors.handlers.standardwebhooks import forget, welcome
from processors.testing import deliver


def test_a_new_user_becomes_a_contact_with_a_voucher() -> None:
    result = deliver(welcome, "standardwebhooks/user.created", apis={"crm": [(201, {})]})
    sent = result.calls[0].json()
    assert (result.state, result.calls[0].path) == ("succeeded", "/contacts")
    assert (sent["id"], sent["email"]) == ("usr_01POSTERN0NIA", "nia@example.com")
    assert sent["voucher"] == result.steps["voucher"].result


def test_a_second_attempt_sends_the_first_ones_voucher() -> None:
    first = deliver(welcome, "standardwebhooks/user.created", apis={"crm": [(500, ""), (201, {})]})
    second = first.again()
    assert (first.state, second.state) == ("waiting", "succeeded")
    assert first.calls[0].json() == second.calls[0].json()


@pytest.mark.parametrize("status", [204, 404])
def test_a_deleted_user_is_forgotten_also_where_the_crm_has_forgotten_already(status: int) -> None:
    result = deliver(forget, "standardwebhooks/user.deleted", apis={"crm": [(status, None)]})
    assert result.state == "succeeded"
    assert [(call.method, call.path) for call in result.calls] == [("DELETE", "/contacts/usr_01POSTERN0OLD")]


def test_an_id_cannot_lead_to_another_path() -> None:
    event = {"type": "user.deleted", "data": {"id": "../invoices/7?all=1"}}
    result = deliver(forget, event, apis={"crm": [(204, None)]})
    assert result.steps.keys() == {"DELETE crm /contacts/..%2Finvoices%2F7%3Fall%3D1"}
