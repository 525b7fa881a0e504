// What the specs share: a page that is signed in and watched for trouble, the public API, and a repository to work on.
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { AxeBuilder } from "@axe-core/playwright";
import { test as base, expect, type APIRequestContext, type Page } from "@playwright/test";
import { owner } from "./muster.mjs";

export { expect, owner };

export interface NewTask {
  title: string;
  command?: string;
  prompt?: string;
  agent?: { backend?: string; model?: string; max_turns?: number };
  checks?: { kind: string; target?: string }[];
  max_attempts?: number;
  priority?: string;
  depends_on?: string[];
  repository?: string;
  base_ref?: string;
  run_at?: string;
  queue_seconds?: number;
  concurrency?: { key: string; limit?: number };
  tags?: string[];
}

/** The cookies of somebody who has not signed in. */
export const nobody = { cookies: [], origins: [] };

const final = ["succeeded", "partial", "failed", "cancelled", "skipped", "dead"];

/** The public API with the key of an owner. */
export class Api {
  private readonly made: string[] = [];

  constructor(
    private readonly request: APIRequestContext,
    readonly repository: string,
  ) {}

  async createTask(task: NewTask): Promise<string> {
    const answer = await this.request.post("/api/v1/tasks", { data: { repository: this.repository, max_attempts: 1, ...task } });
    expect(answer.status(), await answer.text()).toBe(201);
    const { id } = await answer.json();
    this.made.push(id);
    return id;
  }

  /** Ends what was handed in: a test that failed must not leave a task that takes a slot from all that follow. */
  async cancelAll(): Promise<void> {
    // what has ended refuses
    await Promise.allSettled(this.made.map((id) => this.request.post(`/api/v1/tasks/${id}/cancel`)));
  }

  async cancel(id: string): Promise<void> {
    const answer = await this.request.post(`/api/v1/tasks/${id}/cancel`);
    expect(answer.ok(), await answer.text()).toBe(true);
  }

  /** A repository of which no runner takes a task until somebody resumes its queue. */
  async heldRepository(): Promise<string> {
    const location = `/srv/${unique("held").replace(" ", "-")}`;
    const later = await this.createTask({ title: unique("Much later"), command: "true", repository: location, run_at: "2999-01-01T00:00:00Z" });
    const known: { id: string; location: string }[] = await (await this.request.get("/api/v1/repositories")).json();
    const repository = known.find((one) => one.location === location)?.id;
    const answer = await this.request.post("/api/v1/queue/pause", { data: { repository } });
    expect(answer.ok(), await answer.text()).toBe(true);
    await this.cancel(later);
    return location;
  }

  async pause(id: string): Promise<void> {
    const answer = await this.request.post(`/api/v1/tasks/${id}/pause`);
    expect(answer.ok(), await answer.text()).toBe(true);
  }

  async state(id: string): Promise<string> {
    return (await (await this.request.get(`/api/v1/tasks/${id}`)).json()).state;
  }

  async runners(): Promise<{ id: string; name: string; joined: boolean }[]> {
    const answer = await this.request.get("/api/v1/runners");
    expect(answer.ok(), await answer.text()).toBe(true);
    return answer.json();
  }

  /** The one that the server's runner finds, once it has. */
  async endpoint(): Promise<string> {
    const found = async () => (await (await this.request.get("/api/v1/endpoints")).json()).find((one: { runner_id: string | null }) => one.runner_id)?.id;
    await expect.poll(found, { message: "the runner finds its endpoint", timeout: 45_000 }).toBeTruthy();
    return found();
  }

  /** The same again is the one that is there. */
  async saveView(view: { name: string; filter: Record<string, string>; shared: boolean }): Promise<void> {
    const answer = await this.request.post("/api/v1/views", { data: view });
    expect([201, 422], await answer.text()).toContain(answer.status());
  }

  async saveWorkflow(source: string): Promise<void> {
    const answer = await this.request.post("/api/v1/workflows", { data: { source } });
    expect(answer.ok(), await answer.text()).toBe(true);
  }

