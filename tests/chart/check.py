#!/usr/bin/env python3
"""Tests of charts/archway, of deploy/ and of the commands in their documents, without a cluster.

tests/chart/run.sh runs them; tests/cluster/api.py has those with an API server.
"""

import base64
import functools
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import tomllib
import unittest

import kubernetes_validate
import yaml
from kubernetes_validate import utils

from deploy import MANIFESTS
from render import CHART, TOOLS, TOP, VALUES, containers, helm, pods, render, rendered

VERSIONS = [f"1.{minor}" for minor in range(30, 38)]
# Kinds of other projects, for which there is no schema here.
FOREIGN = {"ServiceMonitor", "PodMonitor", "PrometheusRule"}
ARCHWAY = os.environ.get("ARCHWAY_BIN", TOP / "target/debug/archway")
# What runs as root, and what it has of root's capabilities.
ROOT = {"cache": ["CHOWN"], "node": [], "probe": []}

# Each document is looked up again for each kind.
utils.schema_contents = functools.cache(utils.schema_contents)


# The blocks of a document that run without AWS and without a cluster begin with this line.
RUNS = re.compile(r"^```sh\n# runs anywhere\n(.*?)^```$", re.M | re.S)


def mode(values):
    found = re.search(r"^mode: (\w+)", values.read_text(), re.M)
    return found.group(1) if found else "node"


def lists_nodes(values):
    """Whether the shared Archways follow the nodes: by default they do."""
    return mode(values) in ("shared", "both") and values.stem != "shared-lean"


def for_each_set(test):
    """The test for each set of values."""

    @functools.wraps(test)
    def run(self):
        for values in VALUES:
            with self.subTest(values.stem):
                test(self, values)

    return run


