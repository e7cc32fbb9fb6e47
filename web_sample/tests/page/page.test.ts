/** The built page with an embedded model, in a browser. SITE is its folder; what is to be looked at goes to OUT. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { Site } from "./site";
import { launch, type Sins, visit } from "./visit";

const { SITE = "", OUT = "" } = process.env;
const FLOAT_APART = 1e-3;
const CODE = 1 / 256; // of an int8 softmax

interface Golden {
  name: string;
  file: string;
  decoding: string;
  scores: Record<string, number[]>;
}

interface Artifact {
  name: string;
  file: string;
  scheme: string;
  size_bytes: number;
  sha256: string;
}

let site: Site;
let browser: Browser;
let contract: { labels: string[]; artifacts: Artifact[] };
let golden: Golden[];
let sins: Sins;

beforeAll(async () => {
  site = await Site.serve(SITE);
  browser = await launch();
  contract = site.json("edgecls/edgecls.json");
  golden = site.json("edgecls/golden.json").images;
});

afterEach(async () => {
  site.replaced = {};
  for (const context of browser.contexts()) await context.close();
  expect(sins).toEqual({ errors: [], foreign: [] });
});

afterAll(async () => {
  await browser.close();
  site.close();
});

async function open(options?: BrowserContextOptions): Promise<Page> {
  const visited = await visit(browser, site, options);
  sins = visited.sins;
  await visited.page.locator("#panels:not([hidden]), #trouble:not([hidden])").waitFor();
  return visited.page;
}

/** Show a golden picture, and wait for the answer. */
async function show(page: Page, image: Golden): Promise<void> {
  await page.locator("#answer").evaluate((list) => list.replaceChildren());
  await page.setInputFiles("#file", join(SITE, "edgecls", image.file));
  await page.locator("#answer li").nth(2).waitFor();
}

async function trouble(page: Page): Promise<string> {
  const box = page.getByRole("alert");
  await box.waitFor();
  return (await box.textContent()) ?? "";
}

test("golden pictures: the host's pixels, winners and scores from every artifact", async () => {
  const page = await open();
  for (const { name, file } of contract.artifacts) {
    await page.selectOption("#artifact", { label: file });
    await page.getByRole("button", { name: "Compare" }).click();
    await page.getByText(`${name}: ${golden.length} of ${golden.length} pictures as on the host`).waitFor();
  }
  const rows = await page.locator("#golden tbody tr").allTextContents();
  expect(rows.length).toBe(golden.length);
});

test("a picture that is chosen: the host's three best classes from every artifact", async () => {
  for (const { name, file, scheme } of contract.artifacts) {
    const page = await open(); // a new one: another artifact answers again to the picture before, at any moment
    await page.selectOption("#artifact", { label: file });
    for (const image of golden.filter(({ decoding }) => decoding === "lossless")) {
      await show(page, image);
      const best = image.scores[name].map((score, index) => ({ label: contract.labels[index], score }));
      const expected = best.sort((one, other) => other.score - one.score).slice(0, 3);
      const meters = await page
        .locator("#answer meter")
        .evaluateAll((all) => all.map((meter) => (meter as HTMLMeterElement).value));
      const apart = Math.max(...expected.map(({ score }, place) => Math.abs(score - meters[place])));
      expect(apart, `${image.name}, ${name}`).toBeLessThanOrEqual(scheme === "int8" ? CODE : FLOAT_APART);
      expect(await page.locator("#answer li span:first-child").first().textContent()).toBe(expected[0].label);
    }
  }
});

test("a picture that is dropped is answered, another artifact answers it again", async () => {
  const page = await open();
  const bytes = [...readFileSync(join(SITE, "edgecls", golden[0].file))];
  const data = await page.evaluateHandle((content) => {
    const transfer = new DataTransfer();
    transfer.items.add(new File([Uint8Array.from(content)], "dropped.png", { type: "image/png" }));
    return transfer;
  }, bytes);
  await page.dispatchEvent("#drop", "drop", { dataTransfer: data });
  await page.locator("#answer li").nth(2).waitFor();
  await page.locator("#answer").evaluate((list) => list.replaceChildren());
  await page.selectOption("#artifact", { index: contract.artifacts.length - 1 });
  await page.locator("#answer li").nth(2).waitFor();
});

test("the camera's pictures are answered until it is stopped", async () => {
  const page = await open({ permissions: ["camera"] });
  await page.getByRole("button", { name: "Use the camera" }).click();
  await page.locator("#answer li").nth(2).waitFor();
  await page.getByRole("button", { name: "Stop the camera" }).click();
  await page.getByRole("button", { name: "Use the camera" }).waitFor();
  expect(await page.locator("#video").isVisible()).toBe(false);
});

