// The console in a browser: each page in each way that people read it, live pages while something happens, and names
// that enemies chose. `run.sh --only WORD` runs the tests whose names hold the word.
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

import { fill, HOSTILE } from "./fill.mjs";
import { ROOT, Site, until } from "./site.mjs";

const tools = createRequire(path.join(process.env.ARCHWAY_TOOLS ?? path.join(ROOT, ".tools"), "console/"));
const { chromium } = tools("playwright-core");
const AXE = readFileSync(tools.resolve("axe-core/axe.min.js"), "utf8");
const SHOTS = path.join(ROOT, "target/console");
const CSP = [
  "default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "img-src 'self' data:",
  "base-uri 'none'", "form-action 'self'", "frame-ancestors 'none'", "require-trusted-types-for 'script'",
  "trusted-types archway",
].join("; ");
const IMAGE = "registry.example/team/web:v1.4.2";
const PAGES = {
  overview: "",
  downloads: "downloads",
  images: "images",
  image: `image?name=${encodeURIComponent(IMAGE)}`,
  readiness: "readiness?platform=linux/arm64",
  upstreams: "upstreams",
  platforms: "platforms",
  cache: "cache",
  explain: `explain?name=${encodeURIComponent(IMAGE)}`,
  activity: "activity",
  about: "about",
};
const WAYS = {
  light: { colorScheme: "light" },
  dark: { colorScheme: "dark" },
  chinese: { locale: "zh-CN" },
  narrow: { viewport: { width: 380, height: 800 } },
  "no-script": { javaScriptEnabled: false },
  below: {},
};

class Browser {
  static async start() {
    const browser = new Browser();
    browser.chromium = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
    return browser;
  }

  // Opens a page, and judges what it did meanwhile once `judge` is done.
  async open(url, options, judge) {
    const context = await this.chromium.newContext({ viewport: { width: 1280, height: 900 }, ...options });
    const page = await context.newPage();
    const faults = [];
    page.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) faults.push(`console: ${message.text()}`);
    });
    page.on("pageerror", (error) => { faults.push(`error: ${error.message}`); });
    page.on("dialog", (dialog) => { faults.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
    const { origin } = new URL(url);
    page.on("request", (request) => {
      if (new URL(request.url()).origin !== origin) faults.push(`request to ${request.url()}`);
    });
    page.on("response", (response) => {
      if (response.status() >= 400) faults.push(`${response.status()} of ${response.url()}`);
    });
    try {
      const answer = await page.goto(url, { waitUntil: "load" });
      const result = await judge(page, answer);
      assert.deepEqual(faults, []);
      return result;
    } finally {
      await context.close();
    }
  }
}

// What axe finds wrong. It runs in a world of its own, which the page's policy does not govern; where the page may run
// no script, neither may axe.
async function violations(page) {
  const session = await page.context().newCDPSession(page);
  await session.send("Page.enable");
  const { frameTree } = await session.send("Page.getFrameTree");
  const { executionContextId } = await session.send("Page.createIsolatedWorld", { frameId: frameTree.frame.id });
  const run = async (expression) => {
    const { result, exceptionDetails } = await session.send("Runtime.evaluate", {
      expression, contextId: executionContextId, awaitPromise: true, returnByValue: true,
    });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  };
  await run(AXE);
  return run(`axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] })
    .then(({ violations }) => violations.map(({ id, nodes }) => id + ": " + nodes.map((node) => node.html).join(" ")))`);
}

const tests = {};

for (const [way, options] of Object.entries(WAYS)) {
  for (const [name, target] of Object.entries(PAGES)) {
    tests[`${name} is whole: ${way}`] = async ({ site, browser }) => {
      const base = way === "below" ? site.below : site.url;
      await browser.open(base + target, options, async (page, answer) => {
        assert.equal(answer.status(), 200);
        const headers = answer.headers();
        assert.equal(headers["content-security-policy"], CSP);
        assert.equal(headers["x-content-type-options"], "nosniff");
        assert.equal(await page.locator("html").getAttribute("lang"), way === "chinese" ? "zh-CN" : "en");
        assert.equal(await page.locator("h1").count(), 1);
        assert.equal(await page.locator("nav [aria-current=page]").count(), name === "image" ? 0 : 1);
        if (name === "explain") assert.match(await page.locator("main").innerText(), /\b200\b/);
        if (way !== "no-script") assert.deepEqual(await violations(page), []);
        if (way === "narrow") {
          const wide = await page.evaluate(() => document.documentElement.scrollWidth);
          assert.ok(wide <= 380, `the page is ${wide} pixels wide`);
        }
        await page.screenshot({ path: path.join(SHOTS, `${name}-${way}.png`), fullPage: true });
      });
    };
  }
}

tests["every page is reached by links alone, and stays below its path and in its language"] = async ({ site, browser }) => {
  await browser.open(`${site.below}?lang=zh-CN`, { javaScriptEnabled: false }, async (page) => {
    const links = await page.locator("nav.pages a").evaluateAll((all) => all.map((link) => link.href)).catch(() => []);
    const count = links.length || await page.locator("nav.pages a").count();
    assert.equal(count, Object.keys(PAGES).length - 1);
    for (let place = 0; place < count; place += 1) {
      await page.locator("nav.pages a").nth(place).click();
      assert.ok(page.url().startsWith(site.below), page.url());
      assert.equal(await page.locator("html").getAttribute("lang"), "zh-CN");
    }
  });
};

