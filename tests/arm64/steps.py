"""The steps of run.sh: what an arm64 Archway answers, to one and to many, and after a kill -9."""

import concurrent.futures
import hashlib
import http.client
import http.server
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

WORK = pathlib.Path(os.environ["WORK"])
ARCHWAY = os.environ["ARCHWAY"]
QEMU = "/usr/bin/qemu-aarch64-static"
PORT, HOST_PORT, ADMIN, UPSTREAM = 5000, 5001, 9464, 5002
INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
ACCEPT = {"Accept": f"{INDEX}, {MANIFEST}"}
UNKNOWN = b'{"errors": [{"code": "MANIFEST_UNKNOWN"}]}'
LAYER_BYTES = 24 << 20
FOLLOWERS = 8
# What is emulated, on a machine that does other things too, takes its time.
PATIENCE = 120
STARTED = time.monotonic()


def step(text):
    print(f"[{time.monotonic() - STARTED:5.1f}s] {text}", flush=True)


def eventually(what, probe):
    deadline = time.monotonic() + PATIENCE
    while not (found := probe()):
        if time.monotonic() > deadline:
            sys.exit(f"arm64: {what}: not within {PATIENCE} s\n{(WORK / 'log/archway.log').read_text()[-3000:]}")
        time.sleep(0.05)
    return found


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Registry(http.server.ThreadingHTTPServer):
    """team/app:v1, an index for amd64 and arm64 with a layer each. The second half of a layer waits for the gate."""

    daemon_threads = True

    def __init__(self):
        self.gate = threading.Event()
        self.sent, self.lock = {}, threading.Lock()
        self.layers, self.children, self.content = {}, {}, {}
        entries = []
        for architecture in ("amd64", "arm64"):
            layer = os.urandom(LAYER_BYTES)
            config = json.dumps({"os": "linux", "architecture": architecture, "rootfs": {"type": "layers", "diff_ids": []}}).encode()
            manifest = json.dumps({
                "schemaVersion": 2, "mediaType": MANIFEST,
                "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(config), "size": len(config)},
                "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest(layer), "size": len(layer)}],
            }).encode()  # fmt: skip
            self.layers[architecture], self.children[architecture] = layer, manifest
            for kind, data in ((MANIFEST, manifest), ("application/octet-stream", config), ("application/octet-stream", layer)):
                self.content[digest(data)] = (kind, data)
            platform = {"os": "linux", "architecture": architecture}
            entries.append({"mediaType": MANIFEST, "digest": digest(manifest), "size": len(manifest), "platform": platform})
        self.index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()
        self.content |= {"v1": (INDEX, self.index), digest(self.index): (INDEX, self.index)}
        self.content["list"] = ("application/json", json.dumps({"name": "team/app", "tags": ["v1"]}).encode())
        super().__init__(("127.0.0.1", UPSTREAM), Answers)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, *_):
        """Connections of a killed Archway break off."""


