"""The steps of kubelet.sh: the chart's pod leads a node's containerd to Archway, a pod of the kubelet proves it,
and where what leads there is taken away the doctor says why no pod proves it any more.

What differs from the chart's DaemonSet: no API server, so the ConfigMap is a file, and there is no service account.
"""

import json
import pathlib
import shutil
import subprocess
import sys
import time
import urllib.request

from machine import (
    ARCHWAY, PODS, WORK, eventually, import_images, is_gone, is_ready, pods, put, start, start_containerd, start_kubelet, state,
    static_pod, step,
)  # fmt: skip

LINK = pathlib.Path("/etc/containerd/certs.d:")
ADMIN = "http://127.0.0.1:9464"


def probe_pod(name):
    """A pod whose image only the Archway that answers now can have."""
    with urllib.request.urlopen(f"{ADMIN}/_archway/v1/probe", timeout=10) as answer:
        issued = json.load(answer)
    image = next(value for value in issued.values() if isinstance(value, str) and value.startswith("archway-probe/"))
    container = {"name": "probe", "image": f"docker.io/{image}", "resources": {}}
    spec = {"hostNetwork": True, "restartPolicy": "Never", "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def phase(name):
    return (pods() or {}).get(name, {}).get("status", {}).get("phase")


def doctor():
    done = subprocess.run([ARCHWAY, "doctor", "clients", "--node", "--registries", "docker.io"], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def main():
    step("containerd 2.4 as it comes, and a kubelet")
    start_containerd()
    import_images()
    start_kubelet()
    code, text = doctor()
    assert code == 1 and "reads no hosts.toml" in text, text
    step("the chart's pod")
    put("archway", static_pod())
    eventually("the pod is ready", lambda: is_ready("archway"))
    assert LINK.is_dir(), "the link that leads containerd to the files"
    code, text = doctor()
    assert code == 0, text
    step("a pod of the image that only this Archway can answer")
    put("probe", probe_pod("probe"))
    began = time.monotonic()
    eventually("the probe succeeds", lambda: phase("probe") == "Succeeded")
    step(f"succeeded {time.monotonic() - began:.1f} s after its manifest")
    step("the pod goes, and with it what it wrote")
    (PODS / "archway.json").unlink()
    eventually("the files are gone", lambda: not LINK.exists() and not pathlib.Path("/etc/containerd/certs.d/_default").exists())
    eventually("the pod is gone", lambda: is_gone("archway"))
    step("another Archway, and the link taken away")
    text = (WORK / "config/config.toml").read_text().replace("/var/lib/archway", f"{WORK}/cache-2")
    (WORK / "second.toml").write_text(text)
    start("archway", ARCHWAY, "serve", "--config", WORK / "second.toml")
    applied = [ARCHWAY, "client-config", "apply", "containerd"]
    eventually("the files are written", lambda: subprocess.run(applied, capture_output=True).returncode == 0)
    shutil.rmtree(LINK)
    put("lost", probe_pod("lost"))
    eventually("the kubelet fails to pull", lambda: "ErrImagePull" in json.dumps((pods() or {}).get("lost", {})) or "ImagePullBackOff" in json.dumps((pods() or {}).get("lost", {})))
    code, text = doctor()
    assert code == 1, text
    assert "takes `/etc/containerd/certs.d:/etc/docker/certs.d` for one path" in text, text
    assert "run `archway client-config apply containerd`" in text, text
    step("the doctor says why")
    print(text)


try:
    main()
except BaseException:
    print(state(), file=sys.stderr)
    raise
