"""Extraction strategies: what is asked, what is made of the answers, what OCR stands in for, what it all took."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont

from harness.backends import Answer, BackendRequest, create_backend
from harness.backends.protocol import Attempt, BatchBackend
from harness.cells import Cell
from harness.documents.truth import read_truth
from harness.errors import UnknownNameError, UnsupportedError
from harness.evidence import EvidenceLog, read_evidence
from harness.prompts import PROMPTS, category_fields, category_prompt_name, prompt
from harness.responses import parse_response, render_response
from harness.schema import FIELD_NAMES, FIELDS, Category, Kind
from harness.scoring import compare
from harness.strategies import AnswerPath, Strategy, apply_strategy
from harness.strategies.patterns import unmistakable_values
from harness.strategies.reader import BatchReader, Reader
from harness.worker.supervisor import CellWorker

WHOLE = prompt().text
NAMES = {known.text: known.name for known in PROMPTS.values()}
BY_CATEGORY = [category_prompt_name(category) for category in Category]
PAGE = Image.new("RGB", (8, 8), "white")

TRUTH = {
    "DOCUMENT_TYPE": "TAX INVOICE",
    "SUPPLIER": "Acme Pty Ltd",
    "ABN": "51 824 753 556",
    "PAYER_NAME": "Jo Citizen",
    "INVOICE_DATE": "05/09/2025",
    "TOTAL": "$110.00",
    "GST": "$10.00",
    "DESCRIPTIONS": "Tea | Cake",
    "QUANTITIES": "2 | 1",
    "BSB_NUMBER": "062-000",
}
ALL_FIELDS = {name: TRUTH.get(name) for name in FIELD_NAMES}
LOOP = "SUPPLIER: Acme\n" * 40
REFUSAL = "I am sorry, this page cannot be read."


def own_fields(name: str) -> tuple[str, ...]:
    """The fields of a category's prompt."""
    return next(tuple(known.name for known in category_fields(c)) for c in Category if category_prompt_name(c) == name)


def sound(name: str) -> str:
    """What a model that reads everything says to the prompt called `name`."""
    names = FIELD_NAMES if name == "key-value" else own_fields(name)
    return render_response({known: ALL_FIELDS[known] for known in names})


Scripted = str | Answer | Exception


@dataclass
class Model:
    """Says what the script has for a prompt, by name; what a sound model says where it has nothing."""

    script: Mapping[str, Scripted] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def load(self) -> Mapping[str, str]:
        return {"weights": "none"}

    def read(self, image: Image.Image, prompt: str) -> Answer:
        name = NAMES[prompt]
        self.asked.append(name)
        said = self.script.get(name, sound(name))
        if isinstance(said, Exception):
            raise said
        return said if isinstance(said, Answer) else Answer(text=said, stop="eos")


@dataclass
class BatchModel(Model):
    """The same, by page: a page's width is its place in `pages`."""

    pages: Sequence[Mapping[str, Scripted]] = ()
    batches: list[tuple[str, int]] = field(default_factory=list)

    def read_batch(self, images: Sequence[Image.Image], prompt: str) -> Sequence[Answer]:
        self.batches.append((NAMES[prompt], len(images)))
        answers = []
        for image in images:
            self.script = self.pages[image.width - 1]
            answers.append(self.read(image, prompt))
        return answers


@dataclass
class Ocr:
    """Stands for the OCR backend: says what it is told to, and counts."""

    text: str = render_response({**dict.fromkeys(FIELD_NAMES), "SUPPLIER": "from OCR", "TOTAL": "$1.00", "ABN": None})
    loads: int = 0
    seen: list[Image.Image] = field(default_factory=list)

    def load(self) -> Mapping[str, str]:
        self.loads += 1
        return {"engine": "fake"}

    def read(self, image: Image.Image, prompt: str) -> Answer:
        assert self.loads == 1, "its load would sit in a document's latency"
        self.seen.append(image)
        return Answer(text=self.text, phases={"ocr_s": 0.5})


def reader(model: Model, *, by_category: bool = False, ocr: Ocr | None = None) -> Reader:
    made = Reader(model, by_category=by_category, ocr=ocr)
    made.load()
    return made


