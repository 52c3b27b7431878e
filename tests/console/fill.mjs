// What the site of the suite holds: a team's images in every state that a page can show, and names chosen by enemies.
export const HOSTILE = {
  annotation: "<script>alert('annotation')</script>\u202egnp.exe\u0007",
  agent: "<img src=x onerror=alert(1)>/1.0 \"'&lt;script>",
};

// Returns the image of the slow layer.
export async function fill(site) {
  const { registry } = site;
  const both = ["linux/amd64", "linux/arm64"];
  registry.add("team/web", "v1.4.2");
  registry.add("team/web", "v1.4.3");
  registry.add("team/api", "2026-11", { platforms: [...both, "linux/arm/v7"] });
  registry.add("team/worker", "stable", { platforms: ["linux/amd64"] });
  registry.add("library/base", "12-slim", { platforms: [...both, "linux/s390x"], layers: [2_000_000] });
  registry.add("odd/names", "UPPER_case.and-dots", {
    annotations: { "org.opencontainers.image.title": HOSTILE.annotation, "<b>key</b>": "value\nin two lines" },
  });
  await site.pull("team/web", "v1.4.2", "linux/amd64");
  await site.pull("team/web", "v1.4.2", "linux/arm64", "cri-o/1.34.1");
  await site.pull("team/web", "v1.4.3", "linux/amd64");
  await site.pull("team/api", "2026-11", "linux/arm64", "docker/28.1.1 go/go1.24 os/linux arch/arm64");
  await site.pull("team/worker", "stable", "linux/amd64");
  await site.pull("library/base", "12-slim", "linux/amd64", "skopeo/1.9.3");
  await site.pull("odd/names", "UPPER_case.and-dots", "linux/amd64", HOSTILE.agent);
  // What goes wrong shows too: an upstream that is down, a name that is not there, a platform that lacks.
  await site.ask("team/web/manifests/v1?ns=down.example");
  await site.ask("team/none/manifests/v1?ns=registry.example");
  const single = { accept: "application/vnd.oci.image.manifest.v1+json" };
  await site.ask("team/worker/manifests/stable?ns=registry.example&platform=linux/riscv64", single);
  return registry.add("team/model", "weights", { layers: [20_000, 8_000_000] });
}
