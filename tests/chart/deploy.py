#!/usr/bin/env python3
"""Writes deploy/: the chart rendered, for those who have no Helm. check.py compares."""

import re

import yaml
from render import TOP, render, rendered

HEAD = """# {what}, rendered from charts/archway by tests/chart/deploy.py.
# Put your image in place of registry.example/archway, your registries into config.toml, then
#   kubectl apply -f {name}
"""
FILES = {
    "node.yaml": "An Archway on each node",
    "shared.yaml": "Two Archways for the whole cluster",
    "both.yaml": "An Archway on each node, and two for the whole cluster behind them",
}


STATIC_HEAD = """# An Archway as a static pod, made from charts/archway by tests/chart/deploy.py: docs/kubernetes.md,
# "Bottlerocket". Put your image in place of registry.example/archway, your registries into the
# annotation, which is Archway's config.toml.
"""
CONFIG_KEY = "archway.dev/config"


class Block(str):
    """A text that YAML writes as a block."""


yaml.SafeDumper.add_representer(Block, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|"))


def static_pod():
    """The pod of node mode without what only an API server has: ConfigMap, service account, priorities by name."""
    documents = {d["kind"]: d for d in render(TOP / "deploy/values/static-pod.yaml", "1.34", "--skip-tests")}
    template = documents["DaemonSet"]["spec"]["template"]
    spec = template["spec"]
    config = documents["ConfigMap"]["data"]["config.toml"]
    for name in ("serviceAccountName", "automountServiceAccountToken", "nodeSelector", "imagePullSecrets"):
        spec.pop(name, None)
    # What the class of this name stands for; admission, which looks it up, sees no static pod.
    spec["priority"] = 2000001000
    [volume] = [v for v in spec["volumes"] if v["name"] == "config"]
    del volume["configMap"]
    field = {"fieldPath": f"metadata.annotations['{CONFIG_KEY}']"}
    volume["downwardAPI"] = {"items": [{"path": "config.toml", "fieldRef": field}]}
    metadata = {
        "name": "archway",
        "namespace": "kube-system",
        "labels": {"app.kubernetes.io/name": "archway"},
        "annotations": {CONFIG_KEY: Block(config)},
    }
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    return STATIC_HEAD + yaml.safe_dump(pod, sort_keys=False, width=100)


def MANIFESTS():
    yield "static-pod.yaml", static_pod()
    for name, what in FILES.items():
        text = rendered(TOP / "deploy/values" / name, "1.34", "--skip-tests")
        # Objects of a release that there is not.
        text = text.replace("managed-by: Helm", "managed-by: kubectl")
        text = re.sub(r"\n *helm.sh/chart: .*", "", text)
        text = re.sub(r"# Source: .*\n", "", text)
        text = "".join(line.rstrip() + "\n" for line in text.splitlines())
        yield name, HEAD.format(what=what, name=name) + text


if __name__ == "__main__":
    for name, text in MANIFESTS():
        (TOP / "deploy" / name).write_text(text)