def multi(script: Mapping[str, Scripted], ocr: Ocr | None = None) -> Answer:
    return reader(Model(script), by_category=True, ocr=ocr).read(PAGE, WHOLE)


def single(said: Scripted, ocr: Ocr | None = None) -> Answer:
    return reader(Model({"key-value": said}), ocr=ocr or Ocr()).read(PAGE, WHOLE)


def attempt(answer: Answer, name: str) -> Attempt:
    return next(one for one in answer.attempts if one.prompt == name)


# --- strategies by name ---


def request(strategy: str, backend: str = "python:tests.test_strategies.Model") -> BackendRequest:
    return BackendRequest(backend=backend, strategy=strategy)


def test_single_is_the_backend_itself():
    model = Model()
    assert apply_strategy(model, request("single")) is model


@pytest.mark.parametrize("strategy", [s for s in Strategy if s is not Strategy.SINGLE and s.form is None])
def test_what_a_strategy_returns_takes_batches_only_if_the_backend_does(strategy):
    assert not isinstance(apply_strategy(Model(), request(strategy)), BatchBackend)
    assert isinstance(apply_strategy(BatchModel(), request(strategy)), BatchBackend)


def test_an_unknown_strategy_is_named():
    with pytest.raises(UnknownNameError, match="unknown strategy 'mutli'; did you mean multi"):
        apply_strategy(Model(), request("mutli"))


@pytest.mark.parametrize("strategy", [s for s in Strategy if s is not Strategy.SINGLE])
def test_ocr_rules_follows_no_prompt(strategy):
    with pytest.raises(UnsupportedError, match="ocr-rules follows no prompt"):
        create_backend(request(strategy, "ocr-rules"))


# --- multi ---


def test_multi_asks_once_for_each_category_and_merges_in_schema_order():
    model = Model()
    answer = reader(model, by_category=True).read(PAGE, WHOLE)
    assert model.asked == BY_CATEGORY
    assert answer.text == render_response(ALL_FIELDS)
    assert (answer.path, answer.calls, answer.stop) == ("multi", 7, "eos")
    assert [(one.prompt, one.text, one.path, one.fault) for one in answer.attempts] == [
        (name, sound(name), "multi", None) for name in BY_CATEGORY
    ]


def test_another_prompt_cannot_be_asked_by_category():
    with pytest.raises(UnsupportedError, match="only the prompt 'key-value'"):
        reader(Model(), by_category=True).read(PAGE, "What is the total?")


def test_prose_is_read_by_patterns_and_kept_raw():
    prose = "The page shows a total of $110.00, and the GST is $10.00."
    answer = multi({"key-value/amounts": prose})
    fields = parse_response(answer.text).fields
    assert (fields["TOTAL"], fields["GST"]) == ("$110.00", "$10.00")
    assert "SUBTOTAL" not in fields, "what the answer does not mention is not answered"
    assert answer.path == "pattern"
    assert attempt(answer, "key-value/amounts") == Attempt(
        prompt="key-value/amounts",
        path=AnswerPath.PATTERN,
        latency_s=attempt(answer, "key-value/amounts").latency_s,
        text=prose,
        fault="unparsable",
        stop="eos",
    )
    assert attempt(answer, "key-value/dates").path == "multi"


def test_a_category_that_says_nothing_leaves_its_fields_unanswered():
    answer = multi({"key-value/business": REFUSAL, "key-value/banking": ""})
    missing = {*own_fields("key-value/business"), *own_fields("key-value/banking")}
    assert parse_response(answer.text).fields.keys() == FIELDS.keys() - missing
    assert (answer.path, answer.calls) == ("multi", 7)
    assert attempt(answer, "key-value/business").fault == "unparsable"
    assert attempt(answer, "key-value/banking").fault == "empty"


def test_where_every_category_fails_nothing_is_made_up():
    answer = multi(dict.fromkeys(BY_CATEGORY, REFUSAL))
    assert not parse_response(answer.text).parsable
    assert [one.text for one in answer.attempts] == [REFUSAL] * 7


