"""GitLab's plain token, after its documentation's description: there is nothing that a library could sign."""

from typing import Any

from tests.vendors.make.vectors import Vectors, by_bytes, fixture

SECRET = "larkspur-made-up-token"
KEY = "f5e5f430-f57b-4e6e-9fac-d9128cd7232f"
BODY = fixture("gitlab-token/push")


def main() -> None:
    made_by = (
        "documentation's description, "
        "https://docs.gitlab.com/user/project/integrations/webhooks/#validate-requests-by-using-a-secret-token"
    )
    vectors = Vectors("gitlab-token", made_by, secrets=[f"literal:{SECRET}"])
    headers = {"X-Gitlab-Event": "Push Hook", "Idempotency-Key": KEY, "X-Gitlab-Token": SECRET}
    vectors.add("a push", headers, BODY, ids=[KEY], types=["push"])
    older = {name: value for name, value in headers.items() if name != "Idempotency-Key"}
    vectors.add("from an older GitLab", older, BODY, ids=[by_bytes(BODY)], types=["push"])
    system = b'{"event_name":"project_create","name":"larkspur"}'
    named = {**headers, "X-Gitlab-Event": "System Hook"}
    vectors.add("a system hook", named, system, ids=[KEY], types=["project_create"])
    wrong = "signature_mismatch"
    any_text_is_a_token: dict[str, Any] = dict.fromkeys(
        (
            *("malformed_signature", "signature_with_a_byte_less", "signature_with_a_byte_beyond_ASCII"),
            "signature_with_bytes_that_are_no_UTF-8",
        ),
        wrong,
    )
    vectors.forge("X-Gitlab-Token", covers_body=False, **any_text_is_a_token)
    vectors.add("in capitals", {**headers, "X-Gitlab-Token": SECRET.upper()}, BODY, verdict=wrong)
    vectors.add("too long", {**headers, "X-Gitlab-Token": "x" * 5000}, BODY, verdict="signature_malformed")
    vectors.write()


if __name__ == "__main__":
    main()
