"""A node for tests, in namespaces of its own: containerd 2.4 as it comes and a kubelet, alone or of a cluster."""

import hashlib
import io
import json
import os
import pathlib
import re
import ssl
import subprocess
import sys
import tarfile
import time
import urllib.request

TOP = pathlib.Path(os.environ["ROOT"])
WORK = pathlib.Path(os.environ["WORK"])
ARCHWAY = os.environ["ARCHWAY"]
CONFIG = pathlib.Path("/etc/containerd/config.toml")
SOCKET = "/run/containerd/containerd.sock"
IMAGE = "registry.example/archway:0.1.0"
PODS = WORK / "manifests"
PATIENCE = 120
STARTED = time.monotonic()

PAUSE = '#include <unistd.h>\nint main(void) { for (;;) pause(); }\n'


def step(text):
    print(f"[{time.monotonic() - STARTED:5.1f}s] {text}", flush=True)


def eventually(what, probe, seconds=PATIENCE):
    deadline = time.monotonic() + seconds
    while not (found := probe()):
        if time.monotonic() > deadline:
            sys.exit(f"{what}: not within {seconds} s\n{state()}")
        time.sleep(0.2)
    return found


def start(name, *command):
    log = open(WORK / f"log/{name}.log", "ab")
    return subprocess.Popen([str(word) for word in command], stdout=log, stderr=log, stdin=subprocess.DEVNULL)


def archive(name, files, entrypoint):
    """An image of these files as an archive that containerd imports."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        for path, source in files.items():
            info = tar.gettarinfo(source, path.lstrip("/"))
            info.uid = info.gid = 0
            with open(source, "rb") as content:
                tar.addfile(info, content)
    data = layer.getvalue()
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    config = {
        "os": "linux", "architecture": "amd64", "config": {"Entrypoint": entrypoint},
        "rootfs": {"type": "layers", "diff_ids": [digest]},
    }  # fmt: skip
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    path = WORK / "image.tar"
    with tarfile.open(path, "w") as tar:
        for member, content in (("config.json", json.dumps(config)), ("layer.tar", data), ("manifest.json", json.dumps(manifest))):
            content = content.encode() if isinstance(content, str) else content
            info = tarfile.TarInfo(member)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def libraries(binary):
    """What a binary that is not static needs beside it."""
    said = subprocess.run(["ldd", binary], capture_output=True, text=True).stdout
    return {path: os.path.realpath(path) for path in re.findall(r"(/\S+) \(0x", said)}


def import_images():
    stripped = WORK / "archway"
    subprocess.run(["strip", "-o", stripped, ARCHWAY], check=True)
    (WORK / "pause.c").write_text(PAUSE)
    subprocess.run(["gcc", "-static", "-O1", "-o", WORK / "pause", WORK / "pause.c"], check=True)
    defaults = subprocess.run(["containerd", "config", "default"], capture_output=True, text=True, check=True).stdout
    sandbox = re.search(r"sandbox = ['\"]([^'\"]+)['\"]", defaults)[1]
    authorities = "/etc/ssl/certs/ca-certificates.crt"
    import_image(IMAGE, {"/archway": stripped, authorities: authorities} | libraries(ARCHWAY), "/archway")
    import_image(sandbox, {"/pause": WORK / "pause"}, "/pause")


def import_image(name, files, program):
    command = ["ctr", "-a", SOCKET, "-n", "k8s.io", "images", "import", "--snapshotter", "overlayfs", archive(name, files, [program])]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def start_containerd(more=""):
    CONFIG.parent.mkdir()
    # As it comes but for what this machine does not let it do.
    CONFIG.write_text(f"""
        version = 3
        root = "{WORK}/containerd"
        [plugins."io.containerd.internal.v1.opt"]
          path = "{WORK}/opt"
        [plugins."io.containerd.cri.v1.runtime"]
          disable_apparmor = true
          restrict_oom_score_adj = true
        {more}
        """)
    start("containerd", "containerd")
    eventually("containerd answers", lambda: subprocess.run(["ctr", "-a", SOCKET, "version"], capture_output=True).returncode == 0)


def start_kubelet(*more):
    """A kubelet that runs the pods of a folder, and with a kubeconfig among its flags those of a cluster."""
    PODS.mkdir()
    config = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
        "staticPodPath": str(PODS), "containerRuntimeEndpoint": f"unix://{SOCKET}", "address": "127.0.0.1", "port": 10250,
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
        "authorization": {"mode": "AlwaysAllow"}, "cgroupDriver": "cgroupfs", "cgroupRoot": "/", "cgroupsPerQOS": False,
        "enforceNodeAllocatable": [], "failSwapOn": False, "localStorageCapacityIsolation": False, "healthzPort": 0,
        "makeIPTablesUtilChains": False, "podLogsDir": str(WORK / "pods"), "fileCheckFrequency": "1s",
        "imageGCHighThresholdPercent": 100, "evictionHard": {"memory.available": "1Mi"}, "failCgroupV1": False,
    }  # fmt: skip
    (WORK / "kubelet.json").write_text(json.dumps(config))
    start("kubelet", "kubernetes", "kubelet", f"--config={WORK}/kubelet.json", f"--root-dir={WORK}/kubelet", "--hostname-override=node", *more)
    eventually("the kubelet answers", lambda: pods() is not None)


def pods():
    trusting = ssl._create_unverified_context()
    try:
        with urllib.request.urlopen("https://127.0.0.1:10250/pods", context=trusting, timeout=10) as answer:
            return {pod["metadata"]["name"].removesuffix("-node"): pod for pod in json.load(answer)["items"] or []}
    except OSError:
        return None


def is_ready(name):
    conditions = (pods() or {}).get(name, {}).get("status", {}).get("conditions", [])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def is_gone(name):
    known = pods()
    return known is not None and name not in known


def put(name, pod):
    # Aside and renamed: the kubelet reads what is there.
    aside = WORK / f"{name}.aside"
    aside.write_text(json.dumps(pod))
    aside.rename(PODS / f"{name}.json")


def static_pod():
    """The DaemonSet's pod, with its config as a file."""
    sys.path.insert(0, str(TOP / "tests/chart"))
    from render import VALUES, render

    [values] = [path for path in VALUES if path.stem == "node"]
    more = ["--skip-tests", "--set", f"node.cache.hostPath={WORK}/cache,image.tag=0.1.0", "--set", "node.cache.maxSize=1GiB,node.cache.minFree=1MiB"]
    documents = {d["kind"]: d for d in render(values, "1.34", *more)}
    spec = documents["DaemonSet"]["spec"]["template"]["spec"]
    for name in ("serviceAccountName", "automountServiceAccountToken", "nodeSelector", "priorityClassName"):
        spec.pop(name, None)
    (WORK / "config").mkdir()
    (WORK / "config/config.toml").write_text(documents["ConfigMap"]["data"]["config.toml"])
    [config] = [volume for volume in spec["volumes"] if volume["name"] == "config"]
    del config["configMap"]
    config["hostPath"] = {"path": str(WORK / "config")}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "archway", "namespace": "kube-system"}, "spec": spec}


def state():
    """What there is to see of the pods and in the logs."""
    known = {name: pod.get("status", {}) for name, pod in (pods() or {}).items()}
    logs = [f"--- {log}\n" + log.read_text(errors="replace")[-1500:] for log in sorted(WORK.glob("log/*.log"))]
    logs += [f"--- {log}\n" + log.read_text(errors="replace")[-1500:] for log in sorted(WORK.glob("pods/*/*/*.log"))]
    return json.dumps(known, indent=1)[:6000] + "\n" + "\n".join(logs)