class Chart(unittest.TestCase):
    def test_there_are_value_sets_for_each_mode(self):
        self.assertGreaterEqual(len(VALUES), 12)
        self.assertEqual({mode(values) for values in VALUES}, {"node", "shared", "both", "writer"})

    @for_each_set
    def test_lint_finds_nothing(self, values):
        text, code = helm("lint", "--strict", CHART, "-f", values)
        self.assertEqual(code, 0, text)
        self.assertNotRegex(text, r"WARN|ERROR")

    @for_each_set
    def test_every_document_is_strictly_valid_for_each_kubernetes(self, values):
        seen = set()
        for version in VERSIONS:
            for document in render(values, version):
                if document["kind"] in FOREIGN:
                    continue
                key = version + json.dumps(document, sort_keys=True)
                if key not in seen:
                    seen.add(key)
                    kubernetes_validate.validate(document, version, strict=True)

    @for_each_set
    def test_the_config_is_one(self, values):
        with tempfile.TemporaryDirectory() as folder:
            for config in [d["data"]["config.toml"] for d in render(values) if d["kind"] == "ConfigMap"]:
                done = subprocess.run(
                    [ARCHWAY, "config", "check", with_files(config, folder)], capture_output=True, text=True
                )
                self.assertEqual(done.returncode, 0, done.stderr)

    def test_values_reach_the_config_as_they_are(self):
        [config] = [tomllib.loads(d["data"]["config.toml"]) for d in render(named("node-eks")) if d["kind"] == "ConfigMap"]
        hub = config["upstream"]["docker.io"]
        self.assertEqual(hub["tag_ttls"], {"nightly-*": "5m"})
        self.assertEqual(hub["auth"]["password_file"], "/run/secrets/hub/password")
        # A whole number, and a false that wins over the true of all.
        self.assertIs(type(config["cache"]["max_fills"]), int)
        self.assertIs(config["server"]["replay"], False)
        self.assertEqual(config["listener"], [{"address": "127.0.0.1:5000", "platform": "host"}])

    def test_the_rules_and_the_dashboard_are_those_of_ops(self):
        wanted = [word for name in ("prometheusRule", "dashboard") for word in ("--set", f"{name}.enabled=true")]
        documents = render(named("shared"), "1.34", *wanted)
        [rules] = [d["spec"] for d in documents if d["kind"] == "PrometheusRule"]
        self.assertEqual(rules, yaml.safe_load((TOP / "ops/prometheus/rules.yaml").read_text()))
        [board] = [d for d in documents if d["metadata"]["name"].endswith("-dashboard")]
        self.assertEqual(json.loads(board["data"]["archway.json"]), json.loads((TOP / "ops/grafana/archway.json").read_text()))
        kubernetes_validate.validate(board, "1.34", strict=True)
        # By default there is neither: not every cluster has an operator.
        self.assertFalse([d for d in render(named("shared")) if d["kind"] == "PrometheusRule" or "dashboard" in d["metadata"]["name"]])

    def test_a_typo_is_refused_by_its_name(self):
        for typo, word in [
            ("node.prot=5", "prot"),
            ("modes=node", "modes"),
            ("config.cahce.path=x", "cahce"),
            ("shared.tier.bucket=x", "bucket"),
            ("shared.service.clusterIp=1.2.3.4", "clusterIp"),
            ("writer.paths.cfg=/x", "cfg"),
        ]:
            text, code = helm("template", CHART, "--set", "image.repository=x", "--set", typo)
            self.assertNotEqual(code, 0, typo)
            self.assertIn(f"'{word}' not allowed", text)

    def test_what_cannot_work_is_refused_with_the_key_to_set(self):
        for settings, says in [
            ([], "image.repository"),
            (["mode=both"], "shared.service.clusterIP"),
            (["mode=writer"], "writer.server"),
            (["serviceMonitor.enabled=true"], "node.admin.address"),
            (["config.listener.address=x"], "listener"),
            (["node.resources.limits=null"], "limits"),
            (["mode=nodes"], "'node', 'shared', 'both', 'writer'"),
            (["node.address=0.0.0.0"], "/node/address"),
            (["mode=shared", "shared.tier.url=https://bucket"], "/shared/tier/url"),
            (["mode=shared", "shared.tier.keySecretName=x"], "shared.tier.url"),
            (["mode=shared", "shared.peers.enabled=true"], "shared.peers.secretName"),
        ]:
            settings = [*settings, *(["image.repository=x"] if settings else [])]
            text, code = helm("template", CHART, *(word for setting in settings for word in ("--set", setting)))
            self.assertNotEqual(code, 0, settings)
            self.assertIn(says, text)

    @for_each_set
    def test_containers_are_locked_down(self, values):
        for name, template in pods(render(values)):
            pod = template["spec"]
            # The list of nodes needs one, and nothing else.
            self.assertIs(pod["automountServiceAccountToken"], lists_nodes(values) and name.startswith("StatefulSet"), name)
            self.assertEqual(pod["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"}, name)
            for container in containers(template):
                with self.subTest(f"{name} {container['name']}"):
                    self.check_container(container)

    def check_container(self, container):
        context = container["securityContext"]
        self.assertIs(context["readOnlyRootFilesystem"], True)
        self.assertIs(context["allowPrivilegeEscalation"], False)
        self.assertNotIn("privileged", context)
        self.assertEqual(context["capabilities"]["drop"], ["ALL"])
        added = context["capabilities"].get("add", [])
        if container["name"] in ROOT:
            self.assertEqual((context["runAsUser"], added), (0, ROOT[container["name"]]))
        else:
            self.assertEqual((context["runAsNonRoot"], context["runAsUser"], added), (True, 65532, []))
        self.assertIn("memory", container["resources"]["limits"])
        self.assertLessEqual({"cpu", "memory"}, set(container["resources"]["requests"]))
        self.assertNotRegex(container["image"], r":latest$|^[^:@]*$")
        if container["name"] == "archway":
            self.assertLessEqual({"startupProbe", "livenessProbe", "readinessProbe"}, set(container))

    @for_each_set
    def test_commands_have_flags_that_archway_knows(self, values):
        for _, template in pods(render(values)):
            for container in containers(template):
                commands = [container["args"]]
                if "exec" in container.get("readinessProbe", {}):
                    commands.append(container["readinessProbe"]["exec"]["command"][1:])
                for arguments in commands:
                    done = subprocess.run([ARCHWAY, *arguments, "--help"], capture_output=True, text=True)
                    self.assertEqual(done.returncode, 0, done.stderr)
                    for flag in [word.split("=")[0] for word in arguments if word.startswith("--")]:
                        self.assertIn(flag, done.stdout)

    def test_a_test_for_each_architecture_tries_what_the_nodes_pull(self):
        for values, registries, more in [
            ("node", None, ()),
            ("node-eks", "docker.io", ()),
            ("node-eks", "ghcr.io", ("--set", "writer.registries={ghcr.io}")),
            ("node-eks", "quay.io", ("--set", "writer.registries={ghcr.io},test.registries={quay.io}")),
            ("writer", "docker.io,quay.io", ("--set", "test.admin=https://mirror.example:9464")),
        ]:
            tests = [d for d in render(named(values), "1.34", *more) if d["kind"] == "Pod"]
            self.assertEqual([t["spec"]["nodeSelector"]["kubernetes.io/arch"] for t in tests], ["amd64", "arm64"])
            for test in tests:
                arguments = test["spec"]["containers"][0]["args"]
                self.assertEqual(arguments[:3], ["doctor", "clients", "--probe"])
                tried = [word.split("=")[1] for word in arguments if word.startswith("--registries")]
                self.assertEqual(tried, [registries] if registries else [])

    def test_a_test_runs_where_the_daemonset_does(self):
        affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{}]}}}
        selector = {"kubernetes.io/arch": "arm64", "pool": "a"}
        where = {"node.affinity": affinity, "node.nodeSelector": selector, "test.tolerations": [{"key": "a"}]}
        more = [word for key, value in where.items() for word in ("--set-json", f"{key}={json.dumps(value)}")]
        text = rendered(named("node"), "1.34", *more)
        for test in [d for d in yaml.safe_load_all(text) if d and d["kind"] == "Pod"]:
            architecture = test["metadata"]["name"].removeprefix("archway-test-")
            self.assertEqual(test["spec"]["affinity"], affinity)
            self.assertEqual(test["spec"]["tolerations"], [{"key": "a"}])
            expected = selector | {"kubernetes.io/os": "linux", "kubernetes.io/arch": architecture}
            self.assertEqual(test["spec"]["nodeSelector"], expected)
            # A key that stood there twice would be one by now.
            self.assertEqual(text.count(f"kubernetes.io/arch: {architecture}\n"), 2 if architecture == "arm64" else 1)

    @for_each_set
    def test_a_test_goes_to_no_node_that_wants_no_pods(self, values):
        for document in render(values):
            if document["kind"] == "Pod":
                self.assertNotIn("tolerations", document["spec"])

    def test_a_shared_archway_is_asked_for_each_image_and_architecture(self):
        more = ["--set", "test.images={docker.io/library/busybox:1.37,ghcr.io/x/y}"]
        tests = [d for d in render(named("shared-tls"), "1.34", *more) if d["kind"] == "Pod"]
        asked = [c["args"] for test in tests for c in test["spec"]["containers"]]
        self.assertEqual(
            [(words[1], words[2]) for words in asked],
            [
                (image, f"--platform=linux/{architecture}")
                for architecture in ("amd64", "arm64")
                for image in ("docker.io/library/busybox:1.37", "ghcr.io/x/y")
            ],
        )
        self.assertEqual({words[3] for words in asked}, {"--server=https://archway-shared.archway.svc:5000"})

    @for_each_set
    def test_tests_run_at_helms_word_alone(self, values):
        for document in render(values):
            if document["kind"] == "Pod":
                self.assertEqual(document["metadata"]["annotations"]["helm.sh/hook"], "test")
        for _, template in pods(render(values, "1.34", "--skip-tests")):
            self.assertNotEqual(template["metadata"]["labels"]["app.kubernetes.io/component"], "test")

    @for_each_set
    def test_a_folder_that_a_node_lacks_does_not_keep_its_pod_from_the_start(self, values):
        for name, template in pods(render(values)):
            for volume in template["spec"].get("volumes", []):
                if "hostPath" in volume:
                    # Without a type nothing is asked for; os-release is a file.
                    self.assertIn(volume["hostPath"].get("type"), ("DirectoryOrCreate", None), name)

    @for_each_set
    def test_shared_mode_is_restricted_and_node_mode_is_not(self, values):
        input = "".join(
            json.dumps({"name": name, "metadata": template["metadata"], "spec": template["spec"]})
            for name, template in pods(render(values))
        )
        done = subprocess.run([TOOLS / "bin/pod-security", "restricted"], input=input, capture_output=True, text=True)
        self.assertEqual(done.stderr, "")
        forbidden = {line.split(":")[0].split("/")[0] for line in done.stdout.splitlines()}
        self.assertLessEqual(forbidden, set() if mode(values) == "shared" else {"DaemonSet", "Pod"}, done.stdout)
        self.assertEqual("DaemonSet" in forbidden, mode(values) != "shared", done.stdout)

    @for_each_set
    def test_nodes_are_left_alone_in_shared_mode(self, values):
        kinds = {document["kind"] for document in render(values)}
        self.assertEqual("DaemonSet" in kinds, mode(values) != "shared")
        self.assertEqual("StatefulSet" in kinds, mode(values) in ("shared", "both"))

    @for_each_set
    def test_a_node_listens_on_loopback_and_its_disk_has_room_for_the_kubelet(self, values):
        for document in render(values):
            if document["kind"] == "ConfigMap" and document["metadata"]["name"].endswith("-node"):
                config = tomllib.loads(document["data"]["config.toml"])
                [listener] = config["listener"]
                self.assertRegex(listener["address"], r"^(127\.0\.0\.1|\[::1\]):")
                self.assertEqual(listener["platform"], "host")
                # The kubelet deletes images at 85 % used.
                self.assertGreater(int(config["cache"]["min_free"].rstrip("%")), 15)

    @for_each_set
    def test_shared_archways_may_list_and_watch_nodes_and_nothing_may_more(self, values):
        documents = render(values)
        roles = [d for d in documents if d["kind"] in ("ClusterRole", "Role")]
        rules = [role["rules"] for role in roles if not role["metadata"]["name"].endswith("-taint")]
        expected = [[{"apiGroups": [""], "resources": ["nodes"], "verbs": ["list", "watch"]}]]
        self.assertEqual(rules, expected if lists_nodes(values) else [])
        configs = {d["metadata"]["name"]: tomllib.loads(d["data"]["config.toml"]) for d in documents if d["kind"] == "ConfigMap"}
        for name, config in configs.items():
            # A node's own Archway knows its platform, and asks no API.
            nodes = config.get("platform", {}).get("kubernetes", {}).get("nodes", False)
            self.assertIs(nodes, lists_nodes(values) and name.endswith("-shared"), name)
            self.assertIs(config.get("prefetch", {}).get("nodes", False), nodes)

    def test_the_startup_taint_is_the_writers_to_take_away(self):
        more = ("--set", "node.startupTaint=example.org/starting")
        for values in [named("node-taint"), named("both"), named("writer")]:
            with self.subTest(values.stem):
                self.check_taint(render(values, "1.34", *more))
        text, code = helm("template", CHART, "-f", named("node-without-writer"), *more)
        self.assertNotEqual(code, 0)
        self.assertIn("writer.enabled", text)

    def check_taint(self, documents):
        [role] = [d for d in documents if d["kind"] == "ClusterRole" and d["metadata"]["name"].endswith("-taint")]
        self.assertEqual(role["rules"], [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "patch"]}])
        [binding] = [d for d in documents if d["kind"] == "ClusterRoleBinding" and d["metadata"]["name"].endswith("-taint")]
        [daemons] = [d["spec"]["template"]["spec"] for d in documents if d["kind"] == "DaemonSet"]
        account = daemons["serviceAccountName"]
        self.assertEqual(binding["subjects"][0]["name"], account)
        # Nobody else has that account, and of its containers one has the token.
        others = [d["spec"]["template"]["spec"]["serviceAccountName"] for d in documents if d["kind"] == "StatefulSet"]
        self.assertNotIn(account, others)
        self.assertIn(account, [d["metadata"]["name"] for d in documents if d["kind"] == "ServiceAccount"])
        has_token = [c["name"] for c in daemons["containers"] if "token" in [m["name"] for m in c["volumeMounts"]]]
        self.assertEqual(has_token, ["node"])
        [writer] = [c for c in daemons["containers"] if c["name"] == "node"]
        self.assertIn("--startup-taint=example.org/starting", writer["args"])
        self.assertEqual(writer["env"][0]["valueFrom"], {"fieldRef": {"fieldPath": "spec.nodeName"}})

    def test_replicas_with_a_bucket_find_each_other_and_have_its_secrets(self):
        documents = render(named("shared-bucket"))
        [config] = [tomllib.loads(d["data"]["config.toml"]) for d in documents if d["kind"] == "ConfigMap"]
        host = config["replicas"]["discover"].removeprefix("dns:").removesuffix(".archway.svc:5002")
        [peers] = [d["spec"] for d in documents if d["kind"] == "Service" and d["metadata"]["name"] == host]
        self.assertEqual((peers["clusterIP"], peers["ports"][0]["targetPort"]), ("None", "peers"))
        # An address that does not answer yet would be asked for what it owns.
        self.assertFalse(peers.get("publishNotReadyAddresses", False))
        self.assertEqual(
            config["tier"],
            {
                "url": "s3://archway-cache/one",
                "region": "eu-west-1",
                "endpoint": "http://seaweedfs.storage.svc:8333",
                "path_style": True,
                "max_size": "1TiB",
                "key_file": "/etc/archway-tier/key",
            },
        )
        [pods] = [d["spec"] for d in documents if d["kind"] == "StatefulSet"]
        self.assertEqual(pods["replicas"], 3)
        spec = pods["template"]["spec"]
        [container] = spec["containers"]
        secrets = {v["secret"]["secretName"]: v["name"] for v in spec["volumes"] if "secret" in v}
        mounted = {m["name"]: m["mountPath"] for m in container["volumeMounts"]}
        self.assertEqual(mounted[secrets["archway-replicas"]], "/etc/archway-replicas")
        self.assertEqual(mounted[secrets["archway-tier"]], "/etc/archway-tier")
        self.assertEqual(container["envFrom"], [{"secretRef": {"name": "archway-bucket"}}])
        [policy] = [d["spec"] for d in documents if d["kind"] == "NetworkPolicy"]
        [between] = [rule for rule in policy["ingress"] if rule["ports"][0]["port"] == "peers"]
        self.assertEqual(between["from"][0]["podSelector"]["matchLabels"], pods["selector"]["matchLabels"])
        [budget] = [d["spec"] for d in documents if d["kind"] == "PodDisruptionBudget"]
        self.assertEqual((budget["maxUnavailable"], budget["selector"]), (1, pods["selector"]))

    def test_without_a_bucket_there_is_no_tier(self):
        [config] = [tomllib.loads(d["data"]["config.toml"]) for d in render(named("shared-peers")) if d["kind"] == "ConfigMap"]
        self.assertNotIn("tier", config)

    def test_traffic_stays_in_the_zone_in_the_words_of_the_version(self):
        for version, word in [("1.30", "PreferClose"), ("1.33", "PreferClose"), ("1.34", "PreferSameZone"), ("1.37", "PreferSameZone")]:
            services = [d for d in render(named("shared"), version) if d["kind"] == "Service"]
            self.assertEqual([s["spec"].get("trafficDistribution") for s in services], [word, None])

    def test_a_changed_config_restarts_the_pods(self):
        sums = {
            template["metadata"]["annotations"]["checksum/config"]
            for more in [(), ("--set", "config.cache.max_fills=9")]
            for _, template in pods(render(named("shared"), "1.34", *more))
        }
        self.assertEqual(len(sums), 2)

    @for_each_set
    def test_notes_say_what_comes_next(self, values):
        text, code = helm("install", "archway", CHART, "-n", "archway", "-f", values, "--dry-run=client")
        self.assertEqual(code, 0, text)
        notes = text.split("NOTES:")[1]
        self.assertIn("rollout status", notes)
        self.assertEqual("enforce=privileged" in notes, mode(values) != "shared", notes)
        self.assertEqual(len(re.findall(r"^  helm -n archway test archway$|`helm test`", notes, re.M)), 1, notes)

    def test_each_value_is_in_the_schema_and_explained(self):
        schema = json.loads((CHART / "values.schema.json").read_text())
        text = (CHART / "values.yaml").read_text()
        for name in schema["properties"]:
            if name != "global":
                self.assertRegex(text, rf"(?m)^{name}:")

    def test_deploy_is_what_the_chart_renders(self):
        for name, text in MANIFESTS():
            self.assertEqual((TOP / "deploy" / name).read_text(), text, f"deploy/{name} is old: run tests/chart/deploy.py")


