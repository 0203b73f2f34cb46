"""Raw responses -> fields: what is read, what is left alone, what is noted."""

import re
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from harness.errors import UnknownNameError
from harness.prompts import prompt
from harness.responses import NoteKind, ParsedResponse, parse_response, render_response
from harness.schema import FIELD_NAMES, FIELDS, Kind


def fields(text: str) -> dict[str, str | None]:
    return dict(parse_response(text).fields)


def details(response: ParsedResponse, kind: NoteKind) -> list[tuple[str | None, str]]:
    return [(note.field, note.detail) for note in response.notes if note.kind is kind]


# --- rendering ---


def test_rendering_follows_the_schema_and_leaves_out_what_is_not_given():
    assert (
        render_response({"TOTAL": "$5.00", "SUPPLIER": "ALDI", "GST": None}) == "SUPPLIER: ALDI\nGST: N/A\nTOTAL: $5.00"
    )
    assert render_response({}) == ""


def test_rendering_refuses_a_key_outside_the_schema():
    with pytest.raises(UnknownNameError, match="did you mean TOTAL"):
        render_response({"TOTALS": "$5.00"})


# --- what is read ---

FORMS = {
    "plain": "TOTAL: $5.00",
    "spaces": "   TOTAL   :   $5.00   ",
    "lower case": "total: $5.00",
    "equals": "Total = $5.00",
    "arrow": "TOTAL -> $5.00",
    "full-width colon": "TOTAL：$5.00",
    "bullet": "- TOTAL: $5.00",
    "star bullet": "* TOTAL: $5.00",
    "dot bullet": "• TOTAL: $5.00",
    "numbered": "12. TOTAL: $5.00",
    "numbered in brackets": "(12) TOTAL: $5.00",
    "quote": "> TOTAL: $5.00",
    "tick": "✅ TOTAL: $5.00",
    "bold key": "**TOTAL**: $5.00",
    "bold key and colon": "**TOTAL:** $5.00",
    "bold line": "**TOTAL: $5.00**",
    "bold value": "TOTAL: **$5.00**",
    "bold both": "1. **TOTAL:** **$5.00**",
    "italic key": "*TOTAL*: $5.00",
    "underlined key": "__TOTAL__: $5.00",
    "code": "`TOTAL`: `$5.00`",
    "bold without colon": "**TOTAL** $5.00",
    "heading": "### TOTAL: $5.00",
    "heading above": "## TOTAL\n\n$5.00\n\n## Something else",
    "bold above": "**TOTAL**\n$5.00",
    "key above": "TOTAL:\n$5.00\n\nThat is all.",
    "table": "| Field | Value |\n|:---|---:|\n| TOTAL | $5.00 |",
    "table with numbers": "| 1 | **TOTAL** | $5.00 | high |",
    "table by columns": "| TOTAL | GST |\n|---|---|\n| $5.00 | |\n\n",
    "framed line": "| TOTAL: $5.00 |",
    "line break tag": "TOTAL: $5.00<br>",
    "fence": "```\nTOTAL: $5.00\n```",
    "fence closed on the line": "```text\nTOTAL: $5.00```",
    "preamble": "Here are the fields you asked for:\n\nTOTAL: $5.00",
    "preamble on the line": "Sure! TOTAL: $5.00",
    "trailing note": "TOTAL: $5.00\n\nNote: I assumed that the GST is included; set to N/A otherwise.",
    "template brackets": "TOTAL: [$5.00]",
    "quoted": 'TOTAL: "$5.00"',
    "CRLF": "SUPPLIER: ALDI\r\nTOTAL: $5.00\r\n",
    "byte order mark": "\ufeffTOTAL: $5.00",
    "JSON": '{"TOTAL": "$5.00"}',
    "JSON key in another case": '{"Total": "$5.00"}',
    "JSON fenced": '```json\n{\n  "TOTAL": "$5.00"\n}\n```',
    "JSON fenced on a line": '```json {"TOTAL": "$5.00"} ```',
    "JSON in prose": 'The answer is {"TOTAL": "$5.00"}, I think.',
    "JSON nested": '{"fields": {"TOTAL": "$5.00"}}',
    "JSON nested value": '{"TOTAL": {"value": "$5.00", "confidence": 0.9}}',
    "JSON in a list": '[{"TOTAL": "$5.00"}]',
    "JSON cut": '{"TOTAL": "$5.00", "SUPPLIER": "AL',
    "JSON cut after a comma": '{"TOTAL": "$5.00",',
    "JSON cut inside": '{"fields": {"TOTAL": "$5.00", "SUPP',
    "JSON with a trailing comma": '{"TOTAL": "$5.00",}',
    "JSON without its head": '  "TOTAL": "$5.00",\n  "INVOICE_NO": null\n}',
    "JSON with bare words": '{"TOTAL": $5.00, "INVOICE_NO": 7}',
    "JSON around an answer": '{"answer": "TOTAL: $5.00\\nI hope this helps"}',
    "Python": "{'TOTAL': '$5.00'}",
    "end of turn": "TOTAL: $5.00<|eot_id|>",
    "end of sentence": "TOTAL: $5.00</s><pad><pad>",
    "end of turn, ChatML": "<|im_start|>assistant\nTOTAL: $5.00<|im_end|>",
    "bare header": "assistant\n\nTOTAL: $5.00",
    "header glued to the answer": "TOTAL: $5.00assistant\n\nIs there anything else?",
    "prompt echoed": f"<|im_start|>user\n{prompt().text}<|im_end|>\n<|im_start|>assistant\nTOTAL: $5.00",
    "prompt echoed without tokens": f"user\n\n{prompt().text}\nassistant\n\nTOTAL: $5.00",
    "prompt echoed by LLaVA": "USER: <image>\nTOTAL: [value or N/A] ASSISTANT: TOTAL: $5.00</s>",
    "prompt echoed by Llama 2": "<s>[INST] TOTAL: 7 [/INST] TOTAL: $5.00 </s>",
    "invented next turn": "TOTAL: $5.00\nuser\nAnd now TOTAL: $6.00",
    "thinking": "<think>TOTAL: $4.00? No.</think>TOTAL: $5.00",
    "thinking opened by the prompt": "TOTAL: $4.00? No.\n</think>\n\nTOTAL: $5.00",
    "thinking, other name": "<Thinking>TOTAL: $4.00</Thinking>\nTOTAL: $5.00",
    "template first": "TOTAL: [value or N/A]\nTOTAL: $5.00",
    "said twice": "TOTAL: $5.00\nTOTAL: $5.00",
    "stuttered": "TOTAL: TOTAL: $5.00",
    "absent, then given": "TOTAL: N/A\nTOTAL: $5.00",
}


