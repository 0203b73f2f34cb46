"""Names of businesses: what they look like, and how the lines of one that wrapped go together."""

from __future__ import annotations

import re
from collections.abc import Sequence

from harness.backends.ocr_rules.layout import Line, aligned
from harness.backends.ocr_rules.text import alphanumerics, either, fold

__all__ = ["has_legal_form", "is_bare_suffix", "is_noise", "name_score", "strip_registration", "whole_name"]

_LEGAL = re.compile(
    r"\b(" + either("s/b, pty\\W*(ltd|limited), p/l, ltd, limited, plc, llc, incorporated, sdn, bhd") + r")\b"
    # `SDN BHD`, with a letter of each word misread, at the end of a line
    r"|\b[s5][a-z0-9]n\W{0,2}\s?[a-z0-9]h[a-z0-9]$|(sdn\W*bhd|ptyltd)\W*$"
)
_SUFFIX = re.compile(r"\b(inc|enterprises?|trading|co|company|corp|corporation|& sons|holdings|group)\b|enterprise\W*$")
_TRADE = re.compile(
    r"\b("
    + either(
        """
        restaurant, restoran, cafe, kopitiam, kitchen, bistro, bakery, bakeries, mart, minimart, mini ?market,
        market, supermarket, hypermarket, stores?, shop, pharmacy, farmasi, hardware, stationery, syarikat,
        perniagaan, kedai, pasar, pasaraya, centre, center, services?, hotel, clinic, klinik, motors?, auto,
        books?, booksellers, bookstore, electrical, electronics, plumbing, garden, nursery, foods?, petrol,
        station, salon, furniture, fashion, boutique, gallery, optical, dental, studio, gifts?, toys, florist,
        butchery, butchers, deli, bar, grill, pizza, seafood, traders, industries, supplies, supply, solutions,
        consulting, newsagency, veterinary, carpets, tyres, cleaning, landscaping, hospitality, catering,
        confectionery, sons, brothers, bros
        """
    )
    + r")\b"
)
_OWNER_LABEL = re.compile(
    r"^\W*(own(ed)?|operated|managed|run|dimiliki)(\s+(by|oleh|and operated by))?\s*:\s*", re.IGNORECASE
)
_OPEN_END = re.compile(r"^(kedai|syarikat|restoran|perniagaan|pasaraya|klinik|farmasi)\b|(&|\band|,|-)\W*$")
_BARE_SUFFIX = re.compile(r"\W*((\(m\)|sdn|bhd|pty|ltd|limited|co|company|enterprise|trading|s/b|p/l|sdnbhd)\W*)+")
_REGNO_TAIL = re.compile(
    r"\s*[\[(<{]\s*(?:co\.?\s*(?:reg\.?)?\s*(?:no\.?)?\s*:?\s*)?"
    r"(?=[^)\]>}]*\d{3})[A-Z0-9]{0,4}\d[\w\s./-]*[\])>}]?\s*$",
    re.IGNORECASE,
)


def is_noise(line: Line) -> bool:
    """Whether a line in the header says nothing: stamps, running numbers, scribbles."""
    letters = len(re.findall("[a-z]", fold(line.text)))
    digits = sum(c.isdigit() for c in line.text)
    if letters < 3 or digits > letters:
        return True
    return line.score < 0.72 or abs(line.angle) > 8 or line.width < line.height


def strip_registration(text: str) -> str:
    """Return a name without a label before it and a registration number behind it."""
    name = _REGNO_TAIL.sub("", _OWNER_LABEL.sub("", text))
    suffixes = list(_LEGAL.finditer(fold(name)))
    if suffixes and sum(c.isdigit() for c in name[suffixes[-1].end() :]) >= 3:
        name = name[: suffixes[-1].end()]
    return name.strip(" ,;:-*~<>[]|_")


def has_legal_form(text: str) -> bool:
    """Whether a name carries a legal form, such as `Pty Ltd` or `SDN BHD`."""
    return bool(_LEGAL.search(fold(strip_registration(text))))


def is_bare_suffix(text: str) -> bool:
    """Whether a line is nothing but the end of a company's name, such as `Co. (M) Sdn Bhd`."""
    return bool(_BARE_SUFFIX.fullmatch(fold(strip_registration(text))))


