"""The steps of replicas.sh: what the chart's pods of mode shared with a bucket would do, and its `helm test`.

In their place there are three processes, since three pods of one machine need a network plugin that there is none of
here: each has the config that the chart renders, with an address of its own in place of all addresses. A DNS
server answers for the headless Service, and ministack is the bucket.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import urllib.error
import urllib.request

from machine import ARCHWAY, PATIENCE, TOP, WORK, eventually, state, step

sys.path.insert(0, str(TOP / "tests/chart"))

from check import named  # noqa: E402
from nodes import Registry  # noqa: E402
from registry import Answers  # noqa: E402
from render import NAMESPACE, TOOLS, render  # noqa: E402

ADDRESSES = [f"127.0.1.{number}" for number in (1, 2, 3)]
SERVICE = f"archway-shared-peers.{NAMESPACE}.svc"
STORE = "seaweedfs.storage.svc"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_EC2_METADATA_DISABLED": "true"}
IMAGE = "registry.test/team/app:v1"
asked = []


def start(name, *command, **environment):
    log = open(WORK / f"log/{name}.log", "ab")
    environment = {"PATH": os.environ["PATH"], "HOME": str(WORK), **environment}
    return subprocess.Popen([str(word) for word in command], stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment)


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except urllib.error.HTTPError as error:
        return url.endswith(":8333/") and error.code < 500
    except OSError:
        return False


def start_bucket():
    start(
        "s3", TOOLS / "venv/bin/ministack", BIND_HOST="127.0.0.1", GATEWAY_PORT="8333", SERVICES="s3,sts", S3_DATA_DIR=str(WORK / "s3"),
        TMPDIR=str(WORK), IOT_MTLS_ENABLED="0", SFTP_ENABLED="0", DOCKER_HOST="unix:///nonexistent.sock",
    )  # fmt: skip
    eventually("the bucket's server answers", lambda: answers("http://127.0.0.1:8333/"))
    make = urllib.request.Request("http://127.0.0.1:8333/archway-cache", method="PUT")
    with urllib.request.urlopen(make, timeout=10):
        pass


def write_configs(registry):
    """The chart's config for each replica, and the `helm test`'s commands."""
    upstream = f"config.upstream.registry\\.test.endpoints={{http://127.0.0.1:{registry.server_port}}}"
    more = ["--set", upstream, "--set", "shared.nodeList.enabled=false,shared.tier.region=us-east-1", "--set", f"test.images={{{IMAGE}}}"]
    documents = render(named("shared-bucket"), "1.34", *more)
    [config] = [d["data"]["config.toml"] for d in documents if d["kind"] == "ConfigMap"]
    for file in ("archway-replicas/secret", "archway-tier/key"):
        path = WORK / file
        path.parent.mkdir()
        path.write_text(f"a long secret of {file}\n")
        config = config.replace(f"/etc/{file}", str(path))
    for address in ADDRESSES:
        own = config.replace("[::]:", f"{address}:").replace("/var/lib/archway", f"{WORK}/cache-{address}")
        (WORK / f"{address}.toml").write_text(own)
    pods = [d for d in documents if d["kind"] == "Pod"]
    return [container["args"] for pod in pods for container in pod["spec"]["containers"]]


def start_replicas():
    replicas = [start(f"archway-{address}", ARCHWAY, "serve", "--config", WORK / f"{address}.toml", **CREDENTIALS) for address in ADDRESSES]
    for address in ADDRESSES:
        eventually("a replica is ready", lambda address=address: answers(f"http://{address}:9464/readyz"))
    return replicas


def archway(*arguments):
    done = subprocess.run([ARCHWAY, *map(str, arguments)], capture_output=True, text=True, env={**os.environ, **CREDENTIALS})
    return done.returncode, done.stdout + done.stderr


def helm_test(commands):
    """The commands of the test's pods at each replica, since the Service may lead to any."""
    service = f"http://archway-shared.{NAMESPACE}.svc:5000"
    for address in ADDRESSES:
        for command in commands:
            assert f"--server={service}" in command, command
            code, text = archway(*(word.replace(service, f"http://{address}:5000") for word in command))
            assert code == 0, f"{command}: {text}{state()}"


class Noted(Answers):
    def do_GET(self):
        asked.append(self.path)
        super().do_GET()


def main():
    step("a registry, a bucket and a name server")
    with open("/etc/hosts", "a") as hosts:
        hosts.write(f"127.0.0.1 {STORE}\n")
    pathlib.Path("/etc/resolv.conf").unlink()
    pathlib.Path("/etc/resolv.conf").write_text("nameserver 127.0.0.1\n")
    start("dns", sys.executable, TOP / "tests/tools/one_name_dns.py", "127.0.0.1", SERVICE, *ADDRESSES)
    registry = Registry()
    registry.RequestHandlerClass = Noted
    start_bucket()
    step("three Archways with the chart's config")
    commands = write_configs(registry)
    replicas = start_replicas()
    config = WORK / f"{ADDRESSES[0]}.toml"
    know = ("replicas", "--config", config)
    eventually("they know each other", lambda: all(address in archway(*know)[1] for address in ADDRESSES))
    print(archway(*know)[1])
    code, text = archway("doctor", "tier", "--config", config)
    assert code == 0, text
    step("the commands of `helm test`, at each of them")
    helm_test(commands)
    tags = [path for path in asked if path.endswith("/manifests/v1")]
    step(f"the registry was asked {len(asked)} times, {len(tags)} for the tag")
    step("all are ended, their disks are gone, and so is the registry")
    for replica in replicas:
        replica.terminate()
    for replica in replicas:
        assert replica.wait(PATIENCE) == 0, state()
    registry.shutdown()
    registry.server_close()
    for address in ADDRESSES:
        shutil.rmtree(WORK / f"cache-{address}")
    start_replicas()
    helm_test(commands)
    step("served from the bucket alone")


try:
    main()
except BaseException:
    print(state(), file=sys.stderr)
    raise