@pytest.mark.parametrize("text", FORMS.values(), ids=FORMS)
def test_a_value_is_read_whatever_it_is_wrapped_in(text):
    assert fields(text)["TOTAL"] == "$5.00"


@pytest.mark.parametrize(
    ("label", "field"),
    [
        ("Invoice Date", "INVOICE_DATE"),
        ("invoice_date", "INVOICE_DATE"),
        ("INVOICE-DATE", "INVOICE_DATE"),
        ("invoiceDate", "INVOICE_DATE"),
        ("invoice\\_date", "INVOICE_DATE"),
        ("BSB Number", "BSB_NUMBER"),
        ("A.B.N.", "ABN"),
        ("Sub-total", "SUBTOTAL"),
    ],
)
def test_case_and_spacing_of_a_key_do_not_matter(label, field):
    assert fields(f"{label}: 7") == {field: "7"}
    assert fields(f'{{"{label}": 7}}'.replace("\\", "\\\\")) == {field: "7"}


@pytest.mark.parametrize(
    "label",
    [
        "INVOICE NUMBER",
        "INVOICE_NUMBER",
        "GRAND TOTAL",
        "GRAND_TOTAL",
        "TOTAL_AMOUNT",
        "SUPPLIER ABN",
        "BSB",
        "DATE",
        "AMOUNT",
    ],
)
def test_a_similar_key_is_another_key(label):
    response = parse_response(f"SUPPLIER: ALDI\n{label}: 7")
    assert dict(response.fields) == {"SUPPLIER": "ALDI"}
    assert details(response, NoteKind.EXTRA_KEY) == [(None, label)]
    assert dict(parse_response(f'{{"SUPPLIER": "ALDI", "{label}": 7}}').fields) == {"SUPPLIER": "ALDI"}


