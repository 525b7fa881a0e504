import { expect, test, unique } from "../fixtures.ts";
import { badge, log, taskRow } from "../pages.ts";

test("a running task is paused, goes back into the queue, and goes on when it is resumed", async ({ page, visit, api, gate, arrives }) => {
  const id = await api.createTask({ title: unique("Hold on"), command: `echo attempt $MUSTER_ATTEMPT; ${gate.command}` });
  await api.reaches(id, "running");
  await visit(`/tasks/${id}`);
  await arrives((timeout) => expect(log(page)).toContainText("attempt 1", { timeout }));
  await page.getByRole("button", { name: "Pause", exact: true }).and(page.locator("[type=submit]")).click();
  await arrives((timeout) => expect(badge(page, "Queued")).toBeVisible({ timeout }));
  await expect(page.getByText(/ paused this task$/)).toBeVisible();
  gate.open();
  await page.getByRole("button", { name: "Resume" }).click();
  await arrives((timeout) => expect(badge(page, "Succeeded")).toBeVisible({ timeout }));
  await arrives((timeout) => expect(log(page)).toContainText("attempt 2", { timeout }));
});

test("a repository's queue is resumed and paused", async ({ page, visit, api, gate, arrives }) => {
  const repository = await api.heldRepository();
  const name = repository.split("/").pop() ?? "";
  const key = unique("key");
  const holder = await api.createTask({ title: unique("Has the key"), command: gate.command, concurrency: { key } });
  await api.reaches(holder, "running");
  const waiting = await api.createTask({ title: unique("Waits for the key"), command: "true", repository, concurrency: { key } });
  await visit("/queue");
  const row = page.getByRole("row").filter({ hasText: name });
  await expect(row).toContainText("paused by");
  await row.getByRole("button", { name: "Resume" }).click();
  await expect(row).not.toContainText("paused by");
  await row.getByRole("button", { name: "Pause" }).click();
  await expect(row).toContainText("paused by");
  await row.getByRole("button", { name: "Resume" }).click();
  gate.open();
  await api.reaches(waiting, "failed");
  await arrives((timeout) => expect(row).toBeHidden({ timeout }));
});

test("what was set aside says why, and is brought back or let go", async ({ page, visit, api, arrives }) => {
  const repository = await api.heldRepository();
  const [dropped, kept] = [unique("Nobody came"), unique("Nobody comes")];
  // the newest stands first, so that the other one comes to its place
  const toKeep = await api.createTask({ title: kept, command: "true", repository, queue_seconds: 1 });
  const toDrop = await api.createTask({ title: dropped, command: "true", repository, queue_seconds: 1 });
  for (const id of [toDrop, toKeep]) await api.reaches(id, "dead");
  await visit("/dead");
  await expect(taskRow(page, dropped)).toContainText("No runner took it within 1 second");
  await taskRow(page, dropped).getByText("Discard…").click();
  await taskRow(page, dropped).getByRole("button", { name: "Discard it" }).click();
  await arrives((timeout) => expect(taskRow(page, dropped)).toBeHidden({ timeout }));
  await expect(page.getByRole("button", { name: "Discard it" }), "nothing is asked about the one that took its place").toBeHidden();
  expect(await api.state(toDrop)).toBe("cancelled");
  await taskRow(page, kept).getByRole("button", { name: "Retry" }).click();
  await arrives((timeout) => expect(taskRow(page, kept)).toBeHidden({ timeout }));
});

test("everything that a filter shows is changed at once", async ({ page, visit, api, arrives }) => {
  const repository = await api.heldRepository();
  const tag = unique("tag").replace(" ", "-");
  const titles = [unique("One of them"), unique("Another")];
  for (const title of titles) await api.createTask({ title, command: "true", repository, tags: [tag] });
  await visit(`/tasks?tag=${tag}`);
  await page.getByRole("link", { name: "Change all of these…" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Change these tasks" })).toBeVisible();
  await page.getByRole("button", { name: "Make 2 tasks urgent" }).click();
  for (const title of titles) {
    await arrives((timeout) => expect(taskRow(page, title)).toContainText("Urgent", { timeout }));
  }
  await page.getByRole("button", { name: "Cancel 2 tasks" }).click();
  for (const title of titles) {
    await arrives((timeout) => expect(taskRow(page, title)).toContainText("Cancelled", { timeout }));
  }
});

test("a task that needs what no runner has says so, on its page and in the queue", async ({ page, visit, api }) => {
  const [title, word] = [unique("Render"), unique("gpu").replace(" ", "-")];
  await visit("/tasks/new");
  await page.getByLabel("Title").fill(title);
  await page.getByLabel("Repository").fill(api.repository);
  await page.getByLabel("Shell command").fill("true # refactor it");
  await page.getByText("More: priority, time").click();
  await page.getByLabel("Needs").fill(`${word} linux`);
  await page.getByLabel("How hard it is").selectOption("Trivial");
  await page.getByLabel("Expected to take").fill("10m");
  await page.getByLabel("by class of failure").fill("provider_limit=linear,5m,1h");
  await page.getByRole("button", { name: "Create task" }).click();
  await expect(page.getByRole("heading", { name: title })).toBeVisible();
  await expect(page.getByText(`No runner has ${word}`)).toBeVisible();
  const facts = page.getByRole("complementary", { name: "Facts" });
  for (const fact of [`${word}, linux`, "trivial", "reads like complex", "10m"]) await expect(facts).toContainText(fact);
  const id = page.url().split("/").pop() ?? "";
  await visit("/queue");
  await expect(page.getByText(`No runner has ${word}: 1 task waits for it.`)).toBeVisible();
  await api.cancel(id);
});
