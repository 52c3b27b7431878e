"""The steps of kubelet.sh for `archway doctor clients --probe-pods`: a registered kubelet, an API server whose
namespace is `restricted`, and an account with the rights that the command names and no others.
"""

import base64
import json
import os
import pathlib
import subprocess
import sys

from cluster import Cluster, TOKEN
from machine import ARCHWAY, WORK, eventually, import_images, start, start_containerd, start_kubelet, state, step

ADDRESS = "10.99.0.1"
NAMESPACE = "probes"
# What a network plugin has to say; a pod that pulls needs no more of a network.
PLUGIN = """#!/bin/sh
case $CNI_COMMAND in
  VERSION) echo '{"cniVersion": "0.4.0", "supportedVersions": ["0.3.1", "0.4.0"]}' ;;
  ADD) cat >/dev/null
    echo '{"cniVersion": "0.4.0", "interfaces": [{"name": "'"$CNI_IFNAME"'", "sandbox": "'"$CNI_NETNS"'"}],
      "ips": [{"version": "4", "address": "10.98.0.5/24", "interface": 0}]}' ;;
  *) cat >/dev/null ;;
esac
"""


def network():
    subprocess.run(["ip", "link", "add", "node", "type", "bridge"], check=True)
    subprocess.run(["ip", "address", "add", f"{ADDRESS}/24", "dev", "node"], check=True)
    subprocess.run(["ip", "link", "set", "node", "up"], check=True)
    folder = pathlib.Path("/etc/cni/net.d")
    folder.mkdir(parents=True, exist_ok=True)
    for other in folder.iterdir():
        other.unlink()
    plugins = [{"type": "said"}]
    (folder / "10-said.conflist").write_text(json.dumps({"cniVersion": "0.4.0", "name": "said", "plugins": plugins}))
    (WORK / "cni").mkdir()
    for name in ("said", "loopback"):
        (WORK / "cni" / name).write_text(PLUGIN)
        (WORK / "cni" / name).chmod(0o755)
    return f"""
        [plugins."io.containerd.cri.v1.runtime".cni]
          bin_dirs = ["{WORK}/cni"]
        """


def kubeconfig(cluster, name, token):
    authority = base64.b64encode((cluster.path / "certs/apiserver.crt").read_bytes()).decode()
    path = WORK / f"{name}.kubeconfig"
    path.write_text(json.dumps({
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": cluster.url, "certificate-authority-data": authority}}],
        "users": [{"name": "test", "user": {"token": token}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": NAMESPACE}}],
    }))  # fmt: skip
    return path


def account(cluster):
    """An account with what the command says that it needs."""

    def bound(kind, rules):
        of = {"name": "prober"} if kind == "ClusterRole" else {"name": "prober", "namespace": NAMESPACE}
        group = "rbac.authorization.k8s.io"
        yield {"apiVersion": f"{group}/v1", "kind": kind, "metadata": of, "rules": rules}
        subjects = [{"kind": "ServiceAccount", "name": "prober", "namespace": NAMESPACE}]
        role = {"apiGroup": group, "kind": kind, "name": "prober"}
        yield {"apiVersion": f"{group}/v1", "kind": f"{kind}Binding", "metadata": of, "roleRef": role, "subjects": subjects}

    enforced = {"pod-security.kubernetes.io/enforce": "restricted"}
    text, code = cluster.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": enforced}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "prober", "namespace": NAMESPACE}},
        *bound("ClusterRole", [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["list"]}]),
        *bound("Role", [{"apiGroups": [""], "resources": ["pods"], "verbs": ["create", "get", "delete"]}]),
    )
    assert code == 0, text
    token, code = cluster.kubectl("-n", NAMESPACE, "create", "token", "prober")
    assert code == 0, token
    return kubeconfig(cluster, "prober", token.strip())


def archway(*arguments):
    done = subprocess.run([ARCHWAY, *map(str, arguments)], capture_output=True, text=True)
    print(done.stdout + done.stderr, end="", flush=True)
    return done.returncode, done.stdout + done.stderr


def serve():
    (WORK / "config.toml").write_text(f"""
        [[listener]]
        address = "127.0.0.1:5000"
        [admin]
        address = "0.0.0.0:9464"
        [cache]
        path = "{WORK}/cache"
        [upstream."docker.io"]
        [upstream."ghcr.io"]
        """)
    start("archway", ARCHWAY, "serve", "--config", WORK / "config.toml")


def main():
    step("a cluster with one node: kube-apiserver, kubelet, containerd 2.4 as it comes")
    cluster = Cluster().__enter__()
    start_containerd(network())
    import_images()
    start_kubelet(f"--kubeconfig={kubeconfig(cluster, 'kubelet', TOKEN)}", f"--node-ip={ADDRESS}")
    ready = ("get", "node", "node", "-o", 'jsonpath={.status.conditions[?(@.type=="Ready")].status}')
    eventually("the node is ready", lambda: cluster.kubectl(*ready)[0] == "True")
    serve()
    probe = ("doctor", "clients", "--probe-pods", "--kubeconfig", account(cluster), "--registries", "docker.io,ghcr.io")
    step("containerd has not been told of Archway")
    eventually("Archway answers", lambda: archway("client-config", "status", "containerd")[0] == 1)
    code, text = archway(*probe)
    assert code == 1 and text.count("bypasses the mirror") == 2, text
    step("it has been")
    assert archway("client-config", "apply", "containerd")[0] == 0
    code, text = archway(*probe)
    assert code == 0 and text.count("uses the mirror, with images for amd64") == 2, text
    assert "node (amd64, containerd://" in text, text
    step("each node's own Archway is asked at the node's address")
    code, text = archway(*probe, "--node-admin", "9464")
    assert code == 0 and text.count("uses the mirror") == 2, text
    step("a platform that is not the node's")
    assert archway("client-config", "apply", "containerd", "--platform", "linux/arm64")[0] == 0
    code, text = archway(*probe)
    assert code == 1 and text.count("gets images that are not for amd64") == 2, text
    step("a node that is not there")
    missing = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "missing"}}
    assert cluster.apply(missing)[1] == 0
    code, text = archway(*probe)
    assert code == 1 and "missing: not tried: it is not ready" in text, text
    step("no pod is left")
    eventually("the pods are gone", lambda: cluster.kubectl("-n", NAMESPACE, "get", "pods", "-o", "name")[0] == "")
    step("without a right, the command names it")
    text, code = cluster.kubectl("-n", NAMESPACE, "delete", "rolebinding", "prober")
    assert code == 0, text
    code, text = archway(*probe)
    assert code == 2 and "create, get and delete for pods" in text, text
    cluster.__exit__()


try:
    main()
except BaseException:
    print(state(), file=sys.stderr)
    raise
