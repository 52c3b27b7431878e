#!/usr/bin/env python3
"""Judges the structure of the crates in crates/, as `make check` wants it.

1. Imports go one way: among the children of one module (each with all below it) there is no circle.
   Nested `use` trees, inline paths, re-exports and globs are followed; tests are left out.
2. No type name is defined twice within a crate.
3. No type has `impl` blocks in more than three files.
4. No crate is over 9,000 lines of production code.
5. `unsafe` is in two crates only, the one that maps files and the one that asks the C library; every crate takes the workspace's lints.
6. Every dependency of a crate is used in its code.

Usage: structure.py [--parents] [FOLDER]     (default: the repository this script lies in)
--parents lists, without judging, children that import from the module above them.
"""

import pathlib
import re
import sys
import tomllib
from collections import defaultdict

MAX_CRATE_LINES = 9_000
MAX_IMPL_FILES = 3
UNSAFE_CRATES = ("allocator", "cache")

STRING = re.compile(r'b?c?r(#*)".*?"\1|b?c?"(?:\\.|[^"\\])*"', re.S)
CHARACTER = re.compile(r"b?'(?:\\(?:x[0-9a-fA-F]{2}|u\{[^}]*\}|.)|[^'\\])'")


def bare(source):
    """The source without comments, strings and characters; what is left keeps its line."""
    out, place = [], 0
    while place < len(source):
        if source.startswith("//", place):
            end = source.find("\n", place)
            place = len(source) if end < 0 else end
        elif source.startswith("/*", place):
            end = source.find("*/", place)
            stop = len(source) if end < 0 else end + 2
            out.append("\n" * source.count("\n", place, stop))
            place = stop
        else:
            is_word = place > 0 and (source[place - 1].isalnum() or source[place - 1] == "_")
            found = None if is_word else STRING.match(source, place) or CHARACTER.match(source, place)
            if found and found.end() > place:
                out.append('""' + "\n" * found.group().count("\n"))
                place = found.end()
            else:
                out.append(source[place])
                place += 1
    return "".join(out)


def block_end(text, start):
    """The place behind the brace that closes the first one from `start` on."""
    depth = 0
    for place in range(start, len(text)):
        if text[place] == "{":
            depth += 1
        elif text[place] == "}":
            depth -= 1
            if depth == 0:
                return place + 1
    return len(text)


def without_tests(text):
    """The text without items, fields and arguments that only tests have."""
    while found := re.search(r"#\[cfg\((?:test|all\(test[^\]]*)\)\]\s*(?:#\[[^\]]*\]\s*)*", text):
        end = item_end(text, found.end())
        text = text[: found.start()] + "\n" * text.count("\n", found.start(), end) + text[end:]
    return text


def item_end(text, start):
    """The place behind the item, field or argument that begins at `start`."""
    depth = 0
    for place in range(start, len(text)):
        letter = text[place]
        if letter == "{" and depth == 0:
            return block_end(text, place)
        if letter in "([{":
            depth += 1
        elif letter in ")]}":
            if depth == 0:
                return place
            depth -= 1
        elif letter in ";," and depth == 0:
            return place + 1
    return len(text)


def leaves(tree):
    """All (path, name) of a use tree; a glob has the name `*`."""
    tree = tree.strip()
    brace = tree.find("{")
    if brace >= 0:
        prefix, inner = tree[:brace], tree[brace + 1 : tree.rindex("}")]
        depth, start = 0, 0
        for place, letter in enumerate(inner + ","):
            depth += (letter == "{") - (letter == "}")
            if letter == "," and depth == 0:
                if inner[start:place].strip():
                    yield from leaves(prefix + inner[start:place].strip())
                start = place + 1
        return
    path, _, alias = tree.partition(" as ")
    segments = [part.strip() for part in path.split("::") if part.strip()]
    if len(segments) > 1 and segments[-1] == "self":
        segments.pop()
    yield segments, alias.strip() or segments[-1]


class Module:
    """A module: its place in the tree, its file, what it imports and what it mentions."""

    def __init__(self, path, file):
        self.path, self.file = path, file
        self.children, self.imports, self.mentions, self.types, self.impls = {}, {}, [], [], set()


