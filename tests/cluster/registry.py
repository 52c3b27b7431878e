"""The part of a registry that the tests of this folder share: what it answers, to whoever asks."""

import hashlib
import http.server

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Answers(http.server.BaseHTTPRequestHandler):
    """The server has `content`: media type and bytes, by the last part of a path."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        kind, data = self.server.content.get(self.path.split("?")[0].rsplit("/", 1)[-1], ("text/plain", b""))
        self.send_response(200 if data else 404)
        for name, value in (("Content-Type", kind), ("Content-Length", len(data)), ("Docker-Content-Digest", digest(data))):
            self.send_header(name, str(value))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def do_HEAD(self):
        self.do_GET()

    def log_message(self, *_):
        pass
