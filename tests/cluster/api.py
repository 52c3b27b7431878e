#!/usr/bin/env python3
"""Tests of the chart with a real API server: what it takes, and what its Pod Security refuses. tests/cluster/run.sh runs them."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "chart"))

from check import FOREIGN, mode, named  # noqa: E402
from cluster import Cluster  # noqa: E402
from render import TOP, VALUES, pods, render  # noqa: E402


def namespace(name, level):
    labels = {"pod-security.kubernetes.io/enforce": level}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def in_namespace(document, name):
    if "namespace" in document["metadata"]:
        document["metadata"]["namespace"] = name
    return document


def bare_pods(values, name):
    """The pods of the templates, as no controller here makes them."""
    for _, template in pods(render(values)):
        # The priority classes of the system are there; the service account's token is not.
        metadata = {**template["metadata"], "name": "probe", "namespace": name}
        yield {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": without_claim(template["spec"])}


def without_claim(spec):
    volumes = spec.get("volumes", [])
    if not any(volume["name"] == "cache" for volume in volumes):
        volumes = [*volumes, {"name": "cache", "emptyDir": {}}]
    return {**spec, "volumes": volumes}


class Chart(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.enterClassContext(Cluster())
        text, code = cls.cluster.apply(
            namespace("archway", "privileged"), namespace("locked", "restricted"), namespace("base", "baseline")
        )
        assert code == 0, text

    def test_the_server_takes_every_document(self):
        for values in VALUES:
            with self.subTest(values.stem):
                documents = [d for d in render(values) if d["kind"] not in FOREIGN]
                text, code = self.cluster.apply(*documents, more=["--dry-run=server", "--validate=strict"])
                self.assertEqual(code, 0, text)
                self.assertNotIn("Warning", text)

    def test_the_server_takes_deploy(self):
        for file in sorted((TOP / "deploy").glob("*.yaml")):
            with self.subTest(file.name):
                text, code = self.cluster.kubectl("apply", "-f", str(file), "--dry-run=server", "--validate=strict")
                self.assertEqual(code, 0, text)

    def test_restricted_takes_the_pods_of_shared_mode_and_no_others(self):
        for values in VALUES:
            for pod in bare_pods(values, "locked"):
                with self.subTest(f"{values.stem} {pod['spec'].get('hostNetwork')}"):
                    text, code = self.cluster.apply(pod, more=["--dry-run=server"])
                    if pod["spec"].get("hostNetwork"):
                        self.assertNotEqual(code, 0)
                        self.assertIn('violates PodSecurity "restricted', text)
                    else:
                        self.assertEqual(code, 0, text)

    def test_a_fixed_address_stays_with_the_service(self):
        documents = [in_namespace(d, "locked") for d in render(named("shared-irsa")) if d["kind"] == "Service"]
        text, code = self.cluster.apply(*documents)
        self.assertEqual(code, 0, text)
        text, _ = self.cluster.kubectl("-n", "locked", "get", "service", "archway-shared", "-o", "jsonpath={.spec.clusterIP}")
        self.assertEqual(text, "10.100.0.50")

    def test_there_are_pods_of_each_mode(self):
        self.assertEqual({mode(values) for values in VALUES}, {"node", "shared", "both", "writer"})


if __name__ == "__main__":
    unittest.main(verbosity=2)
