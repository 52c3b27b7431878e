#!/usr/bin/env python3
"""Judges whether the documents agree with the code and the tree, as `make check` wants it.

1. Each log event of crates/*/src, tests left out, has a row in docs/logging.md with its level, target,
   message and fields, and each row has its event. The access log has the fields of its event.
2. Each registered metric has a row in docs/operations.md with its name, type and labels, and each
   `archway_...` name in the documents is a registered metric.
3. Each log message that docs/operations.md quotes is one of an event.
4. Each relative link in README.md, SECURITY.md, CONTRIBUTING.md, docs/*.md and docs/runbooks/*.md leads to a file, and
   its anchor to a heading.
5. Each path of the code in docs/architecture.md exists. They leave out `crates/` and may leave out
   `src/`. Each test named behind a promise is a file of tests/it.
6. The chart's schema has each section and top-level key of config/archway.example.toml but the listeners.

Usage: documents.py [FOLDER]     (default: the repository this script lies in)
"""

import json
import pathlib
import re
import sys
from collections import defaultdict

# A check leaves nothing behind in the tree, compiled modules included.
sys.dont_write_bytecode = True
from structure import CHARACTER, STRING, block_end  # noqa: E402

LOGGING = "docs/logging.md"
OPERATIONS = "docs/operations.md"
ARCHITECTURE = "docs/architecture.md"
CHART_SCHEMA = "charts/archway/values.schema.json"
LEVELS = {"Errors": "error", "Warnings": "warn", "Information": "info", "Debugging": "debug"}
EVENT = re.compile(r"\b(error|warn|info|debug|trace)!\s*\(")
# Every line of the log has these, whatever its event.
COMMON_FIELDS = {"timestamp", "level", "message", "target"}
# A comment, a word (so that no string begins within one), or any other character.
TOKEN = re.compile(r"//[^\n]*|/\*.*?\*/|\w+|.", re.S)
TEST_ITEM = re.compile(r"#\[cfg\((?:test|all\(test[^\]]*)\)\]\s*(?:#\[[^\]]*\]\s*)*")
SERIES = re.compile(r"_(?:bucket|sum|count)$")


def blank(text):
    return re.sub(r"[^\n]", " ", text)


class Source:
    """A source file: `text` without comments and tests, `code` without strings too; both keep every place."""

    def __init__(self, top, file):
        self.file = file.relative_to(top)
        self.text, self.code = self.masked(file.read_text())
        while found := TEST_ITEM.search(self.code):
            item = re.compile(r"[;{]").search(self.code, found.end())
            end = len(self.code)
            if item:
                end = item.end() if item.group() == ";" else block_end(self.code, item.start())
            self.text, self.code = (
                part[: found.start()] + blank(part[found.start() : end]) + part[end:]
                for part in (self.text, self.code)
            )

    @staticmethod
    def masked(source):
        text, code, place = [], [], 0
        while place < len(source):
            quoted = STRING.match(source, place) or CHARACTER.match(source, place)
            found = quoted or TOKEN.match(source, place)
            word = found.group()
            is_comment = not quoted and word.startswith(("//", "/*"))
            text.append(blank(word) if is_comment else word)
            code.append(blank(word) if is_comment or quoted else word)
            place = found.end()
        return "".join(text), "".join(code)

    def arguments(self, start):
        """The arguments of a call, from the place behind its bracket on, as (text, code)."""
        depth, begin, found = 0, start, []
        for place in range(start, len(self.code)):
            letter = self.code[place]
            if letter in ")]}" and depth == 0 or letter == "," and depth == 0:
                if self.text[begin:place].strip():
                    found.append((self.text[begin:place].strip(), self.code[begin:place].strip()))
                begin = place + 1
                if letter != ",":
                    break
            depth += (letter in "([{") - (letter in ")]}")
        return found


def literal(text):
    """The value of a string literal; `None` for anything else."""
    found = re.fullmatch(r'"((?:\\.|[^"\\])*)"', text, re.S)
    if not found:
        return None
    return re.sub(r"\\(.)", r"\1", re.sub(r"\\\n\s*", "", found.group(1)))


def sources(top):
    for file in sorted(top.glob("crates/*/src/**/*.rs")):
        parts = file.relative_to(top).with_suffix("").parts
        if "tests" not in parts:
            yield parts[1].replace("-", "_"), Source(top, file)


def events(crates, faults):
    """The fields and the file of each event, by (level, target, message)."""
    found = defaultdict(lambda: (set(), []))
    for crate, source in crates:
        for call in EVENT.finditer(source.code):
            target, message, fields = crate, None, set()
            for text, code in source.arguments(call.end()):
                if literal(text) is not None:
                    message = literal(text)
                elif text.startswith("target:"):
                    target = literal(text.removeprefix("target:").strip()) or "?"
                elif name := re.match(r"[%?]?\s*([\w.]+)", code):
                    fields.add(name.group(1))
            if message is None or "{" in message:
                line = source.code.count("\n", 0, call.start()) + 1
                faults.append(f"{source.file}:{line}: an event needs a constant message")
                continue
            known, files = found[call.group(1), target, message]
            known |= fields
            files.append(source.file)
    return found