def name_score(line: Line, index: int, text_height: float, address: Line | None, elsewhere: str) -> float:
    """Weigh how a name shows: legal form, words of trade, large clear type, level with the address, named elsewhere.

    A scribble or a stamp above the name is large too, but stands askew, is read with doubt, or is all in small letters.
    """
    text = strip_registration(line.text)
    folded = fold(text)
    score = 4.0 * bool(_LEGAL.search(folded))
    score += 2.0 if _SUFFIX.search(folded) else 1.0 if _TRADE.search(folded) else 0.0
    if line.score > 0.9:
        score += 0.5 + 2.5 * min(max(line.height / text_height - 1.1, 0.0), 0.5)
    if address is not None and (aligned(line, address) or abs(line.cx - address.cx) < 1.5 * line.height):
        score += 1.0
    if len(alphanumerics(text)) >= 6 and alphanumerics(text)[:10] in elsewhere:
        score += 1.0
    if text.islower() or len(alphanumerics(text)) < 5:
        score -= 1.5
    return score - 0.2 * index


def whole_name(names: Sequence[Line], line: Line, text_height: float) -> tuple[str, Line]:
    """Return the name of which `line` is a part, and the line in which it begins; `names` are the header's names."""
    if has_legal_form(line.text) or is_bare_suffix(line.text):
        return _with_suffix(names, line, text_height)
    text = strip_registration(line.text)
    for longer in names:
        if longer is not line and len(text) >= 4 and alphanumerics(longer.text).startswith(alphanumerics(text)):
            return strip_registration(longer.text), longer
    before = _beneath(names, line, above=True)
    if before is not None and (_same_type(before, line, text_height) or _trade_wrapped(before, line)):
        line = before
    return _with_wrap(names, line, text_height), line


def _beneath(names: Sequence[Line], line: Line, *, above: bool = False) -> Line | None:
    """Return the name line directly beneath (or above) `line` in its column."""
    upper_lower = ((c, line) if above else (line, c) for c in names if c is not line)
    near = [
        (upper, lower) for upper, lower in upper_lower
        if 0 < lower.cy - upper.cy < 1.8 * max(upper.height, lower.height) and aligned(upper, lower)
    ]  # fmt: skip
    if not near:
        return None
    return near[-1][0] if above else near[0][1]


def _with_wrap(names: Sequence[Line], line: Line, text_height: float) -> str:
    """Return a name set in larger type, with the lines beneath when they are in the same type."""
    text, last = strip_registration(line.text), line
    for _ in range(3):
        following = _beneath(names, last)
        if following is None or not (
            _same_type(last, following, text_height)
            or _trade_wrapped(last, following)
            or is_bare_suffix(following.text)
        ):
            break
        text, last = f"{text} {strip_registration(following.text)}", following
    return text


def _alike(line: Line, other: Line, *, tolerance: float) -> bool:
    """Whether two lines are of about the same height, and both or neither in capitals."""
    low, high = sorted((line.height, other.height))
    return high < (1 + tolerance) * low and line.text.isupper() == other.text.isupper()


def _same_type(line: Line, other: Line, text_height: float) -> bool:
    """Whether two lines are set in the same type, and in a larger one than most of the page."""
    return _alike(line, other, tolerance=0.3) and min(line.height, other.height) > 1.07 * text_height


def _trade_wrapped(upper: Line, lower: Line) -> bool:
    """Whether a name ends on the next line with the word that says what the business is: `Harbour View` / `Nursery`."""
    return (
        bool(_TRADE.search(fold(lower.text)))
        and not _TRADE.search(fold(upper.text))
        and _alike(upper, lower, tolerance=0.15)
        and upper.score > 0.9
    )


def _with_suffix(names: Sequence[Line], line: Line, text_height: float) -> tuple[str, Line]:
    """Return a name that carries a suffix, joined with what wrapped before or after it."""
    text = strip_registration(line.text)
    before = _beneath(names, line, above=True)
    following = _beneath(names, line)
    start = line
    while before is not None and _wrapped(before, text, start, text_height):
        start, text = before, f"{before.text} {text}"
        before = _beneath(names, start, above=True)
    if following is not None and is_bare_suffix(following.text):
        text = f"{text} {strip_registration(following.text)}"
    return _mend_suffix(text), start


def _mend_suffix(text: str) -> str:
    """Write a misread `SDN BHD` as it is always written."""
    return re.sub(r"\b[S5][A-Z0-9]N\b(\W{0,2}\s?)[A-Z0-9]H[A-Z0-9]$", r"SDN\1BHD", text, flags=re.IGNORECASE)


def _wrapped(before: Line, text: str, line: Line, text_height: float) -> bool:
    """Whether a name with a suffix is the rest of the line before it."""
    bare = is_bare_suffix(text)
    if _LEGAL.search(fold(before.text)) and not bare:
        return False
    if alphanumerics(before.text) in alphanumerics(text):
        return False
    if text.count(")") > text.count("(") or _OPEN_END.search(fold(before.text)):
        return True
    core = re.findall("[a-z]+", _LEGAL.sub(" ", fold(text)))
    alike = max(before.height, line.height) < 1.3 * min(before.height, line.height)
    return bare or (alike and len(core) <= 1) or _same_type(before, line, text_height)
