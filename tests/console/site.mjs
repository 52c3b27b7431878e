// Everything a test needs: a registry, Archway in front of it, and nginx that serves its console below a path.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createWriteStream, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

import { Registry } from "./registry.mjs";

export const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");
export const PREFIX = "/tools/archway/";
const ARCHWAY = process.env.ARCHWAY_BIN ?? path.join(ROOT, "target/debug/archway");
const ACCEPT = ["application/vnd.oci.image.index.v1+json", "application/vnd.oci.image.manifest.v1+json"].join(", ");

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

// Asks until the answer is what is wanted, within a bound that only a broken test reaches.
export async function until(what, ask, bound = 30_000) {
  for (const end = Date.now() + bound; ;) {
    const answer = await Promise.resolve().then(ask).catch(() => undefined);
    if (answer) return answer;
    if (Date.now() > end) throw new Error(`${what}: not within ${bound / 1000} s`);
    await new Promise((resume) => { setTimeout(resume, 50); });
  }
}

// What a client of registries asks. `fetch` says that it is a browser, and such are refused.
async function get(url, headers) {
  const asked = request(url, { headers });
  asked.end();
  const [answer] = await once(asked, "response");
  const pieces = [];
  for await (const piece of answer) pieces.push(piece);
  return { status: answer.statusCode, ok: answer.statusCode < 300, body: Buffer.concat(pieces) };
}

export class Site {
  #folder = mkdtempSync(path.join(tmpdir(), "archway-console-"));
  #children = [];
  ports = {};
  registry = new Registry();

  static async start() {
    const site = new Site();
    try {
      await site.#start();
    } catch (error) {
      await site.stop();
      throw error;
    }
    return site;
  }

  async #start() {
    if (!existsSync(ARCHWAY)) throw new Error(`${ARCHWAY} is missing; run cargo build --locked --workspace`);
    for (const name of ["registry", "dead", "listener", "admin", "below"]) this.ports[name] = await freePort();
    await this.registry.start(this.ports.registry);
    this.url = `http://127.0.0.1:${this.ports.admin}/`;
    this.below = `http://127.0.0.1:${this.ports.below}${PREFIX}`;
    this.#write("archway.toml", this.#config());
    this.#run("archway", ARCHWAY, ["serve", "--config", this.#path("archway.toml")]);
    this.#write("nginx.conf", this.#nginx());
    mkdirSync(this.#path("nginx"));
    this.#run("nginx", "nginx", ["-c", this.#path("nginx.conf"), "-p", this.#path("nginx")]);
    await until("Archway is ready", async () => (await fetch(`${this.url}readyz`)).ok);
    await until("nginx is ready", async () => (await fetch(`${this.below}readyz`)).ok);
  }

  #config() {
    const upstream = (host, port) => `[upstream."${host}"]\nendpoints = ["http://127.0.0.1:${port}"]\ntag_ttl = "1h"\nconnect_timeout = "500ms"\n`;
    return `default_upstream = "registry.example"
[[listener]]
address = "127.0.0.1:${this.ports.listener}"
[admin]
address = "127.0.0.1:${this.ports.admin}"
[cache]
path = "${this.#path("cache")}"
max_size = "512MiB"
${upstream("registry.example", this.ports.registry)}${upstream("down.example", this.ports.dead)}`;
  }

  #nginx() {
    return `daemon off; pid ${this.#path("nginx.pid")}; error_log stderr; worker_processes 1;
events { worker_connections 64; }
http {
  access_log off;
  client_body_temp_path ${this.#path("nginx")}; proxy_temp_path ${this.#path("nginx")};
  fastcgi_temp_path ${this.#path("nginx")}; uwsgi_temp_path ${this.#path("nginx")}; scgi_temp_path ${this.#path("nginx")};
  server {
    listen 127.0.0.1:${this.ports.below};
    location ${PREFIX} {
      proxy_pass http://127.0.0.1:${this.ports.admin}/;
      proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host; proxy_buffering off;
    }
  }
}
`;
  }

  #path(name) { return path.join(this.#folder, name); }

  #write(name, text) { writeFileSync(this.#path(name), text); }

  #run(name, program, args) {
    const log = createWriteStream(this.#path(`${name}.log`));
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, HOME: this.#folder } });
    child.stdout.pipe(log);
    child.stderr.pipe(log);
    child.on("error", (error) => { console.error(`${name}: ${error.message}`); });
    this.#children.push(child);
  }

  // ---- What clients do -----------------------------------------------------------------------------------------------
  ask(target, headers = {}) {
    return get(`http://127.0.0.1:${this.ports.listener}/v2/${target}`, { accept: ACCEPT, ...headers });
  }

  async #body(target, headers) {
    const answer = await this.ask(target, headers);
    if (!answer.ok) throw new Error(`${target}: ${answer.status} ${answer.body}`);
    return answer.body;
  }

  // Pulls an image for a platform as a runtime does: the index, the manifest, then config and layers.
  async pull(repository, tag, platform, userAgent = "containerd/v2.2.0", query = "?ns=registry.example") {
    const headers = { "user-agent": userAgent };
    const index = JSON.parse(await this.#body(`${repository}/manifests/${tag}${query}`, headers));
    const entry = index.manifests.find(({ platform: { os, architecture } }) => `${os}/${architecture}` === platform);
    const manifest = JSON.parse(await this.#body(`${repository}/manifests/${entry.digest}${query}`, headers));
    for (const { digest } of [manifest.config, ...manifest.layers]) {
      await this.#body(`${repository}/blobs/${digest}${query}`, headers);
    }
    return manifest;
  }

  blob(repository, digest, headers) { return this.#body(`${repository}/blobs/${digest}?ns=registry.example`, headers); }

  async api(target) {
    const answer = await fetch(`${this.url}_archway/v1/${target}`);
    if (!answer.ok) throw new Error(`${target}: ${answer.status}`);
    return answer.json();
  }

  async stop() {
    this.registry.stop();
    for (const child of this.#children) {
      if (child.exitCode !== null || child.pid === undefined) continue;
      child.kill("SIGTERM");
      await Promise.race([once(child, "exit"), new Promise((resume) => { setTimeout(resume, 10_000).unref(); })]);
      if (child.exitCode === null) child.kill("SIGKILL");
    }
    if (process.env.KEEP === "1") console.log(`Kept: ${this.#folder}`);
    else rmSync(this.#folder, { recursive: true, force: true });
  }
}
