// How a person finds their way about the pages: by what is written there.
import { expect, type Locator, type Page } from "@playwright/test";

export interface FormTask {
  title: string;
  repository: string;
  command: string;
  /** Kind and target. */
  checks?: [string, string][];
}

export async function fillTask(page: Page, task: FormTask): Promise<void> {
  await page.getByLabel("Title").fill(task.title);
  await page.getByLabel("Repository").fill(task.repository);
  await page.getByLabel("Shell command").fill(task.command);
  for (const [index, [kind, target]] of (task.checks ?? []).entries()) {
    await page.getByLabel(`Kind of check ${index + 1}`).selectOption(kind);
    await page.getByLabel(`Target of check ${index + 1}`).fill(target);
  }
}

/** The state, or whether it is verified, beside the task's title. */
export function badge(page: Page, text: string): Locator {
  return page.locator(".p-task__badges").getByText(text, { exact: true });
}

export function log(page: Page): Locator {
  return page.getByRole("log", { name: "Output" });
}

/** What the work wrote, line by line, without what Muster added. */
export function output(page: Page): Locator {
  return log(page).locator(".c-log__line:not(.c-log__line--muster)");
}

export async function openView(page: Page, name: string): Promise<void> {
  await page.getByRole("navigation", { name: "Views of this task" }).getByRole("link", { name }).click();
  await expect(page.getByRole("link", { name, exact: false }).and(page.locator("[aria-current=page]"))).toBeVisible();
}

/** The menu with a person's name on it, which holds the theme and the way out. */
export async function openPersonMenu(page: Page): Promise<void> {
  await page.locator("details.l-person > summary").click();
  await expect(page.getByRole("button", { name: "Sign out" })).toBeVisible();
}

export function taskRow(page: Page, title: string): Locator {
  return page.getByRole("row").filter({ has: page.getByRole("link", { name: title, exact: true }) });
}

export function boardColumn(page: Page, name: string): Locator {
  return page.getByRole("region", { name: new RegExp(`^${name}`) });
}

export function boardCard(page: Page, column: string, title: string): Locator {
  return boardColumn(page, column).getByRole("listitem").filter({ has: page.getByRole("link", { name: title, exact: true }) });
}

/** The state of a run beside its title. */
export function runBadge(page: Page, text: string): Locator {
  return page.locator(".p-run__badges").getByText(text, { exact: true });
}

/** A step of a run, by its key. */
export function stepRow(page: Page, key: string): Locator {
  return page.locator(`[id="step-${key}"]`);
}

export async function openEditor(page: Page): Promise<void> {
  await expect(page.getByLabel("Definition")).toBeEditable();
}

/** Types a definition and has it looked at: by itself with scripts, by a button without them. */
export async function fillSource(page: Page, source: string, hydrated: boolean): Promise<void> {
  await page.getByLabel("Definition").fill(source);
  if (!hydrated) await page.getByRole("button", { name: "Check" }).click();
}
