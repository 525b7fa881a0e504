import { expect, test, unique } from "../fixtures.ts";
import { taskRow } from "../pages.ts";

test("what is looked for is saved under a name, changed, and deleted", async ({ page, visit, api, hydrated }) => {
  const tag = unique("view").replace(" ", "-");
  const name = unique("Nightly");
  const title = unique("Seen in a view");
  const repository = await api.heldRepository();
  await api.createTask({ title, command: "true", repository, tags: [tag] });
  await visit(`/tasks?tag=${tag}`);
  await page.getByRole("link", { name: "Save as…" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Saved views" })).toBeVisible();
  await page.getByLabel("Name", { exact: true }).first().fill(name);
  await page.getByRole("button", { name: "Save as a new view" }).click();
  const views = page.getByRole("navigation", { name: "Saved views" });
  await expect(views.getByRole("link", { name: new RegExp(`^${name}`) })).toHaveAttribute("aria-current", "true");
  await expect(taskRow(page, title)).toBeVisible();

  // other filters than those of the view can become the view's own
  await page.getByRole("navigation", { name: "States" }).getByRole("link", { name: "Failed" }).click();
  await expect(page.getByRole("heading", { name: "No task like that" })).toBeVisible();
  await page.getByRole("link", { name: "Save as or update…" }).click();
  await page.getByRole("button", { name: `Update ${name}` }).click();
  await expect(page).toHaveURL(/state=failed/);
  await expect(views.getByRole("link", { name: new RegExp(`^${name}`) })).toHaveAttribute("aria-current", "true");

  await page.getByRole("link", { name: "Manage views" }).click();
  const row = page.getByRole("row").filter({ hasText: name });
  await row.getByText("Change").click();
  const other = `${name} shared`;
  await row.getByLabel("Name").fill(other);
  await row.getByLabel("Share it with everybody").check();
  await row.getByRole("button", { name: "Save", exact: true }).click();
  await expect(views.getByRole("link", { name: new RegExp(`^${other}\\W+shared view`) })).toBeVisible();
  await page.getByRole("link", { name: "Manage views" }).click();
  await page.getByRole("row").filter({ hasText: other }).getByText("Change").click();
  await page.getByRole("button", { name: `Delete ${other}` }).click();
  await expect(page.getByRole("row").filter({ hasText: other })).toHaveCount(0);
  if (hydrated) await expect(page.getByText("The view is gone")).toBeVisible();
});

test("rows that are picked are changed together, and no others", async ({ page, visit, api, arrives, hydrated }) => {
  const tag = unique("pick").replace(" ", "-");
  const repository = await api.heldRepository();
  const [first, second, left] = [unique("Picked"), unique("Picked too"), unique("Left alone")];
  for (const title of [first, second, left]) await api.createTask({ title, command: "true", repository, tags: [tag] });
  await visit(`/tasks?tag=${tag}`);
  for (const title of [first, second]) await page.getByRole("checkbox", { name: `Pick ${title}` }).check();
  if (hydrated) await page.getByRole("link", { name: "Change 2 picked…" }).click();
  else await page.getByRole("button", { name: "Change those picked…" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Change these tasks" })).toBeVisible();
  await expect(taskRow(page, left)).toHaveCount(0);
  await page.getByRole("button", { name: "Cancel 2 tasks" }).click();
  for (const title of [first, second]) {
    await arrives((timeout) => expect(taskRow(page, title)).toContainText("Cancelled", { timeout }));
  }
  await visit(`/tasks?tag=${tag}`);
  await expect(taskRow(page, left)).toContainText("Queued");
});
