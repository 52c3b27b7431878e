#!/usr/bin/env python3
"""Runs every expression of ops/ against a live Archway under load, and judges the dashboard's form.

Starts an Archway, an upstream and a Prometheus on loopback, pulls as clients do, takes the upstream
away at the end, and asks Prometheus for each expression: an empty answer is a metric that is not
there. Of an alert, each side is asked for without its bound, since a bound is mostly not passed.

Usage: check.py     ARCHWAY_BIN names the program (default: target/debug/archway)
"""

import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

from upstream import PLATFORMS, Registry

TOP = pathlib.Path(__file__).resolve().parents[2]
ARCHWAY = os.environ.get("ARCHWAY_BIN", TOP / "target/debug/archway")
DASHBOARD = TOP / "ops/grafana/archway.json"
RULES = TOP / "ops/prometheus/rules.yaml"
COPIES = {DASHBOARD: TOP / "charts/archway/files/archway.json", RULES: TOP / "charts/archway/files/rules.yaml"}
# What a program that has just started may need.
PATIENCE = 30
# What a time range of Grafana is here, shorter than the test.
GRAFANA = {"$__rate_interval": "30s", "$__range": "1m", "$__interval": "15s"}
# A comparison with a bound at the end of a side of an alert.
BOUND = re.compile(r"\s*(?:[<>]=?|[!=]=)\s*[\d.e+* ]+$")
SIDES = re.compile(r"\b(?:and|unless)\b(?:\s+on\s*\([^)]*\))?")


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def fetch(url, headers=None, method="GET"):
    """The status and the body of an answer, whatever the status; (0, b"") without one."""
    request = urllib.request.Request(url, headers=headers or {}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except OSError:
        return 0, b""


def until(what, probe):
    """The first value of `probe` that is true."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if value := probe():
            return value
        time.sleep(0.1)
    raise SystemExit(f"check.py: not within {PATIENCE} s: {what}")


class Site:
    """Archway, its upstream and Prometheus, for the time of the test."""

    def __init__(self, folder):
        self.folder, self.programs = folder, []
        self.registry = Registry()
        self.port, self.tls_port, self.admin_port, self.prometheus_port = (free_port() for _ in range(4))
        self.admin = f"http://127.0.0.1:{self.admin_port}"

    def start(self):
        folder = self.folder
        pair = ["-keyout", folder / "key.pem", "-out", folder / "cert.pem"]
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=localhost", *pair],
            check=True,
            capture_output=True,
        )
        (folder / "archway.toml").write_text(self.config())
        (folder / "prometheus.yml").write_text(
            f"global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [{json.dumps(str(RULES))}]\n"
            f"scrape_configs:\n  - job_name: archway\n    static_configs: [{{targets: ['127.0.0.1:{self.admin_port}']}}]\n"
        )
        self.run("archway", ARCHWAY, "serve", "--config", folder / "archway.toml")
        until("Archway is alive", lambda: fetch(f"{self.admin}/livez")[0] == 200)
        self.run(
            "prometheus",
            "prometheus",
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/tsdb",
            f"--web.listen-address=127.0.0.1:{self.prometheus_port}",
        )
        until("Prometheus has scraped Archway", lambda: self.query("archway_build_info"))

    def config(self):
        return f"""
default_upstream = "registry.ops"
[[listener]]
address = "127.0.0.1:{self.port}"
[[listener]]
address = "127.0.0.1:{self.tls_port}"
tls = {{ cert = "{self.folder}/cert.pem", key = "{self.folder}/key.pem" }}
[admin]
address = "127.0.0.1:{self.admin_port}"
[cache]
path = "{self.folder}/cache"
max_size = "1GiB"
[upstream."registry.ops"]
endpoints = ["http://127.0.0.1:{self.registry.port}"]
tag_ttl = "1s"
private_hosts = ["127.0.0.1"]
manifest_rate = "1000/s"
"""

    def run(self, name, *command):
        log = open(self.folder / f"{name}.log", "wb")
        self.programs.append(subprocess.Popen([str(word) for word in command], stdout=log, stderr=log))

    def stop(self):
        for program in self.programs:
            program.send_signal(signal.SIGTERM)
        for program in self.programs:
            try:
                program.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                program.kill()

    def prometheus(self, path, **query):
        url = f"http://127.0.0.1:{self.prometheus_port}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        status, body = fetch(url)
        return json.loads(body) if body else {"status": "error", "error": f"status {status}"}

    def query(self, expression):
        """The answer's samples; a mistake in the expression ends the test."""
        answer = self.prometheus("query", query=expression)
        if answer["status"] != "success":
            return [] if "status 0" in answer["error"] else sys.exit(f"check.py: {expression}: {answer['error']}")
        return answer["data"]["result"]

    def get(self, path, **headers):
        return fetch(f"http://127.0.0.1:{self.port}/v2/{path}", headers)

    def pull(self, tag, arch):
        """What a node of this architecture asks for."""
        self.get(f"team/app/manifests/{tag}", **{"Archway-Platform": f"linux/{arch}"})
        manifest, blobs = self.registry.content.children[tag, arch]
        self.get(f"team/app/manifests/{manifest}")
        for blob in blobs:
            self.get(f"team/app/blobs/{blob}")

    def load(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for tag in self.registry.content.tags:
                for arch in PLATFORMS:
                    self.pull(tag, arch)
            self.get("team/app/tags/list")
            # A platform that no image has, an image that is nowhere, and a name that is no upstream.
            self.get("team/app/manifests/v1", **{"Archway-Platform": "linux/s390x"})
            self.get("team/app/manifests/none")
            self.get("nowhere.example/app/manifests/v1")
            time.sleep(0.05)


def sides(expression):
    """An alert's expression, side by side and without its bounds."""
    if found := re.fullmatch(r"absent\((.*)\)", expression.strip()):
        return [found.group(1)]
    found = (side.strip() for side in SIDES.split(expression))
    bare = (side[1:-1] if side.startswith("(") and side.endswith(")") else side for side in found)
    return [BOUND.sub("", side.strip()) for side in bare]


def judge_rules(site):
    groups = site.prometheus("rules")["data"]["groups"]
    alerts = 0
    for rule in (rule for group in groups for rule in group["rules"]):
        name = rule["name"]
        if rule["health"] != "ok":
            yield f"rules.yaml: {name}: {rule.get('lastError')}"
        expressions = [rule["query"]] if rule["type"] == "recording" else sides(rule["query"])
        for expression in expressions:
            if not site.query(expression):
                yield f"rules.yaml: {name}: nothing is there for {expression}"
        if rule["type"] == "recording":
            continue
        alerts += 1
        notes = rule["annotations"]
        if rule["labels"].get("severity") not in ("page", "ticket", "info"):
            yield f"rules.yaml: {name}: its severity is none of page, ticket, info"
        if not (notes.get("summary") and notes.get("description")):
            yield f"rules.yaml: {name}: it needs a summary and a description"
        page = f"docs/runbooks/{name}.md"
        if not notes.get("runbook_url", "").endswith(f"/{page}") or not (TOP / page).exists():
            yield f"rules.yaml: {name}: runbook_url must lead to {page}"
        cases = (TOP / "ops/prometheus/tests/alerts.yaml").read_text()
        for case in (f'"{name} fires', f'"{name} is silent'):
            if case not in cases:
                yield f"alerts.yaml: there is no case {case}...\""
    if alerts < 17:
        yield f"rules.yaml: {alerts} alerts"
    pages = {page.stem for page in (TOP / "docs/runbooks").glob("*.md")}
    known = {rule["name"] for group in groups for rule in group["rules"]}
    for page in sorted(pages - known):
        yield f"docs/runbooks/{page}.md: there is no such alert"


def judge_form(dashboard):
    variables = {one["name"]: one for one in dashboard["templating"]["list"]}
    if not dashboard.get("uid") or set(variables) != {"datasource", "job", "instance", "upstream"}:
        yield "archway.json: it needs a uid, and the variables datasource, job, instance, upstream"
    if variables["datasource"]["type"] != "datasource":
        yield "archway.json: $datasource is no data source"
    ids = [panel["id"] for panel in dashboard["panels"]]
    if len(ids) != len(set(ids)):
        yield "archway.json: two panels have one id"
    rows = [panel["title"] for panel in dashboard["panels"] if panel["type"] == "row"]
    if rows != ["Value", "Edge", "Fills", "Upstreams", "Cache", "Platforms", "Freshness"]:
        yield f"archway.json: its rows are {rows}"
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            continue
        name = f"archway.json: {panel['title']}"
        if panel["type"] not in ("stat", "timeseries"):
            yield f"{name}: a {panel['type']} is not what numbers are read from"
        if not panel["fieldConfig"]["defaults"].get("unit"):
            yield f"{name}: it has no unit"
        if not re.fullmatch(r"[A-Z][^\n]+\.", panel.get("description", "")):
            yield f"{name}: it needs a sentence that describes it"
        for target in panel["targets"]:
            if any(source["uid"] != "${datasource}" for source in (panel["datasource"], target["datasource"])):
                yield f"{name}: its data source is not $datasource"
            if "$job" not in target["expr"]:
                yield f"{name}: {target['expr']} is of no $job"


def judge_panels(site, dashboard):
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            expression = target["expr"]
            for name, value in GRAFANA.items():
                expression = expression.replace(name, value)
            expression = re.sub(r"\$(job|instance|upstream)\b", ".*", expression)
            if not site.query(expression):
                yield f"archway.json: {panel['title']}: nothing is there for {target['expr']}"


def judge_scrape(site):
    series = site.query('count({job="archway"})')[0]["value"][1]
    if int(series) >= 2000:
        yield f"/metrics: {series} series"
    _, classic = fetch(f"{site.admin}/metrics", {"Accept": "text/plain"})
    judged = subprocess.run(["promtool", "check", "metrics"], input=classic, capture_output=True)
    for line in judged.stdout.decode().splitlines() + judged.stderr.decode().splitlines():
        if "no help text" in line or "error" in line:
            yield f"/metrics: {line}"


def judge_alerts(site):
    """The upstream is away: the alert that says so waits for its time, and no page goes out."""
    down = 'ALERTS{alertname="ArchwayUpstreamDown"}'
    until("the alert for an upstream that is down begins", lambda: site.query(down))
    for alert in site.query('ALERTS{alertstate="firing",severity="page"}'):
        name = alert["metric"]["alertname"]
        # What clients got while it was down.
        if not name.startswith("ArchwayErrorBudget"):
            yield f"rules.yaml: {name} fires without a reason"


def main():
    dashboard = json.loads(DASHBOARD.read_text())
    faults = list(judge_form(dashboard))
    for file, copy in COPIES.items():
        if not copy.exists() or file.read_bytes() != copy.read_bytes():
            faults.append(f"{copy.relative_to(TOP)}: copy {file.relative_to(TOP)} there")
    with tempfile.TemporaryDirectory(prefix="archway-ops-") as folder:
        site = Site(pathlib.Path(folder))
        try:
            site.start()
            site.load(20)
            until("images are counted", lambda: site.query("archway_images"))
            site.registry.close()
            # From here on tags go out as last seen.
            site.load(5)
            until("a stale answer is counted", lambda: site.query("sum(archway_stale_answers_total) > 0"))
            until("the rules were evaluated", lambda: site.query("archway:errors:ratio_rate3d"))
            for judged in (judge_scrape(site), judge_rules(site), judge_panels(site, dashboard), judge_alerts(site)):
                faults += judged
        finally:
            site.stop()
            if faults:
                for log in ("archway", "prometheus"):
                    print((site.folder / f"{log}.log").read_text(errors="replace")[-3000:], file=sys.stderr)
    for fault in faults:
        print(fault, file=sys.stderr)
    count = sum(len(panel.get("targets", [])) for panel in dashboard["panels"])
    print(f"ops: {f'{len(faults)} faults' if faults else 'ok'} ({count} expressions of the dashboard)")
    # Counted by tests/run.sh.
    print(f"test result: {'FAILED' if faults else 'ok'}. {0 if faults else 1} passed; {1 if faults else 0} failed")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
