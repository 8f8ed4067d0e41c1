"""What is not taken: how its sender is answered, and how operators hear of it.

Whatever goes wrong with us is a 503, never a 500 and never a 4xx: vendors give up on those.
"""

import asyncio
import logging
import time

from receiver.delivery import Answer, Delivery
from receiver.log import Hush
from receiver.metrics import Metrics
from receiver.problems import MEDIA_TYPE, Problem, problem_head
from receiver.schemes import Refused
from receiver.sources import Source
from receiver.store import Store, Unavailable
from receiver.store.activity import KEPT_BYTES, Refusal
from receiver.wellformed import Limits

log = logging.getLogger("postern.intake")


class Refusals:
    def __init__(self, store: Store, metrics: Metrics, limits: Limits) -> None:
        self._store = store
        self._metrics = metrics
        self._limits = limits
        self._hush = Hush()

    def answer(self, error: BaseException, delivery: Delivery, source: Source | None) -> Answer:
        """For what went wrong; operators are told of it where the source is one of ours."""
        problem = self.problem(error, delivery)
        self._metrics.refused(source.name if source is not None else None, problem.code)
        if source is None:
            return Answer(problem.status, problem_head(problem.status, problem.headers), problem.body)
        self.tell(problem, delivery, source)
        head, body = problem_head(problem.status, problem.headers), problem.body
        if source.answer is not None and source.answer.refused is not None:
            body = source.answer.refused
            head = head.replace(type_line(MEDIA_TYPE, b"-"), type_line(source.answer.type, body))
        return Answer(problem.status, head, body)

    def tell(self, problem: Problem, delivery: Delivery, source: Source) -> None:
        """Let operators know of it: the newest rejections are kept, and now and then there is a line in the log."""
        if problem.status not in (405, 503):
            self.keep(problem, delivery, source)
        if count := self._hush.speak((delivery.name, problem.code)):
            log.warning(
                "refused a delivery: %s", problem.note or problem.code,
                extra={"source": delivery.name, "code": problem.code, "status": problem.status, "count": count,
                       "next": next_step(problem, delivery.name)},
            )  # fmt: skip

    def keep(self, problem: Problem, delivery: Delivery, source: Source) -> None:
        claimed_us = None if problem.claimed_at is None else round(problem.claimed_at * 1e6)
        head, body = delivery.head, bytes(delivery.body[:KEPT_BYTES])
        self._store.activity.refused(
            Refusal(
                delivery.name, time.time_ns() // 1000, problem.code, problem.note, claimed_us,
                len(delivery.body), head, body, delivery.method.decode("latin-1"), delivery.scheme,
                delivery.target(source.secret_fields),
            )
        )  # fmt: skip
        self._store.noted()

    def problem(self, error: BaseException, delivery: Delivery) -> Problem:
        """What went wrong, as an answer."""
        match error:
            case Problem():
                return error
            case Unavailable():
                return Problem(503, "store_unavailable", note=str(error))
            case TimeoutError() if delivery.whole:
                return Problem(503, "store_slow", note=f"the store took longer than {self._limits.store_s:g} s")
            case TimeoutError():
                return Problem(408, "too_slow", f"the request took longer than {self._limits.body_s:g} s")
            case asyncio.CancelledError():
                return Problem(503, "stopping")
        log.error("intake failed", exc_info=error, extra={"source": delivery.name})
        return Problem(503, "internal")


def refusal(refused: Refused) -> Problem:
    match refused.code:
        case "handshake_refused":
            return Problem(403, refused.code, "this handshake was not accepted", note=refused.detail)
        case "handshake_malformed":
            return Problem(400, refused.code, "this is no handshake as it should be", note=refused.detail)
    detail = "the signature of this request was not accepted"
    return Problem(401, refused.code, detail, note=refused.detail, claimed_at=refused.claimed_at)


def type_line(type: str, body: bytes) -> bytes:
    return b"content-type: %b\r\n" % type.encode() if body else b""


def next_step(problem: Problem, source: str) -> str:
    """What an operator types next, for the log line of a refusal."""
    if problem.status == 503:
        return "postern doctor"
    if problem.code == "secret_offered":
        return f"postern rejections list --source {source} --code secret_offered, then postern rejections show ID"
    return f"postern rejections list --source {source} --limit 5"
