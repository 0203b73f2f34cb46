"""Who is billed."""

from __future__ import annotations

from random import Random

from harness.documents.synthesis import numbers, parties, pools
from harness.documents.synthesis.catalogue import SERVICES, SHOPS
from harness.documents.synthesis.facts import maybe
from harness.documents.synthesis.parties import Address

__all__ = ["payer"]

_TITLES = ("Dr", "Prof")


def _mailbox(rng: Random, name: str) -> str:
    words = [w.lower() for w in name.replace("'", "").replace("-", " ").split() if w not in _TITLES]
    box = rng.choice((f"{words[0]}.{words[-1]}", f"{words[0]}{rng.randint(1, 99)}", f"{words[0][0]}{words[-1]}"))
    return f"{box}@{rng.choice(('mail.example', 'example.com.au', 'inbox.example', 'post.example'))}"


def payer(rng: Random, *, person: bool, share: float) -> dict[str, str | Address | None]:
    """The four payer fields: the name always, the others each with probability `share` (the address a bit more)."""
    where = parties.address(rng, commercial=not person)
    if person:
        name = parties.person(rng)
        email = _mailbox(rng, name)
    else:
        firm = parties.business(rng, rng.choice(SERVICES + SHOPS), legal_form=0.7)
        name, email = firm.name, firm.email
    mobile = rng.random() < (0.6 if person else 0.2)
    phone = numbers.mobile(rng) if mobile else numbers.landline(rng, pools.AREA_CODES[where.state])
    return {
        "PAYER_NAME": name,
        "PAYER_ADDRESS": maybe(rng, share + 0.15, where),
        "PAYER_PHONE": maybe(rng, share, phone),
        "PAYER_EMAIL": maybe(rng, share, email),
    }