def code_spans(text):
    """The code of a text, which may be wrapped, but ends within its paragraph."""
    spans = re.finditer(r"(`+)((?:(?!\n\n).)+?)\1(?!`)", text, re.S)
    return [" ".join(found.group(2).split()) for found in spans]


def prose(text):
    """The text without fenced blocks; what is left keeps its line."""
    return re.sub(r"^ *```.*?^ *```", lambda block: blank(block.group()), text, flags=re.S | re.M)


def tables(text):
    """The rows of all tables: (heading above, {column: cell})."""
    heading, columns = "", None
    for line in prose(text).split("\n"):
        if found := re.match(r"#+ (.*)", line):
            heading = found.group(1)
        if not line.startswith("|"):
            columns = None
            continue
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if columns is None:
            columns = cells
        elif not re.fullmatch(r"[|:\- ]+", line):
            yield heading, dict(zip(columns, cells))


def judge_events(documents, found):
    documented = {}
    access = set()
    for heading, row in tables(documents[LOGGING]):
        if heading in LEVELS and "message" in row:
            for target in code_spans(row["target"]):
                for message in code_spans(row["message"]):
                    documented[LEVELS[heading], target, message] = set(code_spans(row["fields"]))
        elif heading == "The access log" and "field" in row:
            access |= set(code_spans(row["field"]))
    for event, (fields, files) in found.items():
        level, target, message = event
        if target == "access":
            if fields != access - COMMON_FIELDS:
                names = ", ".join(sorted(fields ^ (access - COMMON_FIELDS)))
                yield f"{LOGGING}: the access log and its event differ in: {names} ({files[0]})"
        elif event not in documented:
            yield f"{LOGGING}: no row for the {level} event of {target} `{message}` ({files[0]})"
        elif fields != documented[event]:
            names = ", ".join(sorted(fields ^ documented[event]))
            yield f"{LOGGING}: `{message}` differs in the fields: {names} ({files[0]})"
    for level, target, message in documented.keys() - found.keys():
        yield f"{LOGGING}: no {level} event of {target} has the message `{message}`"


def judge_quotes(documents, found):
    messages = {message for _, _, message in found}
    for quote in code_spans(prose(documents[OPERATIONS])):
        # Three words and more of plain text are a message, or one of our own commands.
        is_text = re.fullmatch(r"[a-z][\w,;:' -]*", quote) and quote.count(" ") > 1
        is_command = re.match(r"archway |[^ ]+ -", quote)
        if is_text and not is_command and quote not in messages:
            yield f"{OPERATIONS}: no event has the message `{quote}`"


def type_of(name, source, crates):
    """What a field or a function called `name` is: (type, name of the struct with its labels)."""
    pattern = rf"\b{name}(?::|\([^)]*\)\s*->)\s*((?:Family<\s*(\w+),\s*)?(Counter|Gauge|Histogram)\b)"
    for text in (source.code, *(other.code for _, other in crates)):
        if found := re.search(pattern, text):
            return found.group(3).lower(), found.group(2)
    return None, None


def metrics(crates, faults):
    """The type, the labels and the file of each metric, by the name a scrape shows."""
    code = "".join(source.text for _, source in crates)
    prefix = re.search(r'Registry::with_prefix\("(\w+)"\)', code)
    prefix = f"{prefix.group(1)}_" if prefix else ""
    found = {}
    for _, source in crates:
        below = re.search(r'sub_registry_with_prefix\("(\w+)"\)', source.text)
        below = f"{below.group(1)}_" if below else ""
        for call in re.finditer(r"\.register(?:_with_unit)?\(", source.code):
            arguments = [text for text, _ in source.arguments(call.end())]
            if len(arguments) < 3:
                # A part that registers what it has.
                continue
            line = source.code.count("\n", 0, call.start()) + 1
            name, value = literal(arguments[0]), arguments[-1]
            bindings = list(re.finditer(rf"\blet {value} = ([^;]+);", source.code[: call.start()]))
            value = bindings[-1].group(1) if bindings else value
            member = re.search(r"\.(\w+)(?:\(\))?$", value.removesuffix(".clone()"))
            kind, labels = type_of(member.group(1), source, crates) if member else (None, None)
            if name is None or kind is None:
                faults.append(f"{source.file}:{line}: name and type of this metric cannot be read")
                continue
            unit = re.search(r"\bUnit::(\w+)", ", ".join(arguments))
            unit = f"_{unit.group(1).lower()}" if unit else ""
            total = "_total" if kind == "counter" else ""
            fields = re.search(rf"struct {labels} \{{(.*?)\}}", source.code, re.S) if labels else None
            names = set(re.findall(r"(\w+): [&\w]", fields.group(1))) if fields else set()
            found[f"{prefix}{below}{name}{unit}{total}"] = (kind, names, source.file)
    return found