@pytest.mark.parametrize("broken", BY_CATEGORY)
def test_without_ocr_an_error_in_any_call_fails_the_document(broken):
    with pytest.raises(ValueError, match="decoder fell over"):
        multi({broken: ValueError("decoder fell over")})


def test_a_cut_call_shows_though_a_later_one_ended_well():
    answer = multi({"key-value/payer": Answer(text="PAYER_NAME: Jo Cit", stop="length")})
    assert answer.stop == "length"
    assert attempt(answer, "key-value/payer").fault == "truncated"


VALUES = st.one_of(
    st.none(),
    st.text("abcxyz ÄÖé0123456789.,", min_size=1, max_size=20)
    .map(str.strip)
    .filter(lambda text: parse_response(f"SUPPLIER: {text}").fields.get("SUPPLIER") == text),
)
LISTS = frozenset({Kind.TEXT_LIST, Kind.NUMBER_LIST, Kind.MONEY_LIST})
TEXT_FIELDS = [name for name in FIELD_NAMES if FIELDS[name].kind not in LISTS]


@given(st.dictionaries(st.sampled_from(TEXT_FIELDS), VALUES, min_size=1))
def test_the_merge_of_category_answers_is_the_rendering_of_their_union(fields):
    script = {
        name: render_response({known: value for known, value in fields.items() if known in own_fields(name)})
        for name in BY_CATEGORY
    }
    assert multi(script).text == render_response(fields)


KEY_LINES = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(FIELD_NAMES), st.sampled_from(["Acme", "$5.00", "N/A", "062-000", "5/9/2025"])).map(
            ": ".join
        ),
        st.sampled_from(["The total is $5.00.", "Pay to 062-000.", "ABN 51 824 753 556", "a@b.com", "due 5/9/2025"]),
        st.text(max_size=30),
    ),
    max_size=12,
).map("\n".join)


@given(st.sampled_from(BY_CATEGORY), KEY_LINES)
def test_a_category_answer_sets_no_field_of_another_category(name, said):
    silent = dict.fromkeys(BY_CATEGORY, "")
    assert parse_response(multi(silent | {name: said}).text).fields.keys() <= set(own_fields(name))


# --- patterns ---

