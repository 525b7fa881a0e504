// One of everything that a page can show, for those who look at all of them: the accessibility check and the screenshots.
import type { Page } from "@playwright/test";
import { allow, question } from "./approvals.ts";
import { hydration, type Api } from "./fixtures.ts";
import { openPersonMenu } from "./pages.ts";

export interface Example {
  name: string;
  path: string;
  signedOut?: boolean;
  /** Brings the page into the state that is meant, after it has been opened. */
  prepare?: (page: Page) => Promise<void>;
}

const colourful = [
  `printf '\\033[1mBuilding\\033[0m 3 packages\\n'`,
  `for name in core web cli; do printf '  \\033[32m✓\\033[0m %s in 0.%s s\\n' $name $(( RANDOM % 9 )); done`,
  `printf '\\033[33mwarning\\033[0m: unused variable \`x\`\\n' >&2`,
  `printf '\\nfn greet() {\\n    println!("hello");\\n}\\n' >> README.md`,
  `sed -i 's/hello/good morning/' greeting.sh`,
  `mkdir -p src && printf 'pub fn add(a: i32, b: i32) -> i32 {\\n    a + b\\n}\\n' > src/lib.rs`,
].join("\n");

/** A workflow with a step of every kind. */
function release(repository: string): string {
  return `name: release
title: Release \${{ version }}
description: Builds and tests on every system, asks, and publishes.
repository: ${repository}
parameters:
  version: {description: What is released}
  channel: {choices: [stable, beta], default: beta}
  notify: {type: boolean, default: true}
steps:
  - {id: build, title: Build the packages, command: echo built, checks: [{kind: git_clean}]}
  - {id: test, title: Test on every system, needs: [build], matrix: {os: [linux, mac, windows]}, command: 'echo "$MUSTER_INPUT_OS"'}
  - {id: audit, title: Audit the dependencies for what has become known since, needs: [build], command: echo nothing found}
  - {id: targets, title: List the regions, needs: [build], command: 'echo "[\\"eu\\", \\"us\\"]" > "$MUSTER_OUTPUT"'}
  - {id: ok, title: Ask for approval, needs: [test, audit], approval: {message: "Release \${{ version }} to \${{ channel }}?"}}
  - {id: deploy, title: Deploy to every region, needs: [ok], for_each: {in: regions}, inputs: {regions: {from: targets}}, command: 'echo "$MUSTER_INPUT_ITEM"'}
  - {id: announced, title: Wait for the announcement, needs: [ok], event: {name: announced}}
  - {id: notes, title: Write the notes, needs: [announced], when: inputs.notify, command: echo written}
  - {id: rest, title: Let it rest, needs: [deploy], wait: true, delay_seconds: 86400}
`;
}

/** The task whose agent asks something on the last of the pages. */
const asks = "Publish what is new";
const asking = { backend: "claude-code", ask: "commands" };

