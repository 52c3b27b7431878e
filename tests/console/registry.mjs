// A registry that holds images made here, sends one layer as slowly as it is told, and refuses what it is told.
import { createHash } from "node:crypto";
import { createServer } from "node:http";

const INDEX = "application/vnd.oci.image.index.v1+json";
const MANIFEST = "application/vnd.oci.image.manifest.v1+json";
const CONFIG = "application/vnd.oci.image.config.v1+json";
const LAYER = "application/vnd.oci.image.layer.v1.tar";
const digestOf = (bytes) => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

export class Registry {
  #blobs = new Map();
  #manifests = new Map();
  #slow = new Map();
  #server = createServer((request, response) => this.#answer(request, response));

  async start(port) {
    await new Promise((resume) => { this.#server.listen(port, "127.0.0.1", resume); });
  }

  stop() {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  // An image for each platform behind an index. `layers` tells the bytes of each layer.
  add(repository, tag, { platforms = ["linux/amd64", "linux/arm64"], layers = [40_000, 300_000], annotations = {} } = {}) {
    const children = platforms.map((platform) => this.#image(`${repository}:${tag} ${platform}`, platform, layers));
    const index = { schemaVersion: 2, mediaType: INDEX, manifests: children, annotations };
    const digest = this.#manifest(INDEX, index);
    this.#manifests.set(`${repository}:${tag}`, this.#manifests.get(digest));
    return { digest, children };
  }

  // From now on the blob comes in pieces of `bytes` each `every` milliseconds, until `hurry` is called.
  slow(digest, { bytes, every }) {
    const pace = { bytes, every };
    this.#slow.set(digest, pace);
    return { hurry: () => { pace.bytes = Number.MAX_SAFE_INTEGER; pace.every = 0; } };
  }

  manifestOf(digest) {
    return JSON.parse(this.#manifests.get(digest).bytes);
  }

  #image(seed, platform, layers) {
    const [os, architecture, variant] = platform.split("/");
    const config = { os, architecture, ...(variant && { variant }), rootfs: { type: "layers", diff_ids: [] }, config: {} };
    const manifest = {
      schemaVersion: 2,
      mediaType: MANIFEST,
      config: this.#blob(CONFIG, Buffer.from(JSON.stringify(config))),
      layers: layers.map((size, place) => this.#blob(LAYER, bytesOf(`${seed} ${place}`, size))),
    };
    const digest = this.#manifest(MANIFEST, manifest);
    const size = this.#manifests.get(digest).bytes.length;
    return { mediaType: MANIFEST, digest, size, platform: { os, architecture, ...(variant && { variant }) } };
  }

  #manifest(kind, value) {
    const bytes = Buffer.from(JSON.stringify(value));
    const digest = digestOf(bytes);
    this.#manifests.set(digest, { kind, bytes, digest });
    return digest;
  }

  #blob(kind, bytes) {
    const digest = digestOf(bytes);
    this.#blobs.set(digest, bytes);
    return { mediaType: kind, digest, size: bytes.length };
  }

  async #answer(request, response) {
    const path = decodeURIComponent(new URL(request.url, "http://registry").pathname);
    const [, repository, kind, name] = path.match(/^\/v2\/(.+)\/(manifests|blobs)\/([^/]+)$/) ?? [];
    response.setHeader("docker-distribution-api-version", "registry/2.0");
    if (path === "/v2/") return response.end("{}");
    if (kind === "manifests") {
      const manifest = this.#manifests.get(`${repository}:${name}`) ?? this.#manifests.get(name);
      if (manifest) return this.#send(request, response, manifest.kind, manifest.bytes, manifest.digest);
    } else if (kind === "blobs" && this.#blobs.has(name)) {
      return this.#send(request, response, "application/octet-stream", this.#blobs.get(name), name);
    }
    response.writeHead(404, { "content-type": "application/json" });
    return response.end(JSON.stringify({ errors: [{ code: kind === "blobs" ? "BLOB_UNKNOWN" : "MANIFEST_UNKNOWN" }] }));
  }

  async #send(request, response, kind, bytes, digest) {
    response.writeHead(200, { "content-type": kind, "content-length": bytes.length, "docker-content-digest": digest });
    const pace = this.#slow.get(digest);
    if (request.method === "HEAD") return response.end();
    if (!pace) return response.end(bytes);
    for (let sent = 0; sent < bytes.length && !response.destroyed;) {
      const end = Math.min(sent + pace.bytes, bytes.length);
      response.write(bytes.subarray(sent, end));
      sent = end;
      await new Promise((resume) => { setTimeout(resume, pace.every); });
    }
    return response.end();
  }
}

// The same bytes for the same seed, which no compression and no other layer shares.
function bytesOf(seed, size) {
  const bytes = Buffer.alloc(size);
  let block = Buffer.from(seed);
  for (let place = 0; place < size; place += 32) {
    block = createHash("sha256").update(block).digest();
    block.copy(bytes, place);
  }
  return bytes;
}
