"""A real Kubernetes API, for tests: etcd and kube-apiserver in a folder of their own."""

import json
import pathlib
import socket
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
TOOLS = TOP / ".tools"
TOKEN = "admintoken"
# The API server itself is there after five seconds of a machine that is idle.
READY_SECONDS = 120


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Cluster:
    """etcd and kube-apiserver; `with` ends both."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="archway-cluster-")
        self.path = pathlib.Path(self.folder.name)
        self.programs = {}

    def __enter__(self):
        client, peer, self.port = free_ports(3)
        etcd = f"http://127.0.0.1:{client}"
        peers = f"http://127.0.0.1:{peer}"
        self.start(
            "etcd", "/usr/bin/etcd", f"--data-dir={self.path}/etcd", "--unsafe-no-fsync",
            f"--listen-client-urls={etcd}", f"--advertise-client-urls={etcd}", f"--listen-peer-urls={peers}",
            f"--initial-advertise-peer-urls={peers}", f"--initial-cluster=default={peers}",
        )  # fmt: skip
        subprocess.run(["openssl", "genrsa", "-out", self.path / "sa.key", "2048"], check=True, capture_output=True)
        (self.path / "tokens.csv").write_text(f"{TOKEN},admin,admin,system:masters\n")
        self.api_server = [
            TOOLS / "bin/kubernetes", "kube-apiserver", f"--etcd-servers={etcd}", "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1", f"--secure-port={self.port}", f"--cert-dir={self.path}/certs",
            "--service-cluster-ip-range=10.100.0.0/16,fd00:10:100::/108", "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={self.path}/sa.key", f"--service-account-signing-key-file={self.path}/sa.key",
            f"--token-auth-file={self.path}/tokens.csv", "--authorization-mode=RBAC",
            "--disable-admission-plugins=ServiceAccount", "--endpoint-reconciler-type=none",
        ]  # fmt: skip
        try:
            self.start_api_server()
        except BaseException:
            self.__exit__()
            raise
        return self

    def start_api_server(self):
        self.start("kube-apiserver", *self.api_server)
        deadline = time.monotonic() + READY_SECONDS
        while self.kubectl("get", "--raw=/readyz")[1] != 0:
            if time.monotonic() > deadline or self.programs["kube-apiserver"].poll() is not None:
                sys.exit(f"kube-apiserver does not come up: {self.log('kube-apiserver')[-2000:]}")
            time.sleep(0.2)

    def start(self, name, *command):
        with open(self.path / f"{name}.log", "ab") as log:
            self.programs[name] = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def stop(self, name):
        program = self.programs.pop(name)
        program.kill()
        program.wait()

    def log(self, name):
        return (self.path / f"{name}.log").read_text(errors="replace")

    def __exit__(self, *_):
        for name in list(self.programs):
            self.stop(name)
        self.folder.cleanup()

    @property
    def url(self):
        return f"https://127.0.0.1:{self.port}"

    def kubectl(self, *arguments, input=None):
        """Its output, errors included, and its exit code."""
        command = [
            TOOLS / "bin/kubectl", f"--server={self.url}", "--insecure-skip-tls-verify", f"--token={TOKEN}",
            f"--cache-dir={self.path}/kubectl", *arguments,
        ]  # fmt: skip
        done = subprocess.run(command, input=input, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return done.stdout, done.returncode

    def apply(self, *documents, more=()):
        items = {"apiVersion": "v1", "kind": "List", "items": list(documents)}
        return self.kubectl("apply", "-f", "-", *more, input=json.dumps(items))
