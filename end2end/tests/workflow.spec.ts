import { expect, test, unique, type Api } from "../fixtures.ts";
import { fillSource, openEditor, runBadge, stepRow } from "../pages.ts";

test.use({ expectedComplaints: /status of 422.*(save_workflow|start_run|preview_change|change_run)/ });

/** Lower case, as the name of a workflow has to be. */
function name(words: string): string {
  return unique(words).replaceAll(" ", "-").toLowerCase();
}

function approved(name: string, api: Api): string {
  return `name: ${name}
title: Greet \${{ whom }}
repository: ${api.repository}
parameters:
  whom:
    description: Who is greeted
  tone: {choices: [kind, short], default: kind}
steps:
  - id: write
    title: Write it
    command: echo "hello $MUSTER_INPUT_WHOM, $MUSTER_INPUT_TONE"
  - id: ok
    title: May it go out?
    needs: [write]
    approval:
      message: Greet \${{ whom }} now?
  - id: send
    title: Send it
    needs: [ok]
    command: echo sent to $MUSTER_INPUT_WHOM
`;
}

test("a workflow is written, run with a parameter, approved, and succeeds", async ({ page, visit, api, hydrated, arrives }) => {
  const workflow = name("greet");
  await visit("/workflows");
  await page.getByRole("link", { name: "New workflow" }).first().click();
  await openEditor(page);
  await fillSource(page, approved(workflow, api), hydrated);
  await expect(page.getByText("Can be saved")).toBeVisible();
  await expect(page.getByRole("link", { name: "May it go out?: Approval" })).toBeVisible();
  await page.getByRole("button", { name: "Save" }).click();

  await expect(page).toHaveURL(new RegExp(`/workflows/${workflow}$`));
  await expect(page.getByRole("heading", { level: 1, name: workflow })).toBeVisible();
  await expect(page.getByRole("row").filter({ hasText: "May it go out?" })).toContainText("Approval");
  await page.getByRole("link", { name: "Run", exact: true }).click();

  await expect(page.getByRole("heading", { level: 1, name: `Run ${workflow}` })).toBeVisible();
  await page.getByLabel("whom").fill("Grace");
  await page.getByLabel("tone").selectOption("short");
  await page.getByRole("button", { name: "Start" }).click();

  await expect(page).toHaveURL(/\/runs\//);
  await expect(page.getByRole("heading", { level: 1, name: "Greet Grace" })).toBeVisible();
  await arrives((timeout) => expect(runBadge(page, "Waiting")).toBeVisible({ timeout }));
  await expect(page.getByText("Greet Grace now?")).toBeVisible();
  await page.getByLabel("Comment").fill("Go ahead");
  await page.getByRole("button", { name: "Approve" }).click();
  await arrives((timeout) => expect(runBadge(page, "Succeeded")).toBeVisible({ timeout }));
  await expect(stepRow(page, "ok")).toContainText("Passed");
  await expect(stepRow(page, "send")).toContainText("Succeeded");

  // the gate's own page claims nothing about a proof
  await stepRow(page, "ok").getByRole("link").click();
  await expect(page.getByRole("heading", { level: 1, name: "May it go out?" })).toBeVisible();
  await expect(page.locator(".p-task__badges")).toContainText("Approval");
  await expect(page.locator(".p-task__badges")).not.toContainText(/verified/i);
  await expect(page.getByRole("navigation", { name: "Views of this task" })).not.toContainText("Log");
});

test("what fails is restarted from its step, and what succeeded is taken over", async ({ page, visit, api, gate, arrives }) => {
  const workflow = name("mend");
  await api.saveWorkflow(`name: ${workflow}
repository: ${api.repository}
steps:
  - {id: first, command: "true"}
  - {id: second, needs: [first], max_attempts: 1, command: ${JSON.stringify(gate.test)}}
  - {id: third, needs: [second], command: "true"}
`);
  const run = await api.startRun(workflow);
  await visit(`/runs/${run}`);
  await arrives((timeout) => expect(runBadge(page, "Failed")).toBeVisible({ timeout }));
  await expect(stepRow(page, "third")).toContainText("Skipped");
  gate.open();
  await stepRow(page, "second").getByRole("button", { name: "Restart from here" }).click();
  await expect(page).not.toHaveURL(new RegExp(run));
  await expect(page.getByText("goes on from run")).toBeVisible();
  await arrives((timeout) => expect(runBadge(page, "Succeeded")).toBeVisible({ timeout }));
  await expect(stepRow(page, "first")).toContainText("taken over");
  await expect(stepRow(page, "third")).toContainText("Succeeded");
});

test("a definition that is not right says what and where", async ({ page, visit, hydrated }) => {
  await visit("/workflows/new");
  await openEditor(page);
  const source = "name: broken\nsteps:\n  - id: ship\n    needs: [nobody]\n    command: make\n";
  await fillSource(page, source, hydrated);
  const said = page.getByRole("status").filter({ hasText: "to put right" });
  await expect(said).toContainText("There is no step “nobody”");
  await expect(said).toContainText("/steps/0/needs/0");
  await expect(said).toContainText("in line 4");
  await page.getByRole("button", { name: "Save" }).click();
  await expect(said).toContainText("There is no step “nobody”");
  await expect(page.getByLabel("Definition")).toHaveValue(source);
  await fillSource(page, "name: [\n", hydrated);
  await expect(page.getByText("1 thing to put right")).toBeVisible();
});

test.describe("a workflow that somebody else saves meanwhile", () => {
  test.use({ expectedComplaints: /status of 412/ });

  test("is not written over unseen, and what was typed stays", async ({ page, visit, api }) => {
    const workflow = name("shared");
    const source = (title: string) => `name: ${workflow}\ntitle: ${title}\nrepository: ${api.repository}\nsteps:\n  - {id: only, command: "true"}\n`;
    await api.saveWorkflow(source("At first"));
    await visit(`/workflows/${workflow}/edit`);
    await openEditor(page);
    await page.getByLabel("Definition").fill(source("Mine"));
    await api.saveWorkflow(source("Theirs"));
    await page.getByRole("button", { name: "Save" }).click();
    await expect(page.getByText("saved version 2 at")).toBeVisible();
    await expect(page.getByRole("link", { name: "Look at what is there now" })).toHaveAttribute("href", `/workflows/${workflow}`);
    await expect(page.getByLabel("Definition")).toHaveValue(source("Mine"));
    await page.getByRole("button", { name: "Save" }).click();
    await expect(page).toHaveURL(new RegExp(`/workflows/${workflow}$`));
    await expect(page.getByText("3 of 3")).toBeVisible();

    // nor does a new one take its name
    await visit("/workflows/new");
    await openEditor(page);
    await page.getByLabel("Definition").fill(source("A new one"));
    await page.getByRole("button", { name: "Save" }).click();
    await expect(page.getByText("saved version 3 at")).toBeVisible();
  });
});

test("a value of the wrong type is said at its field, and what was typed stays", async ({ page, visit, api }) => {
  const workflow = name("typed");
  await api.saveWorkflow(`name: ${workflow}
repository: ${api.repository}
parameters: {count: {type: number}, note: {default: none}}
steps:
  - {id: only, command: "true"}
`);
  await visit(`/workflows/${workflow}/run`);
  await page.getByLabel("count").fill("many");
  await page.getByLabel("note").fill("kept");
  await page.getByRole("button", { name: "Start" }).click();
  await expect(page.locator("#parameter-count-error")).toContainText("Must be a number");
  await expect(page.getByLabel("note")).toHaveValue("kept");
});

test("a run is paused, goes on, and is cancelled", async ({ page, visit, api, gate, hydrated, arrives }) => {
  const workflow = name("held");
  await api.saveWorkflow(`name: ${workflow}
repository: ${api.repository}
steps:
  - {id: wait, wait: true, delay_seconds: 600}
  - {id: work, needs: [wait], command: ${JSON.stringify(gate.command)}}
`);
  const run = await api.startRun(workflow);
  await visit(`/runs/${run}`);
  await page.getByRole("button", { name: "Pause", exact: true }).click();
  await arrives((timeout) => expect(page.getByText(/ paused this run$/)).toBeVisible({ timeout }));
  await page.getByRole("button", { name: "Resume" }).click();
  await arrives((timeout) => expect(page.getByText(/ paused this run$/)).toBeHidden({ timeout }));
  await page.getByRole("button", { name: "Cancel", exact: true }).click();
  if (hydrated) await page.getByRole("button", { name: "Cancel the run" }).click();
  await arrives((timeout) => expect(runBadge(page, "Cancelled")).toBeVisible({ timeout }));
  await visit(`/runs?workflow=${workflow}`);
  await expect(page.getByRole("row").filter({ hasText: workflow })).toContainText("Cancelled");
});

test("a run is changed while it runs: what would come of it is shown first", async ({ page, visit, api, gate, hydrated, arrives }) => {
  const workflow = name("changed");
  await api.saveWorkflow(`name: ${workflow}
repository: ${api.repository}
steps:
  - {id: work, title: Work, command: ${JSON.stringify(gate.command)}}
  - {id: publish, title: Publish, needs: [work], command: "true"}
  - {id: tidy, title: Tidy, needs: [work], command: "true"}
`);
  const run = await api.startRun(workflow);
  await visit(`/runs/${run}`);
  await arrives((timeout) => expect(stepRow(page, "work")).toContainText("Running", { timeout }));
  await page.getByRole("link", { name: "Change", exact: true }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Change this run" })).toBeVisible();
  const field = page.getByLabel("Change", { exact: true });
  await expect(field).toHaveValue(/- step: publish\n {4}needs: \[work\]/);
  await expect(page.getByText("Nothing would change yet")).toBeVisible();

  const write = async (source: string): Promise<void> => {
    await field.fill(source);
    if (!hydrated) await page.getByRole("button", { name: "Preview" }).click();
  };
  const said = page.getByRole("status").filter({ hasText: "to put right" });
  await write("remove: [work]\n");
  await expect(said).toContainText("“publish” needs it");
  await write("rewire:\n  - step: work\n    needs: [tidy]\n");
  await expect(said).toContainText("in line 3");

  await write("add:\n  - {id: check, title: Check, needs: [work], command: 'true'}\nremove: [tidy]\nrewire:\n  - step: publish\n    needs: [work, check]\n");
  await expect(page.getByText("1 step added, 1 step removed, 1 step rewired")).toBeVisible();
  const preview = page.getByRole("table", { name: "What would change" });
  await expect(preview.getByRole("row").filter({ hasText: "Publish" })).toContainText("before: work");
  await page.getByRole("button", { name: "Change the run" }).click();

  await expect(page).toHaveURL(new RegExp(`/runs/${run}$`));
  await arrives((timeout) => expect(stepRow(page, "tidy")).toContainText("Removed", { timeout }));
  await expect(stepRow(page, "check")).toContainText("Waits");
  await expect(page.getByRole("region", { name: "Changes" })).toContainText("Added check; removed tidy; rewired publish");
  gate.open();
  await arrives((timeout) => expect(runBadge(page, "Succeeded")).toBeVisible({ timeout }));
  await expect(stepRow(page, "publish")).toContainText("Succeeded");
  await stepRow(page, "publish").getByRole("link").click();
  await page.getByRole("navigation", { name: "Views of this task" }).getByRole("link", { name: "Timeline" }).click();
  await expect(page.getByText(/Rewired: waits for/)).toBeVisible();
});

test("a judge chooses among candidates, and the page says whom and why", async ({ page, visit, api, arrives }) => {
  const workflow = name("judged");
  await api.saveWorkflow(`name: ${workflow}
repository: ${api.repository}
steps:
  - id: try
    title: Try it
    command: printf '%s' "$MUSTER_INPUT_CANDIDATE" > "$MUSTER_OUTPUT"
    candidates:
      count: 2
      judge:
        task:
          title: Compare them
          command: |
            printf '{"winner": 2, "reason": "It is longer"}' > "$MUSTER_OUTPUT"
`);
  const run = await api.startRun(workflow);
  await visit(`/runs/${run}`);
  await arrives((timeout) => expect(runBadge(page, "Succeeded")).toBeVisible({ timeout }));
  await expect(stepRow(page, "try[judge]")).toContainText("Compare them");
  await stepRow(page, "try").getByRole("link").click();
  await expect(page.getByText("Candidate 2 was chosen by the judge")).toBeVisible();
  await expect(page.getByText("The judge named it: It is longer.")).toBeVisible();
  await page.getByRole("link", { name: "See the judge" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Compare them" })).toBeVisible();
});
