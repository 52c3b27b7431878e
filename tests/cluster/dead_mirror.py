"""The steps of kubelet.sh for a mirror that is none, or no longer one: somebody else on its port, its end, its death.

A registry on loopback, whose certificate the node trusts, notes who asks it: Archway, as long as containerd is led
there, else containerd itself.
"""

import gzip
import http.server
import io
import json
import pathlib
import signal
import socket
import ssl
import subprocess
import sys
import tarfile
import threading
import time

from machine import (
    ARCHWAY, PODS, SOCKET, WORK, eventually, import_images, is_gone, is_ready, put, start, start_containerd, start_kubelet,
    state, static_pod, step,
)  # fmt: skip
from registry import MANIFEST, Answers, digest

PORT = 5555
CERTIFICATES = pathlib.Path("/etc/containerd/certs.d")
# The bound of a pull that Archway has no part in any more.
DIRECT_SECONDS = 1


def trusted():
    """TLS with a certificate of an authority that is added to those of the node, which is the test's own."""

    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=WORK, check=True, capture_output=True)

    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl("req", "-x509", *new, "-days", "2", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test authority")
    openssl("req", *new, "-keyout", "registry.key", "-out", "request.pem", "-subj", "/CN=registry")
    (WORK / "extensions").write_text("subjectAltName=IP:127.0.0.1\n")
    openssl(
        "x509", "-req", "-in", "request.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
        "-extfile", "extensions", "-out", "registry.pem",
    )  # fmt: skip
    with open("/etc/ssl/certs/ca-certificates.crt", "a") as authorities:
        authorities.write((WORK / "ca.pem").read_text())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(WORK / "registry.pem", WORK / "registry.key")
    return context


class Registry(http.server.ThreadingHTTPServer):
    """team/app with an image of its own for each tag, and the programs that asked for one."""

    def __init__(self):
        # Of a ping, /v2/, the last part is empty.
        self.content, self.asked = {"": ("application/json", b"{}")}, []
        for tag in "1234":
            self.add(tag)
        super().__init__(("127.0.0.1", PORT), Noted)
        self.socket = trusted().wrap_socket(self.socket, server_side=True)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def add(self, tag):
        whole = io.BytesIO()
        with tarfile.open(fileobj=whole, mode="w") as tar:
            info = tarfile.TarInfo("tag")
            info.size = len(tag)
            tar.addfile(info, io.BytesIO(tag.encode()))
        layer = gzip.compress(whole.getvalue())
        rootfs = {"type": "layers", "diff_ids": [digest(whole.getvalue())]}
        config = json.dumps({"os": "linux", "architecture": "amd64", "config": {}, "rootfs": rootfs}).encode()

        def described(kind, data):
            return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": digest(data), "size": len(data)}

        manifest = json.dumps({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": described("config.v1+json", config),
            "layers": [described("layer.v1.tar+gzip", layer)],
        }).encode()  # fmt: skip
        for data, kind in ((config, "application/octet-stream"), (layer, "application/octet-stream"), (manifest, MANIFEST)):
            self.content[digest(data)] = (kind, data)
        self.content[tag] = (MANIFEST, manifest)


class Noted(Answers):
    def do_GET(self):
        self.server.asked.append(self.headers.get("User-Agent", ""))
        super().do_GET()


def pull(registry, tag, by, within=None):
    """Pulls a tag as the kubelet does, and sees who asked the registry for it."""
    registry.asked.clear()
    began = time.monotonic()
    done = subprocess.run(["cri-pull", SOCKET, "pull", f"127.0.0.1:{PORT}/team/app:{tag}"], capture_output=True, text=True)
    took = time.monotonic() - began
    assert done.returncode == 0, done.stderr
    others = [program for program in registry.asked if not program.startswith(by)]
    assert registry.asked and not others, registry.asked
    assert within is None or took < within, f"{took:.2f} s"
    step(f"a pull by {by}: {took:.2f} s")


def pod_log(container):
    return "".join(log.read_text(errors="replace") for log in sorted(WORK.glob(f"pods/*/{container}/*.log")))


def is_untold():
    return not CERTIFICATES.exists() or not any(CERTIFICATES.iterdir())


def main():
    step("containerd 2.4 as it comes, a kubelet, and a registry")
    registry = Registry()
    start_containerd()
    import_images()
    start_kubelet()
    step("somebody else has the port, and hangs: no file, not ready, and the port is named")
    foreign = socket.create_server(("127.0.0.1", 5000))
    pod = static_pod()
    config = WORK / "config/config.toml"
    config.write_text(config.read_text() + f'\n[upstream."127.0.0.1:{PORT}"]\nendpoints = ["https://127.0.0.1:{PORT}"]\n')
    put("archway", pod)
    eventually("the writer waits", lambda: "http://127.0.0.1:5000" in pod_log("node"))
    eventually("Archway names the port", lambda: "127.0.0.1:5000" in pod_log("archway"))
    assert is_untold() and not is_ready("archway"), "nothing is written"
    pull(registry, "1", "containerd")
    step("it goes")
    foreign.close()
    eventually("the pod is ready", lambda: is_ready("archway"))
    pull(registry, "2", "archway")
    step("SIGTERM: the files are gone before Archway is, and pulls go on")
    (PODS / "archway.json").unlink()
    eventually("the files are gone", is_untold)
    pull(registry, "3", "containerd", DIRECT_SECONDS)
    eventually("the pod is gone", lambda: is_gone("archway"))
    step("kill -9: the files stay, and cost nothing")
    second = WORK / "second.toml"
    second.write_text(config.read_text().replace("/var/lib/archway", f"{WORK}/cache-2"))
    archway = start("archway", ARCHWAY, "serve", "--config", second)
    applied = [ARCHWAY, "client-config", "apply", "containerd"]
    eventually("the files are written", lambda: subprocess.run(applied, capture_output=True).returncode == 0)
    archway.send_signal(signal.SIGKILL)
    archway.wait()
    assert not is_untold()
    pull(registry, "4", "containerd", DIRECT_SECONDS)


try:
    main()
except BaseException:
    print(state(), file=sys.stderr)
    raise
