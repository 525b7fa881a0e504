import { expect, test, unique } from "../fixtures.ts";

const agent = { backend: "claude-code", model: "claude-sonnet-4-5", max_turns: 30 };

test("what an agent said and did can be read, and what it used is added up", async ({ page, visit, api }) => {
  const checks = [{ kind: "file_exists", target: "made.txt" }];
  const id = await api.createTask({ title: unique("Edits"), prompt: "Make a file. fake:edit", agent, checks });
  await api.reaches(id, "succeeded");
  await visit(`/tasks/${id}`);
  const tab = page.getByRole("link", { name: "Session" });
  await expect(tab).toHaveAttribute("aria-current", "page");
  await expect(page.getByText("Make a file. fake:edit")).toBeVisible();
  await expect(page.getByText("Claude Code 2.1.328").first()).toBeVisible();
  // what it writes is there to be read without anything being opened
  const change = page.getByRole("group", { name: /^Change of .*made\.txt$/ });
  await expect(change).toBeVisible();
  await expect(change.locator("ins")).not.toBeEmpty();
  const write = page.locator("details", { hasText: "made.txt" }).last();
  await write.locator("summary").click();
  await expect(write).toContainText("Answered");
  await expect(page.getByText("wrote made.txt")).toBeVisible();
  await expect(page.getByText(/^Done, after/)).toBeVisible();
  await expect(page.getByText("at most 30 turns")).toBeVisible();
});

test("each round of checks is shown, and the agent's log beside its session", async ({ page, visit, api }) => {
  const checks = [{ kind: "command_succeeds", target: "grep -q right answer.txt" }];
  const id = await api.createTask({ title: unique("Repairs"), prompt: "Answer. fake:repair", agent, checks });
  await api.reaches(id, "succeeded");
  await visit(`/tasks/${id}?view=checks`);
  await expect(page.getByText("Attempt 1: 1 of 1 passed")).toBeVisible();
  await expect(page.getByRole("heading", { name: "Round 1: 0 of 1 passed; the agent was told so and went on" })).toBeVisible();
  await visit(`/tasks/${id}?view=session`);
  await expect(page.getByText("Your work was checked, and did not pass")).toBeVisible();
  await visit(`/tasks/${id}?view=log`);
  await expect(page.getByText("the agent is told so and goes on, round 2")).toBeVisible();
});

test("what speaks against a result is said, whatever its checks say", async ({ page, visit, api }) => {
  const checks = [{ kind: "file_exists", target: "README.md" }];
  const id = await api.createTask({ title: unique("Only talks"), prompt: "Say hello. fake:hello", agent, checks });
  await api.reaches(id, "succeeded");
  await visit(`/tasks/${id}`);
  await expect(page.getByText("Verified").first()).toBeVisible();
  await expect(page.getByText("The agent changed nothing")).toBeVisible();
  await expect(page.getByText("The agent used no tool")).toBeVisible();
});

test("an agent whose provider refuses says so, and a command has no session", async ({ page, visit, api }) => {
  const id = await api.createTask({ title: unique("Refused"), prompt: "Try. fake:broken", agent });
  await api.reaches(id, "failed");
  await visit(`/tasks/${id}`);
  await expect(page.getByText("provider_refused").first()).toBeVisible();
  await page.getByRole("link", { name: "See the session" }).click();
  await expect(page.getByText("Failed").first()).toBeVisible();
  const other = await api.createTask({ title: unique("Plain"), command: "true" });
  await visit(`/tasks/${other}`);
  await expect(page.getByRole("link", { name: "Log" })).toBeVisible();
  await expect(page.getByRole("link", { name: "Session" })).toHaveCount(0);
});