  /** Its id. */
  async startRun(workflow: string, parameters: Record<string, unknown> = {}): Promise<string> {
    const answer = await this.request.post(`/api/v1/workflows/${workflow}/runs`, { data: { parameters } });
    expect(answer.ok(), await answer.text()).toBe(true);
    return (await answer.json()).id;
  }

  private async run(id: string): Promise<{ state: string; steps: { key: string; task: string }[] }> {
    const answer = await this.request.get(`/api/v1/runs/${id}`);
    expect(answer.ok(), await answer.text()).toBe(true);
    return answer.json();
  }

  /** The task of a step of a run. */
  async taskOf(run: string, step: string): Promise<string> {
    return (await this.run(run)).steps.find((one) => one.key === step)?.task ?? `no step ${step}`;
  }

  async approve(task: string): Promise<void> {
    const answer = await this.request.post(`/api/v1/tasks/${task}/approve`, { data: {} });
    expect(answer.ok(), await answer.text()).toBe(true);
  }

  /** Waits until a run is in a state. */
  async runReaches(id: string, state: string): Promise<void> {
    const now = async () => (await this.run(id)).state;
    await expect.poll(now, { message: `run ${id} should be ${state}`, timeout: 45_000 }).toBe(state);
  }

  /** Every byte of a task's log, as it is. */
  async rawLog(id: string): Promise<string> {
    return (await this.request.get(`/api/v1/tasks/${id}/log`)).text();
  }

  /** Waits until a task is in a state; one that has ended otherwise will not get there. */
  async reaches(id: string, state: string): Promise<void> {
    let now = "";
    const arrived = async () => {
      now = await this.state(id);
      return now === state || final.includes(now);
    };
    await expect.poll(arrived, { message: `task ${id} should be ${state}`, timeout: 45_000 }).toBe(true);
    expect(now, `task ${id}`).toBe(state);
  }
}

interface ForEachTest {
  api: Api;
  /** Whether pages come alive in this project's browser. */
  hydrated: boolean;
  /** What a page may complain about in this test; everything else fails it. */
  expectedComplaints: RegExp;
  signedOut: boolean;
  /** Opens an address and waits until scripts have taken the page over, where there are any. */
  visit: (address: string) => Promise<void>;
  /** Holds a task's work up: put its command in front, and let it go when the test is ready. `test` only asks whether it is open. */
  gate: { command: string; test: string; open: () => void };
  /** Watches a further page as the own one is watched. */
  watched: (page: Page) => Promise<Page>;
  /** Waits for what a page shows: with JavaScript it arrives by itself, without it takes a reload. */
  arrives: (assertion: (timeout: number) => Promise<void>) => Promise<void>;
}

interface ForEachWorker {
  signedInState: string;
}