class Crate:
    def __init__(self, folder):
        self.name, self.folder = folder.name, folder
        self.root, self.lines, self.allows_unsafe = Module((), None), 0, []
        sources = folder / "src"
        for file in sorted(sources.rglob("*.rs")):
            parts = file.relative_to(sources).with_suffix("").parts
            if "tests" in parts:
                continue
            if parts in (("lib",), ("main",)):
                parts = ()
            self.read(self.module(parts), file)

    def module(self, parts):
        here = self.root
        for depth, part in enumerate(parts):
            here = here.children.setdefault(part, Module(parts[: depth + 1], None))
        return here

    def read(self, module, file):
        module.file = file
        source = file.read_text()
        text = without_tests(bare(source))
        if re.search(r"\bunsafe\b", text):
            self.allows_unsafe.append(file)
        self.lines += production_lines(source)
        uses = re.compile(r"^([ \t]*)(?:pub(?:\([^)]*\))?\s+)?use\s+([^;]+);", re.M)
        for found in uses.finditer(text):
            line = text.count("\n", 0, found.start()) + 1
            for path, name in leaves(re.sub(r"\s+", " ", found.group(2))):
                module.mentions.append((path, line))
                if not found.group(1) and name != "_":
                    module.imports.setdefault(name, []).append(path)
        for found in re.finditer(r"(?<![\w:])(?:crate|super|self)(?:\s*::\s*\w+)+", uses.sub("", text)):
            module.mentions.append((re.split(r"\s*::\s*", found.group()), None))
        # A path through an imported module: `use crate::pull;` and then `pull::manifests::get()`.
        for found in re.finditer(r"(?<![\w:.])(?!crate\b|super\b|self\b)([a-z_]\w*)\s*::\s*(\w+)", uses.sub("", text)):
            if found.group(1) in module.imports:
                for path in module.imports[found.group(1)]:
                    module.mentions.append((path + [found.group(2)], text.count("\n", 0, found.start()) + 1))
        module.types = re.findall(
            r"^[ \t]*(?:pub(?:\([^)]*\))?\s+)?(?:struct|enum|union|trait|type)\s+(\w+)(?=[^;]*[;{(])", text, re.M
        )
        # An associated type is defined by its trait.
        module.types = [
            name
            for name in module.types
            if re.search(rf"^(?:pub(?:\([^)]*\))?\s+)?(?:struct|enum|union|trait|type)\s+{name}\b", text, re.M)
        ]
        for found in re.finditer(r"^impl\b(?:<(?:[^<>]|<[^<>]*>)*>)?\s+([^{]+?)\s*\{", text, re.M):
            head = found.group(1).split(" where ")[0]
            subject = head.split(" for ", 1)[1] if " for " in head else head
            name = re.match(r"&?(?:'\w+\s+)?(?:\w+::)*(\w+)", subject.strip())
            if name:
                module.impls.add(name.group(1))

    def all_modules(self, here=None):
        here = here or self.root
        yield here
        for child in here.children.values():
            yield from self.all_modules(child)

    def resolve(self, module, path, seen=frozenset()):
        """The modules that what `path` means in `module` is defined in; none for another crate's."""
        here, rest = module, list(path)
        if rest[0] == "crate":
            here, rest = self.root, rest[1:]
        elif rest[0] in ("self", "super"):
            while rest and rest[0] in ("self", "super"):
                if rest[0] == "super":
                    here = self.module(here.path[:-1])
                rest = rest[1:]
        elif rest[0] not in here.children:
            return set()
        while rest and rest[0] in here.children:
            here, rest = here.children[rest[0]], rest[1:]
        if not rest or rest[0] == "*":
            return {here}
        key = (here.path, rest[0])
        if rest[0] in here.types or key in seen:
            return {here}
        places = set()
        for imported in here.imports.get(rest[0], []):
            places |= self.resolve(here, imported + rest[1:], seen | {key}) or set()
        if not places:
            for imported in here.imports.get("*", []):
                for place in self.resolve(here, imported, seen | {key}):
                    if rest[0] in place.types:
                        places.add(place)
        return places or {here}

    def edges(self):
        """Who imports from whom: (module, module) with one place to look at."""
        found = {}
        for module in self.all_modules():
            for path, line in module.mentions:
                for place in self.resolve(module, path):
                    if place is not module:
                        where = f"{module.file}:{line}" if line else f"{module.file}"
                        found.setdefault((module.path, place.path), f"{where}: {'::'.join(path)}")
        return found