class StaticPod(unittest.TestCase):
    def setUp(self):
        [self.pod] = yaml.safe_load_all((TOP / "deploy/static-pod.yaml").read_text())

    def test_it_needs_no_api_server(self):
        text = json.dumps(self.pod["spec"])
        for word in ("configMap", "secret", "serviceAccount", "nodeSelector"):
            self.assertNotIn(word, text)
        [config] = [v for v in self.pod["spec"]["volumes"] if v["name"] == "config"]
        self.assertIn("archway.dev/config", config["downwardAPI"]["items"][0]["fieldRef"]["fieldPath"])

    def test_it_is_strictly_valid_and_its_config_is_one(self):
        for version in VERSIONS:
            kubernetes_validate.validate(self.pod, version, strict=True)
        with tempfile.TemporaryDirectory() as folder:
            config = with_files(self.pod["metadata"]["annotations"]["archway.dev/config"], folder)
            done = subprocess.run([ARCHWAY, "config", "check", config], capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)

    def test_user_data_of_bottlerocket_has_the_mirror_and_the_pod(self):
        with tempfile.TemporaryDirectory() as folder:
            text = (run_blocks("docs/kubernetes.md", folder) / "user-data.toml").read_text()
        settings = tomllib.loads(text)["settings"]
        [mirror] = settings["container-registry"]["mirrors"]
        self.assertEqual(mirror["endpoint"], ["http://127.0.0.1:5000"])
        manifest = base64.b64decode(settings["kubernetes"]["static-pods"]["archway"]["manifest"])
        self.assertEqual(yaml.safe_load(manifest), self.pod)
        self.assertLess(len(text), 16 * 1024)