export const test = base.extend<ForEachTest, ForEachWorker>({
  expectedComplaints: [/^nothing$/, { option: true }],
  signedOut: [false, { option: true }],

  hydrated: async ({ javaScriptEnabled }, use) => use(javaScriptEnabled !== false),

  signedInState: [
    async ({ browser }, use, worker) => {
      const path = worker.project.outputDir + `/signed-in-${worker.workerIndex}.json`;
      const page = await browser.newPage({ baseURL: process.env.MUSTER_E2E_URL });
      await signIn(page);
      await page.context().storageState({ path });
      await page.close();
      await use(path);
    },
    { scope: "worker" },
  ],

  storageState: async ({ signedOut, signedInState }, use) => use(signedOut ? nobody : signedInState),

  api: async ({ playwright }, use) => {
    const { MUSTER_E2E_URL, MUSTER_E2E_KEY, MUSTER_E2E_REPOSITORY } = process.env;
    if (!MUSTER_E2E_URL || !MUSTER_E2E_KEY || !MUSTER_E2E_REPOSITORY) throw new Error("the global setup did not run");
    const request = await playwright.request.newContext({
      baseURL: MUSTER_E2E_URL,
      extraHTTPHeaders: { authorization: `Bearer ${MUSTER_E2E_KEY}` },
    });
    const api = new Api(request, MUSTER_E2E_REPOSITORY);
    await use(api);
    await api.cancelAll();
    await request.dispose();
  },

  watched: async ({ expectedComplaints, hydrated }, use) => {
    const complaints: string[] = [];
    await use(async (page) => {
      await page.addInitScript(noteHydration);
      return watch(page, complaints);
    });
    // without scripts nothing uses what was loaded ahead for them
    const usual = hydrated ? /^nothing$/ : /preloaded using link preload/;
    const unexpected = [...new Set(complaints)].filter((complaint) => !expectedComplaints.test(complaint) && !usual.test(complaint));
    expect(unexpected, "what pages complained about").toEqual([]);
  },

  page: async ({ page, watched }, use) => use(await watched(page)),

  visit: async ({ page, hydrated }, use) =>
    use(async (address) => {
      await page.goto(address);
      if (hydrated) await hydration(page);
    }),

  gate: async ({}, use) => {
    const path = join(process.env.MUSTER_E2E_SIGNS!, unique("gate").replace(" ", "-"));
    await use({ test: `test -e '${path}'`, command: `until test -e '${path}'; do sleep 0.05; done`, open: () => writeFileSync(path, "") });
    // a test that failed must not leave a task that takes a slot from all that follow
    writeFileSync(path, "");
    process.once("exit", () => rmSync(path, { force: true }));
  },

  arrives: async ({ page, hydrated }, use) =>
    use(async (assertion) => {
      if (hydrated) return assertion(30_000);
      await expect(async () => {
        await page.reload();
        await assertion(500);
      }).toPass({ timeout: 45_000, intervals: [250] });
    }),
});

/** Errors and warnings on the console (a failed hydration and a breach of the content policy are there), exceptions, and dialogs. */
function watch(page: Page, complaints: string[]): Page {
  page.on("console", (message) => {
    if (["error", "warning", "assert"].includes(message.type())) complaints.push(`${message.type()}: ${message.text()} (${message.location().url} on ${page.url()})`);
  });
  page.on("pageerror", (error) => complaints.push(`exception: ${error.message} (${page.url()})`));
  page.on("dialog", (dialog) => {
    complaints.push(`dialog: ${dialog.message()} (${page.url()})`);
    void dialog.dismiss();
  });
  return page;
}

export async function signIn(page: Page, { email, password } = owner): Promise<void> {
  await page.goto("/sign-in");
  await page.getByLabel("E-mail").fill(email);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page).not.toHaveURL(/sign-in/);
}

/** A title that no other test uses, also when a test runs again. */
export function unique(words: string): string {
  return `${words} ${Math.random().toString(36).slice(2, 8)}`;
}

/** The contrast of colours takes longest to look at, and depends on the theme alone; all else depends on the width alone. */
const colours = ["color-contrast"];

export async function expectAccessible(page: Page, name: string, what: "all" | "colours" | "structure" = "all"): Promise<void> {
  const axe = new AxeBuilder({ page });
  if (what === "colours") axe.withRules(colours);
  if (what === "structure") axe.disableRules(colours);
  const { violations } = await axe.analyze();
  const found = violations.flatMap(({ id, help, nodes }) => nodes.map((node) => `${id}: ${help}: ${node.target.join(" ")}`));
  expect.soft(found, name).toEqual([]);
}

/** Until scripts have taken the page over. */
export async function hydration(page: Page): Promise<void> {
  await page.waitForFunction(() => "hydrated" in window);
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
}

/** Runs before the page's own scripts: notes when the module has been made, after which the page is hydrated in the same turn. */
function noteHydration(): void {
  const instantiate = WebAssembly.instantiateStreaming;
  WebAssembly.instantiateStreaming = async (...parts: Parameters<typeof instantiate>) => {
    const made = await instantiate(...parts);
    setTimeout(() => Object.assign(window, { hydrated: true }));
    return made;
  };
}
