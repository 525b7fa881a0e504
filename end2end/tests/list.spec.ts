import { expect, test, unique } from "../fixtures.ts";
import { taskRow } from "../pages.ts";

test("filters are in the address: by text and by state", async ({ page, visit, api, hydrated }) => {
  const word = unique("marmot").replace(" ", "-");
  const good = await api.createTask({ title: `${word} one`, command: "true" });
  const bad = await api.createTask({ title: `${word} two`, command: "false" });
  await api.reaches(good, "succeeded");
  await api.reaches(bad, "failed");

  await visit("/tasks");
  await page.getByRole("searchbox", { name: "Search tasks" }).fill(word);
  if (!hydrated) await page.getByRole("button", { name: "Search" }).click();
  await expect(page).toHaveURL(new RegExp(`text=${word}`));
  await expect(taskRow(page, `${word} one`)).toContainText("Succeeded");
  await expect(taskRow(page, `${word} two`)).toContainText("Failed");

  await page.getByRole("navigation", { name: "States" }).getByRole("link", { name: "Failed" }).click();
  await expect(page).toHaveURL(new RegExp(`state=failed.*text=${word}`));
  await expect(taskRow(page, `${word} two`)).toBeVisible();
  await expect(taskRow(page, `${word} one`)).toBeHidden();

  await visit(`/tasks?text=${word}&state=dead`);
  await expect(page.getByRole("heading", { name: "No task like that" })).toBeVisible();
});

test.describe("an address that makes no sense", () => {
  test.use({ expectedComplaints: /status of 422/ });

  test("shows a page all the same", async ({ page, visit }) => {
    await visit("/tasks?state=asleep&cursor=nonsense");
    await expect(page.getByRole("heading", { level: 1, name: "Tasks" })).toBeVisible();
    await expect(page.getByRole("main").getByRole("alert")).toBeVisible();
    await visit("/tasks?state=asleep");
    await expect(page.getByRole("main").getByRole("alert")).toHaveCount(0);
  });
});

test("a long list comes in pages that have addresses, and nothing is missed or shown twice", async ({ page, visit, api }) => {
  const word = unique("otter").replace(" ", "-");
  const first = await api.createTask({ title: `${word} 0`, command: "sleep 300" });
  for (let number = 1; number <= 120; number += 1) {
    await api.createTask({ title: `${word} ${number}`, command: "true", depends_on: [first] });
  }
  const seen: string[] = [];
  await visit(`/tasks?text=${word}&state=blocked`);
  for (;;) {
    await expect(page.getByRole("table").getByRole("link").first()).toBeVisible();
    seen.push(...(await page.getByRole("table").getByRole("link").allTextContents()));
    const older = page.getByRole("link", { name: "Older" });
    if ((await older.count()) === 0) break;
    const address = page.url();
    await older.click();
    await expect(page).not.toHaveURL(address);
    await expect(page.getByRole("link", { name: seen.at(-1) ?? "", exact: true })).toBeHidden();
  }
  expect(seen).toEqual(Array.from({ length: 120 }, (_, index) => `${word} ${120 - index}`));

  await page.goBack();
  await expect(page.getByRole("link", { name: `${word} 70`, exact: true })).toBeVisible();
  await page.getByRole("link", { name: "Newest" }).click();
  await expect(page.getByRole("link", { name: `${word} 120`, exact: true })).toBeVisible();
  await api.cancel(first);
});
