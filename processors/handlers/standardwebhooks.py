"""Standard Webhooks: users into a CRM. Shows `ctx.step` for what must be made only once, and an answer to expect.

    [sources.standardwebhooks]                    # better the sender's name, here and in @on
    preset = "standardwebhooks"
    secrets = ["env:STANDARDWEBHOOKS_SECRET"]

    [apis.crm]
    base_url = "https://crm.internal"
    auth = {type = "basic", username = "postern", password = "env:CRM_PASSWORD"}

    [handlers]
    modules = ["processors.handlers.standardwebhooks"]      # or the name of your copy

A step is any effect that is no call of `ctx.api`: its result is recorded, and comes back on later attempts.
"""

import secrets
from urllib.parse import quote

from pydantic import BaseModel

from processors import Context, Event, on


class User(BaseModel):
    id: str
    email: str
    name: str


class DeletedUser(BaseModel):
    id: str


@on("standardwebhooks", "user.created")
async def welcome(event: Event[User], ctx: Context) -> None:
    # Every attempt gets the voucher of the first. One that was made and not recorded is known to nobody: make another.
    voucher = await ctx.step("voucher", secrets.token_hex, 4, repeatable=True)
    await ctx.api("crm").post("/contacts", json={**event.data.model_dump(), "voucher": voucher})


@on("standardwebhooks", "user.deleted")
async def forget(event: Event[DeletedUser], ctx: Context) -> None:
    # Quoted: an id must not become another path. Gone already is as good as deleted now.
    await ctx.api("crm").delete(f"/contacts/{quote(event.data.id, safe='')}", expect={404})