def test_total_is_not_found_in_subtotal():
    assert fields("SUBTOTAL: $4.00") == {"SUBTOTAL": "$4.00"}
    assert fields("GST: $1 SUBTOTAL: $4.00") == {"GST": "$1", "SUBTOTAL": "$4.00"}
    assert fields("GST: $1 INVOICE_TOTAL: $4.00 ABN: 5") == {"GST": "$1", "ABN": "5"}


def test_a_flattened_response_is_split_at_its_keys():
    text = (
        "DOCUMENT_TYPE: RECEIPT SUPPLIER: ALDI Australia ABN: 74 878 226 893 GST: TOTAL: $46.68 QUANTITIES: 1, 3, 2, "
        "PRICES: $3.20, $3.80, $1,200.00 BUSINESS_ADDRESS: 131 Collins Street, Hobart TAS 7000 BANK_NAME: "
        "INVOICE_NO: 77 DESCRIPTIONS: Bread Loaf, Eggs (12, large), Bananas (kg)"
    )
    response = parse_response(text)
    assert dict(response.fields) == {
        "DOCUMENT_TYPE": "RECEIPT",
        "SUPPLIER": "ALDI Australia",
        "ABN": "74 878 226 893",
        "GST": None,
        "TOTAL": "$46.68",
        "QUANTITIES": "1 | 3 | 2",
        "PRICES": "$3.20 | $3.80 | $1,200.00",
        "BUSINESS_ADDRESS": "131 Collins Street, Hobart TAS 7000",
        "BANK_NAME": None,
        "DESCRIPTIONS": "Bread Loaf | Eggs (12, large) | Bananas (kg)",
    }
    assert details(response, NoteKind.EXTRA_KEY) == [(None, "INVOICE_NO")]


@pytest.mark.parametrize("joint", [", ", "; ", " | ", " - ", ", **"])
def test_what_joins_pairs_on_a_line_is_no_part_of_them(joint):
    closing = ":**" if joint.endswith("**") else ":"
    assert fields(f"TOTAL: $5.00{joint}GST{closing} $0.45") == {"TOTAL": "$5.00", "GST": "$0.45"}


def test_a_key_inside_a_value_splits_it_only_where_it_is_needed():
    assert fields("DESCRIPTIONS: GIFT CARD TOTAL: 5 | Sub total: 4\nTOTAL: $9") == {
        "DESCRIPTIONS": "GIFT CARD TOTAL: 5 | Sub total: 4",
        "TOTAL": "$9",
    }
    assert fields("BUSINESS_ADDRESS: 1 High St ABN: 51 824 753 556") == {
        "BUSINESS_ADDRESS": "1 High St",
        "ABN": "51 824 753 556",
    }
    assert fields("BUSINESS_ADDRESS: Suite 4 Abn: 5 Total: 6")["BUSINESS_ADDRESS"] == "Suite 4 Abn: 5 Total: 6"


def test_values_on_several_lines():
    text = (
        "BUSINESS_ADDRESS: Level 2, 12 George St\nSydney NSW 2000\nAustralia\n"
        "SUPPLIER: ALDI\nSTORES\n"
        "DESCRIPTIONS:\n- Bread: large, sliced\n- Milk\n\nQUANTITIES:\n1. 2\n2. 3\nPRICES: [\n  $1.50,\n  $2.00\n]\n"
        "PAYER_ADDRESS: 5 Low Rd\nI could not find the payer's telephone number on this page."
    )
    assert fields(text) == {
        "SUPPLIER": "ALDI",
        "PAYER_ADDRESS": "5 Low Rd",
        "BUSINESS_ADDRESS": "Level 2, 12 George St Sydney NSW 2000 Australia",
        "DESCRIPTIONS": "Bread: large, sliced | Milk",
        "QUANTITIES": "2 | 3",
        "PRICES": "$1.50 | $2.00",
    }