PICKED = {
    "abn with check digits": (Category.IDENTIFICATION, "I see 51 824 753 556 on it.", {"ABN": "51 824 753 556"}),
    "labelled abn": (Category.IDENTIFICATION, "The ABN is 51824753556", {"ABN": "51824753556"}),
    "two dates": (
        Category.DATES,
        "The invoice date is 5/9/2025 and the due date is 19 Sep 2025.",
        {"INVOICE_DATE": "5/9/2025", "DUE_DATE": "19 Sep 2025"},
    ),
    "emphasis": (
        Category.DATES,
        "Dated 5 September 2025. **Due:** 6.9.2025",
        {"INVOICE_DATE": "5 September 2025", "DUE_DATE": "6.9.2025"},
    ),
    "period": (
        Category.DATES,
        "It covers 1 July 2025 to 31 July 2025.",
        {"STATEMENT_PERIOD": "1 July 2025 to 31 July 2025"},
    ),
    "amounts": (
        Category.AMOUNTS,
        "Sub total $100.00, GST of $10.00\nTotal amount payable = $110.00",
        {"SUBTOTAL": "$100.00", "GST": "$10.00", "TOTAL": "$110.00"},
    ),
    "an amount said twice": (Category.AMOUNTS, "Total $1,100.00. The total is 1100.00", {"TOTAL": "$1,100.00"}),
    "a negative balance": (Category.AMOUNTS, "The opening balance is -$5.00.", {"OPENING_BALANCE": "-$5.00"}),
    "payer": (
        Category.PAYER,
        "Jo, phone (02) 5550 1234, email jo@example.com",
        {"PAYER_PHONE": "(02) 5550 1234", "PAYER_EMAIL": "jo@example.com"},
    ),
    "website": (Category.BUSINESS, "Their site is www.acme.com.au.", {"SUPPLIER_WEBSITE": "www.acme.com.au"}),
    "bank": (
        Category.BANKING,
        "BSB 062000, account number 1234 5678",
        {"BSB_NUMBER": "062000", "BANK_ACCOUNT_NUMBER": "1234 5678"},
    ),
    "bsb by its form": (Category.BANKING, "Pay to 062-000 please.", {"BSB_NUMBER": "062-000"}),
    "account and BSB run together": (
        Category.BANKING,
        "Account number 4614 5864 202-770",
        {"BSB_NUMBER": "202-770"},
    ),
    "after the thinking": (Category.AMOUNTS, "<think>Total $9.00?</think>The total is $5.00", {"TOTAL": "$5.00"}),
}
NOT_PICKED = {
    "an example": (Category.IDENTIFICATION, "There would be an ABN like 51 824 753 556."),
    "a denial": (Category.DATES, "The due date is not 5/9/2025."),
    "a question": (Category.AMOUNTS, "Is the total $5.00?"),
    "dates without labels": (Category.DATES, "5/9/2025, 19/9/2025"),
    "no date in the calendar": (Category.DATES, "Due date: 31/02/2025"),
    "two values": (Category.AMOUNTS, "Total $100.00. The total is $101.00."),
    "two labels": (Category.AMOUNTS, "GST included in the total: $10.00"),
    "labels behind": (Category.AMOUNTS, "$10.00 GST and $110.00 total"),
    "dash or minus": (Category.AMOUNTS, "Total - $100.00"),
    "a sum without a label": (Category.AMOUNTS, "$100.00"),
    "two phones": (Category.PAYER, "Call (02) 5550 1234, (02) 5550 1235"),
    "a number of six digits": (Category.BANKING, "Reference 062000"),
    "an account without a label": (Category.BANKING, "12345678"),
    "a dot at the end of a sentence": (Category.PAYER, "The email is jo@mail.example. and no more"),
    "BSB and account run together": (Category.BANKING, "Pay to 062-000 12345678"),
    "at the end of a long list": (Category.AMOUNTS, "and so on " * 50 + "Total $5.00"),
    "line items": (Category.LINE_ITEMS, "Two teas at $4.50 each"),
    "names": (Category.BUSINESS, "The supplier is Acme Pty Ltd of 1 High Street."),
}


def picked(category: Category, text: str) -> dict[str, str]:
    return unmistakable_values(text, [known.name for known in category_fields(category)])


@pytest.mark.parametrize(("category", "text", "expected"), PICKED.values(), ids=PICKED)
def test_patterns_pick(category, text, expected):
    assert picked(category, text) == expected


@pytest.mark.parametrize(("category", "text"), NOT_PICKED.values(), ids=NOT_PICKED)
def test_patterns_leave_alone(category, text):
    assert picked(category, text) == {}


def test_a_form_that_two_fields_share_says_not_which_of_them_it_is():
    assert unmistakable_values("Call (02) 5550 1234", ["PAYER_PHONE"]) == {"PAYER_PHONE": "(02) 5550 1234"}
    assert unmistakable_values("Call (02) 5550 1234", ["PAYER_PHONE", "BUSINESS_PHONE"]) == {}


@given(st.sampled_from(Category), KEY_LINES)
def test_patterns_pick_only_what_was_written(category, text):
    for value in picked(category, text).values():
        assert value in " ".join(text.split())


@pytest.mark.parametrize("category", Category)
@pytest.mark.parametrize("unit", ["1 ", "total ", "$1.00 ", "12/", "a@b.", "1-", "due 5/9/2025 ", " "])
def test_patterns_take_little_time_over_rambling(category, unit):
    start = time.process_time()
    picked(category, unit * 100_000)
    picked(category, (unit * 200)[:480] + ".\n")
    assert time.process_time() - start < 1


PHRASES = (
    "The {label} is {value}.",
    "{label}: {value}",
    "I can see {value} as the {label}.",
    "**{label}** - {value}",
    "{value}",
    "it shows a {label} of {value}, ",
    "The {label}, {value}, is printed",
)


