// What arrives by itself where people are asked something. A mark in the window proves that the page was not loaded again meanwhile.
import type { Page } from "@playwright/test";
import { allow, answered, deny, expectCounted, question, questionsHere, saidBy, session, test } from "../approvals.ts";
import { expect, hydration, owner } from "../fixtures.ts";

async function mark(page: Page): Promise<void> {
  await page.evaluate(() => Object.assign(window, { marked: true }));
}

async function expectNotReloaded(page: Page): Promise<void> {
  expect(await page.evaluate(() => "marked" in window)).toBe(true);
}

test("a question appears on a page that is open, and goes when it is answered elsewhere", async ({ page, context, visit, watched, asks }) => {
  await visit("/approvals");
  await mark(page);
  const { id, title } = await asks("Appears");
  await expect(question(page, title)).toBeVisible({ timeout: 30_000 });
  await expectCounted(page);
  await expect(page.getByRole("status").filter({ hasText: /questions? of .* for an answer/ }), "who does not see it hears of it").toHaveCount(1);
  const elsewhere = await watched(await context.newPage());
  await elsewhere.goto(`/tasks/${id}`);
  await hydration(elsewhere);
  await deny(questionsHere(elsewhere), "Not now");
  await expect(elsewhere.getByText("It is denied, and Claude Code is told so")).toBeVisible();
  await expect(question(page, title)).toHaveCount(0);
  await expect(answered(page, title)).toContainText("Denied");
  await expectNotReloaded(page);
});

test("an agent is told something by a key, and what it makes of it arrives", async ({ page, visit, asks }) => {
  const { id } = await asks("Is told by a key");
  await visit(`/tasks/${id}?view=session`);
  await mark(page);
  await expect(questionsHere(page)).toBeVisible({ timeout: 30_000 });
  const box = page.getByLabel("Tell the agent");
  await box.fill("Mind the tests");
  await box.press("Control+Enter");
  await expect(saidBy(page, owner.name)).toHaveText("Mind the tests");
  await expect(box).toHaveValue("");
  await allow(questionsHere(page));
  await expect(session(page)).toContainText("That is all.");
  await expect(box).toHaveCount(0);
  await expectNotReloaded(page);
});