@pytest.mark.parametrize(
    ("written", "field", "read"),
    [
        ("[a, b]", "DESCRIPTIONS", "a | b"),
        ('["a", "b, c"]', "DESCRIPTIONS", "a | b, c"),
        ("['a', 'b']", "DESCRIPTIONS", "a | b"),
        ('"a", "b"', "DESCRIPTIONS", "a | b"),
        ("a|b | c", "DESCRIPTIONS", "a|b | c"),
        ("Milk, full cream", "DESCRIPTIONS", "Milk, full cream"),
        ("Milk, 2 L | Bread", "DESCRIPTIONS", "Milk, 2 L | Bread"),
        ("1, 2, 3", "QUANTITIES", "1 | 2 | 3"),
        ("1,2,3", "QUANTITIES", "1 | 2 | 3"),
        ("1,200", "QUANTITIES", "1,200"),
        ("[1, 2]", "QUANTITIES", "1 | 2"),
        ("1|2", "QUANTITIES", "1 | 2"),
        ("1; 2", "QUANTITIES", "1 | 2"),
        ("$1,200.00", "PRICES", "$1,200.00"),
        ("[$1,200.00]", "PRICES", "$1,200.00"),
        ("$1,200.00, $5.00", "PRICES", "$1,200.00 | $5.00"),
        ("$1,200.00,$5.00", "PRICES", "$1,200.00 | $5.00"),
        ("[1,200.00, 5.00]", "PRICES", "1,200.00 | 5.00"),
        ("48.50 | 2,000.00 | -$15.00", "PRICES", "48.50 | 2,000.00 | -$15.00"),
        ("$1.00 | NOT_FOUND | $2.00", "PRICES", "$1.00 | NOT_FOUND | $2.00"),
    ],
)
def test_lists(written, field, read):
    assert fields(f"{field}: {written}") == {field: read}


def test_descriptions_are_split_at_commas_where_the_response_separates_so():
    text = "DESCRIPTIONS: Bread, sliced, Milk, Tea (black, loose)"
    entries = "Bread | sliced | Milk | Tea (black, loose)"
    assert fields(f"QUANTITIES: 1, 2\n{text}")["DESCRIPTIONS"] == entries
    assert fields(f"QUANTITIES: N/A\nPRICES:\n{text}")["DESCRIPTIONS"] == entries
    for one in ("QUANTITIES: 1", "PRICES: $1,200.00", "QUANTITIES: 1 | 2"):
        assert fields(f"{one}\n{text}")["DESCRIPTIONS"] == text.removeprefix("DESCRIPTIONS: ")


def test_values_in_json():
    text = (
        '{"TOTAL": 46.680, "GST": null, "SUBTOTAL": "", "ABN": 51824753556, "QUANTITIES": [1, 2], '
        '"PRICES": [1.50, null], '
        '"DESCRIPTIONS": ["Milk, 2 L", "19\\" pizza"], "SUPPLIER": "O\\u0027Brien\\u2019s", "BANK_NAME": "NAB "Bank"", '
        '"BUSINESS_ADDRESS": "1 High St\\nSydney", "STATEMENT_PERIOD": {"from": "1/7/2025", "to": "31/7/2025"}}'
    )
    assert fields(text) == {
        "SUPPLIER": "O'Brien’s",
        "ABN": "51824753556",
        "GST": None,
        "TOTAL": "46.680",
        "SUBTOTAL": None,
        "QUANTITIES": "1 | 2",
        "PRICES": "1.50 | N/A",
        "BUSINESS_ADDRESS": "1 High St Sydney",
        "BANK_NAME": 'NAB "Bank"',
        "STATEMENT_PERIOD": "1/7/2025 - 31/7/2025",
        "DESCRIPTIONS": 'Milk, 2 L | 19" pizza',
    }