def production_lines(source):
    head = re.split(r"^#\[cfg\(test\)\]\s*\nmod \w+ \{", source, maxsplit=1, flags=re.M)[0]
    return head.count("\n")


def circles(crate):
    levels = defaultdict(dict)
    for (user, used), where in crate.edges().items():
        common = 0
        while common < min(len(user), len(used)) and user[common] == used[common]:
            common += 1
        if common < len(user) and common < len(used):
            level = levels[user[:common]]
            level.setdefault((user[common], used[common]), where)
    for parent, arrows in sorted(levels.items()):
        graph = defaultdict(set)
        for user, used in arrows:
            graph[user].add(used)
        for ring in rings(graph):
            name = "::".join((crate.name, *parent))
            steps = list(zip(ring, ring[1:] + ring[:1]))
            yield f"{name}: circle {' -> '.join(ring + ring[:1])}\n" + "".join(
                f"    {arrows[step]}\n" for step in steps
            )


def rings(graph):
    """One shortest ring for each knot of the graph."""
    left = set(graph)
    while left:
        start = min(left)
        left.discard(start)
        paths, queue = {start: [start]}, [start]
        while queue:
            here = queue.pop(0)
            for there in sorted(graph.get(here, ())):
                if there == start:
                    yield paths[here]
                    left -= set(paths[here])
                    queue = []
                    break
                if there not in paths:
                    paths[there] = paths[here] + [there]
                    queue.append(there)


def twice(crate):
    places = defaultdict(list)
    for module in crate.all_modules():
        for name in module.types:
            places[name].append(module.file)
    for name, files in sorted(places.items()):
        if len(files) > 1:
            yield f"{crate.name}: type {name} is defined {len(files)} times:\n" + "".join(
                f"    {file}\n" for file in files
            )


def scattered(crate):
    own = {name for module in crate.all_modules() for name in module.types}
    places = defaultdict(list)
    for module in crate.all_modules():
        for name in module.impls & own:
            places[name].append(module.file)
    for name, files in sorted(places.items()):
        if len(files) > MAX_IMPL_FILES:
            yield f"{crate.name}: impl blocks of {name} in {len(files)} files:\n" + "".join(
                f"    {file}\n" for file in files
            )


def unused(crate):
    manifest = tomllib.loads((crate.folder / "Cargo.toml").read_text())
    if manifest.get("lints") != {"workspace": True}:
        yield f"{crate.name}: its Cargo.toml does not take the lints of the workspace\n"
    files = [file for folder in ("src", "tests", "benches", "examples") for file in (crate.folder / folder).rglob("*.rs")]
    everything = "".join(bare(file.read_text()) for file in files)
    for kind in ("dependencies", "dev-dependencies"):
        for name in manifest.get(kind, {}):
            # serde is used by its derives alone, too.
            if not re.search(rf"(?<![\w:]){name.replace('-', '_')}(?:\s*::|;|!| as )", everything):
                yield f"{crate.name}: {name} of [{kind}] is not used\n"


def main():
    arguments = [argument for argument in sys.argv[1:] if argument != "--parents"]
    top = pathlib.Path(arguments[0] if arguments else pathlib.Path(__file__).parents[2])
    crates = [Crate(folder.parent) for folder in sorted(top.glob("crates/*/src"))]
    if "--parents" in sys.argv:
        for crate in crates:
            arrows = crate.edges()
            for (user, used), where in sorted(arrows.items()):
                if user[: len(used)] == used and (used, user) in arrows:
                    print(f"{crate.name}: {'::'.join(user)} imports from {'::'.join(used) or 'the root'}: {where}")
        return 0
    faults = []
    for crate in crates:
        for judge in (circles, twice, scattered, unused):
            faults += judge(crate)
        if crate.lines > MAX_CRATE_LINES:
            faults.append(f"{crate.name}: {crate.lines} lines of production code, {MAX_CRATE_LINES} at most\n")
        if crate.name not in UNSAFE_CRATES:
            faults += [f"{file}: only {' and '.join(UNSAFE_CRATES)} may hold unsafe code\n" for file in crate.allows_unsafe]
    print("".join(faults), end="", file=sys.stderr)
    sizes = ", ".join(f"{crate.name} {crate.lines}" for crate in crates)
    print(f"structure: {f'{len(faults)} faults' if faults else 'ok'} ({sizes})")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
