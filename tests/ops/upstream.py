"""A registry on loopback with two images, tokens and a pull limit: all that Archway's metrics need to move."""

import hashlib
import http.server
import json
import threading

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
CONFIG = "application/vnd.oci.image.config.v1+json"
PLATFORMS = ("amd64", "arm64")


def digest(body):
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def descriptor(media_type, body, **more):
    return {"mediaType": media_type, "digest": digest(body), "size": len(body), **more}


class Content:
    """Two images for two platforms each, by their digests; `tags` leads to the index of each."""

    def __init__(self):
        self.bodies, self.tags, self.children = {}, {}, {}
        for tag in ("v1", "v2"):
            entries = []
            for arch in PLATFORMS:
                layers = [self.add(LAYER, f"{tag} {arch} {part} ".encode() * 20_000) for part in "ab"]
                config = json.dumps({"os": "linux", "architecture": arch, "tag": tag, "rootfs": {"type": "layers", "diff_ids": []}})
                config = self.add(CONFIG, config.encode())
                image = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers}
                entry = self.add(MANIFEST, json.dumps(image).encode())
                self.children[tag, arch] = (entry["digest"], [blob["digest"] for blob in (config, *layers)])
                entries.append({**entry, "platform": {"os": "linux", "architecture": arch}})
            index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}
            self.tags[tag] = self.add(INDEX, json.dumps(index).encode())["digest"]

    def add(self, media_type, body):
        self.bodies[digest(body)] = (media_type, body)
        return descriptor(media_type, body)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    content = Content()

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path, _, _ = self.path.partition("?")
        if path == "/token":
            return self.answer(200, "application/json", json.dumps({"token": "t", "expires_in": 3600}).encode())
        if self.headers.get("Authorization") != "Bearer t":
            realm = f'Bearer realm="http://{self.headers["Host"]}/token",service="ops"'
            return self.answer(401, "application/json", b"{}", {"WWW-Authenticate": realm})
        if path == "/v2/":
            return self.answer(200, "application/json", b"{}")
        kind, reference = path.split("/")[-2:]
        if kind == "tags":
            return self.answer(200, "application/json", json.dumps({"name": "team/app", "tags": list(self.content.tags)}).encode())
        found = self.content.bodies.get(self.content.tags.get(reference, reference))
        if kind == "referrers" or not found:
            code = "MANIFEST_UNKNOWN" if kind == "manifests" else "BLOB_UNKNOWN"
            return self.answer(404, "application/json", json.dumps({"errors": [{"code": code, "message": "none"}]}).encode())
        media_type, body = found
        limits = {"ratelimit-limit": "100;w=21600", "ratelimit-remaining": "76;w=21600"}
        self.answer(200, media_type, body, {"Docker-Content-Digest": digest(body), **limits})

    def answer(self, status, media_type, body, headers=None):
        self.send_response(status)
        for name, value in {"Content-Type": media_type, "Content-Length": len(body), **(headers or {})}.items():
            self.send_header(name, str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_):
        pass


class Registry:
    """It serves from its start to `close`."""

    def __init__(self):
        self.content = Handler.content
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