class Answers(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        name = self.path.split("?")[0].rsplit("/", 1)[-1]
        kind, data = self.server.content.get(name, ("application/json", UNKNOWN))
        first, last = self.wanted(len(data))
        is_part = "Range" in self.headers
        self.send_response(404 if data is UNKNOWN else 206 if is_part else 200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(last + 1 - first))
        if is_part:
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
        if kind in (INDEX, MANIFEST):
            self.send_header("Docker-Content-Digest", digest(data))
        self.end_headers()
        if self.command == "HEAD":
            return
        for at in range(first, last + 1, 1 << 16):
            if len(data) == LAYER_BYTES and at >= LAYER_BYTES // 2:
                self.server.gate.wait()
            piece = data[at : min(at + (1 << 16), last + 1)]
            # Before it goes: who has the last one may look at once.
            with self.server.lock:
                self.server.sent[name] = self.server.sent.get(name, 0) + len(piece)
            self.wfile.write(piece)

    do_HEAD = do_GET

    def wanted(self, length):
        asked = self.headers.get("Range", "").removeprefix("bytes=")
        first, _, last = asked.partition("-")
        return int(first or 0), min(int(last or length - 1), length - 1)

    def log_message(self, *_):
        pass


def start():
    (WORK / "config.toml").write_text(f"""
        default_upstream = "registry.test"
        [[listener]]
        address = "127.0.0.1:{PORT}"
        [[listener]]
        address = "127.0.0.1:{HOST_PORT}"
        platform = "host"
        [admin]
        address = "127.0.0.1:{ADMIN}"
        [cache]
        path = "{WORK}/cache"
        [upstream."registry.test"]
        endpoints = ["http://127.0.0.1:{UPSTREAM}"]
        """)
    log = open(WORK / "log/archway.log", "ab")
    command = [QEMU, ARCHWAY, "serve", "--config", WORK / "config.toml"]
    archway = subprocess.Popen(command, stdout=log, stderr=log)
    eventually("Archway is ready", lambda: archway.poll() is None and is_ready())
    return archway


def is_ready():
    try:
        return ask("/readyz", ADMIN)[0] == 200
    except OSError:
        return False


def ask(path, port=PORT, method="GET", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    connection.request(method, path, headers=ACCEPT | headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, answer.headers, body


def manifest(reference):
    return f"/v2/team/app/manifests/{reference}"


def blob(data):
    return f"/v2/team/app/blobs/{digest(data)}"


def same(what, got, expected):
    if got != expected:
        sys.exit(f"arm64: {what}: {got!r:.200}, not {expected!r:.200}")


def pull_each_kind(registry):
    status, headers, body = ask(manifest("v1"))
    same("the index by its tag", (status, body), (200, registry.index))
    same("its digest", headers["Docker-Content-Digest"], digest(registry.index))
    for architecture, child in registry.children.items():
        same(f"the image for {architecture}", ask(manifest(digest(child)))[::2], (200, child))
        config = json.loads(child)["config"]["digest"]
        same(f"its config for {architecture}", digest(ask(f"/v2/team/app/blobs/{config}")[2]), config)
    same("a HEAD", ask(manifest("v1"), method="HEAD")[::2], (200, b""))
    same("tags", json.loads(ask("/v2/team/app/tags/list")[2])["tags"], ["v1"])
    same("an unknown tag", ask(manifest("none"))[0], 404)
    same("the image of this host", ask(manifest("v1"), HOST_PORT)[::2], (200, registry.children["arm64"]))


def follow(registry):
    """All read while it arrives: the second half is sent when each of them has something of the first."""
    layer = registry.layers["arm64"]
    have_begun = threading.Barrier(FOLLOWERS, action=registry.gate.set)

    def read(_):
        connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=PATIENCE)
        connection.request("GET", blob(layer))
        answer = connection.getresponse()
        body = answer.read(1 << 16)
        have_begun.wait(PATIENCE)
        body += answer.read()
        return digest(body)

    with concurrent.futures.ThreadPoolExecutor(FOLLOWERS) as clients:
        same("what the followers have", set(clients.map(read, range(FOLLOWERS))), {digest(layer)})
    same("bytes asked of the registry", registry.sent[digest(layer)], len(layer))
    status, headers, body = ask(blob(layer), Range="bytes=1000-1999")
    same("a range", (status, body), (206, layer[1000:2000]))


def kill_in_the_middle(registry, archway):
    layer = registry.layers["amd64"]
    registry.gate.clear()
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=PATIENCE)
    connection.request("GET", blob(layer))
    same("some of it is there", len(connection.getresponse().read(1 << 16)), 1 << 16)
    archway.send_signal(signal.SIGKILL)
    archway.wait()
    registry.gate.set()
    archway = start()
    same("the same layer", digest(ask(blob(layer))[2]), digest(layer))
    return archway


def serve_without_the_registry(registry):
    registry.shutdown()
    registry.server_close()
    for architecture, child in registry.children.items():
        same(f"the image for {architecture}", ask(manifest(digest(child)))[::2], (200, child))
        layer = registry.layers[architecture]
        same(f"its layer for {architecture}", digest(ask(blob(layer))[2]), digest(layer))
    same("the tag", ask(manifest("v1"))[::2], (200, registry.index))


def main():
    said = subprocess.run([QEMU, ARCHWAY, "--version"], capture_output=True, text=True, check=True).stdout
    machine = subprocess.run(["file", "-b", ARCHWAY], capture_output=True, text=True).stdout if os.path.exists("/usr/bin/file") else ""
    step(f"{said.strip()} {machine.strip()[:60]}")
    registry = Registry()
    archway = start()
    step("a pull of each kind, and platform = \"host\"")
    pull_each_kind(registry)
    step(f"{FOLLOWERS} clients read a layer while it arrives")
    follow(registry)
    step("kill -9 in the middle of another, and a restart")
    archway = kill_in_the_middle(registry, archway)
    step("all of it without the registry")
    serve_without_the_registry(registry)
    step("SIGTERM")
    archway.terminate()
    same("its exit code", archway.wait(PATIENCE), 0)
    step("done")


main()