tests["the forms work by keyboard and without a script"] = async ({ site, browser }) => {
  await browser.open(`${site.url}explain`, { javaScriptEnabled: false }, async (page) => {
    await page.locator("input[name=name]").focus();
    await page.keyboard.type(IMAGE);
    await page.keyboard.press("Enter");
    await page.waitForURL(/name=/);
    assert.match(await page.locator("main").innerText(), /team\/web/);
  });
  await browser.open(`${site.url}images`, { javaScriptEnabled: false }, async (page) => {
    await page.locator("input[name=filter]").fill("team/w");
    await page.keyboard.press("Enter");
    await page.waitForURL(/filter=/);
    const text = await page.locator("main").innerText();
    assert.match(text, /team\/web/);
    assert.doesNotMatch(text, /team\/api/);
  });
};

tests["downloads shows a slow fill grow, its three followers, and its end"] = async ({ site, browser, slow }) => {
  const manifest = site.registry.manifestOf(slow.children[0].digest);
  const { digest } = manifest.layers[1];
  const pace = site.registry.slow(digest, { bytes: 100_000, every: 100 });
  await site.ask(`team/model/manifests/weights?ns=registry.example`);
  await site.ask(`team/model/manifests/${slow.children[0].digest}?ns=registry.example`);
  const clients = [1, 2, 3].map(() => site.blob("team/model", digest));
  await until("three followers", async () => {
    const { running } = await site.api("fills");
    return running.some((one) => one.digest === digest && one.followers === 3);
  });
  await browser.open(`${site.url}downloads`, {}, async (page) => {
    const row = page.locator("tbody tr", { hasText: "team/model" }).first();
    const progress = row.locator("progress");
    const first = Number(await progress.getAttribute("value"));
    await page.screenshot({ path: path.join(SHOTS, "downloads-running.png"), fullPage: true });
    const values = new Set([first]);
    await until("the progress grows", async () => {
      values.add(Number(await progress.getAttribute("value")));
      return values.size >= 3;
    });
    assert.deepEqual([...values], [...values].sort((one, other) => one - other));
    assert.match(await row.innerText(), /\b3\b/);
    assert.deepEqual(await violations(page), []);
    pace.hurry();
    await Promise.all(clients);
    await until("the fill is among the ended ones", async () => await page.locator("progress").count() === 0);
    assert.match(await page.locator("main").innerText(), /team\/model/);
  });
};

tests["a hidden page holds no stream"] = async ({ site, browser }) => {
  const streams = async () => {
    const text = await (await fetch(`${site.url}metrics`)).text();
    return Number(text.match(/^archway_admin_viewers (\d+)/m)?.[1]);
  };
  await browser.open(`${site.url}downloads`, {}, async (page) => {
    await until("one viewer", async () => await streams() === 1);
    await page.goto("about:blank");
    await until("no viewer", async () => await streams() === 0);
  });
};

tests["what enemies named is shown as text"] = async ({ site, browser }) => {
  const name = "registry.example/odd/names:UPPER_case.and-dots";
  const attack = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>\u202e\u0007";
  const targets = [
    `image?name=${encodeURIComponent(name)}`, "images", "platforms", "activity", "",
    `images?filter=${encodeURIComponent(attack)}`, `explain?name=${encodeURIComponent(attack)}`,
    `explain?name=${encodeURIComponent(name)}&user_agent=${encodeURIComponent(HOSTILE.agent)}`,
  ];
  for (const target of targets) {
    await browser.open(site.url + target, {}, async (page) => {
      const foreign = await page.locator("main script, main img, main b, [onerror]").count();
      assert.equal(foreign, 0, target);
      const text = await page.content();
      assert.doesNotMatch(text, /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/, target);
    }).catch((error) => {
      // What is no name is refused, with a page that says so.
      if (!/^400 of /m.test(String(error.actual ?? error.message))) throw error;
    });
  }
};

tests["another name of this machine gets no page"] = async ({ site }) => {
  const { request } = await import("node:http");
  const asked = request(site.url, { headers: { host: "evil.example" } });
  asked.end();
  const [answer] = await once(asked, "response");
  answer.resume();
  assert.equal(answer.statusCode, 421);
};

async function main() {
  const only = process.argv[2] === "--only" ? process.argv[3] : "";
  mkdirSync(SHOTS, { recursive: true });
  let [passed, failed] = [0, 0];
  const site = await Site.start();
  try {
    const browser = await Browser.start();
    try {
      const slow = await fill(site);
      for (const [name, test] of Object.entries(tests)) {
        if (!name.includes(only)) continue;
        try {
          await test({ site, browser, slow });
          passed += 1;
          console.log(`test ${name} ... ok`);
        } catch (error) {
          failed += 1;
          console.log(`test ${name} ... FAILED\n${error.stack}`);
        }
      }
    } finally {
      await browser.chromium.close();
    }
  } finally {
    await site.stop();
  }
  console.log(`test result: ${failed ? "FAILED" : "ok"}. ${passed} passed; ${failed} failed;`);
  process.exitCode = failed ? 1 : 0;
}

await main();