test("with the keyboard alone: artifact, picture, comparison, benchmark, download", async () => {
  const page = await open();
  const chooser = page.waitForEvent("filechooser"); // Playwright needs a moment to be ready for it
  const reach = async (id: string) => {
    for (let key = 0; key < 20; key++) {
      await page.keyboard.press("Tab");
      if (await page.evaluate((wanted) => document.activeElement?.id === wanted, id)) return;
    }
    throw new Error(`Tab does not lead to #${id}`);
  };
  await reach("artifact");
  await page.keyboard.press("ArrowDown");
  expect(await page.locator("#artifact").inputValue()).toBe(contract.artifacts[1].name);
  await reach("file");
  await page.keyboard.press("Enter");
  await (await chooser).setFiles(join(SITE, "edgecls", golden[0].file));
  await page.locator("#answer li").nth(2).waitFor();
  await reach("compare");
  await page.keyboard.press("Enter");
  await page.getByText("pictures as on the host").waitFor();
  await reach("measure");
  await page.keyboard.press("Space");
  await page.locator("#download").waitFor();
  await reach("download");
  const download = page.waitForEvent("download");
  await page.keyboard.press("Enter");
  await (await download).saveAs(join(OUT, "results.json"));
  await page.screenshot({ path: join(OUT, "page.png"), fullPage: true });
});

test.each(["light", "dark"] as const)("at phone width nothing hangs over, %s", async (colorScheme) => {
  const page = await open({ viewport: { width: 360, height: 740 }, colorScheme, hasTouch: true });
  await show(page, golden[0]);
  await page.getByRole("button", { name: "Compare" }).click();
  await page.getByText("pictures as on the host").waitFor();
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(360);
  await page.screenshot({ path: join(OUT, `phone-${colorScheme}.png`), fullPage: true });
});

test("whatever can be used or tells something has a name", async () => {
  const page = await open();
  await show(page, golden[0]);
  const names = await page.locator("select, input, button, meter, canvas, img, section").evaluateAll((all) =>
    all.map((element) => {
      const labelled = document.getElementById(element.getAttribute("aria-labelledby") ?? "");
      const label = (element as HTMLInputElement).labels?.[0] ?? labelled ?? element;
      return element.getAttribute("aria-label") ?? element.getAttribute("alt") ?? label.textContent?.trim();
    }),
  );
  expect(names.length).toBeGreaterThan(10);
  expect(names).not.toContain("");
});

test("a damaged artifact is a sentence, and the others work on", async () => {
  const { file, size_bytes } = contract.artifacts[0];
  site.replaced[`edgecls/${file}`] = Buffer.alloc(size_bytes);
  const page = await open();
  await page.setInputFiles("#file", join(SITE, "edgecls", golden[0].file));
  expect(await trouble(page)).toBe(`${file} is damaged: it is not the file that edgecls embed wrote. Run it again.`);
  await page.selectOption("#artifact", { index: 1 });
  await page.locator("#answer li").nth(2).waitFor();
  expect(await page.getByRole("alert").isVisible()).toBe(false);
});

test("what an engine cannot open is a sentence", async () => {
  const garbage = Buffer.alloc(4096, 7);
  const digest = createHash("sha256").update(garbage).digest("hex");
  const artifacts = contract.artifacts.map((found) => ({ ...found, size_bytes: garbage.length, sha256: digest }));
  site.replaced["edgecls/edgecls.json"] = Buffer.from(JSON.stringify({ ...contract, artifacts }));
  for (const { file } of artifacts) site.replaced[`edgecls/${file}`] = garbage;
  const page = await open();
  for (const { file } of artifacts) {
    await page.selectOption("#artifact", { label: file });
    await page.setInputFiles("#file", join(SITE, "edgecls", golden[0].file));
    await page
      .getByRole("alert")
      .filter({ hasText: `cannot open ${file}` })
      .waitFor();
  }
  sins.errors = []; // the engines write their own
});

test.each([
  ["an unknown version", { schema_version: 99 }, "edgecls.json has schema version 99, and this page reads version 1"],
  ["Core ML alone", { artifacts: [] }, "None of the artifacts is for browsers"],
])("a contract of %s is a sentence and nothing else", async (_, changes, sentence) => {
  site.replaced["edgecls/edgecls.json"] = Buffer.from(JSON.stringify({ ...contract, ...changes }));
  const page = await open();
  expect(await trouble(page)).toContain(sentence);
  expect(await page.locator("#panels").isVisible()).toBe(false);
});

test("no model is a sentence", async () => {
  site.replaced["edgecls/edgecls.json"] = null;
  const page = await open();
  expect(await trouble(page)).toBe("There is no model here yet: edgecls embed OUT --into web_sample brings one.");
  sins.errors = []; // Chromium's own line about what is not there
});

test("a denied camera and a file that is no picture are sentences", async () => {
  const page = await open();
  await page.getByRole("button", { name: "Use the camera" }).click();
  expect(await trouble(page)).toBe("The browser may not use the camera: allow it for this page, or choose a picture.");
  await page.setInputFiles("#file", join(SITE, "edgecls/edgecls.json"));
  await page.getByRole("alert").filter({ hasText: "This is no picture that the browser can read." }).waitFor();
});
