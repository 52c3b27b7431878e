"""What the chart renders: `render(values, kube_version)` as the documents of Helm's output."""

import functools
import pathlib
import subprocess

import yaml

TOP = pathlib.Path(__file__).resolve().parents[2]
TOOLS = TOP / ".tools"
CHART = TOP / "charts/archway"
VALUES = sorted((TOP / "tests/chart/values").glob("*.yaml"))
NAMESPACE = "archway"


def helm(*arguments):
    """Helm's output, and its exit code; errors are part of the output."""
    done = subprocess.run(
        [TOOLS / "bin/helm", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    return done.stdout, done.returncode


@functools.cache
def rendered(values, version="1.34", *more):
    text, code = helm("template", "archway", CHART, "-n", NAMESPACE, "-f", values, "--kube-version", version, *more)
    assert code == 0, f"{values}: {text}"
    return text


def render(values, version="1.34", *more):
    return [document for document in yaml.safe_load_all(rendered(values, version, *more)) if document]


def pods(documents):
    """The pod templates among the documents: (name, template)."""
    for document in documents:
        name = f"{document['kind']}/{document['metadata']['name']}"
        if document["kind"] == "Pod":
            yield name, document
        elif "template" in document.get("spec", {}):
            yield name, document["spec"]["template"]


def containers(template):
    spec = template["spec"]
    return spec.get("initContainers", []) + spec["containers"]
