import type { Page } from "@playwright/test";
import { expect, test } from "../fixtures.ts";
import { openPersonMenu } from "../pages.ts";

const background = (page: Page) => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);

async function choose(page: Page, theme: string): Promise<void> {
  const menu = page.locator("details.l-person");
  if ((await menu.getAttribute("open")) === null) await openPersonMenu(page);
  await page.getByRole("radio", { name: theme }).check({ force: true });
}

test("a theme is chosen, kept for the next page, and given back to the system", async ({ page, visit }) => {
  await page.emulateMedia({ colorScheme: "light" });
  await visit("/");
  const light = await background(page);
  await choose(page, "Dark");
  await expect.poll(() => background(page)).not.toBe(light);
  const dark = await background(page);
  await visit("/tasks");
  expect(await background(page)).toBe(dark);
  await choose(page, "Light");
  await expect.poll(() => background(page)).toBe(light);
  await choose(page, "System");
  await page.emulateMedia({ colorScheme: "dark" });
  await expect.poll(() => background(page)).toBe(dark);
});