def test_prose_about_the_corpus_is_never_misread():
    """All values that the bundled documents carry, in random order and wording: none for a wrong field, none wrong."""
    rows = read_truth(Path(__file__).parents[1] / "fixtures" / "corpus" / "ground_truth.csv")
    random, right = Random(1), 0
    for row, category in product(rows, Category):
        carried = [known.name for known in category_fields(category) if row.fields.get(known.name)]
        random.shuffle(carried)
        said = [
            random.choice(PHRASES).format(label=name.lower().replace("_", " "), value=row.fields[name])
            for name in carried
        ]
        text = random.choice([" ", "\n", " and "]).join(said)
        for name, value in picked(category, text).items():
            truth = row.fields[name]
            assert truth is not None, (name, value, text)
            assert compare(name, truth, value).equal, (name, value, text)
            right += 1
    assert right > 400, "a test of nothing"


# --- OCR fallback ---

FAILED = {
    "error": ValueError("decoder fell over"),
    "empty": "  \n",
    "unparsable": REFUSAL,
    "truncated": '{"SUPPLIER": "Acme", "TOTAL": "$5',
    "loop": LOOP,
}


@pytest.mark.parametrize(("fault", "said"), FAILED.items(), ids=FAILED)
def test_ocr_answers_where_the_model_fails(fault, said):
    ocr = Ocr()
    answer = single(said, ocr)
    assert (answer.text, answer.path, answer.calls) == (ocr.text, "ocr", 1)
    model, other = answer.attempts
    assert (model.prompt, model.path, model.fault) == ("key-value", "single", fault)
    assert model.text == (None if fault == "error" else said)
    assert model.message == ("ValueError: decoder fell over" if fault == "error" else None)
    assert (other.prompt, other.path, other.text) == ("", "ocr", ocr.text)


def test_an_answer_that_reached_the_token_limit_has_failed():
    cut = Answer(text=sound("key-value"), stop="length")
    answer = single(cut)
    assert (answer.path, answer.stop) == ("ocr", None)
    assert answer.attempts[0].stop == "length"


@pytest.mark.parametrize("said", [sound("key-value"), "Sure!\nTOTAL: $5.00", render_response({"TOTAL": None})])
def test_an_answer_stands_as_it_is_where_the_model_does_not_fail(said):
    ocr = Ocr()
    answer = single(said, ocr)
    assert (answer.text, answer.path, answer.calls, ocr.seen) == (said, "single", 1, [])
    assert [one.text for one in answer.attempts] == [said]


class OutOfMemoryError(RuntimeError):
    """Named as torch names its own."""


FATAL = [
    MemoryError("4 GiB"),
    OutOfMemoryError("no"),
    RuntimeError("CUDA error: illegal access"),
    UnsupportedError("x"),
]


@pytest.mark.parametrize("by_category", [False, True])
@pytest.mark.parametrize("error", FATAL, ids=repr)
def test_ocr_does_not_cover_up_a_lost_device(error, by_category):
    ocr = Ocr()
    model = Model({"key-value": error, "key-value/dates": error})
    with pytest.raises(type(error)):
        reader(model, by_category=by_category, ocr=ocr).read(PAGE, WHOLE)
    assert ocr.seen == []


def test_something_that_is_no_answer_is_an_error():
    class NotAnAnswer(Model):
        def read(self, image, prompt):
            return {"text": "N/A"}

    answer = reader(NotAnAnswer(), ocr=Ocr()).read(PAGE, WHOLE)
    assert answer.attempts[0].message == "TypeError: the backend returned dict, not Answer"


@pytest.mark.parametrize(("fault", "said"), FAILED.items(), ids=FAILED)
def test_by_category_ocr_answers_only_for_the_category_that_failed(fault, said):
    answer = multi({"key-value/business": said}, Ocr())
    ocr_fields = parse_response(Ocr().text).fields
    own = own_fields("key-value/business")
    assert parse_response(answer.text).fields == {
        name: ocr_fields[name] if name in own else ALL_FIELDS[name] for name in FIELD_NAMES
    }
    assert (answer.path, answer.calls, len(answer.attempts)) == ("ocr", 7, 8)
    assert attempt(answer, "key-value/business").fault == fault


