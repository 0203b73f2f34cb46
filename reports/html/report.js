"use strict";
(() => {
  const $ = (selector, root = document) => root.querySelector(selector);

  /* ---- text: what a model wrote is never markup, and what cannot be seen is shown ---- */

  const INVISIBLE = /[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}]/u;

  function make(tag, properties = {}, ...children) {
    const node = Object.assign(document.createElement(tag), properties);
    node.append(...children.filter((child) => child !== null));
    return node;
  }

  function code(character) {
    const hex = character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
    return make("span", { className: "invisible", title: "invisible character" }, `U+${hex}`);
  }

  /** Foreign text as one isolated node; with `lines`, line breaks and tabs are kept as they are. */
  function foreign(text, lines = false) {
    const node = make("bdi");
    let run = "";
    for (const character of text) {
      if (INVISIBLE.test(character) && !(lines && (character === "\n" || character === "\t"))) {
        node.append(run, code(character));
        run = "";
      } else {
        run += character;
      }
    }
    node.append(run);
    return node;
  }

  /** An answer with what differs from the truth marked: all between the common beginning and the common end. */
  function compared(truth, answer) {
    const a = Array.from(truth), b = Array.from(answer);
    let start = 0, end = 0;
    while (start < Math.min(a.length, b.length) && a[start] === b[start]) start += 1;
    while (end < Math.min(a.length, b.length) - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end += 1;
    const middle = b.slice(start, b.length - end).join("");
    if (!middle || start + end < 0.3 * b.length) return foreign(answer);
    const node = make("bdi");
    node.append(foreign(b.slice(0, start).join("")), make("mark", {}, foreign(middle)));
    node.append(foreign(b.slice(b.length - end).join("")));
    return node;
  }

  /* ---- tables of the report: a click on a head sorts ---- */

  const UNITS = { ms: 1e-3, s: 1, min: 60, h: 3600, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 };
  const NUMBER = /^([-+−]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?)(?:\/(\d+))?\s*(ms|s|min|h|[KMGT]iB)?(?![A-Za-z])/;

  /** The number that a cell begins with, in its base unit; NaN if it begins with none. */
  function number(text) {
    const found = NUMBER.exec(text.trim());
    if (!found) return NaN;
    const value = Number(found[1].replaceAll(",", "").replace("−", "-"));
    return (found[2] ? value / Number(found[2]) : value) * (found[3] ? UNITS[found[3]] : 1);
  }

  /** Numbers before words, nothing last, whichever way it is sorted. */
  function ordered(items, keyOf, descending) {
    const sign = descending ? -1 : 1;
    const rank = (key) => (key === null || key === "" ? 2 : typeof key === "number" ? 0 : 1);
    const keyed = items.map((item, i) => [keyOf(item), i, item]);
    keyed.sort(([a, i], [b, j]) => {
      if (rank(a) !== rank(b)) return rank(a) - rank(b);
      const apart = rank(a) === 0 ? a - b : rank(a) === 1 ? a.localeCompare(b, "en", { numeric: true }) : 0;
      return sign * apart || i - j;
    });
    return keyed.map(([, , item]) => item);
  }

  /** Make a head sort; `sort(descending)` does it. Works by keyboard too. */
  function sortable(head, sort) {
    head.setAttribute("aria-sort", "none");
    head.tabIndex = 0;
    const act = () => {
      const descending = head.getAttribute("aria-sort") === "ascending";
      for (const other of head.parentNode.children) if (other.ariaSort) other.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      sort(descending);
    };
    head.addEventListener("click", act);
    head.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        act();
      }
    });
  }

  for (const table of document.querySelectorAll(".report table")) {
    const body = table.tBodies[0];
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const key = (row) => {
        const text = row.cells[column]?.textContent ?? "";
        const value = number(text);
        return Number.isNaN(value) ? text : value;
      };
      sortable(head, (descending) => body.append(...ordered([...body.rows], key, descending)));
    });
  }

  /* ---- the document browser ---- */

  const DATA = JSON.parse($("#_data").textContent);
  const OUTCOMES = { C: "correct", W: "wrong", O: "omitted", H: "hallucinated", A: "absent, rightly", U: "unanswered" };
  const SIGNS = { C: "✓", W: "✗", O: "∅", H: "+", A: "✓", U: "?" };
  const RIGHT = new Set(["C", "A", "-"]);
  const PAGE = 300;
  const root = $(".documents");
  const state = { sort: null, descending: false, rows: PAGE, found: [], open: null };
  const shown = () => DATA.cells.map((cell, i) => i).filter((i) => $(`#_cell-${i}`).checked);
  const wrongs = (answer) => [...(answer.outcomes ?? "")].filter((letter) => !RIGHT.has(letter)).length;

  /* What the list can show of each answer: the value, and its decimals. */
  const NUMBERS = {
    "F1 %": [(answer) => (answer.f1 == null ? null : 100 * answer.f1), 1],
    "fields not right": [(answer) => (answer.outcomes === undefined ? null : wrongs(answer)), 0],
    "latency, s": [(answer) => answer.latency ?? null, 2],
    "output tokens": [(answer) => answer.tokens ?? null, 0],
  };

  function option(label, value) {
    return make("option", { value }, foreign(label).textContent);
  }

  function choice(id, label, options) {
    const hidden = options.length < 2;  // nothing to choose from
    const select = make("select", { id }, ...options);
    select.addEventListener("change", filter);
    return make("label", { hidden }, label, select);
  }

  function tick(id, checked, label, change) {
    const box = make("input", { type: "checkbox", id, checked });
    box.addEventListener("change", change);
    return make("label", { className: "tick" }, box, label);
  }

  function values(key) {
    const found = new Set(DATA.documents.map((d) => d[key]).filter((value) => value !== null));
    return [option("any", ""), ...[...found].sort().map((value) => option(value, `=${value}`))];
  }

  function build() {
    const search = make("input", { type: "search", id: "_search", placeholder: "name, truth or answer" });
    search.addEventListener("input", filter);
    const errors = new Set(DATA.documents.flatMap((d) => d.answers.flatMap((a) => Object.values(a?.errors ?? {}))));
    const outcomes = [
      option("any", ""), option("not right", "bad"),
      ...["W", "O", "H", "U"].map((letter) => option(OUTCOMES[letter], letter)),
      ...[...errors].sort().map((error) => option(`wrong: ${error}`, `error:${error}`)),
      option("right", "right"), option("cells disagree", "split"), option("no answer", "failed"),
    ];
    const fields = [option("any", ""), ...DATA.fields.map((field, i) => option(field, String(i)))];
    const numbers = Object.keys(NUMBERS).map((name) => option(name, name));
    const cells = DATA.cells.map((cell, i) =>
      tick(`_cell-${i}`, cell.open, make("span", {}, foreign(cell.name), cell.control ? " (control)" : ""), filter));
    root.append(
      make("div", { id: "_overview" },
        make("div", { className: "controls" },
          make("label", {}, "Search", search),
          choice("_kind", "Kind", values("kind")), choice("_stratum", "Stratum", values("stratum")),
          choice("_layout", "Layout", values("layout")),
          choice("_field", "Field", fields), choice("_outcome", "Outcome, in any cell shown", outcomes),
          choice("_number", "Number shown", numbers)),
        make("details", { className: "cells", open: DATA.cells.length <= 12 },
          make("summary", {}, `Cells shown, of ${DATA.cells.length}`), make("div", {}, ...cells)),
        make("p", { className: "status", id: "_status", role: "status" }),
        make("div", { className: "wide" },
          make("table", { id: "_list" }, make("thead"), make("tbody"))),
        make("button", { id: "_more", type: "button" })),
      make("article", { id: "_one", hidden: true }));
    $("#_more").addEventListener("click", () => {
      state.rows = Infinity;
      list();
    });
  }

  /** Whether one cell's answer has the wanted outcome, in the wanted field or in any. */
  function matches(answer, field, wanted) {
    if (!answer) return false;
    if (wanted === "failed") return answer.failure !== undefined;
    if (answer.outcomes === undefined) return false;
    const letters = field === "" ? [...answer.outcomes] : [answer.outcomes[field]];
    if (wanted === "bad") return letters.some((letter) => !RIGHT.has(letter));
    if (wanted === "right") return letters.every((letter) => RIGHT.has(letter));
    if (wanted.startsWith("error:")) {
      const of = field === "" ? Object.values(answer.errors) : [answer.errors[field]];
      return of.includes(wanted.slice(6));
    }
    return letters.includes(wanted);
  }

  /** Whether of two cells shown one has a field right that the other has not. */
  function split(answers, field) {
    const told = answers.filter((answer) => answer?.outcomes !== undefined);
    const places = field === "" ? DATA.fields.map((_, i) => i) : [Number(field)];
    return places.some((i) => new Set(told.map((answer) => RIGHT.has(answer.outcomes[i]))).size > 1);
  }

  function says(doc, answers, text) {
    if (text === "") return true;
    const texts = answers.flatMap((a) => (a ? [a.text, a.message, ...Object.values(a.values ?? {})] : []));
    return [doc.name, ...doc.truth, ...texts].some((part) => part && part.toLowerCase().includes(text));
  }

  function filter() {
    const [kind, stratum, layout, field, outcome] =
      ["kind", "stratum", "layout", "field", "outcome"].map((id) => $(`#_${id}`).value);
    const text = $("#_search").value.trim().toLowerCase(), cells = shown();
    state.found = DATA.documents.filter((doc) => {
      const answers = cells.map((i) => doc.answers[i]);
      return (!kind || `=${doc.kind}` === kind) && (!stratum || `=${doc.stratum}` === stratum) &&
        (!layout || `=${doc.layout}` === layout) && says(doc, answers, text) &&
        (outcome === "" || (outcome === "split" ? split(answers, field)
          : answers.some((answer) => matches(answer, field, outcome))));
    });
    state.rows = PAGE;
    heads();
    list();
  }

  /** The columns of the list: what a head says, and what its column is sorted by. */
  function columns() {
    const [value] = NUMBERS[$("#_number").value];
    const traits = ["kind", "stratum"].filter((key) => DATA.documents.some((doc) => doc[key] !== null));
    return [
      { id: "name", label: "Document", key: (doc) => doc.name },
      ...traits.map((id) => ({ id, label: id[0].toUpperCase() + id.slice(1), key: (doc) => doc[id] })),
      ...shown().map((i) => ({
        id: `c${i}`, cell: i, label: DATA.cells[i].name,
        key: (doc) => (doc.answers[i] ? value(doc.answers[i]) : null),
      })),
    ];
  }

  function heads() {
    const row = make("tr");
    for (const column of columns()) {
      const head = make("th", { className: "cell" in column ? "r" : "" }, foreign(column.label));
      sortable(head, (descending) => {
        Object.assign(state, { sort: column.id, descending });
        list();
      });
      if (state.sort === column.id) head.setAttribute("aria-sort", state.descending ? "descending" : "ascending");
      row.append(head);
    }
    $("#_list thead").replaceChildren(row);
  }

  function list() {
    const all = columns(), by = all.find((column) => column.id === state.sort);
    if (by) state.found = ordered(state.found, by.key, state.descending);
    const rows = state.found.slice(0, state.rows).map((doc) => {
      const row = make("tr", {}, ...all.map((column) => cellOf(doc, column)));
      row.addEventListener("click", () => go(doc));
      return row;
    });
    $("#_list tbody").replaceChildren(...rows);
    const held = DATA.documents.length;
    const part = ` The page holds the ${held} of ${DATA.total} documents with the lowest F1 (mean of what ` +
      `${DATA.judges.join(", ")} got, 0 where there is no answer); the log has the others.`;
    $("#_status").replaceChildren(`${state.found.length} of ${held} documents.`,
      held < DATA.total ? foreign(part) : "");
    $("#_more").hidden = state.found.length <= state.rows;
    $("#_more").textContent = `Show all ${state.found.length}`;
  }

  function cellOf(doc, column) {
    if (column.id === "name") {
      const link = make("a", { href: address(doc) }, foreign(doc.name));
      return make("td", {}, link);
    }
    if (!("cell" in column)) return make("td", {}, foreign(doc[column.id] ?? ""));
    const answer = doc.answers[column.cell], value = column.key(doc);
    const td = make("td", { className: "r" });
    if (!answer || answer.failure) {
      td.className = answer ? "r failed" : "r none";
      td.append(answer ? foreign(answer.failure) : "not asked");
    } else if (value === null) {
      td.className = "r none";
      td.append(answer.outcomes === undefined && DATA.cells[column.cell].unscored ? "not scored" : "–");
    } else {
      const of = $("#_number").value, lost = of === "F1 %" ? 1 - answer.f1 : 0;
      td.append(value.toFixed(NUMBERS[of][1]));
      if (lost > 0) td.style.backgroundColor = `color-mix(in srgb, var(--bad) ${Math.round(10 + 50 * lost)}%, transparent)`;
    }
    return td;
  }

  /* ---- one document ---- */

  const address = (doc) => `#/document=${encodeURIComponent(doc.name.replace(/\p{Cs}/gu, "\uFFFD"))}`;

  function go(doc) {
    location.hash = address(doc);
  }

  function open(doc) {
    state.open = doc;
    const at = state.found.indexOf(doc), near = (step) => (at < 0 ? undefined : state.found[at + step]);
    const step = (label, other, id) => {
      const button = make("button", { type: "button", id, disabled: !other }, label);
      button.addEventListener("click", () => go(other));
      return button;
    };
    const back = make("a", { href: "#/documents", id: "_back" }, "All documents");
    const only = tick("_only", $("#_only")?.checked ?? false, "only what is not right", () => fields(doc));
    const place = at < 0 ? "" : `${at + 1} of ${state.found.length} found`;
    const traits = ["kind", "stratum", "layout"].map((key) => doc[key]).filter((trait) => trait !== null).join(", ");
    $("#_one").replaceChildren(
      make("div", { className: "controls" }, back, step("← Previous", near(-1), "_previous"),
        step("Next →", near(1), "_next"), make("span", { className: "status" }, place), only),
      make("h2", {}, foreign(doc.name), " ", make("small", { className: "status" }, foreign(traits))),
      make("div", { className: doc.image === null ? "reading unseen" : "reading" }, picture(doc), make("div", { className: "wide" },
        make("table", { id: "_fields" }))),
      make("h3", {}, "Answers as given"),
      make("div", { className: "answers" }, ...shown().map((i) => given(doc, i))));
    fields(doc);
    $("#_overview").hidden = true;
    $("#_one").hidden = false;
    scrollTo(0, 0);
  }

  function picture(doc) {
    const frame = make("div", { className: "page" });
    if (doc.image !== null) {
      const image = make("img", { alt: "the document as it was read", src: $(`#_picture-${doc.image}`).textContent });
      image.addEventListener("click", () => frame.classList.toggle("full"));
      frame.append(image);
    }
    if (doc.note) frame.append(make("p", {}, doc.note));
    return frame;
  }

  function fields(doc) {
    const cells = shown(), only = $("#_only").checked;
    const head = make("tr", {}, ...["Field", "Truth"].map((text) => make("th", {}, text)),
      ...cells.map((i) => make("th", {}, foreign(DATA.cells[i].name))));
    const rows = DATA.fields.map((name, f) => {
      const answers = cells.map((i) => doc.answers[i]);
      const letters = answers.map((answer) => answer?.outcomes?.[f] ?? "-");
      const known = answers.some((answer) => answer?.outcomes && answer.outcomes[f] !== "-");
      const truth = doc.truth[f] !== null ? make("td", {}, foreign(doc.truth[f]))
        : make("td", { className: "nothing" }, known ? "absent" : "absent or not judged");
      const row = make("tr", { className: only && letters.every((letter) => RIGHT.has(letter)) ? "right-only" : "" },
        make("th", { scope: "row" }, name), truth);
      row.append(...answers.map((answer) => answered(doc, f, answer)));
      return row;
    });
    $("#_fields").replaceChildren(make("thead", {}, head), make("tbody", {}, ...rows));
  }

  function answered(doc, f, answer) {
    const value = answer?.values?.[f], letter = answer?.outcomes?.[f];
    if (!answer) return make("td", { className: "nothing" }, "not asked");
    if (answer.failure) return make("td", { className: "failed" }, foreign(answer.failure));
    if (letter === undefined) return make("td", value === undefined ? { className: "nothing" } : {},
      value === undefined ? "nothing" : foreign(value));
    if (letter === "-") return make("td", { className: "nothing" }, "not judged");
    const why = answer.errors[f] ? `${OUTCOMES[letter]}: ${answer.errors[f]}` : OUTCOMES[letter];
    const quiet = letter === "C" || letter === "A";
    const tag = make("span", { className: "tag", title: why }, quiet ? SIGNS[letter] : `${SIGNS[letter]} ${why}`);
    const td = make("td", { className: letter }, tag);
    if (value !== undefined) td.append(letter === "W" ? compared(doc.truth[f], value) : foreign(value));
    else if (letter === "C") td.append(make("span", { className: "same" }, foreign(doc.truth[f])));
    else if (letter === "A") td.append(make("span", { className: "nothing" }, "absent"));
    return td;
  }

  /** Everything else that is known of one cell's answer. */
  function given(doc, i) {
    const answer = doc.answers[i], cell = DATA.cells[i], facts = make("dl");
    const section = make("section", {}, make("h4", {}, foreign(cell.name)), facts);
    const tell = (name, value) => {
      if (value !== undefined && value !== null && value !== "") {
        facts.append(make("dt", {}, name), make("dd", {}, foreign(String(value))));
      }
    };
    if (!answer) {
      tell("Status", "not asked to read this document");
      return section;
    }
    tell("Failure", answer.failure);
    tell("Message", answer.message);
    tell("F1", answer.f1 == null ? null : `${(100 * answer.f1).toFixed(1)} %`);
    tell("Not right", answer.outcomes === undefined ? null
      : `${wrongs(answer)} of ${[...answer.outcomes].filter((letter) => letter !== "-").length} fields`);
    if (!answer.failure) tell("Not scored", cell.unscored);
    tell("Latency", answer.latency === undefined ? null : `${answer.latency.toFixed(3)} s`);
    tell("Read in a batch of", answer.batch);
    tell("Output tokens", answer.tokens);
    tell("Stopped by", answer.stop);
    tell("Way", answer.path);
    tell("Notes", answer.notes?.join("; "));
    const checks = Object.entries(answer.checks ?? {});
    tell("Checks", checks.map(([name, holds]) => `${name} ${holds ? "holds" : "FAILS"}`).join("; "));
    if (answer.text !== undefined) {
      const cut = answer.length > [...answer.text].length ? `, cut here: the log has ${answer.length} characters` : "";
      section.append(make("details", { open: true }, make("summary", {}, `Raw response${cut}`),
        make("pre", {}, foreign(answer.text, true))));
    }
    return section;
  }

  /* ---- views, by the address ---- */

  function route() {
    const hash = location.hash, browsing = hash === "#/documents" || hash.startsWith("#/document=");
    document.body.dataset.view = browsing ? "documents" : "report";
    for (const link of document.querySelectorAll(".views a")) {
      const current = link.getAttribute("href") === (browsing ? "#/documents" : "#/report");
      if (current) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    if (!browsing) {
      const target = hash.length > 1 ? document.getElementById(hash.slice(1)) : null;
      if (target) target.scrollIntoView();
      return;
    }
    const doc = DATA.documents.find((d) => address(d) === hash);
    if (doc) return open(doc);
    state.open = null;
    $("#_one").hidden = true;
    $("#_overview").hidden = false;
    list();
  }

  document.addEventListener("keydown", (event) => {
    if (state.open === null || event.altKey || event.ctrlKey || event.metaKey || /^(INPUT|SELECT)$/.test(event.target.tagName)) return;
    if (event.key === "ArrowLeft") $("#_previous").click();
    if (event.key === "ArrowRight") $("#_next").click();
    if (event.key === "Escape") $("#_back").click();
  });
  addEventListener("hashchange", route);
  build();
  filter();
  route();
})();
