#!/usr/bin/env python3
"""Measures what an export and an import of a bundle take of disk, time and memory, with the binary
ARCHWAY_BIN names (by default target/dist/archway), and prints each figure beside its bound.

    sudo tests/bench/bundle_figures.py [--mib 1024] [--kinds xfs,btrfs,ext4] [--folder /tmp]

The bundle has 2,000 blobs, whatever its size. The file systems are loop images in --folder, which needs
room for three times the bundle. Archway's command runs on processor 0 alone, with 16 MB for temporary files; what
looks at the disk meanwhile runs on another one. Needs root, taskset, openssl, curl and the mkfs of each
kind. The exit code is 1 if a bound does not hold.
"""

import argparse
import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

KIB, MIB = 1 << 10, 1 << 20
BLOBS = 2000
ROUNDS = 3
HOST, IMAGE = "registry.example", "team/large"
# What the index, its snapshot and the log of the file system take, whatever the bundle has.
OVERHEAD = 8 * MIB
MAKE = {"xfs": ["mkfs.xfs", "-q"], "btrfs": ["mkfs.btrfs", "-q"], "ext4": ["mkfs.ext4", "-q", "-F"]}
CLONES = ("xfs", "btrfs")
LAYER = "application/vnd.oci.image.layer.v1.tar"
CONFIG = "application/vnd.oci.image.config.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"

ROOT = pathlib.Path(__file__).resolve().parents[2]
ARCHWAY = os.environ.get("ARCHWAY_BIN", str(ROOT / "target/dist/archway"))


class Report:
    """The figures, each with its bound."""

    def __init__(self):
        self.missed = 0

    def line(self, what, measured, bound, holds):
        self.missed += not holds
        print(f"{what:<58} {measured:>20}   {bound:<22} {'ok' if holds else 'MISSED'}", flush=True)


def run(words, **more):
    subprocess.run([str(word) for word in words], check=True, **more)