def test_patterns_come_before_ocr_where_the_model_finished_its_prose():
    ocr = Ocr()
    answer = multi({"key-value/amounts": "The total is $110.00."}, ocr)
    assert (answer.path, ocr.seen) == ("pattern", [])
    answer = multi({"key-value/amounts": Answer(text="The total is $110.00.", stop="length")}, Ocr())
    assert answer.path == "ocr"


def test_ocr_is_loaded_with_the_model_and_its_facts_are_told_apart():
    ocr = Ocr()
    assert Reader(Model(), by_category=False, ocr=ocr).load() == {"weights": "none", "ocr_engine": "fake"}
    assert ocr.loads == 1


# --- what it took ---


def measured(text: str, **changes: object) -> Answer:
    phases = {"preprocess_s": 0.1, "ttft_s": 0.3, "tpot_s": 0.02, "generate_s": 1.0}
    values = {"prompt_tokens": 100, "output_tokens": 11, "stop": "eos", "phases": phases, "facts": {"tiles": 2}}
    return Answer(text=text, **(values | changes))


def test_the_cost_of_several_calls_is_added_up():
    script = {name: measured(sound(name)) for name in BY_CATEGORY}
    late = {"preprocess_s": 0.1, "ttft_s": 0.9, "tpot_s": 0.04, "generate_s": 3.0}
    script[BY_CATEGORY[-1]] = measured(sound(BY_CATEGORY[-1]), phases=late, output_tokens=31, facts={"tiles": 3})
    answer = multi(script)
    assert answer.phases == pytest.approx(
        {
            "preprocess_s": 0.7,
            "generate_s": 9.0,
            "ttft_s": 0.3,
            "tpot_s": (6 * 10 * 0.02 + 30 * 0.04) / 90,
        }
    )
    assert (answer.prompt_tokens, answer.output_tokens, answer.stop) == (700, 97, "eos")
    assert answer.facts == {"tiles": 2}


def test_calls_that_a_backend_made_again_are_counted():
    script = {name: measured(sound(name), calls=3) for name in BY_CATEGORY}
    assert multi(script).calls == 3 * len(BY_CATEGORY)


def test_a_failed_call_and_ocr_are_part_of_the_cost():
    answer = single(measured(REFUSAL, output_tokens=None))
    assert answer.phases["generate_s"] == 1.0
    assert answer.phases["ocr_s"] == 0.5
    assert (answer.prompt_tokens, answer.output_tokens, answer.calls) == (100, None, 1)


def test_the_first_token_of_a_call_that_raised_was_not_measured():
    script: dict[str, Scripted] = {name: measured(sound(name)) for name in BY_CATEGORY}
    script[BY_CATEGORY[0]] = RuntimeError("no tokens")
    answer = multi(script, Ocr())
    assert "ttft_s" not in answer.phases
    assert answer.phases["generate_s"] == pytest.approx(6.0)


def test_the_latency_of_each_attempt_is_its_own(monkeypatch):
    ticks = iter([0.0, 2.0, 10.0, 13.0])
    monkeypatch.setattr("harness.strategies.reader.time.perf_counter", lambda: next(ticks))
    answer = single(REFUSAL)
    assert [one.latency_s for one in answer.attempts] == [2.0, 3.0]


# --- batches ---


def read_batch(model: BatchModel, *, by_category: bool, ocr: Ocr | None = None) -> Sequence[Answer]:
    made = BatchReader(model, by_category=by_category, ocr=ocr)
    made.load()
    return made.read_batch([Image.new("RGB", (n + 1, 8), "white") for n in range(len(model.pages))], WHOLE)


def test_only_the_failed_documents_of_a_batch_go_to_ocr():
    ocr = Ocr()
    model = BatchModel(pages=[{}, {"key-value": REFUSAL}, {}, {"key-value": LOOP}])
    answers = read_batch(model, by_category=False, ocr=ocr)
    assert model.batches == [("key-value", 4)]
    assert [answer.path for answer in answers] == ["single", "ocr", "single", "ocr"]
    assert [answer.text for answer in answers] == [sound("key-value"), ocr.text] * 2
    assert [image.width for image in ocr.seen] == [2, 4]


