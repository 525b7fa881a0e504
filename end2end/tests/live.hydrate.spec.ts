// What arrives by itself. A mark in the window proves that the page was not loaded again meanwhile.
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

test("a list that is open shows a new task and what becomes of it", async ({ page, api }) => {
  await page.goto("/tasks");
  await page.waitForLoadState("networkidle").catch(() => undefined);
  await mark(page);
  const title = unique("Appears");
  const id = await api.createTask({ title, command: "sleep 1" });
  await expect(taskRow(page, title)).toBeVisible();
  await expect(taskRow(page, title)).toContainText("Running");
  await expect(taskRow(page, title)).toContainText("Succeeded");
  await api.reaches(id, "succeeded");
  await expectNotReloaded(page);
});

test("an overview that is open counts along", async ({ page, api }) => {
  await page.goto("/");
  await mark(page);
  const title = unique("Counted");
  await api.createTask({ title, command: "sleep 1" });
  await expect(page.getByRole("table", { name: "Tasks that run" }).getByRole("link", { name: title })).toBeVisible();
  await expect(page.getByRole("table", { name: "Tasks that ended last" }).getByRole("link", { name: title })).toBeVisible();
  await expectNotReloaded(page);
});

test("a log arrives line by line while the task runs", async ({ page, api }) => {
  const command = "for number in 1 2 3 4 5 6; do echo line $number; sleep 0.5; done";
  const id = await api.createTask({ title: unique("Speaks"), command });
  await page.goto(`/tasks/${id}`);
  await mark(page);
  await expect(log(page)).toContainText("line 2");
  await expect(log(page)).not.toContainText("line 6");
  await expect(badge(page, "Running")).toBeVisible();
  await expect(log(page)).toContainText("line 6");
  await expect(page.getByRole("status").filter({ hasText: "Complete" })).toBeVisible();
  await expect(badge(page, "Succeeded")).toBeVisible();
  expect(await output(page).allTextContents()).toEqual([1, 2, 3, 4, 5, 6].map((number) => `line ${number}`));
  await expectNotReloaded(page);
});

test.describe("a connection that is lost", () => {
  test.use({ expectedComplaints: [/ERR_|Failed to load resource|network/i] });

  test("is taken up again at the exact byte: no gap, nothing twice", async ({ page, api }) => {
    const connection = await cuttable(process.env.MUSTER_E2E_URL ?? "");
    try {
      const lines = 400;
      const command = `number=1; while [ $number -le ${lines} ]; do echo "number $number"; number=$((number + 1)); sleep 0.02; done`;
      const id = await api.createTask({ title: unique("Counts"), command });
      await api.reaches(id, "running");
      await page.goto(`${connection.url}/tasks/${id}`);
      await mark(page);
      for (const reached of [20, 120, 220]) {
        await expect(log(page)).toContainText(`number ${reached}`);
        connection.cut();
        await expect(page.getByRole("status").filter({ hasText: "Reconnecting" }).first()).toBeVisible();
        connection.mend();
        await expect(page.getByRole("status").filter({ hasText: "Live" })).toBeVisible();
      }
      await expect(page.getByRole("status").filter({ hasText: "Complete" })).toBeVisible();
      await expect(badge(page, "Succeeded")).toBeVisible();
      const wanted = Array.from({ length: lines }, (_, index) => `number ${index + 1}`);
      expect(await output(page).allTextContents()).toEqual(wanted);
      expect((await api.rawLog(id)).split("\n").filter((line) => line.startsWith("number "))).toEqual(wanted);
      await expectNotReloaded(page);
    } finally {
      await connection.close();
    }
  });

  test("shows what happened meanwhile in a list", async ({ page, api }) => {
    const connection = await cuttable(process.env.MUSTER_E2E_URL ?? "");
    try {
      await page.goto(`${connection.url}/tasks`);
      await mark(page);
      connection.cut();
      const title = unique("While away");
      await api.reaches(await api.createTask({ title, command: "true" }), "succeeded");
      await expect(page.getByText("Reconnecting")).toBeVisible();
      connection.mend();
      await expect(taskRow(page, title)).toContainText("Succeeded", { timeout: 30_000 });
      await expectNotReloaded(page);
    } finally {
      await connection.close();
    }
  });
});

test("a reader who looks at earlier lines is left there, and can jump to the end", async ({ page, api }) => {
  const command = "seq 1 200; sleep 4; seq 201 400; sleep 1";
  const id = await api.createTask({ title: unique("Long"), command });
  await page.goto(`/tasks/${id}`);
  await expect(log(page).getByText("200", { exact: true })).toBeInViewport();
  await log(page).evaluate((element) => element.scrollTo(0, 0));
  await expect(page.getByRole("button", { name: "Jump to the end" })).toBeVisible();
  await expect(log(page)).toContainText("400");
  expect(await log(page).evaluate((element) => element.scrollTop)).toBe(0);
  await page.getByRole("button", { name: "Jump to the end" }).click();
  await expect(log(page).getByText("400", { exact: true })).toBeInViewport();
});

test("going from page to page and back loads no document again", async ({ page, api }) => {
  const title = unique("Walk");
  await api.reaches(await api.createTask({ title, command: "echo here" }), "succeeded");
  await page.goto(`/tasks?text=${encodeURIComponent(title)}`);
  await mark(page);
  await page.getByRole("link", { name: title }).click();
  await expect(page.getByRole("heading", { level: 1, name: title })).toBeVisible();
  await expect(log(page)).toContainText("here");
  await page.getByRole("link", { name: "Overview" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Overview" })).toBeVisible();
  await page.goBack();
  await expect(log(page)).toContainText("here");
  await page.goBack();
  await expect(taskRow(page, title)).toBeVisible();
  await expectNotReloaded(page);
});