def test_an_incomplete_pair_of_json_is_not_guessed():
    for cut in (
        '{"GST": 1, "TOTAL": 46.6',
        '{"GST": 1, "TOTAL": "46.6',
        '{"GST": 1, "TOTAL": ',
        '{"GST": 1, "PRICES": ["1", "2',
    ):
        response = parse_response(cut)
        assert dict(response.fields) == {"GST": "1"}, cut
        assert response.truncated, cut


def test_objects_of_another_schema_do_not_answer():
    response = parse_response('{"items": [{"TOTAL": "1"}], "TOTAL": "3", "payer": {"name": "x", "TOTAL": "2"}}')
    assert dict(response.fields) == {"TOTAL": "3"}


# --- absence, echoes ---

ABSENT = [
    "N/A", "n/a", "NA", "none", "null", "nil", "", "-", "--", "not found", "NOT_FOUND", "not visible", "not provided",
    "not available", "not applicable", "not present", "not specified", "not stated", "unknown", "nan", "NaN",
]  # fmt: skip


@pytest.mark.parametrize("word", ABSENT)
def test_words_for_absence(word):
    for form in (
        word,
        f"[{word}]",
        f"({word})",
        f'"{word}"',
        f"**{word}**",
        f"*{word}*",
        f"{word}.",
        f"<{word}>",
    ):
        for field in ("TOTAL", "SUPPLIER", "DESCRIPTIONS"):
            assert fields(f"{field}: {form}") == {field: None}, form
    assert fields(f'{{"TOTAL": "{word}"}}') == {"TOTAL": None}
    assert fields(f"PRICES: {word} | {word}") == {"PRICES": None}


@pytest.mark.parametrize(
    "value",
    [
        "NAB",
        "Nil Desperandum Pty Ltd",
        "None Such St",
        "N/A Trading",
        "Unknown Pleasures",
        "0",
        "$0.00",
        "-5",
        "?",
        "The Not Found Café",
    ],
)
def test_a_value_that_holds_such_a_word_is_a_value(value):
    assert fields(f"SUPPLIER: {value}") == {"SUPPLIER": value}


@pytest.mark.parametrize(
    "echo",
    [
        *("[value or N/A]", "value or N/A", "[value]", "<value>", "{value}", "**[value or N/A]**"),
        *("[TOTAL]", "<total amount>", "[amount or N/A]", "$X.XX", "..."),
        *(FIELDS["TOTAL"].description, f"[{FIELDS['TOTAL'].description}]"),
    ],
)
def test_an_echoed_placeholder_is_no_value(echo):
    response = parse_response(f"TOTAL: {echo}\nGST: $1")
    assert dict(response.fields) == {"GST": "$1"}
    assert [field for field, _ in details(response, NoteKind.ECHO)] == ["TOTAL"]
    assert response.parsable


def test_an_echoed_prompt_answers_nothing():
    response = parse_response(prompt().text)
    assert dict(response.fields) == {}
    assert {field for field, _ in details(response, NoteKind.ECHO)} == set(FIELD_NAMES)


# --- notes ---


def test_the_first_real_value_wins_and_others_are_noted():
    response = parse_response("TOTAL: [value]\nTOTAL: N/A\nTOTAL: $5\nTOTAL: $6\nTOTAL: $5\nGST:\nGST: $1")
    assert dict(response.fields) == {"GST": "$1", "TOTAL": "$5"}
    assert details(response, NoteKind.DUPLICATE) == [("TOTAL", "N/A"), ("TOTAL", "$6")]
    assert fields('TOTAL: $5\n{"TOTAL": "$6", "GST": 1}\nGST: 2') == {"GST": "1", "TOTAL": "$5"}
    twice = parse_response('{"TOTAL": "$5", "TOTAL": "$6"}')
    assert (dict(twice.fields), details(twice, NoteKind.DUPLICATE)) == ({"TOTAL": "$5"}, [("TOTAL", "$6")])