def used(folder):
    stat = os.statvfs(folder)
    return (stat.f_blocks - stat.f_bfree) * stat.f_frsize


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextlib.contextmanager
def mounted(kind, size, folder):
    """A new file system of this kind in a sparse file."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        image, mount = pathlib.Path(place, "image"), pathlib.Path(place, "mount")
        mount.mkdir()
        with open(image, "wb") as file:
            file.truncate(size)
        run([*MAKE[kind], image], stdout=subprocess.DEVNULL)
        run(["mount", "-o", "loop", image, mount])
        try:
            yield mount
        finally:
            run(["umount", "-l", mount])


class Site:
    """A configuration whose cache is a folder, and commands on it."""

    def __init__(self, folder):
        self.folder = folder
        self.registry, self.admin = free_port(), free_port()
        self.config = folder.parent / "archway.toml"
        self.config.write_text(
            f'offline = true\n\n[[listener]]\naddress = "127.0.0.1:{self.registry}"\n\n'
            f'[admin]\naddress = "127.0.0.1:{self.admin}"\n\n[log]\nlevel = "warn"\n\n'
            f'[cache]\npath = "{folder}"\nmin_free = "1MiB"\n\n[upstream."{HOST}"]\n'
        )

    def bundle(self, *words):
        """Runs `archway bundle WORDS` on one processor; what it took."""
        with tempfile.TemporaryDirectory() as temporary:
            run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", temporary])
            try:
                environment = {"PATH": "/usr/bin:/bin", "TMPDIR": temporary, "HOME": temporary}
                command = [ARCHWAY, "bundle", *words, "--config", self.config]
                return Cost(command, self.folder, environment)
            finally:
                run(["umount", temporary])

    @contextlib.contextmanager
    def serving(self):
        """The gateway, while it serves."""
        server = subprocess.Popen([ARCHWAY, "serve", "--config", self.config], stderr=subprocess.DEVNULL)
        try:
            ready = ["curl", "-sf", "--retry", "50", "--retry-delay", "1", "--retry-connrefused", "-o", "/dev/null"]
            run([*ready, f"http://127.0.0.1:{self.admin}/readyz"])
            yield server
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait()


class Cost:
    """What a command took on processor 0: seconds, seconds of the processor, the most memory, the most
    more bytes of the file system, and how many of these stay."""

    def __init__(self, command, folder=None, environment=None):
        before = self.settled(folder)
        self.peak, ended = 0, threading.Event()
        looking = threading.Thread(target=self.look, args=(folder, before, ended))
        if folder:
            looking.start()
        began = time.monotonic()
        words = ["taskset", "-c", "0", *[str(word) for word in command]]
        child = subprocess.Popen(
            words, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        errors = child.stderr.read().decode()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        self.seconds = time.monotonic() - began
        ended.set()
        if child.returncode != 0:
            sys.exit(f"{' '.join(words)} ended with {child.returncode}:\n{errors}")
        self.processor = usage.ru_utime + usage.ru_stime
        self.memory = usage.ru_maxrss * KIB
        if folder:
            looking.join()
        self.stays = max(0, self.settled(folder) - before)

    @staticmethod
    def settled(folder):
        os.sync()
        return used(folder) if folder else 0

    def look(self, folder, before, ended):
        while not ended.wait(0.005):
            self.peak = max(self.peak, used(folder) - before)


def write_layout(folder, image, count, size):
    """An OCI layout with one image of `count` layers of `size` bytes; the digests of the layers."""
    blobs = folder / "blobs/sha256"
    blobs.mkdir(parents=True)

    def put(pieces, kind):
        digest, length, file = hashlib.sha256(), 0, blobs / "new"
        with open(file, "wb") as new:
            for piece in pieces:
                digest.update(piece)
                length += new.write(piece)
        file.rename(blobs / digest.hexdigest())
        return {"mediaType": kind, "digest": f"sha256:{digest.hexdigest()}", "size": length}

    # In small pieces: a process counts the memory of the one that has started it.
    noise = os.urandom(min(size, MIB))
    layers = []
    for number in range(count):
        rest = size - 8
        pieces = [number.to_bytes(8, "little"), *[noise] * (rest // len(noise)), noise[: rest % len(noise)]]
        layers.append(put(pieces, LAYER))
    config = put([json.dumps({"os": "linux", "architecture": "amd64"}).encode()], CONFIG)
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers}
    manifest = put([json.dumps(manifest).encode()], MANIFEST)
    manifest["annotations"] = {"io.containerd.image.name": f"{HOST}/{image}:v1"}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [manifest]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    return [layer["digest"] for layer in layers]


def forget(cache):
    """Leaves of a cache nothing but what it does not own."""
    shutil.rmtree(cache / "blobs")
    for name in ("index.redb", "names.jsonl"):
        (cache / name).unlink(missing_ok=True)


def of_disk(report, kind, what, cost, size):
    if kind in CLONES:
        bound, text = size / 100 + OVERHEAD, "< 1 % + 8 MiB"
    else:
        bound, text = size * 1.01 + OVERHEAD, "<= 1.01x + 8 MiB"
    for name, value in (("peak", cost.peak), ("left", cost.stays)):
        share = f"{value / MIB:.1f} MiB {value / size:.4f}x"
        report.line(f"{kind}: {what}, extra disk, {name}", share, text, value <= bound)


def round_trip(report, kind, mib, folder):
    """Export and import on a file system of this kind, and what depends on the bundle there."""
    size = -(-mib * KIB // BLOBS // 4) * 4 * KIB
    with mounted(kind, mib * MIB * 3 + 600 * MIB, folder) as mount:
        site = Site(mount)
        layout, tar = mount / "layout", mount / "site.tar"
        write_layout(layout, IMAGE, BLOBS, size)
        site.bundle("import", layout)
        shutil.rmtree(layout)
        export = site.bundle("export", f"{HOST}/{IMAGE}:v1", "--platform", "all", "-o", tar)
        imports, hashes = [], []
        for _ in range(ROUNDS):
            forget(mount)
            imports.append(site.bundle("import", tar))
            hashes.append(Cost(["openssl", "dgst", "-sha256", tar]))
        imported = imports[0]
        length = tar.stat().st_size
        of_disk(report, kind, "export", export, length)
        of_disk(report, kind, "import", imported, length)
        for what, cost in (("export", export), ("import", imported)):
            memory = cost.memory / MIB
            report.line(f"{kind}: {what}, most memory", f"{memory:.1f} MiB", "< 60 MB", cost.memory < 60_000_000)
        of_time(report, kind, imports, hashes, length)
        if kind == CLONES[0]:
            of_inspect(report, tar)
            of_clients(report, site, mount, tar)


def of_time(report, kind, imports, hashes, length):
    """The quickest import beside the quickest openssl, by turns: what else runs only makes them slower."""
    for name, of in (("wall", lambda cost: cost.seconds), ("processor", lambda cost: cost.processor)):
        imported, hashed = min(map(of, imports)), min(map(of, hashes))
        speed = f"{length / imported / 1e6:.0f} MB/s: {hashed / imported:.2f}x"
        what = f"{kind}: import / openssl dgst -sha256, {name}"
        if kind in CLONES:
            report.line(what, speed, ">= 0.8x", hashed / imported >= 0.8)
        else:
            report.line(what, speed, "no bound", True)


def of_inspect(report, tar):
    """The time to inspect the bundle, and that for the same one when its file is ten times as long."""
    length = tar.stat().st_size
    small = inspected(tar)
    with open(tar, "r+b") as file:
        file.truncate(length * 10)
    large = inspected(tar)
    with open(tar, "r+b") as file:
        file.truncate(length)
    measured = f"{small * 1e3:.1f} and {large * 1e3:.1f} ms"
    same = large <= 1.2 * small + 0.002
    report.line(f"inspect of {length / MIB:.0f} MiB and of ten times that", measured, "the same", same)


def inspected(tar):
    times = []
    for _ in range(21):
        began = time.monotonic()
        run([ARCHWAY, "bundle", "inspect", tar], stdout=subprocess.DEVNULL)
        times.append(time.monotonic() - began)
    return min(times)


def of_clients(report, site, mount, tar):
    """A client held to 100 MB/s, before and while a bundle comes into the gateway that serves it."""
    forget(mount)
    layout = mount / "layout"
    layer = write_layout(layout, "team/small", 1, 128 * MIB)[0]
    site.bundle("import", layout)
    shutil.rmtree(layout)
    url = f"http://127.0.0.1:{site.registry}/v2/{HOST}/team/small/blobs/{layer}"
    # The gateway has all processors, and so has its client.
    os.sched_setaffinity(0, set(range(os.cpu_count())))
    with site.serving() as server:
        before = rate(url, lambda seconds: seconds < 5)
        importing = subprocess.Popen(
            [ARCHWAY, "bundle", "import", tar, "--config", site.config],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        meanwhile = rate(url, lambda _: importing.poll() is None)
        if importing.wait() != 0:
            sys.exit("the import into the running gateway failed")
        share = meanwhile / before
        resident = resident_peak(server.pid)
    measured = f"{meanwhile / 1e6:.0f} of {before / 1e6:.0f} MB/s"
    report.line("a client of 100 MB/s while a bundle is imported", f"{measured}: {share:.2f}", ">= 0.90", share >= 0.9)
    print(f"the gateway that served and imported: at most {resident / MIB:.1f} MiB resident", flush=True)


def resident_peak(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * KIB
    raise RuntimeError("the kernel tells no VmHWM")


def rate(url, goes_on):
    """Bytes a second of whole downloads, one after the other."""
    total, began = 0, time.monotonic()
    while True:
        curl = ["curl", "-sf", "--limit-rate", "100M", "-o", "/dev/null", "-w", "%{size_download}", url]
        total += int(subprocess.run(curl, check=True, capture_output=True).stdout)
        seconds = time.monotonic() - began
        if not goes_on(seconds):
            return total / seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mib", type=int, default=1024, help="size of the bundle")
    parser.add_argument("--kinds", default="xfs,btrfs,ext4", help="file systems, comma-separated")
    parser.add_argument("--folder", default="/tmp", help="where the loop images lie")
    given = parser.parse_args()
    if os.geteuid() != 0 or not os.access(ARCHWAY, os.X_OK):
        sys.exit(f"run this as root, with ARCHWAY_BIN naming a binary (now {ARCHWAY})")
    for kind in given.kinds.split(","):
        if shutil.which(MAKE[kind][0]) is None:
            sys.exit(f"{MAKE[kind][0]} is missing: run tests/tools/install.sh clients")
    if os.cpu_count() > 1:
        os.sched_setaffinity(0, set(range(1, os.cpu_count())))
    report = Report()
    busy = os.getloadavg()[0]
    print(f"{ARCHWAY}, a bundle of {BLOBS} blobs, {given.mib} MiB; load before {busy:.1f}\n", flush=True)
    for kind in given.kinds.split(","):
        round_trip(report, kind, given.mib, given.folder)
    sys.exit(1 if report.missed else 0)


if __name__ == "__main__":
    main()