class Tutorial(unittest.TestCase):
    """docs/eks.md, in both partitions."""

    def test_its_values_become_a_chart_whose_config_serves_its_registries(self):
        for domain in ("amazonaws.com", "amazonaws.com.cn"):
            registry = f"123456789012.dkr.ecr.x-1.{domain}"
            with self.subTest(domain), tempfile.TemporaryDirectory() as folder:
                rendered = (run_blocks("docs/eks.md", folder, REGISTRY=registry) / "rendered.yaml").read_text()
                documents = {d["kind"]: d for d in yaml.safe_load_all(rendered) if d}
                config = documents["ConfigMap"]["data"]["config.toml"]
                done = subprocess.run(
                    [ARCHWAY, "config", "check", with_files(config, folder)], capture_output=True, text=True
                )
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertIn(registry, tomllib.loads(config)["upstream"])
                images = {c["image"] for c in containers(documents["DaemonSet"]["spec"]["template"])}
                self.assertEqual(images, {f"{registry}/archway:0.1.0"})

    def test_its_other_commands_are_ones_that_a_shell_reads(self):
        for page in ("docs/eks.md", "docs/kubernetes.md", "docs/nodes.md"):
            for block in re.findall(r"^```sh\n(.*?)^```$", (TOP / page).read_text(), re.M | re.S):
                done = subprocess.run(["bash", "-n"], input=block, capture_output=True, text=True)
                self.assertEqual(done.stderr, "", block)


