// What the specs about agents that ask people share: such agents at work, and how a person finds what they ask.
import type { Locator, Page } from "@playwright/test";
import { expect, test as base, unique, type Api, type NewTask } from "./fixtures.ts";

/** What `fake:asks` wants to run. Claude Code asks for none that it takes for reading alone. */
export const command = "touch made.txt";

const agent = { backend: "claude-code", model: "claude-sonnet-4-5" };
const asking = { ...agent, ask: "commands" };

export interface Handed {
  id: string;
  title: string;
}

interface ForEachTest {
  /** Hands in a prompt whose agent asks for leave to run `command`. */
  asks: (words: string, more?: Partial<NewTask>) => Promise<Handed>;
  /** Hands in a prompt whose agent asks nobody. */
  works: (words: string, prompt: string) => Promise<Handed>;
}

export const test = base.extend<ForEachTest>({
  asks: async ({ api }, use) => use((words, more = {}) => handIn(api, words, { prompt: "Make a file. fake:asks", agent: asking, ...more })),

  works: async ({ api }, use) => use((words, prompt) => handIn(api, words, { prompt, agent })),
});

async function handIn(api: Api, words: string, task: Partial<NewTask>): Promise<Handed> {
  const title = unique(words);
  return { id: await api.createTask({ ...task, title }), title };
}

/** What the agent of a task asks, on the page of approvals. */
export function question(page: Page, title: string): Locator {
  return page.getByRole("article").filter({ has: page.getByRole("link", { name: title, exact: true }) });
}

/** What the agent of a task asks, on the page of that task. */
export function questionsHere(page: Page): Locator {
  return page.getByRole("region", { name: "Waits for an answer" });
}

/** What was answered about a task. */
export function answered(page: Page, title: string): Locator {
  const row = page.getByRole("table", { name: "What was answered" }).getByRole("row");
  return row.filter({ has: page.getByRole("link", { name: title, exact: true }) });
}

export async function allow(place: Locator): Promise<void> {
  await place.getByRole("button", { name: "Allow", exact: true }).click();
}

export async function deny(place: Locator, why: string): Promise<void> {
  await place.getByText("Say why").click();
  await place.getByLabel("What the agent is told").fill(why);
  await place.getByRole("button", { name: "Deny" }).click();
}

/** The way to the page of approvals says on every page how much waits there. */
export async function expectCounted(page: Page): Promise<void> {
  const way = page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Approvals" });
  await expect(way).toContainText(/[1-9]\d* waiting/);
}

export function session(page: Page): Locator {
  return page.getByRole("list", { name: "Session" });
}

/** The words of somebody in a session. */
export function saidBy(page: Page, who: string): Locator {
  return session(page).getByRole("region", { name: `${who} says` });
}
