#!/usr/bin/env python3
"""Tests of the node list and the startup taint with a real API server: its RBAC, watch, lists and outages.

tests/cluster/run.sh runs them with the binary of ARCHWAY_BIN, else target/debug/archway.
"""

import base64
import concurrent.futures
import http.client
import http.server
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "chart"))

from check import named  # noqa: E402
from cluster import TOKEN, Cluster, free_ports  # noqa: E402
from registry import MANIFEST, Answers, digest  # noqa: E402
from render import TOP, render  # noqa: E402

ARCHWAY = os.environ.get("ARCHWAY_BIN", TOP / "target/debug/archway")
CONTAINERD = "containerd/v2.4.2"
INDEX = "application/vnd.oci.image.index.v1+json"
# What is not timed by an issue has this long on a machine that is busy.
PATIENCE = 60
MANY = 5_000


def eventually(what, probe, seconds=PATIENCE):
    deadline = time.monotonic() + seconds
    while not (found := probe()):
        assert time.monotonic() < deadline, what
        time.sleep(0.02)
    return found


def image(architecture):
    config = json.dumps({"os": "linux", "architecture": architecture, "rootfs": {"type": "layers", "diff_ids": []}}).encode()
    described = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(config), "size": len(config)}
    return json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": described, "layers": []}).encode(), config