class Elsewhere(unittest.TestCase):
    def test_shellcheck_finds_nothing_in_the_user_data_of_ec2(self):
        done = subprocess.run(["shellcheck", TOP / "deploy/ec2/user-data.sh"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout)

    def services(self, name):
        """What docker-compose makes of a file, in a folder with the files that its head has one make."""
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            for file in (TOP / "docker").glob("compose.*"):
                (folder / file.name).write_text(file.read_text())
            (folder / "replicas.secret").write_text("secret")
            (folder / "replicas.env").write_text("AWS_ACCESS_KEY_ID=archway\nAWS_SECRET_ACCESS_KEY=secret\n")
            done = subprocess.run(["docker-compose", "-f", folder / name, "config"], capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)
            services = yaml.safe_load(done.stdout)["services"]
            for service in services.values():
                for volume in service.get("volumes", []):
                    file = volume.split(":")[0] if isinstance(volume, str) else volume.get("source", "")
                    if file.startswith(str(folder)):
                        self.assertTrue(pathlib.Path(file).is_file(), file)
            return services

    def test_docker_compose_takes_both_files(self):
        for name in ("compose.yaml", "compose.replicas.yaml"):
            archway = self.services(name)["archway"]
            self.assertIs(archway["read_only"], True)
            self.assertEqual(archway["cap_drop"], ["ALL"])

    def test_three_replicas_have_a_bucket_that_is_made_before_them(self):
        services = self.services("compose.replicas.yaml")
        archway = services["archway"]
        self.assertEqual(archway["deploy"]["replicas"], 3)
        self.assertEqual(archway["depends_on"]["bucket"]["condition"], "service_completed_successfully")
        config = tomllib.loads((TOP / "docker/compose.replicas.toml").read_text())
        self.assertEqual(config["tier"]["endpoint"], "http://seaweedfs:8333")
        self.assertIn("-s3.port=8333", services["seaweedfs"]["command"])
        [bucket] = services["bucket"]["command"]
        name = config["tier"]["url"].split("/")[2]
        self.assertIn(f"s3.bucket.create -name {name}'", bucket)
        self.assertIn(f"grep -qw {name};", bucket)
        self.assertEqual(config["replicas"]["secret_file"], "/run/secrets/" + archway["secrets"][0]["source"])
        for service in ("archway", "seaweedfs"):
            self.assertIn("AWS_SECRET_ACCESS_KEY", services[service]["environment"])
        with tempfile.TemporaryDirectory() as folder:
            text = (TOP / "docker/compose.replicas.toml").read_text().replace("/run/secrets/replicas", "/etc/archway-replicas/secret")
            done = subprocess.run([ARCHWAY, "config", "check", with_files(text, folder)], capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)


def run_blocks(page, folder, **environment):
    """Runs the blocks of a page that need nothing else, in a folder with the tree's; that folder."""
    folder = pathlib.Path(folder)
    for name in ("charts", "deploy"):
        (folder / name).symlink_to(TOP / name)
    programs = folder / "bin"
    programs.mkdir()
    (programs / "helm").symlink_to(TOOLS / "bin/helm")
    (programs / "archway").symlink_to(pathlib.Path(ARCHWAY).absolute())
    environment |= {"PATH": f"{programs}:/usr/bin:/bin", "HOME": str(folder)}
    blocks = RUNS.findall((TOP / page).read_text())
    assert blocks, f"{page} has no block that runs anywhere"
    for block in blocks:
        done = subprocess.run(
            ["bash", "-euo", "pipefail"], input=block, cwd=folder, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}{done.stderr}"
    return folder


def named(stem):
    return pathlib.Path(TOP / f"tests/chart/values/{stem}.yaml")


def with_files(config, folder):
    """The config as a file, with files of this folder for those that it names on the node."""
    folder = pathlib.Path(folder)
    make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=mirror.example -keyout tls.key -out tls.crt"
    subprocess.run(make.split(), cwd=folder, check=True, capture_output=True)
    (folder / "password").write_text("secret")
    for path, name in [
        ("/etc/archway-tls/tls", "tls"),
        ("/etc/archway-ca/ca", "tls"),
        ("/run/secrets/hub/password", "password"),
        ("/etc/archway-replicas/secret", "password"),
        ("/etc/archway-tier/key", "password"),
    ]:
        config = config.replace(path, str(folder / name))
    file = folder / "config.toml"
    file.write_text(config)
    return file


def main():
    if not pathlib.Path(ARCHWAY).exists():
        sys.exit(f"{ARCHWAY} is missing; run cargo build --workspace")
    result = unittest.main(exit=False, verbosity=2).result
    # As cargo's, for `make test` adds these up.
    failed = len({id(test) for test, _ in result.failures + result.errors})
    print(f"test result: {'FAILED' if failed else 'ok'}. {result.testsRun - failed} passed; {failed} failed;")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
