#!/usr/bin/env python3
"""`archway client-config apply containerd` and `remove`, killed by SIGKILL at each of their calls that change the
disk: strace counts them. What is there then is always whole, and the next run finishes.

`make test` runs this, with the binary of ARCHWAY_BIN, else target/debug/archway.
"""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request

from cluster import TOP, free_ports

ARCHWAY = os.environ.get("ARCHWAY_BIN", TOP / "target/debug/archway")
CALLS = "write fsync mkdir chmod fchmod chown symlink rename renameat2 unlink unlinkat rmdir fsetxattr".split()
ASIDE = ".archway-"
FILES = {
    "certs.d/docker.io/hosts.toml": '# ours\nserver = "https://registry-1.docker.io" # the last\n\n[host."https://second.example"]\n'
    '  capabilities = ["pull"]\n  ca = "/etc/containerd/certs.d/docker.io/ca.crt"\n# end',
    "certs.d/docker.io/ca.crt": "-----BEGIN CERTIFICATE-----\n",
    "certs.d/ghcr.io/hosts.toml": "[host.'https://other.example']\r\n",
}


def prepared(folder):
    for name, text in FILES.items():
        path = folder / "etc/containerd" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, newline="")
    docker = folder / "etc/docker/certs.d/registry.example:5000"
    docker.mkdir(parents=True)
    (docker / "ca.crt").write_text("PEM")


def tree(folder, left_aside=False):
    """Every path with what it is; without what a kill may leave, which nobody looks for."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if ASIDE in name and not left_aside:
            continue
        found[name] = f"-> {path.readlink()}" if path.is_symlink() else path.read_bytes() if path.is_file() else "folder"
    return found


class Killed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        assert shutil.which("strace"), "strace is missing; run tests/tools/install.sh clients"
        cls.folder = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory(prefix="archway-killed-")))
        port, admin = free_ports(2)
        (cls.folder / "config.toml").write_text(
            f'[[listener]]\naddress = "127.0.0.1:{port}"\n[admin]\naddress = "127.0.0.1:{admin}"\n[cache]\npath = "{cls.folder}/cache"\n'
        )
        with open(cls.folder / "log", "wb") as log:
            cls.serving = subprocess.Popen([ARCHWAY, "serve", "--config", cls.folder / "config.toml"], stderr=log)
        cls.addClassCleanup(lambda: (cls.serving.kill(), cls.serving.wait()))
        cls.own = [f"--server=http://127.0.0.1:{port}", f"--admin=http://127.0.0.1:{admin}"]
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/", timeout=5)
                return
            except OSError:
                assert time.monotonic() < deadline, (cls.folder / "log").read_text()
                time.sleep(0.1)

    def run_on(self, root, action, strace=()):
        own = self.own if action == "apply" else []
        command = [*strace, ARCHWAY, "client-config", action, "containerd", f"--root={root}", "--containerd-version=2.4", *own]
        return subprocess.run([str(word) for word in command], capture_output=True, text=True)

    def root(self, name):
        root = self.folder / name
        shutil.rmtree(root, ignore_errors=True)
        prepared(root)
        return root

    def ends(self):
        """A node before and after `apply`."""
        root = self.root("done")
        before = tree(root)
        done = self.run_on(root, "apply")
        self.assertEqual(done.returncode, 0, done.stderr)
        after = tree(root)
        done = self.run_on(root, "remove")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(tree(root, left_aside=True), before)
        return before, after

    def assert_whole(self, root, before, after):
        for name, content in tree(root).items():
            self.assertIn(content, (before.get(name), after.get(name)), name)
            if content == "folder" and pathlib.Path(name).parent.name == "certs.d":
                self.assertTrue(any((root / name).iterdir()), f"{name} is empty")

    def each_kill(self, action, call, before, after, finished):
        """Kills the action at its first call of this name, its second, and so on, until it ends by itself."""
        for at in range(1, 1000):
            root = self.root("killed")
            if action == "remove":
                self.assertEqual(self.run_on(root, "apply").returncode, 0)
            strace = ["strace", "-f", "-qq", "-o", self.folder / "strace", "-e", f"inject={call}:signal=KILL:when={at}"]
            done = self.run_on(root, action, strace)
            self.assert_whole(root, before, after)
            again = self.run_on(root, action)
            self.assertEqual(again.returncode, 0, again.stderr)
            self.assertEqual(tree(root, left_aside=True), finished, f"{call} {at}")
            if done.returncode != -signal.SIGKILL:
                self.assertEqual(done.returncode, 0, done.stderr)
                return at - 1
        self.fail("it never ends")

    def test_a_kill_at_any_call_leaves_whole_files_and_the_next_run_finishes(self):
        before, after = self.ends()
        for action, finished in (("apply", after), ("remove", before)):
            with self.subTest(action):
                kills = sum(self.each_kill(action, call, before, after, finished) for call in CALLS)
                print(f"{action}: killed at each of {kills} calls", file=sys.stderr)
                self.assertGreater(kills, 10)


if __name__ == "__main__":
    unittest.main(verbosity=2)
