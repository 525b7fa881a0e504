// What arrives by itself. A mark in the window proves that the page was not loaded again meanwhile.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "@playwright/test";
import { expect, test, unique } from "../fixtures.ts";
import { badge, log, output, taskRow } from "../pages.ts";
import { cuttable } from "../proxy.ts";

async function mark(page: Page): Promise<void> {
  await page.evaluate(() => Object.assign(window, { marked: true }));
}

async function expectNotReloaded(page: Page): Promise<void> {
  expect(await page.evaluate(() => "marked" in window)).toBe(true);
}

test("a list that is open shows a new task and what becomes of it", async ({ page, visit, api, gate }) => {
  await visit("/tasks");
  await mark(page);
  const title = unique("Appears");
  await api.createTask({ title, command: gate.command });
  await expect(taskRow(page, title)).toContainText("Running");
  gate.open();
  await expect(taskRow(page, title)).toContainText("Succeeded");
  await expectNotReloaded(page);
});

test("an overview that is open counts along", async ({ page, visit, api, gate }) => {
  await visit("/");
  await mark(page);
  const title = unique("Counted");
  await api.createTask({ title, command: gate.command });
  await expect(page.getByRole("table", { name: "Tasks that run" }).getByRole("link", { name: title })).toBeVisible();
  gate.open();
  await expect(page.getByRole("table", { name: "Tasks that ended last" }).getByRole("link", { name: title })).toBeVisible();
  await expectNotReloaded(page);
});

test("a session arrives while the agent works, and what is open stays open", async ({ page, visit, api }) => {
  const id = await api.createTask({ title: unique("Talks"), prompt: "Look around. fake:waits", agent: { backend: "claude-code" } });
  await visit(`/tasks/${id}?view=session`);
  await mark(page);
  await expect(page.getByText("I look around.")).toBeVisible();
  const call = page.locator("details", { hasText: "until [ -e" });
  await call.locator("summary").click();
  await expect(call).toContainText("Running");
  writeFileSync(join(process.env.MUSTER_E2E_SIGNS ?? "", "session"), "");
  await expect(page.getByText("That is all.")).toBeVisible();
  await expect(call).toContainText("seen");
  await expect(call).toHaveAttribute("open");
  await expectNotReloaded(page);
});

test("a log arrives while the task runs, and goes on where the page began", async ({ page, visit, api, gate }) => {
  const id = await api.createTask({ title: unique("Speaks"), command: `echo before; ${gate.command}; echo after` });
  await api.reaches(id, "running");
  await visit(`/tasks/${id}`);
  await mark(page);
  await expect(log(page)).toContainText("before");
  await expect(badge(page, "Running")).toBeVisible();
  await expect(page.getByRole("status").filter({ hasText: "Live" })).toBeVisible();
  // the command itself is shown with the word in it, before what it says
  await expect(output(page)).toHaveText(["before"]);
  gate.open();
  await expect(page.getByRole("status").filter({ hasText: "Complete" })).toBeVisible();
  await expect(badge(page, "Succeeded")).toBeVisible();
  await expect(page.getByRole("status").filter({ hasText: "Succeeded" }), "who does not see it hears of it").toHaveCount(1);
  await expect(output(page)).toHaveText(["before", "after"]);
  await expectNotReloaded(page);
});

test.describe("a connection that is lost", () => {
  test.use({ expectedComplaints: /ERR_|Failed to load resource|Failed to fetch/ });

  test("is taken up again at the exact byte: no gap, nothing twice", async ({ page, visit, api, gate }) => {
    test.slow();
    const connection = await cuttable(process.env.MUSTER_E2E_URL ?? "");
    try {
      const lines = 600;
      const count = `number=1; while [ $number -le ${lines} ]; do echo "number $number"; number=$((number + 1)); sleep 0.02; done`;
      const id = await api.createTask({ title: unique("Counts"), command: `${gate.command}; ${count}` });
      await api.reaches(id, "running");
      await visit(`${connection.url}/tasks/${id}`);
      await mark(page);
      gate.open();
      for (const reached of [20, 150, 300]) {
        await expect(output(page).filter({ hasText: `number ${reached}` }).first()).toBeAttached();
        connection.cut();
        await expect(page.getByRole("status").filter({ hasText: "Reconnecting" }).first()).toBeVisible();
        connection.mend();
        await expect(page.getByRole("status").filter({ hasText: /^Live/ })).toBeVisible();
      }
      await expect(page.getByRole("status").filter({ hasText: "Complete" })).toBeVisible({ timeout: 30_000 });
      await expect(badge(page, "Succeeded")).toBeVisible();
      const wanted = Array.from({ length: lines }, (_, index) => `number ${index + 1}`);
      expect(await output(page).allTextContents()).toEqual(wanted);
      expect((await api.rawLog(id)).split("\n").filter((line) => line.startsWith("number "))).toEqual(wanted);
      await expectNotReloaded(page);
    } finally {
      await connection.close();
    }
  });

  test("shows what happened meanwhile in a list", async ({ page, visit, api }) => {
    const connection = await cuttable(process.env.MUSTER_E2E_URL ?? "");
    try {
      await visit(`${connection.url}/tasks`);
      await mark(page);
      connection.cut();
      const title = unique("While away");
      await api.reaches(await api.createTask({ title, command: "true" }), "succeeded");
      await expect(page.getByText("Reconnecting")).toBeVisible();
      connection.mend();
      await expect(taskRow(page, title)).toContainText("Succeeded", { timeout: 30_000 });
      await expect(page.getByText("Reconnecting")).toBeHidden();
      await expectNotReloaded(page);
    } finally {
      await connection.close();
    }
  });
});

test("a reader who looks at earlier lines is left there, and can jump to the end", async ({ page, visit, api, gate }) => {
  const id = await api.createTask({ title: unique("Long"), command: `seq 1 200; ${gate.command}; seq 201 400` });
  await api.reaches(id, "running");
  await visit(`/tasks/${id}`);
  await expect(output(page).filter({ hasText: /^200$/ })).toBeInViewport();
  await log(page).evaluate((element) => element.scrollTo(0, 0));
  await expect(page.getByRole("button", { name: "Jump to the end" })).toBeVisible();
  gate.open();
  const last = output(page).filter({ hasText: /^400$/ });
  await expect(last).toBeAttached();
  expect(await log(page).evaluate((element) => element.scrollTop)).toBe(0);
  await page.getByRole("button", { name: "Jump to the end" }).click();
  await expect(last).toBeInViewport();
});

test("going from page to page and back loads no document again", async ({ page, visit, api }) => {
  const title = unique("Walk");
  await api.reaches(await api.createTask({ title, command: "echo here" }), "succeeded");
  await visit(`/tasks?text=${encodeURIComponent(title)}`);
  await mark(page);
  await page.getByRole("link", { name: title }).click();
  await expect(page.getByRole("heading", { level: 1, name: title })).toBeVisible();
  await expect(output(page).filter({ hasText: "here" })).toHaveCount(1);
  await page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Overview" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Overview" })).toBeVisible();
  await page.goBack();
  await expect(output(page).filter({ hasText: "here" })).toHaveCount(1);
  await page.goBack();
  await expect(taskRow(page, title)).toBeVisible();
  await expectNotReloaded(page);
});
