import { generateKeyPairSync } from "node:crypto";
import type { APIRequestContext, APIResponse, Page } from "@playwright/test";
import { expect, owner, test, unique } from "../fixtures.ts";
import { badge, taskRow } from "../pages.ts";

// what another test does may have a runner's page fetched again at the moment when the runner is removed
test.use({ expectedComplaints: /status of 404.*find_runner/ });

interface Joined {
  name: string;
  /** With the same token. */
  again: () => Promise<APIResponse>;
}

/** Makes a machine a runner, as the command does it that the page shows. It never calls in. */
async function join(page: Page, request: APIRequestContext, name = unique("box")): Promise<Joined> {
  await page.getByRole("button", { name: "Add a machine" }).click();
  const command = page.locator(".c-command code");
  await expect(command).toContainText("muster runner join http");
  const [, , , origin, token] = ((await command.textContent()) ?? "").split(" ");
  const key = generateKeyPairSync("ed25519").publicKey.export({ format: "jwk" }).x ?? "";
  const data = { token, name, public_key: Buffer.from(key, "base64url").toString("base64") };
  const again = () => request.post(`${origin}/api/v1/runners`, { data });
  const joined = await again();
  expect(joined.status(), await joined.text()).toBe(201);
  return { name, again };
}

test("a machine is added by a command that is shown once, and removed", async ({ page, visit, request, hydrated, arrives }) => {
  await visit("/runners");
  const rows = page.getByRole("row");
  await expect(rows.filter({ hasText: "inside the server" }).first()).toContainText(/Ready|Working|Blocked/);
  await expect(page.getByText(/^\d+ runners?, \d+ online: \d+ of \d+ slots? busy/)).toBeVisible();
  const { name, again } = await join(page, request);
  await visit("/runners");
  await expect(page.locator(".c-command code"), "the token is not shown again").toHaveCount(0);
  const row = rows.filter({ hasText: name });
  await expect(row).toContainText("Offline");
  await expect(row).toContainText("joined this workspace");
  await expect(row, "it has never told how its machine is").toContainText("no reading");
  await row.getByText("Remove…").click();
  await row.getByRole("button", { name: `Remove ${name}` }).click();
  await arrives((timeout) => expect(row).toHaveCount(0, { timeout }));
  if (hydrated) await expect(page.getByText("It is removed, and its key is dead")).toBeVisible();
  expect((await again()).status(), "its token was used").toBe(401);
});

test("of two machines one is removed, and nothing is asked about the one that takes its place", async ({ page, visit, request, arrives }) => {
  const pair = unique("pair");
  // they stand by name, so next to each other
  const [first, second] = [`${pair} one`, `${pair} two`];
  for (const name of [first, second]) {
    await visit("/runners");
    await join(page, request, name);
  }
  await visit("/runners");
  const row = (name: string) => page.getByRole("row").filter({ hasText: name });
  await row(first).getByText("Remove…").click();
  await row(first).getByRole("button", { name: `Remove ${first}` }).click();
  await arrives((timeout) => expect(row(first)).toHaveCount(0, { timeout }));
  await expect(row(second).getByText("Remove…")).toBeVisible();
  await expect(row(second).getByRole("button", { name: `Remove ${second}` })).toBeHidden();
  await row(second).getByText("Remove…").click();
  await row(second).getByRole("button", { name: `Remove ${second}` }).click();
  await arrives((timeout) => expect(row(second)).toHaveCount(0, { timeout }));
});

test("a machine is drained, takes work again, and is removed from its own page", async ({ page, visit, request, arrives }) => {
  await visit("/runners");
  const { name } = await join(page, request);
  await visit("/runners");
  await page.getByRole("link", { name }).click();
  await expect(page.getByRole("heading", { name, level: 1 })).toBeVisible();
  await expect(badge(page, "Offline")).toBeVisible();
  await expect(page.getByText(`joined by ${owner.name}`)).toBeVisible();
  await expect(page.getByRole("heading", { name: "Works on nothing" })).toBeVisible();
  await expect(page.getByText("Nothing yet", { exact: true })).toBeVisible();

  const notice = page.getByText("Takes nothing new", { exact: true });
  await page.getByText("Drain…").click();
  await page.getByRole("button", { name: `Drain ${name}` }).click();
  await arrives((timeout) => expect(notice).toBeVisible({ timeout }));
  await expect(page.getByText("Nothing is at work any more: the machine can be switched off.")).toBeVisible();
  await page.getByRole("button", { name: "Take work again" }).click();
  await arrives((timeout) => expect(notice).toHaveCount(0, { timeout }));

  await page.getByText("Slots…").click();
  await page.getByLabel("Slots", { exact: true }).fill("8");
  await page.getByRole("button", { name: `Set the slots of ${name}` }).click();
  const fewer = page.getByText("Has fewer slots than were set", { exact: true });
  await arrives((timeout) => expect(fewer, "it has never called in").toBeVisible({ timeout }));
  await expect(page.getByRole("cell", { name: `${owner.name} set it to 8 slots` })).toBeVisible();

  await page.getByText("Remove…").click();
  await page.getByRole("button", { name: `Remove ${name}` }).click();
  await expect(page).toHaveURL(/\/runners$/);
  await arrives((timeout) => expect(page.getByRole("row").filter({ hasText: name })).toHaveCount(0, { timeout }));
});

test("a runner's page says how it stands and what it has done", async ({ page, visit, api, arrives }) => {
  const title = unique("Look around");
  const task = await api.createTask({ title, command: "true" });
  await api.reaches(task, "succeeded");
  await visit("/runners");
  await page.getByRole("row").filter({ hasText: "inside the server" }).getByRole("link").click();
  await expect(page).toHaveURL(/\/runners\/[0-9a-f-]{36}$/);
  await expect(page.locator(".p-task__badges").getByText(/^(Ready|Working|Blocked)$/)).toBeVisible();
  await expect(page.getByText(/that ended by (itself|themselves) succeeded \(\d+ %\)/)).toBeVisible();
  await expect(page.getByRole("table", { name: /^How this runner stood/ }).getByText("Working").first()).toBeVisible();
  await expect(page.getByRole("table", { name: "What each of its slots does" }).getByText(/Ready|Working|Blocked/).first()).toBeVisible();
  await expect(page.getByText("Drain…"), "it stops with its server").toHaveCount(0);
  const machine = page.getByRole("region", { name: "Machine" });
  await arrives((timeout) => expect(machine.getByRole("meter", { name: /^Memory: \d+ %$/ })).toBeVisible({ timeout }));
  await expect(machine.getByText(/^\d+ % of .*processor/), "its processors").toBeVisible();
  await expect(machine.getByText("Stale"), "it was read a moment ago").toHaveCount(0);
  const models = page.getByRole("region", { name: "Models on its machine" });
  await arrives((timeout) => expect(models.getByText("Healthy", { exact: true })).toBeVisible({ timeout }));
  await expect(models).toContainText(/\d+ models?, \d+ warm/);
  const row = taskRow(page, title);
  await expect(row).toContainText("Succeeded");
  await row.getByRole("link", { name: title }).click();
  await expect(page).toHaveURL(new RegExp(`/tasks/${task}\\?attempt=1$`));
});
