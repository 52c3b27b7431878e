"""The calls of the ECR API that Archway makes: GetAuthorizationToken, and DescribeImages for listings.

Hands out the token that stands in the file TOKEN at that moment, so that a rotation of the stand-in is seen
here at once; ministack's ECR always gives the same fixed token, which is why this exists. A call signed with
another access key than the stand-in's is refused as AWS refuses it (the signature itself is not checked).
Every call for a token appends one line to the file CALLS.

DescribeImages knows nothing of the registry: whatever is asked about was pushed when the stand-in was started.
"""

import argparse
import base64
import http.server
import json
import pathlib
import re
import ssl
import time

SERVICE = "AmazonEC2ContainerRegistry_V20150921"
TOKEN = f"{SERVICE}.GetAuthorizationToken"
IMAGES = f"{SERVICE}.DescribeImages"
STARTED = time.time()
LIFETIME_SECONDS = 12 * 3600


def arguments():
    """The command line: where to listen, which files, which answers."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--address", required=True)
    parser.add_argument("--port", required=True, type=int)
    parser.add_argument("--registry", required=True, help="host name the token is for")
    parser.add_argument("--access-key", required=True)
    parser.add_argument("--token-file", required=True, type=pathlib.Path)
    parser.add_argument("--calls-file", required=True, type=pathlib.Path)
    parser.add_argument("--certificate", help="PEM chain: answer over TLS")
    parser.add_argument("--key")
    return parser.parse_args()


def handler(options):
    """The request handler class for these options."""

    class EcrApi(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            signed_by = re.search(r"Credential=([^/]+)/", self.headers.get("Authorization", ""))
            target = self.headers.get("X-Amz-Target")
            if target not in (TOKEN, IMAGES):
                self.refuse("UnknownOperationException", f"only {TOKEN} and {IMAGES} are answered here")
            elif not signed_by:
                self.refuse("MissingAuthenticationTokenException", "Missing Authentication Token")
            elif signed_by.group(1) != options.access_key:
                self.refuse("UnrecognizedClientException", "The security token included in the request is invalid.")
            elif target == TOKEN:
                self.give_token()
            else:
                self.describe(json.loads(body))

        def do_GET(self):
            self.answer(200, {"status": "ok"})

        def give_token(self):
            with options.calls_file.open("a") as calls:
                calls.write(f"{time.time():.3f} GetAuthorizationToken\n")
            user_and_token = f"AWS:{options.token_file.read_text().strip()}"
            self.answer(200, {"authorizationData": [{
                "authorizationToken": base64.b64encode(user_and_token.encode()).decode(),
                "expiresAt": time.time() + LIFETIME_SECONDS,
                "proxyEndpoint": f"https://{options.registry}",
            }]})

        def describe(self, question):
            self.answer(200, {"imageDetails": [
                {"imageDigest": image["imageDigest"], "imagePushedAt": STARTED}
                for image in question.get("imageIds", []) if "imageDigest" in image
            ]})

        def refuse(self, kind, message):
            self.answer(400, {"__type": kind, "message": message})

        def answer(self, status, body):
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    return EcrApi


def main():
    """Serves until killed."""
    options = arguments()
    server = http.server.ThreadingHTTPServer((options.address, options.port), handler(options))
    if options.certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options.certificate, options.key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