class Registry(http.server.ThreadingHTTPServer):
    """team/app:v1, an index for amd64 and arm64."""

    def __init__(self):
        self.children, self.content = {}, {}
        entries = []
        for architecture in ("amd64", "arm64"):
            manifest, config = image(architecture)
            self.children[architecture] = manifest
            self.content |= {digest(manifest): (MANIFEST, manifest), digest(config): ("application/octet-stream", config)}
            platform = {"os": "linux", "architecture": architecture}
            entries.append({"mediaType": MANIFEST, "digest": digest(manifest), "size": len(manifest), "platform": platform})
        self.index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()
        self.content |= {"v1": (INDEX, self.index), digest(self.index): (INDEX, self.index)}
        super().__init__(("127.0.0.1", 0), Answers)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Archway:
    """A running one; `with` ends it. The client at 127.0.0.2 is a proxy that it trusts."""

    def __init__(self, registry, folder, kubeconfig, more=""):
        self.port, self.admin = free_ports(2)
        self.folder = pathlib.Path(tempfile.mkdtemp(dir=folder))
        (self.folder / "config.toml").write_text(f"""
            default_upstream = "registry.test"
            [[listener]]
            address = "127.0.0.1:{self.port}"
            [admin]
            address = "127.0.0.1:{self.admin}"
            [cache]
            path = "{self.folder}/cache"
            [log]
            format = "json"
            [server]
            trusted_proxies = ["127.0.0.2/32"]
            [upstream."registry.test"]
            endpoints = ["http://127.0.0.1:{registry.server_port}"]
            resolve = "always"
            [platform.kubernetes]
            nodes = true
            kubeconfig = "{kubeconfig}"
            {more}
            """)

    def __enter__(self):
        self.started = time.monotonic()
        with open(self.folder / "log", "wb") as log:
            self.process = subprocess.Popen([ARCHWAY, "serve", "--config", self.folder / "config.toml"], stderr=log)
        eventually("Archway does not answer", self.answers)
        self.took = time.monotonic() - self.started
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def answers(self):
        try:
            return self.ask(self.admin, "/livez")[0] == 200
        except OSError:
            return False

    def ask(self, port, path, source=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30, source_address=source)
        connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, answer.headers, body

    def pull(self, address, agent=CONTAINERD, **headers):
        """The platform and the body of team/app:v1, for the runtime at an address."""
        headers = {"User-Agent": agent, "X-Forwarded-For": address, "Accept": f"{INDEX}, {MANIFEST}"} | headers
        status, answered, body = self.ask(self.port, "/v2/team/app/manifests/v1", ("127.0.0.2", 0), **headers)
        assert status == 200, body
        return answered.get("Archway-Platform", ""), body

    def said(self, address):
        return self.pull(address)[0]

    def report(self):
        return json.loads(self.ask(self.admin, "/_archway/v1/nodes")[2])

    def knows(self, count):
        def complete():
            report = self.report()
            return report["watched"] and len(report["nodes"]) == count

        eventually(f"{count} nodes: {self.log()[-800:]}", complete, 4 * PATIENCE)

    def memory(self):
        """Anonymous memory, in bytes."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"RssAnon:\s+(\d+) kB", status)[1]) * 1024

    def log(self):
        return (self.folder / "log").read_text(errors="replace")


def node(name, architecture, address, taints=()):
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/os": "linux"}},
        "spec": {"taints": list(taints)},
        "status": {
            "addresses": [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": name}],
            "nodeInfo": {
                "operatingSystem": "linux", "architecture": architecture, "machineID": "", "systemUUID": "", "bootID": "",
                "kernelVersion": "6.1", "osImage": "test", "containerRuntimeVersion": "containerd://2.4.2",
                "kubeletVersion": "v1.34.4", "kubeProxyVersion": "",
            },
            "images": [
                {"names": [f"registry.example/team/service-{at}@sha256:{at:064x}"], "sizeBytes": 1} for at in range(50)
            ],
        },
    }  # fmt: skip


class Nodes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.enterClassContext(Cluster())
        cls.folder = cls.enterClassContext(tempfile.TemporaryDirectory(prefix="archway-nodes-"))
        cls.registry = Registry()
        cls.addClassCleanup(cls.registry.shutdown)
        space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "archway"}}
        kinds = ("ServiceAccount", "ClusterRole", "ClusterRoleBinding")
        more = ("--set", "node.startupTaint=archway.dev/not-ready")
        rights = [d for name in ("shared", "node-taint") for d in render(named(name), "1.34", *more[: 2 * (name != "shared")]) if d["kind"] in kinds]
        text, code = cls.cluster.apply(space, *rights)
        assert code == 0, text
        cls.kubeconfig = cls.way("archway")

    def setUp(self):
        text, code = self.cluster.apply(node("intel", "amd64", "10.0.0.1"), node("graviton", "arm64", "10.0.0.2"))
        self.assertEqual(code, 0, text)

    @classmethod
    def way(cls, account):
        """A kubeconfig with the token of a service account of the chart."""
        token, code = cls.cluster.kubectl("-n", "archway", "create", "token", account)
        assert code == 0, token
        authority = base64.b64encode((cls.cluster.path / "certs/apiserver.crt").read_bytes()).decode()
        path = pathlib.Path(cls.folder) / f"{account}.json"
        path.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": cls.cluster.url, "certificate-authority-data": authority}}],
            "users": [{"name": "test", "user": {"token": token.strip()}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        }))  # fmt: skip
        return path

    def archway(self, kubeconfig=None, more=""):
        return self.enterContext(Archway(self.registry, self.folder, kubeconfig or self.kubeconfig, more))

    def test_1_the_same_tag_from_two_nodes_is_two_images_until_a_node_goes(self):
        archway = self.archway()
        archway.knows(2)
        for address, architecture in (("10.0.0.1", "amd64"), ("10.0.0.2", "arm64")):
            said, body = archway.pull(address)
            self.assertEqual(said, f"linux/{architecture}; source=node")
            self.assertEqual(body, self.registry.children[architecture])
        self.assertEqual(archway.pull("10.0.0.3"), ("", self.registry.index))
        text, code = self.cluster.kubectl("delete", "node", "intel")
        deleted = time.monotonic()
        self.assertEqual(code, 0, text)
        eventually("the hint is gone", lambda: archway.said("10.0.0.1") == "")
        took = time.monotonic() - deleted
        print(f"node deleted, hint gone {took * 1000:.0f} ms after kubectl had ended", file=sys.stderr)
        self.assertLess(took, 2)

    def test_2_without_its_api_the_last_list_stays_and_pulls_go_on(self):
        archway = self.archway()
        archway.knows(2)
        self.cluster.stop("kube-apiserver")
        eventually("it says so", lambda: "the last list stays" in archway.log())
        self.assertEqual(archway.said("10.0.0.2"), "linux/arm64; source=node")
        late = self.archway()
        self.assertLess(late.took, PATIENCE)
        self.assertEqual(late.said("10.0.0.2"), "")
        self.cluster.start_api_server()
        for one in (archway, late):
            one.knows(2)
            self.assertEqual(one.said("10.0.0.2"), "linux/arm64; source=node")

    def test_3_the_rights_of_the_chart_are_enough_and_no_more(self):
        for verb, may in (("list", "yes"), ("watch", "yes"), ("get", "no"), ("patch", "no"), ("delete", "no")):
            account = "--as=system:serviceaccount:archway:archway"
            text, _ = self.cluster.kubectl("auth", "can-i", verb, "nodes", account)
            self.assertEqual(text.split()[-1], may, verb)
        text, code = self.cluster.kubectl("-n", "archway", "create", "serviceaccount", "nobody")
        self.assertEqual(code, 0, text)
        archway = self.archway(self.way("nobody"))
        eventually("it names the role", lambda: "a ClusterRole with the verbs list and watch for nodes" in archway.log())

    def test_4_a_startup_taint_goes_once_archway_has_answered(self):
        taints = [{"key": "archway.dev/not-ready", "effect": "NoSchedule"}, {"key": "other", "effect": "NoSchedule"}]
        text, code = self.cluster.apply(node("new", "arm64", "10.0.0.4", taints))
        self.assertEqual(code, 0, text)
        # The server adds one of its own to a node that no kubelet has called ready.
        others = [key for key in self.taints("new") if key != "archway.dev/not-ready"]
        self.assertIn("other", others)
        root = pathlib.Path(tempfile.mkdtemp(dir=self.folder))
        (root / "etc/containerd").mkdir(parents=True)
        port, admin = free_ports(2)
        command = [
            ARCHWAY, "client-config", "apply", "containerd", "--watch", f"--root={root}", "--containerd-version=2.4",
            f"--server=http://127.0.0.1:{port}", f"--admin=http://127.0.0.1:{admin}", "--startup-taint=archway.dev/not-ready",
            "--node-name=new", f"--kubeconfig={self.way('archway-node')}",
        ]  # fmt: skip
        with open(root / "log", "wb") as log:
            writer = subprocess.Popen(command, stderr=log)
        self.addCleanup(lambda: (writer.terminate(), writer.wait()))
        eventually("it waits", lambda: "waiting: nothing answers" in (root / "log").read_text())
        self.assertIn("archway.dev/not-ready", self.taints("new"))
        serving = Archway(self.registry, self.folder, self.kubeconfig)
        text = (serving.folder / "config.toml").read_text()
        text = text.replace(str(serving.port), str(port)).replace(str(serving.admin), str(admin))
        (serving.folder / "config.toml").write_text(text)
        serving.port, serving.admin = port, admin
        self.enterContext(serving)
        eventually("the taint goes", lambda: "archway.dev/not-ready" not in self.taints("new"))
        self.assertEqual(self.taints("new"), others)
        self.cluster.kubectl("delete", "node", "new")

    def taints(self, name):
        text, code = self.cluster.kubectl("get", "node", name, "-o", "json")
        self.assertEqual(code, 0, text)
        return [taint["key"] for taint in json.loads(text)["spec"].get("taints", [])]

    def test_5_five_thousand_nodes(self):
        started = time.monotonic()
        self.create_many()
        print(f"{MANY} nodes made in {time.monotonic() - started:.0f} s", file=sys.stderr)
        idle = self.archway(pathlib.Path(self.folder) / "missing")
        archway = self.archway()
        idle.said("10.0.0.2"), archway.said("10.0.0.2")
        peak = 0

        def complete():
            nonlocal peak
            peak = max(peak, archway.memory())
            return archway.report()["watched"]

        eventually("all are known", complete, 4 * PATIENCE)
        known = time.monotonic() - archway.started
        self.assertEqual(len(archway.report()["nodes"]), MANY + 2)
        self.assertEqual(archway.said("10.1.19.250"), "linux/arm64; source=node")
        grown = max(peak, archway.memory()) - idle.memory()
        print(f"start {archway.took:.2f} s (without the list {idle.took:.2f} s), known after {known:.1f} s, "
              f"{grown / 1e6:.1f} MB more at the peak", file=sys.stderr)  # fmt: skip
        self.assertLess(grown, 10_000_000)

    def create_many(self):
        import ssl

        def create(part):
            trusting = ssl._create_unverified_context()
            connection = http.client.HTTPSConnection("127.0.0.1", self.cluster.port, context=trusting, timeout=60)
            for at in part:
                body = json.dumps(node(f"node-{at:05}", ("amd64", "arm64")[at % 2], f"10.1.{at // 250}.{at % 250 + 1}"))
                headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
                connection.request("POST", "/api/v1/nodes", body, headers)
                answer = connection.getresponse()
                text = answer.read()
                assert answer.status == 201, text
            connection.close()

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(create, [range(at, MANY, 8) for at in range(8)]))


if __name__ == "__main__":
    unittest.main(verbosity=2)