@pytest.mark.parametrize("text", ["", "  \n\t", "<|eot_id|></s>", "<pad>" * 50, "user\n\nTOTAL: 5\nassistant\n"])
def test_an_empty_response(text):
    response = parse_response(text)
    assert (response.empty, response.parsable, dict(response.fields)) == (True, False, {})


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "The image shows a receipt from ALDI. The total is $5.00 and the GST is $0.45.",
        "I could not read the TOTAL: it is blurred.",
        "The document is for an account holder named [REDACTED], not Jessica.",
    ],
)
def test_a_refusal_or_mere_prose_is_not_parsable(text):
    response = parse_response(text)
    assert (response.parsable, dict(response.fields), response.empty) == (False, {}, False)
    assert response.has(NoteKind.PROSE)


@pytest.mark.parametrize(
    "text",
    [
        "<think>The TOTAL: $5.00 is",
        '{"TOTAL": "$5',
        "SUPPLIER: ALDI\nBANK_ACC",
        "DESCRIPTIONS: [Milk | Bread",
        "```\nSUPPLIER: ALDI\nTOTAL: $4",
        "| TOTAL | $5.00 |\n| GST",
        "TOTAL: 5\n" + "x" * 250_000,
    ],
)
def test_a_visible_cut_is_noted(text):
    assert parse_response(text).truncated


def test_nothing_is_noted_about_a_clean_response():
    answer = dict.fromkeys(FIELD_NAMES, "1") | {
        "GST": None,
        "DESCRIPTIONS": " | ".join(["Flat White"] * 10),
    }
    response = parse_response(render_response(answer))
    assert (response.fields, response.notes) == (answer, ())


@pytest.mark.parametrize(
    "text",
    [
        "- table: 1\n- vase: 1\n" * 10 + "- table",
        "television: 1, chairs: 4, " + "wall: 1, " * 14,
        "TOTAL: 5\n" * 20,
        "DESCRIPTIONS: " + "Milk 2L | " * 60,
        "!" * 300,
        render_response({name: f"{name.title()} of some length" for name in FIELD_NAMES}) * 3,
    ],
)
def test_a_loop_is_noted(text):
    assert parse_response(text).loop


@pytest.mark.parametrize(
    "text",
    [
        "QUANTITIES: " + " | ".join("1" * 40),
        "DESCRIPTIONS: " + " | ".join(["Flat White"] * 12),
        "\n" * 500,
        "TOTAL: 5" + " " * 500,
    ],
)
def test_an_honest_repetition_is_no_loop(text):
    assert not parse_response(text).loop


# --- properties ---

FRAGMENTS = st.sampled_from(
    [
        *(f"{name}:" for name in FIELD_NAMES),
        *("TOTAL", "total: ", "INVOICE_NUMBER: ", "N/A", "none", "value or N/A", "[value]", "..."),
        *(
            "**",
            "*",
            "_",
            "`",
            "```",
            "```json\n",
            "|",
            " | ",
            "[",
            "]",
            "{",
            "}",
            "(",
            ")",
            "<",
            ">",
            "<br>",
        ),
        *(
            "\n",
            "\n\n",
            "\r",
            " ",
            "  ",
            "\u2028",
            "\x85",
            "\x00",
            '"',
            "'",
            "“",
            ",",
            ", ",
            ";",
            ":",
            "=",
            "->",
        ),
        *("#", "- ", "1. ", "> ", "\\", "\\n", "\\|", "\\u003c", "</s>", "<think>", "</think>", "[INST]"),
        *("<|eot_id|>", "<|im_start|>", "assistant\n", "user\n", "ASSISTANT:", '{"TOTAL": ', '"GST": "'),
        *('{"fields": {', "null", "5.10", "$1,200.00", "1,2", "a", "Milk", "é", "12 High St"),
    ]
)
ANY_TEXT = st.one_of(
    st.text(), st.lists(st.one_of(FRAGMENTS, FRAGMENTS, st.text(max_size=5)), max_size=25).map("".join)
)


@given(ANY_TEXT)
@example("PRICES:`,|`'")
@example("__TOTAL__ASSISTANT:")
@example("DESCRIPTIONS:t | value or N/A")
def test_parsing_never_raises_and_what_it_read_reads_the_same(text):
    response = parse_response(text)
    assert parse_response(render_response(response.fields)).fields == response.fields


