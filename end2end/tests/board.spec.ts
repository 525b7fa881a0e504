import { expect, test, unique } from "../fixtures.ts";
import { boardCard, boardColumn } from "../pages.ts";

test("a task goes over the board from column to column", async ({ page, visit, api, gate, arrives }) => {
  const tag = unique("board").replace(" ", "-");
  const title = unique("Moves");
  const repository = await api.heldRepository();
  await api.createTask({ title: unique("Held back"), command: "true", repository, tags: [tag], priority: "low" });
  const id = await api.createTask({ title, command: gate.command, tags: [tag] });
  const dependent = await api.createTask({ title: unique("Follows"), command: "true", depends_on: [id], tags: [tag] });
  await api.reaches(id, "running");
  await visit(`/board?tag=${tag}`);
  await expect(page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Tasks" })).toHaveAttribute("aria-current", "page");
  await arrives((timeout) => expect(boardCard(page, "Running", title)).toBeVisible({ timeout }));
  await expect(boardCard(page, "Running", title)).toContainText("Follows");
  await expect(boardColumn(page, "Waiting")).toContainText("Blocked");
  await expect(boardColumn(page, "Queued")).toContainText("Low");
  gate.open();
  await api.reaches(dependent, "succeeded");
  await arrives((timeout) => expect(boardCard(page, "Ended lately", title)).toBeVisible({ timeout }));
  await expect(boardColumn(page, "Running")).toContainText("None");
  await boardCard(page, "Ended lately", title).getByRole("link", { name: title }).click();
  await expect(page.getByRole("heading", { level: 1, name: title })).toBeVisible();
});

test("what has no card on the board is in the list, with the same filters", async ({ page, visit, api }) => {
  const tag = unique("many").replace(" ", "-");
  const repository = await api.heldRepository();
  for (let number = 1; number <= 10; number += 1) {
    await api.createTask({ title: `${tag} ${number}`, command: "true", repository, tags: [tag], priority: "high" });
  }
  await visit(`/board?tag=${tag}`);
  await expect(boardColumn(page, "Queued").getByRole("heading", { level: 2 })).toContainText("10");
  await page.getByRole("link", { name: /^2 more\W+high in the queue/ }).click();
  await expect(page).toHaveURL(new RegExp(`/tasks\\?state=queued&tag=${tag}&priority=high$`));
  await expect(page.getByRole("link", { name: `${tag} 10`, exact: true })).toBeVisible();
  await page.getByRole("navigation", { name: "Layout" }).getByRole("link", { name: "Board" }).click();
  await expect(boardCard(page, "Queued", `${tag} 1`)).toBeVisible();
  await page.getByRole("navigation", { name: "Looked for" }).getByRole("link", { name: /^Tag / }).click();
  await expect(page).toHaveURL(/\/board\?state=queued&priority=high$/);
});