/** Makes the tasks, waits until each is where it should be, and names every page. What still runs after the last of them is `running`. */
export async function prepareExamples(api: Api): Promise<{ examples: Example[]; running: string }> {
  const proven = await api.createTask({
    title: "Greet people by the time of day",
    command: colourful,
    checks: [
      { kind: "file_exists", target: "src/lib.rs" },
      { kind: "command_succeeds", target: "./greeting.sh" },
      { kind: "command_succeeds", target: "grep -c 'pub fn' src/lib.rs" },
    ],
    priority: "high",
  });
  const partial = await api.createTask({
    title: "Make the importer twice as fast without changing what it writes",
    command: "echo 'measuring…'; seq 1 40; echo 'no faster than before' >&2",
    checks: [
      { kind: "file_exists", target: "README.md" },
      { kind: "command_succeeds", target: "echo 'expected 2.0, got 1.1' >&2; exit 1" },
    ],
    max_attempts: 2,
    priority: "urgent",
  });
  const failed = await api.createTask({ title: "Upgrade the database driver", command: "echo 'error: no such version'; exit 101" });
  const skipped = await api.createTask({ title: "Announce the upgrade", command: "true", depends_on: [failed] });
  const unverified = await api.createTask({ title: "Tidy the changelog", command: "echo done", priority: "low" });
  await api.reaches(proven, "succeeded");
  await api.reaches(partial, "partial");
  await api.reaches(skipped, "skipped");
  await api.reaches(unverified, "succeeded");
  const cancelled = await api.createTask({ title: "Rewrite everything", command: "sleep 300" });
  await api.reaches(cancelled, "running");
  await api.cancel(cancelled);
  await api.reaches(cancelled, "cancelled");
  const running = await api.createTask({
    title: "Sweep the test suite for flaky tests",
    command: "for n in $(seq 1 30); do echo \"run $n: 214 passed\"; done; sleep 600",
    checks: [{ kind: "test_passes", target: "auto" }],
    concurrency: { key: "release" },
  });
  const blocked = await api.createTask({ title: "Publish the report on flaky tests", command: "true", depends_on: [running] });
  await api.reaches(running, "running");
  // an agent that waits has a slot, so it takes that one's place for the last pages
  const waits = await api.createTask({ title: asks, prompt: "Release it. fake:releases", agent: asking, concurrency: { key: "release" } });
  const letAsk = async (page: Page) => {
    await api.cancel(running);
    await question(page, asks).getByText("Say why").click();
  };
  let link = "";
  const makeLink = async (page: Page) => {
    await question(page, asks).getByRole("button", { name: "Copy a link" }).click();
    link = (await question(page, asks).locator(".c-command code").textContent()) ?? "";
  };
  const openLink = async (page: Page) => {
    await page.goto(link);
    await hydration(page);
  };

  const edited = await api.createTask({ title: "Make a file of it", prompt: "Make a file. fake:edit", agent: { backend: "claude-code" } });
  await api.reaches(edited, "succeeded");

  const held = await api.heldRepository();
  for (const [title, priority] of [["Rotate the signing keys", "urgent"], ["Refresh the fixtures", "low"]] as const) {
    await api.createTask({ title, command: "true", repository: held, priority, tags: ["nightly", "team/web"] });
  }
  const dead = await api.createTask({ title: "Rebuild the index", command: "true", repository: held, queue_seconds: 1 });
  const paused = await api.createTask({ title: "Migrate the archive", command: "true", repository: held });
  await api.pause(paused);
  await api.reaches(dead, "dead");

  await api.saveView({ name: "Broken", filter: { state: "failed" }, shared: true });
  await api.saveView({ name: "Low at night", filter: { tag: "nightly", priority: "low" }, shared: true });

  await api.saveWorkflow(release(api.repository));
  const waiting = await api.startRun("release", { version: "4.2.0" });
  await api.runReaches(waiting, "waiting");
  const approval = await api.taskOf(waiting, "ok");
  const goneOn = await api.startRun("release", { version: "4.1.0", channel: "stable" });
  await api.runReaches(goneOn, "waiting");
  await api.approve(await api.taskOf(goneOn, "ok"));
  await api.reaches(await api.taskOf(goneOn, "deploy"), "succeeded");
  await api.saveWorkflow(`name: nightly\nrepository: ${api.repository}\nsteps:\n  - {id: fetch, command: "true"}\n  - {id: sweep, needs: [fetch], max_attempts: 1, command: exit 3}\n  - {id: report, needs: [sweep], command: "true"}\n`);
  const broken = await api.startRun("nightly");
  await api.runReaches(broken, "failed");

  // those that have joined belong to other tests
  const runner = (await api.runners()).find((one) => !one.joined)?.id ?? "none";

  const task = (name: string, id: string, view?: string): Example => ({ name, path: `/tasks/${id}${view ? `?view=${view}` : ""}` });
  const examples: Example[] = [
    { name: "sign-in", path: "/sign-in", signedOut: true },
    { name: "setup-over", path: "/setup", signedOut: true },
    { name: "overview", path: "/" },
    { name: "tasks", path: "/tasks" },
    { name: "tasks-filtered", path: "/tasks?state=failed" },
    { name: "tasks-none", path: "/tasks?text=there+is+no+such+task" },
    { name: "tasks-change", path: "/tasks/change?tag=nightly" },
    { name: "tasks-view", path: "/tasks?tag=nightly&priority=low" },
    { name: "tasks-picked", path: "/tasks?tag=nightly", prepare: pickAll },
    { name: "board", path: "/board" },
    { name: "board-filtered", path: "/board?tag=nightly" },
    { name: "views", path: "/views?state=failed" },
    { name: "views-change", path: "/views", prepare: openChange },
    { name: "queue", path: "/queue" },
    { name: "runners", path: "/runners" },
    { name: "runner", path: `/runners/${runner}` },
    { name: "endpoints", path: "/endpoints?model=fake-large" },
    { name: "endpoint", path: `/endpoints/${await api.endpoint()}` },
    { name: "dead", path: "/dead" },
    { name: "dead-asks", path: "/dead", prepare: askToDiscard },
    task("task-paused", paused),
    task("task-dead", dead),
    { name: "task-edit", path: `/tasks/${running}/edit` },
    { name: "new-task", path: "/tasks/new" },
    { name: "new-task-filled", path: `/tasks/new?from=${partial}` },
    { name: "new-task-refused", path: "/tasks/new", prepare: sendNonsense },
    task("task-running", running),
    task("task-proven", proven),
    ...["checks", "diff", "attempts", "timeline", "definition"].map((view) => task(`task-${view}`, proven, view)),
    task("task-partial", partial),
    task("task-partial-checks", partial, "checks"),
    task("task-partial-attempts", partial, "attempts"),
    task("task-failed", failed),
    task("task-skipped", skipped),
    task("task-blocked", blocked),
    task("task-cancelled", cancelled),
    task("task-unverified-checks", unverified, "checks"),
    { name: "task-cancel-asked", path: `/tasks/${running}`, prepare: askToCancel },
    { name: "workflows", path: "/workflows" },
    { name: "workflow", path: "/workflows/release" },
    { name: "workflow-new", path: "/workflows/new" },
    { name: "workflow-wrong", path: "/workflows/release/edit", prepare: breakDefinition },
    { name: "workflow-run", path: "/workflows/release/run" },
    { name: "workflow-run-refused", path: "/workflows/release/run", prepare: startWithout },
    { name: "runs", path: "/runs" },
    { name: "run-waiting", path: `/runs/${waiting}` },
    { name: "run-change", path: `/runs/${waiting}/change` },
    { name: "run-gone-on", path: `/runs/${goneOn}` },
    { name: "run-failed", path: `/runs/${broken}` },
    task("task-approval", approval),
    task("task-session", edited, "session"),
    { name: "shortcuts", path: "/", prepare: openShortcuts },
    { name: "person-menu", path: "/", prepare: openPersonMenu },
    { name: "not-found", path: "/nothing/here" },
    { name: "components", path: "/dev/components" },
    { name: "approvals", path: "/approvals", prepare: letAsk },
    { name: "approvals-always", path: "/approvals", prepare: openAlways },
    task("task-asks", waits, "session"),
    { name: "approvals-link", path: "/approvals", prepare: makeLink },
    { name: "answer", path: "/sign-in", signedOut: true, prepare: openLink },
    { name: "approvals-answered", path: "/approvals", prepare: answerAndAddRule },
  ];
  return { examples, running: waits };
}

