"""People, businesses, addresses: made up, or spelled from random syllables so that they must be read to be known."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from harness.documents.synthesis import numbers, pools
from harness.documents.synthesis.catalogue import Trade

__all__ = ["Address", "Business", "address", "bank_name", "business", "coined", "given_name", "person", "slug"]


def coined(rng: Random, *, syllables: tuple[int, int] = (2, 3)) -> str:
    """A capitalised word that no dictionary holds."""
    parts = [rng.choice(pools.ONSETS) + rng.choice(pools.VOWELS) for _ in range(rng.randint(*syllables))]
    middle = rng.choice(("", "", "", "l", "n", "r", "m"))
    word = parts[0] + middle + "".join(parts[1:]) + rng.choice(pools.CODAS)
    return word.capitalize()


def given_name(rng: Random) -> str:
    """A first name."""
    return rng.choice(pools.GIVEN_NAMES) if rng.random() < 0.85 else coined(rng)


def person(rng: Random) -> str:
    """A given name and a surname; sometimes an initial, a title, or two surnames."""
    given = given_name(rng)
    family = rng.choice(pools.SURNAMES) if rng.random() < 0.8 else coined(rng)
    form = rng.random()
    if form < 0.1:
        return f"{rng.choice(('Dr', 'Dr', 'Prof'))} {given} {family}"
    if form < 0.2:
        return f"{given} {rng.choice('ABCDEFGHJKLMNPRST')} {family}"
    if form < 0.26:
        return f"{given} {family}-{rng.choice(pools.SURNAMES).replace('-', '')}"
    return f"{given} {family}"


def slug(name: str, *, limit: int = 14) -> str:
    """The first words of `name` in lower-case letters and digits, as in a domain name."""
    kept = ""
    for word in name.split():
        letters = "".join(c for c in word.lower() if c.isascii() and c.isalnum())
        if kept and len(kept) + len(letters) > limit:
            break
        kept += letters
    return kept[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A postal address as printed: over `lines`, or as `text` where they are joined."""

    lines: tuple[str, ...]
    state: str

    @property
    def text(self) -> str:
        """The lines joined by single spaces."""
        return " ".join(self.lines)


def address(rng: Random, *, commercial: bool) -> Address:
    """An address whose suburb, state and postcode agree."""
    if rng.random() < 0.75:
        suburb, state, postcode = rng.choice(pools.LOCALITIES)
    else:
        state = rng.choice(tuple(pools.POSTCODES))
        low, high = pools.POSTCODES[state]
        suburb = rng.choice(
            (coined(rng), f"{coined(rng)} {rng.choice(('Creek', 'Bay', 'Heights', 'Vale', 'Park', 'Hill'))}")
        )
        postcode = f"{rng.randint(low, high):04d}"
    street = rng.choice(pools.STREETS) if rng.random() < 0.8 else coined(rng)
    number = str(rng.randint(1, 480))
    if rng.random() < 0.12:
        number = f"{number}-{int(number) + rng.choice((2, 4, 6))}"
    comma = "," if rng.random() < 0.55 else ""
    road = f"{number} {street} {rng.choice(pools.STREET_TYPES)}"
    lines = [f"{road}{comma}"]
    form = rng.random()
    if commercial and form < 0.08:
        lines = [f"PO Box {rng.randint(10, 9800)}{comma}"]
    elif commercial and form < 0.35:
        prefix = rng.choice(
            (
                f"Shop {rng.randint(1, 60)}",
                f"Level {rng.randint(1, 22)}",
                f"Suite {rng.randint(1, 30)}",
                f"Unit {rng.randint(1, 40)}",
                f"Shop {rng.randint(1, 9)}{rng.choice('AB')}",
            )
        )
        lines = [f"{prefix}, {road}{comma}"] if rng.random() < 0.5 else [f"{prefix}{comma}", f"{road}{comma}"]
    elif not commercial and form < 0.25:
        lines = [f"{rng.choice((f'Unit {rng.randint(1, 40)}, ', f'{rng.randint(1, 30)}/'))}{road}{comma}"]
    shout = rng.random()
    if shout < 0.2:
        suburb = suburb.upper()
    lines.append(f"{suburb} {state} {postcode}")
    return Address(lines=tuple(lines), state=state)


@dataclass(frozen=True, slots=True, kw_only=True)
class Business:
    """Who sells: every part is printed or not as the document decides."""

    name: str
    abn: str
    address: Address
    phone: str
    website: str
    email: str


def _business_name(rng: Random, trade: Trade) -> str:
    tail = rng.choice(trade.tails)
    form = rng.random()
    if form < 0.3:
        stem = rng.choice(pools.BUSINESS_WORDS)
    elif form < 0.5:
        stem = coined(rng)
    elif form < 0.65:
        stem = f"{rng.choice(pools.SURNAMES)}{rng.choice(('', ' & Sons', ' Bros', ' Family', ' & Daughters'))}"
    elif form < 0.75:
        stem = f"{rng.choice(pools.SURNAMES)} & {rng.choice(pools.SURNAMES)}"
    elif form < 0.87:
        stem = " ".join(rng.sample(pools.BUSINESS_WORDS, 2))
    else:  # the long ones
        place = rng.choice(pools.LOCALITIES)[0]
        stem = f"{place} {rng.choice(('', 'District ', '& Surrounds ', 'Regional '))}{rng.choice(pools.BUSINESS_WORDS)}"
    return f"{stem} {tail}"


def business(rng: Random, trade: Trade, *, legal_form: float) -> Business:
    """A business in `trade`; `legal_form` is the share that print Pty Ltd or the like."""
    name = _business_name(rng, trade)
    site = f"{slug(name)}{rng.choice(('.example', '.example.com.au', '.example.com.au', '.example.com.au'))}"
    if rng.random() < legal_form:
        name = f"{name} {rng.choice(pools.LEGAL_FORMS)}"
    where = address(rng, commercial=True)
    area = pools.AREA_CODES[where.state]
    form = rng.random()
    phone = (
        numbers.landline(rng, area)
        if form < 0.8
        else numbers.mobile(rng)
        if form < 0.93
        else numbers.national_number(rng)
    )
    return Business(
        name=name,
        abn=numbers.abn(rng),
        address=where,
        phone=phone,
        website=rng.choice(("www.", "www.", "", "https://")) + site,
        email=f"{rng.choice(('accounts', 'info', 'hello', 'admin', 'office', 'sales'))}@{site}",
    )


def bank_name(rng: Random) -> str:
    """A bank that does not exist."""
    stem = rng.choice(pools.BANK_STEMS) if rng.random() < 0.6 else coined(rng)
    return f"{stem} {rng.choice(pools.BANK_TAILS)}"
