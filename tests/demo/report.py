"""The table at the end of the demo, and the verdict on it.

Reads the work folder of the story: `parts` (the content of ECR), `counts` (the requests to ECR), the list of
contents of each client, and Archway's access log. Ends with 1 if a figure breaks a promise of Archway: every
part is fetched from ECR once, and every client has the parts of its own architecture and no others.
"""

import collections
import json
import pathlib
import sys

CLIENTS = {
    "x86 node": "x86/content",
    "Arm node": "arm/content",
    "old, default": "old-client/amd64/content",
    "old, arm64": "old-client/arm64/content",
}
# The parts each client must hold, and those it must not.
HOLDS = {
    "x86 node": ({"index", "manifest/amd64", "config/amd64", "layer/amd64"}, {"layer/arm64"}),
    "Arm node": ({"manifest/arm64", "config/arm64", "layer/arm64"}, {"layer/amd64"}),
    "old, default": ({"manifest/amd64", "config/amd64", "layer/amd64"}, {"index", "layer/arm64"}),
    "old, arm64": ({"manifest/arm64", "config/arm64", "layer/arm64"}, {"index", "layer/amd64"}),
}


class Part(collections.namedtuple("Part", "role digest size")):
    """One manifest or blob of the image, as ECR has it."""


def read_parts(work):
    """The content of ECR, in the order of the story's list."""
    lines = (line.split() for line in (work / "parts").read_text().splitlines())
    return [Part(role, digest, int(size)) for role, digest, size in lines]


def read_counts(work):
    """The requests to ECR: ({last part of the path: GETs}, other requests with their number)."""
    gets, others = collections.Counter(), collections.Counter()
    for line in (work / "counts").read_text().splitlines():
        times, method, status, path = line.split()
        name = path.partition("?")[0].rpartition("/")[2]
        if method == "GET" and status in ("200", "206", "307") and "/hello/" in path:
            gets[name] += int(times)
        else:
            others[f"{method} {path.removeprefix('/v2/hello/')} {status}"] += int(times)
    return gets, others


def asked(gets, part):
    """The GETs of a part. The index is requested by its tag too."""
    return gets[part.digest] + (gets["latest"] if part.role == "index" else 0)


def read_tokens(work):
    """The number of tokens that the ECR API issued."""
    return len((work / "ecr/calls").read_text().splitlines())


def read_outcomes(work):
    """Archway's answers to the clients' GETs of manifests and blobs: {outcome: (requests, bytes)}."""
    outcomes = collections.defaultdict(lambda: [0, 0])
    for line in (work / "log/archway.log").read_text().splitlines():
        event = json.loads(line)
        if event.get("target") == "access" and event.get("method") == "GET" and event.get("reference"):
            outcomes[event["outcome"]][0] += 1
            outcomes[event["outcome"]][1] += event.get("bytes") or 0
    return outcomes


def print_parts(parts, gets, held):
    """The table: a line for each part, a column for ECR and one for each client."""
    print(f"    {'':16}{'digest':21}{'bytes':>8}  {'ECR requests':>12}  " + "  ".join(held))
    for part in parts:
        marks = "  ".join(("✓" if part.digest in content else "·").center(len(client))
                          for client, content in held.items())
        print(f"    {part.role:16}{part.digest[:19]}… {part.size:>8}  {asked(gets, part):>12}  {marks}")


def print_summary(others, tokens, outcomes):
    """The other requests to ECR, and the share of the clients' requests that Archway answered itself."""
    print()
    others["token from the API"] = tokens
    asked_too = ", ".join(f"{times} × {request}" for request, times in sorted(others.items()))
    print(f"    Other requests to ECR: {asked_too}.")
    requests = sum(number for number, _ in outcomes.values())
    fetched = outcomes["fill"][0] + outcomes["miss"][0]
    names = ", ".join(f"{outcome} {number}" for outcome, (number, _) in sorted(outcomes.items()) if number)
    print(f"    Archway answered {requests} GETs of manifests and blobs ({names}),")
    print(f"    {sum(size for _, size in outcomes.values()):,} bytes; hit ratio {1 - fetched / max(requests, 1):.0%}.")


def faults(parts, gets, held):
    """A sentence for each broken promise."""
    for part in parts:
        if asked(gets, part) != 1:
            yield f"ECR got {asked(gets, part)} requests for {part.role} instead of one"
    known = {part.digest for part in parts} | {"latest"}
    for name in gets.keys() - known:
        yield f"ECR got a request for {name}, which no client needs"
    for client, (must, must_not) in HOLDS.items():
        has = {part.role for part in parts if part.digest in held[client]}
        for role in sorted(must - has):
            yield f"{client} lacks {role}"
        for role in sorted(must_not & has):
            yield f"{client} holds {role}"


def main():
    """Prints the table. The exit status is the verdict."""
    work = pathlib.Path(sys.argv[1])
    parts = read_parts(work)
    gets, others = read_counts(work)
    held = {client: set((work / file).read_text().split()) for client, file in CLIENTS.items()}
    print_parts(parts, gets, held)
    print_summary(others, read_tokens(work), read_outcomes(work))
    wrong = list(faults(parts, gets, held))
    for fault in wrong:
        print(f"    ✗ {fault}", file=sys.stderr)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
