import { execFileSync } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test, unique } from "../fixtures.ts";
import { badge, fillTask, log, openView } from "../pages.ts";
import { processesWith } from "../processes.ts";

test("a task from the form to a proven result: log, checks, diff", async ({ page, visit, api, arrives }) => {
  const title = unique("Greet the world");
  await visit("/tasks/new");
  await fillTask(page, {
    title,
    repository: api.repository,
    command: "echo working\necho 'A third line.' >> README.md\necho new > added.txt",
    checks: [["file_exists", "added.txt"], ["command_succeeds", "grep -c line README.md"]],
  });
  await page.getByRole("button", { name: "Create task" }).click();
  await expect(page).toHaveURL(/\/tasks\/[0-9a-f-]{36}$/);
  await expect(page.getByRole("heading", { level: 1, name: title })).toBeVisible();

  await arrives((timeout) => expect(badge(page, "Succeeded")).toBeVisible({ timeout }));
  await expect(badge(page, "Verified")).toBeVisible();
  await arrives((timeout) => expect(log(page)).toContainText("working", { timeout }));

  await openView(page, "Checks");
  await expect(page.getByText("2 of 2 passed")).toBeVisible();
  const checks = page.locator(".p-task__main").getByRole("listitem");
  await expect(checks.filter({ hasText: "File exists" })).toContainText("added.txt");
  await checks.filter({ hasText: "Command succeeds" }).locator("summary").click();
  await expect(page.getByRole("region", { name: "Output of Command succeeds" })).toHaveText(/^3/);

  await openView(page, "Diff");
  await expect(page.getByText("2 files changed")).toBeVisible();
  const readme = page.getByRole("region", { name: "Changes of README.md" });
  await expect(readme.getByRole("row", { name: "A third line." })).toContainText("+A third line.");
  await expect(page.getByRole("region", { name: "Changes of added.txt" })).toContainText("+new");
});

test("a task works on several repositories, and shows what it has changed in each", async ({ page, visit, api, arrives }) => {
  const folder = mkdtempSync(join(tmpdir(), "muster-api-"));
  const git = (...words: string[]): void => {
    execFileSync("git", ["-c", "user.name=Ada", "-c", "user.email=ada@example.org", ...words], { cwd: folder });
  };
  git("init", "--quiet", "--initial-branch=main");
  git("commit", "--quiet", "--allow-empty", "--message=Begin");
  await visit("/tasks/new");
  await fillTask(page, {
    title: unique("Change both"),
    repository: api.repository,
    command: "echo new > added.txt\necho beside > ../more/server/beside.txt",
    checks: [["command_succeeds", "test -f ../more/server/beside.txt"]],
  });
  await page.getByLabel("More repositories").fill(`server=${folder}`);
  await page.getByRole("button", { name: "Create task" }).click();
  await expect(page).toHaveURL(/\/tasks\/[0-9a-f-]{36}$/);

  await arrives((timeout) => expect(badge(page, "Verified")).toBeVisible({ timeout }));
  await openView(page, "Diff");
  await expect(page.getByRole("region", { name: "Changes of added.txt" })).toContainText("+new");
  await expect(page.getByRole("heading", { name: "server", exact: true })).toBeVisible();
  await expect(page.getByRole("region", { name: "Changes of beside.txt" })).toContainText("+beside");
});

test.describe("a task that cannot be", () => {
  test.use({ expectedComplaints: /status of 422/ });

  test("what is wrong is said beside its field, and what was typed is still there", async ({ page, visit, api }) => {
    await visit("/tasks/new");
    await fillTask(page, { title: "A title to keep", repository: "not/absolute", command: "true", checks: [["file_exists", "../outside"]] });
    await page.getByRole("button", { name: "Create task" }).click();
    await expect(page.getByRole("alert")).toContainText("The task was not created");

    const repository = page.getByLabel("Repository");
    await expect(repository).toHaveAttribute("aria-invalid", "true");
    await expect(repository).toHaveAccessibleDescription(/absolute path/);
    const target = page.getByLabel("Target of check 1");
    await expect(target).toHaveAccessibleDescription(/inside the repository/);
    await expect(page.getByLabel("Title")).not.toHaveAttribute("aria-invalid", "true");
    await expect(page.getByLabel("Title")).toHaveValue("A title to keep");
    await expect(page.getByLabel("Shell command")).toHaveValue("true");
    await repository.fill(api.repository);
    await target.fill("README.md");
    await page.getByRole("button", { name: "Create task" }).click();
    await expect(page).toHaveURL(/\/tasks\/[0-9a-f-]{36}$/);
  });
});

