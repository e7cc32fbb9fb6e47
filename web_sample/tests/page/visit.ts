/** A headless Chromium that visits the page and notes what no page should do. */
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import type { Site } from "./site";

/** Chromium's own errands are switched off; what it is told to fetch from elsewhere fails, and is seen. */
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost",
  "--use-fake-device-for-media-stream",
];

/** What the page did while it was visited, beside what it should. */
export interface Sins {
  errors: string[];
  foreign: string[];
}

export function launch(): Promise<Browser> {
  const executablePath = process.env.CHROMIUM;
  if (!executablePath) throw new Error("CHROMIUM names no browser: run `make test-web`, which finds one");
  return chromium.launch({ executablePath, args: FLAGS });
}

/** Open the page in a context of its own. */
export async function visit(
  browser: Browser,
  site: Site,
  options: BrowserContextOptions = {},
): Promise<{ page: Page; sins: Sins }> {
  const page = await (await browser.newContext({ viewport: { width: 1000, height: 800 }, ...options })).newPage();
  const sins: Sins = { errors: [], foreign: [] };
  page.on("console", (message) => message.type() === "error" && sins.errors.push(message.text()));
  page.on("pageerror", (error) => sins.errors.push(error.message));
  page.on("request", (request) => {
    const { protocol, href } = new URL(request.url());
    if (!["blob:", "data:"].includes(protocol) && !href.startsWith(site.address)) sins.foreign.push(href);
  });
  page.setDefaultTimeout(60_000);
  await page.goto(site.address);
  return { page, sins };
}
