// The picture of the console for the README: how much of each image is stored for each platform, of the site of the suite.
import { createRequire } from "node:module";
import path from "node:path";

import { fill } from "./fill.mjs";
import { Site } from "./site.mjs";

const { chromium } = createRequire(path.join(process.env.ARCHWAY_TOOLS, "console/"))("playwright-core");
const [target] = process.argv.slice(2);

const site = await Site.start();
try {
  await fill(site);
  const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
  const page = await browser.newPage({ viewport: { width: 1280, height: 640 }, colorScheme: "light" });
  await page.goto(`${site.url}images`, { waitUntil: "load" });
  await page.screenshot({ path: target });
  await browser.close();
} finally {
  await site.stop();
}