test("a running task is cancelled, and nothing of it is left", async ({ page, visit, api, hydrated, arrives }) => {
  const seconds = 300 + Math.random();
  const command = `echo awake; (trap '' INT TERM; sleep ${seconds}) & sleep ${seconds}`;
  const id = await api.createTask({ title: unique("Sleep on"), command });
  await api.reaches(id, "running");
  await visit(`/tasks/${id}`);
  await arrives((timeout) => expect(log(page)).toContainText("awake", { timeout }));
  await page.getByRole("button", { name: "Cancel", exact: true }).click();
  if (hydrated) {
    const dialog = page.getByRole("dialog", { name: "Cancel this task?" });
    await dialog.getByRole("button", { name: "Keep it" }).click();
    await expect(dialog).toBeHidden();
    expect(await api.state(id)).toBe("running");
    await page.getByRole("button", { name: "Cancel", exact: true }).click();
    await dialog.getByRole("button", { name: "Cancel the task" }).click();
  }
  await arrives((timeout) => expect(badge(page, "Cancelled")).toBeVisible({ timeout }));
  await expect(page.getByRole("button", { name: "Cancel", exact: true })).toBeHidden();
  expect(processesWith(`sleep ${seconds}`)).toEqual([]);
});

test("a failed task says why, and is brought back as a new attempt", async ({ page, visit, api, arrives }) => {
  const command = "if test \"$MUSTER_ATTEMPT\" = 2; then echo better; else echo 'no luck' >&2; exit 3; fi";
  const id = await api.createTask({ title: unique("Try twice"), command });
  await api.reaches(id, "failed");
  await visit(`/tasks/${id}`);
  await expect(page.getByRole("alert")).toContainText("This task failed");
  await expect(log(page)).toContainText("no luck");
  await page.getByRole("button", { name: "Retry" }).click();
  await arrives((timeout) => expect(badge(page, "Succeeded")).toBeVisible({ timeout }));
  await expect(badge(page, "Unverified")).toBeVisible();
  await openView(page, "Attempts");
  const rows = page.getByRole("table", { name: "Attempts" }).getByRole("row");
  await expect(rows).toHaveCount(3);
  await expect(rows.nth(1)).toContainText("Succeeded");
  await expect(rows.nth(2)).toContainText("Failed");
});

test("a task that waits for another says so, and is skipped with the reason when that one fails", async ({ page, visit, api, arrives }) => {
  const title = unique("Fails soon");
  const first = await api.createTask({ title, command: "sleep 1; exit 1" });
  const second = await api.createTask({ title: unique("Comes after"), command: "true", depends_on: [first] });
  await visit(`/tasks/${second}`);
  await arrives((timeout) => expect(badge(page, "Skipped")).toBeVisible({ timeout }));
  await expect(page.getByText(`waits for “${title}”, which ended failed`, { exact: false }).first()).toBeVisible();
  await page.getByRole("link", { name: "See that task" }).click();
  await expect(page.getByRole("heading", { level: 1, name: title })).toBeVisible();
});

test("a repository that is not there fails the attempt with a reason and no retry", async ({ page, visit, api }) => {
  const id = await api.createTask({ title: unique("Nowhere"), command: "true", repository: "/nowhere/at/all", max_attempts: 3 });
  await api.reaches(id, "failed");
  await visit(`/tasks/${id}`);
  await expect(page.getByRole("alert")).toContainText("/nowhere/at/all");
  await openView(page, "Attempts");
  await expect(page.getByRole("table", { name: "Attempts" }).getByRole("row")).toHaveCount(2);
});

test("a task for later waits for its time, and says how it is tried again", async ({ page, visit }) => {
  await visit("/tasks/new");
  const title = unique("Later");
  await page.getByLabel("Title").fill(title);
  await page.getByLabel("Repository").fill(process.env.MUSTER_E2E_REPOSITORY ?? "");
  await page.getByLabel("Shell command").fill("true");
  await page.getByText("More: priority, time").click();
  await page.getByLabel("Waits between attempts").selectOption("Growing evenly");
  await page.getByLabel("First wait").fill("10s");
  await page.getByLabel("Not before").fill("2999-01-01T08:00");
  await page.getByRole("button", { name: "Create task" }).click();
  await expect(page.getByRole("heading", { name: title })).toBeVisible();
  await expect(page.getByText("Scheduled", { exact: true }).first()).toBeVisible();
  await expect(page.getByText("2999-01-01 08:00:00 UTC").first()).toBeVisible();
  await page.getByRole("link", { name: "Definition" }).click();
  await expect(page.getByText("Between attempts it waits up to 10s, growing evenly to 1m at most.")).toBeVisible();
});
