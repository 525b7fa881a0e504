// A person at the pages, played by a browser: becomes the owner by the link that the first start has printed, and answers what agents ask.
import { chromium } from "playwright-core";
import { browser as program, browserFlags, owner } from "../muster.mjs";

/** For what a page is to show, on a small machine. */
const PATIENCE_MS = 60_000;

/**
 * @param {import("./machines.mjs").Place} place
 * @param {import("./machines.mjs").Server} server
 */
export async function becomeOwner({ atTheEnd }, { url, link }) {
  // the demo ends it, on a signal too
  const browser = await chromium.launch({ executablePath: program(), args: browserFlags, handleSIGINT: false, handleSIGTERM: false, handleSIGHUP: false });
  atTheEnd.push(() => browser.close());
  const page = await browser.newPage({ baseURL: url, locale: "en-US" });
  page.setDefaultTimeout(PATIENCE_MS);
  await page.goto(link);
  await page.getByLabel("Name").fill(owner.name);
  await page.getByLabel("E-mail").fill(owner.email);
  await page.getByLabel("Password").fill(owner.password);
  await page.getByRole("button", { name: "Create the owner" }).click();
  await page.waitForURL((address) => address.pathname !== "/setup");
  return { name: owner.name, answers: answering(page) };
}

/**
 * Allows whatever the agent of a task asks, until the task has ended.
 * @param {import("playwright-core").Page} page
 */
function answering(page) {
  return async (/** @type {string} */ title, /** @type {() => boolean} */ hasEnded, /** @type {(asked: string) => void} */ tell) => {
    await page.goto("/approvals");
    const asked = page.getByRole("article").filter({ has: page.getByRole("link", { name: title, exact: true }) });
    while (!hasEnded()) {
      if ((await asked.count()) === 0) {
        await page.waitForTimeout(100);
        continue;
      }
      const id = await asked.first().getAttribute("id");
      const card = page.locator(`[id="${id}"]`);
      const [first, ...more] = (await card.locator("pre").first().innerText()).split("\n");
      tell(`${await card.getByRole("heading").innerText()}: ${first}${more.length > 0 ? " …" : ""}`);
      await card.getByRole("button", { name: "Allow", exact: true }).click();
      await card.waitFor({ state: "detached" });
    }
  };
}