@given(ANY_TEXT)
def test_flags_and_notes_agree(text):
    response = parse_response(text)
    noted = {kind: details(response, kind) for kind in NoteKind}
    assert list(response.fields) == [name for name in FIELD_NAMES if name in response.fields]
    assert response.parsable == bool(response.fields or noted[NoteKind.ECHO])
    assert not (response.empty and response.parsable)
    assert (response.empty, response.truncated, response.loop) == tuple(
        bool(noted[kind]) for kind in (NoteKind.EMPTY, NoteKind.TRUNCATED, NoteKind.LOOP)
    )
    assert not noted[NoteKind.JSON] or response.parsable
    for name, _ in noted[NoteKind.ECHO]:
        assert name in FIELDS
    for name, other in noted[NoteKind.DUPLICATE]:
        assert name in response.fields
        assert other != (response.fields[name] or "N/A")[:80] or len(other) == 80
    for value in response.fields.values():
        assert value is None or (value == value.strip() != "" and "\n" not in value and "\r" not in value)


# A valid value is one line, trimmed, with a letter or digit in it. What is excluded besides is what a reader would not
# take for a verbatim value either:
NOT_VERBATIM = re.compile(
    r"<[|｜]|</?\w+>|\[/?INST\]|<br|(?<![^\W_])ASSISTANT:"  # special tokens, tags, roles
    r"|^\*\*.*\*\*$|^`.*`$|```$|^\[.*\]\(.*\)$"  # bold, code or a link all over
    r"|(?i:\bor (n/a|null|none)\W*$)"
)
ENCLOSED = re.compile(r"\".*\"|“.*”|'.*'|\[.*\]|<.*>")
KEY = re.compile(r"(?<!\w)[A-Z][A-Z_]+\**[ \t]?[:：]")
ABSENT_WORDS = {re.sub(r"[\W_]", "", word).casefold() for word in ABSENT}
PLACEHOLDER = re.compile(
    r"(?i)\W*(values?|the value|(extracted|your) value|(your )?answer|string|text|amount|date|list"
    r"|dd/mm/yyyy|mm/dd/yyyy|yyyy-mm-dd|\$xx?\.xx)\W*"
)


def is_verbatim(field: str, value: str) -> bool:
    words = re.sub(r"[\W_]", "", value).casefold()
    structured = FIELDS[field].kind not in {Kind.TEXT, Kind.ADDRESS}
    return not (
        words in ABSENT_WORDS
        or words == re.sub(r"[\W_]", "", FIELDS[field].description).casefold()
        or words == field.replace("_", "").casefold()
        or NOT_VERBATIM.search(value)
        or (structured and ENCLOSED.fullmatch(value))
        or (not structured and re.fullmatch(r"<[A-Za-z][^<>]*>", value))
        or PLACEHOLDER.fullmatch(value)
    )


ONE_LINE = st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"]), min_size=1, max_size=30)
MARKS = st.sampled_from(
    [
        *(
            "**",
            "*",
            "|",
            '"',
            "'",
            "[x]",
            "(x)",
            "[",
            "]",
            ":",
            "=",
            "-",
            "#5",
            "1. ",
            "> ",
            "<",
            "`",
            "{",
            "}",
        ),
        *(";", ",", "  ", "\\", "//", "Total: ", "\u00a0", "é", "..."),
    ]
)
TRICKY = (
    st.one_of(ONE_LINE, st.lists(MARKS | ONE_LINE, min_size=1, max_size=6).map("".join))
    .map(str.strip)
    .filter(lambda value: any(c.isalnum() for c in value))
)
NUMBER = st.from_regex(r"\A-?[0-9]{1,4}(\.[0-9]{1,3})?( ?(kg|L|each|hrs))?\Z")
MONEY = st.from_regex(r"\A-?(A?\$)?([0-9]{1,3}|[1-9][0-9]{0,2}(,[0-9]{3}){1,2})(\.[0-9]{2})?( CR| DR)?\Z")
DESCRIPTION = TRICKY.filter(
    lambda value: (
        not re.match(r"[\[\"]", value)
        and not re.search(r"(^|\s)\|(\s|$)", value)
        and not value.startswith("|")
        and not value.endswith(("|", ","))
        and len(re.findall(r",(?=\s|$)", value)) < 3
    )
)


