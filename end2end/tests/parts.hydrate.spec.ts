// Pages whose part of the program is loaded when they are opened.
import { expect, test } from "../fixtures.ts";

test("the parts of pages that are likely next are loaded ahead", async ({ page, visit }) => {
  const ahead = ["forms", "home"].map((part) => page.waitForResponse(new RegExp(`split_${part}.*\\.wasm$`)));
  await visit("/tasks");
  for (const part of await Promise.all(ahead)) expect(part.status()).toBe(200);
  // and from then on the page needs nothing but its content
  const asked: string[] = [];
  page.on("request", (request) => asked.push(request.url()));
  await page.getByRole("link", { name: "New task" }).first().click();
  await expect(page.getByRole("heading", { name: "New task", level: 1 })).toBeVisible();
  expect(asked.filter((url) => url.includes("/assets/"))).toEqual([]);
});

test.describe("a part that cannot be loaded", () => {
  test.use({ expectedComplaints: /ERR_|Failed to fetch/ });

  test("is said on the page, and trying again loads the document", async ({ page, visit }) => {
    await page.route(/split_forms.*\.wasm$/, (route) => route.abort());
    await visit("/tasks");
    await page.getByRole("link", { name: "New task" }).first().click();
    await expect(page.getByRole("alert")).toContainText("This page could not be loaded");
    await page.unroute(/split_forms.*\.wasm$/);
    await page.getByRole("link", { name: "Try again" }).click();
    await expect(page).toHaveURL(/\/tasks\/new$/);
    await expect(page.getByLabel("Title")).toBeEditable();
    // whoever goes elsewhere instead finds everything else as it was
    await page.getByRole("link", { name: "Tasks", exact: true }).click();
    await expect(page.getByRole("heading", { name: "Tasks", level: 1 })).toBeVisible();
  });
});
