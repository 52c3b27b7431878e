"""The matrix of the demo: the result of every client for every answer to a tag, and the verdict on it.

Reads the folder of matrix.sh: `parts` (the content of ECR) and `*.pulls` (the result of each pull). Ends with 1 if a pull
through Archway and the same pull straight from ECR differ, or if a client with a hint got another platform.
"""

import collections
import pathlib
import sys

ANSWERS = {
    "index": "the index",
    "wanted": "child, by hint",
    "unwanted": "foreign child, by hint",
    "lacking": "index without it",
}
OTHER = {"amd64": "arm64", "arm64": "amd64"}


class End(collections.namedtuple("End", "architectures recorded")):
    """The result of a pull: the architectures of the layers, and the manifest recorded for the tag."""

    def __str__(self):
        if self.architectures == "failed":
            return "fails"
        held = "no layers" if self.architectures == "-" else self.architectures
        return f"{held}, {self.recorded.partition('/')[0].replace('manifest', 'child')}"


def read_roles(folder):
    """{digest: role} of the content of ECR."""
    lines = (line.split() for line in (folder / "parts").read_text().splitlines())
    return {digest: role for role, digest, _ in lines}


def read_ends(folder):
    """{(client, its --platform): {(answer, route): End}}, in the order of the table."""
    roles = read_roles(folder)
    ends = collections.defaultdict(dict)
    for file in sorted(folder.glob("*.pulls")):
        for line in file.read_text().splitlines():
            client, told, answer, route, end = line.split("|")
            architectures, digest = end.split()
            ends[client, told][answer, route] = End(architectures, roles.get(digest, digest))
    return ends


def fault(told, answer, through, straight):
    """The mistake in a cell, or None."""
    wanted = told.rpartition("/")[2] or "amd64"
    hinted = {"wanted": wanted, "unwanted": OTHER[wanted]}.get(answer)
    if through != straight:
        return f"{through} through Archway, {straight} straight from ECR"
    if hinted and through != End(hinted, f"manifest/{hinted}"):
        return f"{through}, where {hinted} was hinted"
    if answer == "index" and through != End(wanted, "index"):
        return f"{through}, where {wanted} was wanted"
    if answer == "lacking" and through.architectures not in ("failed", "-"):
        return f"{through}, where there is no {wanted}"
    return None


def main():
    """Prints the table. The exit status is the verdict."""
    ends = read_ends(pathlib.Path(sys.argv[1]))
    wrong = []
    print(f"    {'':22}{'told':23}" + "".join(f"{title:24}" for title in ANSWERS.values()).rstrip())
    for (client, told), row in ends.items():
        cells = []
        for answer in ANSWERS:
            through = row[answer, "archway"]
            found = fault(told, answer, through, row[answer, "straight"])
            wrong += [f"{client}, told {told or 'nothing'}, {ANSWERS[answer]}: {found}"] if found else []
            cells.append(f"{'✗' if found else '✓'} {through}")
        option = f"--platform {told}" if told else "nothing"
        print(f"    {client:22}{option:23}" + "".join(f"{cell:24}" for cell in cells).rstrip())
    for line in wrong:
        print(f"    ✗ {line}", file=sys.stderr)
    if not wrong and ends:
        pulls = sum(len(row) for row in ends.values()) // 2
        print(f"    All {pulls} pulls through Archway ended like those from ECR: with the same digest, or in failure.")
    sys.exit(1 if wrong or not ends else 0)


if __name__ == "__main__":
    main()