async function sendNonsense(page: Page): Promise<void> {
  await page.getByLabel("Title").fill("Fix it");
  await page.getByLabel("Repository").fill("somewhere");
  await page.getByLabel("Shell command").fill("make");
  await page.getByLabel("Kind of check 1").selectOption("file_exists");
  await page.getByLabel("Target of check 1").fill("../outside");
  await page.getByRole("button", { name: "Create task" }).click();
  await page.getByRole("alert").waitFor();
}

/** A step needs one that is not there. */
async function breakDefinition(page: Page): Promise<void> {
  const field = page.getByLabel("Definition");
  await field.fill((await field.inputValue()).replaceAll("needs: [build]", "needs: [biuld]"));
  await page.getByText("to put right").waitFor();
}

/** The server refuses what the browser lets through. */
async function startWithout(page: Page): Promise<void> {
  await page.getByLabel("version").fill("4.3.0");
  await page.getByLabel("Repository").fill("somewhere");
  await page.getByRole("button", { name: "Start" }).click();
  await page.getByRole("alert").waitFor();
}

async function pickAll(page: Page): Promise<void> {
  for (const box of await page.getByRole("checkbox").all()) await box.check();
}

async function openChange(page: Page): Promise<void> {
  await page.getByRole("row").getByText("Change").last().click();
}

async function askToDiscard(page: Page): Promise<void> {
  await page.getByText("Discard all…").click();
}

async function openAlways(page: Page): Promise<void> {
  await question(page, asks).getByText("Always allow this here…").click();
}

/** It asks for something else then. */
async function answerAndAddRule(page: Page): Promise<void> {
  await allow(question(page, asks));
  await question(page, asks).getByText("make publish").first().waitFor();
  await page.getByText("Add a rule…").click();
  await page.getByLabel("Allows").fill("make lint *");
  await page.getByRole("button", { name: "Add the rule" }).click();
  await page.getByRole("table", { name: "Rules, newest first" }).getByText("make lint *").first().waitFor();
}

async function askToCancel(page: Page): Promise<void> {
  await page.getByRole("button", { name: "Cancel", exact: true }).click();
  await page.getByRole("dialog").waitFor();
}

/** The button has no text on a narrow screen, but the key works everywhere. */
async function openShortcuts(page: Page): Promise<void> {
  await page.locator("html").press("?");
  await page.getByRole("dialog").waitFor();
}
