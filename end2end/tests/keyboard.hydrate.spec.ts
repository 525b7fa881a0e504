import { expect, test, unique } from "../fixtures.ts";

test("the first stop of the Tab key leads past the navigation", async ({ page, visit }) => {
  await visit("/tasks");
  await page.keyboard.press("Tab");
  const skip = page.getByRole("link", { name: "Skip to the content" });
  await expect(skip).toBeFocused();
  await expect(skip).toBeInViewport();
  await page.keyboard.press("Enter");
  await page.keyboard.press("Tab");
  await expect(page.getByRole("main").locator(":focus")).toBeVisible();
});

test("keys lead to pages, walk rows and open them, and rest while a person types", async ({ page, visit, api }) => {
  const word = unique("heron").replace(" ", "-");
  await api.createTask({ title: `${word} one`, command: "true" });
  await api.createTask({ title: `${word} two`, command: "true" });
  await visit(`/tasks?text=${word}`);
  await expect(page.getByRole("link", { name: `${word} one` })).toBeVisible();
  await expect(async () => {
    await page.keyboard.press("j");
    await expect(page.getByRole("link", { name: word }).and(page.locator(":focus"))).toBeVisible({ timeout: 500 });
  }).toPass();
  await page.keyboard.press("k");
  await page.keyboard.press("j");
  await expect(page.getByRole("link", { name: `${word} one` })).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(page.getByRole("heading", { level: 1, name: `${word} one` })).toBeVisible();

  await page.keyboard.press("t");
  await expect(page).toHaveURL(/\/tasks$/);
  await page.keyboard.press("/");
  const search = page.getByRole("searchbox", { name: "Search tasks" });
  await expect(search).toBeFocused();
  await page.keyboard.type("ngt?");
  await expect(search).toHaveValue("ngt?");
  await expect(page).toHaveURL(/\/tasks\?text=ngt/);
  await search.press("Tab");
  await page.keyboard.press("g");
  await expect(page.getByRole("heading", { level: 1, name: "Overview" })).toBeVisible();
  await page.keyboard.press("n");
  await expect(page).toHaveURL(/\/tasks\/new$/);
});

test("the help for keys opens and closes by keys, and can switch them off", async ({ page, visit }) => {
  await visit("/");
  const help = page.getByRole("dialog", { name: "Keyboard shortcuts" });
  await expect(async () => {
    await page.keyboard.press("?");
    await expect(help).toBeVisible({ timeout: 500 });
  }).toPass();
  await help.getByRole("checkbox", { name: "Shortcuts are on" }).uncheck();
  await page.keyboard.press("Escape");
  await expect(help).toBeHidden();
  await page.keyboard.press("t");
  await page.keyboard.press("?");
  await expect(help).toBeHidden();
  expect(new URL(page.url()).pathname).toBe("/");
});

test("a task is written and sent without a mouse", async ({ page, visit, api }) => {
  await visit("/tasks/new");
  await expect(page.getByLabel("Title")).toBeFocused();
  await page.keyboard.type(unique("By keys"));
  const fields = ["Command", "Shell command", "Repository"];
  for (const label of fields) {
    await page.keyboard.press("Tab");
    await expect(page.getByLabel(label, { exact: label === "Command" })).toBeFocused();
    if (label === "Shell command") await page.keyboard.type("true");
    if (label === "Repository") await page.keyboard.type(api.repository);
  }
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/\/tasks\/[0-9a-f-]{36}$/);
});