def test_categories_are_asked_batch_by_batch():
    pages: list[Mapping[str, Scripted]] = [{}, {"key-value/amounts": "Total: $7.00 is what it says"}, {}]
    model = BatchModel(pages=pages)
    answers = read_batch(model, by_category=True)
    assert model.batches == [(name, 3) for name in BY_CATEGORY]
    assert [answer.text for answer in answers] == [multi(page).text for page in pages]
    assert all(answer.calls == 7 for answer in answers)


@pytest.mark.parametrize("by_category", [False, True])
def test_an_error_of_a_batch_is_left_to_those_who_ask_again_one_by_one(by_category):
    """Otherwise OCR would answer for seven sound documents because of one that is not."""
    ocr = Ocr()
    error = {"key-value": ValueError("bad shape"), "key-value/dates": ValueError("bad shape")}
    with pytest.raises(ValueError, match="bad shape"):
        read_batch(BatchModel(pages=[{}, error]), by_category=by_category, ocr=ocr)
    assert ocr.seen == []


def test_an_answer_too_few_is_an_error():
    class Forgetful(BatchModel):
        def read_batch(self, images, prompt):
            return super().read_batch(images, prompt)[:-1]

    with pytest.raises(ValueError, match="1 answers to 2 images"):
        read_batch(Forgetful(pages=[{}, {}]), by_category=True)


# --- in a worker ---


class Slow(BatchModel):
    """Takes 20 ms a call."""

    def read(self, image: Image.Image, prompt: str) -> Answer:
        time.sleep(0.02)
        return measured(sound(NAMES[prompt]))

    def read_batch(self, images: Sequence[Image.Image], prompt: str) -> Sequence[Answer]:
        return [self.read(image, prompt) for image in images]


@pytest.mark.parametrize("batch_size", [1, 2])
def test_every_attempt_reaches_the_evidence(batch_size, tmp_path):
    path = tmp_path / "page.png"
    PAGE.save(path)
    cell = Cell(model="python:tests.test_strategies.Slow", strategy="multi", batch_size=batch_size)
    with CellWorker(cell, prompt=WHOLE, load_timeout_s=60, threads=1) as worker:
        records = worker.read_batch([(f"page {n}", path) for n in range(batch_size)])
    with EvidenceLog(tmp_path / "evidence.jsonl") as log:
        for record in records:
            log.append(record)
    readings = read_evidence(tmp_path / "evidence.jsonl").readings[cell.id]
    assert len(readings) == batch_size
    for record in readings.values():
        assert (record.failure, record.path, record.calls) == (None, "multi", 7)
        assert record.text == render_response(ALL_FIELDS)
        assert [(one.prompt, one.text) for one in record.attempts] == [(name, sound(name)) for name in BY_CATEGORY]
        assert record.latency_s >= sum(one.latency_s for one in record.attempts) >= 7 * 0.02 * batch_size
        assert record.phases["generate_s"] == pytest.approx(7.0)


# --- with the OCR that ships, and the blind control ---


class Refuses(Model):
    """A model that cannot read."""

    def read(self, image: Image.Image, prompt: str) -> Answer:
        return Answer(text=REFUSAL)


@pytest.fixture(scope="module")
def page() -> Image.Image:
    drawn = Image.new("RGB", (900, 500), "white")
    font = ImageFont.load_default(36)
    for row, line in enumerate(("TAX INVOICE", "Date: 05/09/2025", "TOTAL $123.45")):
        ImageDraw.Draw(drawn).text((60, 60 + 110 * row), line, fill="black", font=font)
    return drawn


@pytest.mark.parametrize("strategy", ["ocr-fallback", "multi-ocr-fallback"])
def test_ocr_reads_the_page_but_not_behind_the_blindfold(strategy, page):
    """A strategy that saw the page under the blind control would show reading where the model read nothing."""
    name = "python:tests.test_strategies.Refuses"
    texts = {}
    for backend in (name, f"blind:{name}"):
        made = create_backend(request(strategy, backend))
        made.load()
        answer = made.read(page, WHOLE)
        assert answer.path == "ocr"
        texts[backend] = parse_response(answer.text).fields
    assert texts[name]["TOTAL"] == "$123.45"
    assert texts[f"blind:{name}"] == dict.fromkeys(FIELD_NAMES)
