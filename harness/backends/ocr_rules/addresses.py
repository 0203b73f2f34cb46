"""Addresses: what a line of one looks like, and where a block of them ends."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from harness.backends.ocr_rules.amounts import amounts_in
from harness.backends.ocr_rules.dates import dates_in
from harness.backends.ocr_rules.identifiers import emails_in, is_registration, phones_in, websites_in
from harness.backends.ocr_rules.layout import Line
from harness.backends.ocr_rules.text import either, fold, phrases

__all__ = [
    "address_of",
    "before_contact",
    "is_australian",
    "is_contact",
    "join_address",
    "looks_like_address",
    "strip_address_label",
]

_KEYWORD = re.compile(
    r"\b("
    + either(
        """
        st, street, rd, road, ave, avenue, lane, ln, drive, dr, cres, crescent, court, ct, cct, circuit, place,
        pl, parade, pde, highway, hwy, terrace, tce, way, blvd, boulevard, close, cl, grove, gr, square, sq,
        quay, esplanade, esp, mall, arcade, plaza, walk, loop, rise, jalan, jln, jl, jin, lorong, lrg,
        persiaran, lebuh, lebuhraya, taman, tmn, bandar, kampung, kg, seksyen, section, batu, lot, unit, suite,
        shop, level, floor, flr, block, blk, po box, gpo box, locked bag, building, tower, complex, centre,
        park, kawasan, estate, industrial, ground, basement
        """
    )
    + r")\b"
)
_STREET_WORD = re.compile(
    r"^\W*(off )?(jalan|jln|lorong|lrg|persiaran|lebuh|kampung)\b|\b(street|road|avenue|highway)\W*$"
)
_REGIONS = frozenset(
    phrases(
        """
        selangor, darul, ehsan, johor, bahru, perak, kedah, kelantan, pahang, terengganu, perlis, melaka,
        malacca, penang, pulau, pinang, sabah, sarawak, negeri, sembilan, kuala, lumpur, putrajaya, labuan,
        wilayah, persekutuan, takzim, ridzuan, makmur, iman, naim, aman, d, e, w, p, malaysia, singapore,
        australia, new, zealand, nsw, vic, qld, sa, wa, tas, nt, act
        """
    )
)
_BUILDING = re.compile(r"\b(mall|plaza|complex|kompleks|tower|building|bangunan|wisma|menara|arcade)\W*$")
_AU_TAIL = re.compile(r"\b(nsw|vic|qld|sa|wa|tas|nt|act|new south wales|victoria|queensland|tasmania)\b[\s,]*\d{4}\b")
_POSTCODE = re.compile(r"(?<![\d-])\d{5}(?![\d-])|\b(?:nsw|vic|qld|sa|wa|tas|nt|act)[\s,]*\d{4}\b")
_LABEL = re.compile(
    r"^\W*(?:(?:business|postal|street|billing|registered|mailing)\s+)?(?:address|addr|add)"
    r"(?:\s*[:.]\s*|\s+(?=\d|unit|shop|level|suite|lot|g?po|p\.o))",
    re.IGNORECASE,
)
_SPLIT_POSTCODE = re.compile(r"\b(NSW|VIC|QLD|SA|WA|TAS|NT|ACT) (\d(?: ?\d){3})$")
_CONTACT = re.compile(
    r"\b(tel|telephone|phone|fax|e-?mail|www|https?|gst|sst|a\.?b\.?n|a\.?c\.?n|bsb|h/p)\b|\b(tel|fax)\s*[/:]|\bte1\b"
)
_FACT = re.compile(
    r"^\W*("
    + either(
        """
        ph, p, t, m, f, e, w, mobile, hotline, invoice, receipt, cashier, table, date, time, bill, order, slip,
        trans, staff, counter, customer, member, website, web, hours, hrs, shopping hours, opening hours,
        business hours, thank, welcome, tin, pax, pos, statement, account, page, visit, call
        """
    )
    + r")(\W*$|\W*(no|num|number|id|name|by|you|to)\b|\s*[:#.]|\s*[(+]?\d)"
)
_L_LOOKALIKES = str.maketrans("i1|", "lll")
_WITH_L = {
    word.lower().replace("i", "l"): word
    for word in (
        "Jalan",
        "Jln",
        "Blk",
        "Block",
        "Lot",
        "Level",
        "Lane",
        "Mall",
        "Plaza",
        "Place",
        "Hill",
        "Hills",
    )
}


def strip_address_label(text: str) -> str:
    """Drop a leading `Address:`."""
    return _LABEL.sub("", text)


def is_australian(text: str) -> bool:
    """Whether a line ends an Australian address: a state and a postcode."""
    return bool(_AU_TAIL.search(fold(text)))


def before_contact(text: str) -> str:
    """Return the part of a line before a phone or fax label, if that part has words of its own."""
    match = re.search(
        r"[\s,.;]\W?(tel|telephone|phone|ph|fax|hp|h/p|mobile|gst|email|e-mail)\b\s*(no)?\s*[.:/(+\d]",
        fold(text),
    )
    return text[: match.start() + 1].rstrip(" ,;(") if match and match.start() >= 10 else text


def is_contact(text: str) -> bool:
    """Whether a line is a phone, fax, email, web or registration line, or another labelled fact."""
    folded = fold(text)
    digits = sum(c.isdigit() for c in folded)
    letters = sum(c.isalpha() for c in folded)
    if _CONTACT.search(folded) or _FACT.match(folded) or emails_in(text) or websites_in(text) or is_registration(text):
        return True
    if (dates_in(text) or amounts_in(text)) and not _KEYWORD.search(folded):
        return True
    return digits >= 7 and letters <= 3 and bool(phones_in(text, labelled=True))


def looks_like_address(text: str) -> bool:
    """Whether a line can begin an address: a number beside words, or a word that streets and buildings have."""
    folded = fold(text)
    if is_contact(text):
        return False
    if _AU_TAIL.search(folded) or re.search(r"\b(g?p\.?o\.?|locked) (box|bag)\b", folded):
        return True
    words = re.findall(r"[a-z]{2,}", folded)
    if not words:
        return bool(re.fullmatch(r"\W*(no|lot|g|blk|unit)?\W*\d[\w\W]*,", folded))
    if not re.search(r"\d", folded):
        return bool(_BUILDING.search(folded)) or bool(_STREET_WORD.search(folded))
    if re.match(r"\W*no\W{0,3}\s?[a-z]{0,2}\d{1,4}(?!\d)", folded):
        return True
    return bool(_KEYWORD.search(folded)) or "," in text or bool(re.match(r"\W*\d+[\w/-]*[.,]?\s[a-z]{3,}", folded))


def _continues(text: str, previous: str, *, complete: bool) -> bool:
    """Whether a line goes on with an address; once `complete` (it has a postcode), only a region may follow."""
    if is_contact(text):
        return False
    if not complete or re.search(r"\d{5}\W*$|,\W*$", previous):
        return True
    words = re.findall(r"[a-z]+", fold(text))
    return bool(words) and all(w in _REGIONS for w in words)


def address_of(lines: Sequence[Line], *, max_lines: int = 7) -> tuple[int, int] | None:
    """Return the span [first, end) of the first address among stacked lines, or None.

    Lines before it (a trading name, registration numbers) are passed over. It ends at a contact line, at a wide gap,
    and after a postcode unless a place name follows.
    """
    start = next((i for i, line in enumerate(lines) if looks_like_address(line.text)), None)
    if start is None:
        return None
    end, complete = start + 1, bool(_POSTCODE.search(fold(lines[start].text)))
    while end < len(lines) and end - start < max_lines:
        line, previous = lines[end], lines[end - 1]
        if line.y0 - previous.y1 > 0.9 * max(line.height, previous.height):
            break
        if _AU_TAIL.search(fold(previous.text)) or not _continues(line.text, previous.text, complete=complete):
            break
        complete = complete or bool(_POSTCODE.search(fold(line.text)))
        end += 1
    return start, end


def _mend(text: str) -> str:
    """Put the `l` back into words that were read with an `i` (`Jaian`, `JIn`, `BIk`), and the 0 into `G3O`."""

    def mend(match: re.Match[str]) -> str:
        word = match.group()
        plain = fold(word).translate(_L_LOOKALIKES)
        return _WITH_L[plain] if plain in _WITH_L and fold(word) != fold(_WITH_L[plain]) else word

    return re.sub(r"[A-Za-z1|]{3,}", mend, re.sub(r"(?<=\d)O(?![A-Za-z])", "0", text))


def join_address(parts: Iterable[str]) -> str:
    """Join the lines of an address with a comma where none stands, as it is written on one line."""
    joined = ""
    for part in parts:
        part = _mend(strip_address_label(part)).strip(" ·|")
        joined = part if not joined else f"{joined} {part}" if joined.endswith((",", ".")) else f"{joined}, {part}"
    return _SPLIT_POSTCODE.sub(lambda m: f"{m[1]} {m[2].replace(' ', '')}", joined)