def values_of(field: str) -> st.SearchStrategy[str]:
    match FIELDS[field].kind:
        case Kind.TEXT_LIST:
            entries = DESCRIPTION.filter(lambda value: is_verbatim(field, value))
        case Kind.NUMBER_LIST:
            entries = NUMBER
        case Kind.MONEY_LIST:
            entries = MONEY
        case _:
            return TRICKY.filter(lambda value: is_verbatim(field, value))
    lists = st.lists(entries, min_size=1, max_size=6).map(" | ".join)
    return lists.filter(lambda value: is_verbatim(field, value))


def field_sets(values) -> st.SearchStrategy[dict[str, str | None]]:
    return st.fixed_dictionaries({}, optional={name: st.none() | values(name) for name in FIELD_NAMES})


@given(field_sets(lambda name: values_of(name).filter(lambda value: not KEY.search(value))))
@example({"SUPPLIER": '"quoted"', "DESCRIPTIONS": '"quoted"', "BANK_NAME": "[x]", "PAYER_NAME": "** SALE ** today"})
@example(
    {
        "TOTAL": "-$45.00",
        "GST": "#5",
        "SUPPLIER": "1. foo",
        "ACCOUNT_HOLDER": "(x)",
        "BANK_NAME": "A | B",
        "ABN": ": 5",
    }
)
@example(
    {
        "BUSINESS_ADDRESS": "Total: 5  x",
        "DESCRIPTIONS": "Milk, full cream",
        "QUANTITIES": "1,200",
        "PRICES": "$1,200.00",
    }
)
def test_rendering_and_parsing_is_the_identity(answer):
    assert parse_response(render_response(answer)).fields == answer


@given(
    st.sampled_from(FIELD_NAMES),
    st.sampled_from(
        ["{0} {key}: {1}", "{key}: {1}", "{0} **{key}:** {1}", "{0} GST: 1 {key}:", "{0} {key}: REF_NO: {1}"]
    ),
    st.from_regex(r"\A[a-z]{2,6} [a-z]{2,6}\Z"),
    st.from_regex(r"\A[0-9]{2}\Z"),
)
def test_keys_inside_values_stay_where_every_field_has_its_line(key, form, before, after):
    holder = "SUPPLIER" if key != "SUPPLIER" else "DESCRIPTIONS"
    answer = {name: f"{i} units" for i, name in enumerate(FIELD_NAMES)}
    answer[holder] = form.format(before, after, key=key)
    assert parse_response(render_response(answer)).fields == answer


# --- time ---

UNITS = (
    *(
        "[",
        "{",
        "*",
        "`",
        "|",
        "<",
        "(",
        ",",
        '"',
        "'",
        "\\",
        " ",
        "\n",
        "A",
        "A_",
        "[1, ",
        "<br>",
        '" " ',
        "1. ",
    ),
    *('{"', '{"a":', "{'a':{", '{"TOTAL":1}', '"TOTAL": [\n', "```\n", "<think>", "</think>", "<|eot_id|>"),
    *("- a\n", "TOTAL:", "TOTAL: 5\n", "| TOTAL | 5 |\n", "A_B: TOTAL: "),
)


@pytest.mark.parametrize(
    "start", ["", "DESCRIPTIONS: ", "PRICES: [", '```json\n{"TOTAL": "'], ids=["", "text", "list", "json"]
)
def test_a_megabyte_of_anything_is_read_in_seconds(start):
    """What is quadratic takes minutes here; what is linear about a tenth of a second each."""
    for unit in UNITS:
        text = start + unit * (1_000_000 // len(unit))
        begin = time.process_time()
        parse_response(text)
        assert time.process_time() - begin < 5, repr(unit)