def label_names(cell):
    """The labels of a cell: all its code, or the one before each colon where it lists values too."""
    names = set()
    for part in cell.split(";"):
        spans = code_spans(part)
        names |= {spans[0]} if re.match(r"\s*`\w+`:", part) else set(spans)
    return names


def judge_metrics(documents, found):
    documented = {}
    for _, row in tables(documents[OPERATIONS]):
        if {"metric", "type", "labels"} <= row.keys():
            for name in code_spans(row["metric"]):
                documented[name] = (row["type"], label_names(row["labels"]))
    for name, (kind, labels, file) in found.items():
        if name not in documented:
            yield f"{OPERATIONS}: no row for the metric {name} ({file})"
            continue
        if kind != documented[name][0]:
            yield f"{OPERATIONS}: {name} is a {kind} ({file})"
        if labels != documented[name][1]:
            names = ", ".join(sorted(labels ^ documented[name][1]))
            yield f"{OPERATIONS}: {name} differs in the labels: {names} ({file})"
    for document, text in documents.items():
        for name in sorted(set(re.findall(r"\barchway_\w+", text))):
            if name not in found and SERIES.sub("", name) not in found:
                yield f"{document}: no metric is called {name}"


def anchors(text):
    """The anchors of all headings, as GitHub makes them."""
    for heading in re.findall(r"^#+ (.*)", prose(text), re.M):
        yield re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def judge_links(top, documents):
    for document, text in documents.items():
        for link in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"(`+).+?\1", "", prose(text))):
            if re.match(r"[a-z]+:", link):
                continue
            path, _, anchor = link.partition("#")
            goal = (top / document).parent / path if path else top / document
            if not goal.exists():
                yield f"{document}: the link {link} leads to no file"
            elif anchor and goal.suffix == ".md" and anchor not in anchors(goal.read_text()):
                yield f"{document}: the link {link} leads to no heading"


def judge_paths(top, documents):
    text = prose(documents[ARCHITECTURE])
    for line in text.split("\n"):
        # Paths of the code; not those of requests, and not those of the cache's directory.
        paths = [path for path in code_spans(line) if re.fullmatch(r"[a-z][\w-]*/(?:[\w.-]+/?)*", path)]
        folders = [path for path in paths if re.fullmatch(r"[^/]+/.+/", path)]
        for path in paths:
            first, _, rest = path.partition("/")
            goals = [top / path, top / "crates" / path, top / "crates" / first / "src" / rest]
            if not rest:
                # A folder of one word is below another of its line; by itself it is a figure of speech.
                goals = [top / "crates" / folder / path for folder in folders] or [top]
            if not any(goal.exists() for goal in goals):
                yield f"{ARCHITECTURE}: {path} does not exist"
    promises = re.search(r"^## Promises\b[^\n]*\n(.*?)^## ", text, re.S | re.M)
    tests = re.findall(r"\((`[^)]*`)\)$", promises.group(1) if promises else "", re.M)
    if not tests:
        yield f"{ARCHITECTURE}: no promise names its tests under a heading that begins with Promises"
    for names in tests:
        for name in code_spans(names):
            if not (top / "tests/it" / f"{name}.rs").exists():
                yield f"{ARCHITECTURE}: tests/it/{name}.rs does not exist"


def judge_schema(top):
    schema, example = top / CHART_SCHEMA, (top / "config/archway.example.toml").read_text()
    root, _, _ = example.partition("\n#[[listener]]")
    wanted = set(re.findall(r"^#?\[+([a-z_0-9]+)", example, re.M)) | set(re.findall(r"^#([a-z_]+) = ", root, re.M))
    known = set(json.loads(schema.read_text())["definitions"]["config"]["properties"])
    for name in sorted(wanted - {"listener"} - known):
        yield f"{CHART_SCHEMA}: `{name}` of config/archway.example.toml is missing under definitions.config"
    for name in sorted(known - wanted):
        yield f"{CHART_SCHEMA}: config/archway.example.toml has no `{name}`"


def main():
    top = pathlib.Path(sys.argv[1] if sys.argv[1:] else pathlib.Path(__file__).parents[2])
    files = [*(top / name for name in ("README.md", "SECURITY.md", "CONTRIBUTING.md")), *sorted(top.glob("docs/*.md")), *sorted(top.glob("docs/runbooks/*.md"))]
    documents = {str(file.relative_to(top)): file.read_text() for file in files}
    crates, faults = list(sources(top)), []
    log, registered = events(crates, faults), metrics(crates, faults)
    faults += judge_events(documents, log)
    faults += judge_quotes(documents, log)
    faults += judge_metrics(documents, registered)
    faults += judge_links(top, documents)
    faults += judge_paths(top, documents)
    faults += judge_schema(top)
    for fault in sorted(faults):
        print(fault, file=sys.stderr)
    counts = f"{len(log)} events, {len(registered)} metrics, {len(documents)} documents"
    print(f"documents: {f'{len(faults)} faults' if faults else 'ok'} ({counts})")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
