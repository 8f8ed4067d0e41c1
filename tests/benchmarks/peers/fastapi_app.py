"""A receiver as a team writes it in an afternoon: FastAPI, a SQLModel session for each request, Celery on Redis.

SQLite has its quicker journal, and syncs at every commit, as Postern's does.
"""

import hmac
import json
import os
import time

from celery import Celery
from fastapi import FastAPI, Header, HTTPException, Request
from sqlalchemy.exc import IntegrityError
from sqlmodel import Field, Session, SQLModel, create_engine

from tests.benchmarks.bodies import SECRET

TOLERANCE_S = 300


class Event(SQLModel, table=True):
    id: str = Field(primary_key=True)
    type: str
    body: bytes


app = FastAPI()
queue = Celery("naive", broker=os.environ["BENCHMARK_BROKER"])
engine = create_engine(os.environ["BENCHMARK_STORE"])
if engine.dialect.name == "sqlite":
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode = WAL")
SQLModel.metadata.create_all(engine)


@queue.task
def handle(event_id: str) -> None:
    pass


@app.get("/readyz")
async def ready() -> None:
    pass


@app.post("/webhooks/stripe")
async def receive(request: Request, stripe_signature: str = Header()) -> dict[str, bool]:
    body = await request.body()
    check(body, stripe_signature)
    event = json.loads(body)
    try:
        with Session(engine) as session:
            session.add(Event(id=event["id"], type=event["type"], body=body))
            session.commit()
    except IntegrityError:
        return {"duplicate": True}
    handle.delay(event["id"])
    return {"received": True}


def check(body: bytes, signature: str) -> None:
    parts = dict(part.split("=", 1) for part in signature.split(","))
    expected = hmac.new(SECRET, parts["t"].encode() + b"." + body, "sha256").hexdigest()
    if not hmac.compare_digest(expected, parts["v1"]) or abs(time.time() - int(parts["t"])) > TOLERANCE_S:
        raise HTTPException(400, "bad signature")
