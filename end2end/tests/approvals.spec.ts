import { dirname, join } from "node:path";
import { allow, answered, command, deny, expectCounted, question, questionsHere, saidBy, session, test } from "../approvals.ts";
import { expect, hydration, nobody, owner, unique } from "../fixtures.ts";
import { sampleRepository } from "../muster.mjs";
import { badge } from "../pages.ts";

test("an agent asks before it runs a command, and goes on when somebody allows it", async ({ page, visit, api, asks, arrives }) => {
  const { id, title } = await asks("Asks first");
  await visit("/approvals");
  const asked = question(page, title);
  await arrives((timeout) => expect(asked).toBeVisible({ timeout }));
  await expect(asked).toContainText("Claude Code wants to run a command");
  await expect(asked.locator("pre").first(), "the very characters of it").toHaveText(command);
  await expect(asked.getByRole("link", { name: "attempt 1" })).toHaveAttribute("href", `/tasks/${id}?view=session&attempt=1`);
  await asked.getByText("All of it").click();
  await expect(asked.getByRole("group", { name: "Input" })).toContainText(`"command": "${command}"`);
  await expect(asked).toContainText("When nobody answers, it is denied by itself");
  const times = await asked.locator(".c-approval__times time").evaluateAll((all) => all.map((time) => Date.parse(time.getAttribute("datetime") ?? "")));
  expect((times[1] ?? 0) - (times[0] ?? 0), "half an hour").toBe(30 * 60 * 1000);
  await expectCounted(page);
  expect(await api.state(id), "it waits").toBe("running");

  await allow(asked);
  await arrives((timeout) => expect(asked).toHaveCount(0, { timeout }));
  await expect(answered(page, title)).toContainText("Allowed");
  await expect(answered(page, title)).toContainText(owner.name);
  await api.reaches(id, "succeeded");
  await visit(`/tasks/${id}?view=session`);
  await expect(session(page)).toContainText(`Asked to use Bash on ${command}: allowed by ${owner.name}`);
  await expect(session(page)).toContainText("That is all.");
});

test("what somebody denies is told to the agent with the reason, and is no failure", async ({ page, visit, api, asks, arrives }) => {
  const { id, title } = await asks("Is denied");
  await visit("/approvals");
  const asked = question(page, title);
  await arrives((timeout) => expect(asked).toBeVisible({ timeout }));
  await deny(asked, "Use make instead");
  await arrives((timeout) => expect(asked).toHaveCount(0, { timeout }));
  await expect(answered(page, title)).toContainText("Denied");
  await expect(answered(page, title)).toContainText("“Use make instead”");
  await api.reaches(id, "succeeded");
  await visit(`/tasks/${id}?view=session`);
  await expect(session(page)).toContainText(`denied by ${owner.name}`);
  const call = session(page).locator("details", { hasText: command });
  await call.locator("summary").click();
  await expect(call.getByRole("group", { name: "Answer" })).toContainText("Use make instead");
});

test("what is always allowed is asked no more, until its rule is removed", async ({ page, visit, api, asks, arrives }) => {
  test.slow();
  // a rule is of its repository, so that of other tests people are asked
  const name = unique("own").replace(" ", "-");
  const repository = sampleRepository(join(dirname(api.repository), name));
  const first = await asks("Asks once", { repository });
  await visit("/approvals");
  const asked = question(page, first.title);
  await arrives((timeout) => expect(asked).toBeVisible({ timeout }));
  await asked.getByText("Always allow this here…").click();
  await expect(asked.getByRole("radio", { name: command, exact: true })).toBeChecked();
  await asked.getByRole("button", { name: "Allow, and make the rule" }).click();
  await api.reaches(first.id, "succeeded");

  const second = await asks("Asks nobody", { repository });
  await api.reaches(second.id, "succeeded");
  await visit(`/tasks/${second.id}?view=session`);
  await expect(session(page)).toContainText(`allowed by the rule “${command}”`);

  await visit("/approvals");
  await expect(answered(page, second.title)).toContainText(`the rule “${command}”`);
  const rule = page.getByRole("table", { name: "Rules, newest first" }).getByRole("row").filter({ hasText: name });
  await expect(rule).toContainText(command);
  await expect(rule).toContainText("Used 1 time");
  await rule.getByText("Remove…").click();
  await rule.getByRole("button", { name: "Remove the rule" }).click();
  await arrives((timeout) => expect(rule).toHaveCount(0, { timeout }));
  const third = await asks("Asks again", { repository });
  await arrives((timeout) => expect(question(page, third.title)).toBeVisible({ timeout }));
});

test("the page of a task shows what its agent waits for, and takes the answer", async ({ page, visit, asks, arrives }) => {
  const { id } = await asks("Asks here");
  await visit(`/tasks/${id}`);
  const asked = questionsHere(page);
  await arrives((timeout) => expect(asked).toContainText(command, { timeout }));
  await expect(badge(page, "Asks")).toBeVisible();
  await expectCounted(page);
  await allow(asked);
  await arrives((timeout) => expect(asked).toHaveCount(0, { timeout }));
  await arrives((timeout) => expect(badge(page, "Succeeded")).toBeVisible({ timeout }));
  await expect(badge(page, "Asks")).toHaveCount(0);
});

test.describe("a link to a question", () => {
  test.use({ expectedComplaints: /status of 404/ });

  test("answers it once, for somebody who is not signed in", async ({ page, browser, visit, watched, api, asks, arrives, hydrated }) => {
    const { id, title } = await asks("Asks by link");
    await visit("/approvals");
    const asked = question(page, title);
    await arrives((timeout) => expect(asked).toBeVisible({ timeout }));
    await asked.getByRole("button", { name: "Copy a link" }).click();
    const link = asked.locator(".c-command code");
    await expect(link).toContainText("/answer?token=");
    const address = (await link.textContent()) ?? "";

    const stranger = await watched(await (await browser.newContext({ storageState: nobody, javaScriptEnabled: hydrated })).newPage());
    await stranger.goto(address);
    if (hydrated) await hydration(stranger);
    await expect(stranger.getByRole("heading", { level: 1 })).toHaveText("Claude Code wants to run a command");
    await expect(stranger.getByRole("main")).toContainText(command);
    await expect(stranger.getByRole("link", { name: title }), "nothing else is shown to them").toHaveCount(0);
    expect(await api.state(id), "looking answers nothing").toBe("running");
    await allow(stranger.getByRole("main"));
    await expect(stranger.getByRole("heading", { level: 1 })).toHaveText("Allowed");
    await api.reaches(id, "succeeded");

    const again = await stranger.goto(address);
    expect(again?.status()).toBe(404);
    await expect(stranger.getByRole("heading", { level: 1 })).toHaveText("This link leads nowhere");
    await stranger.context().close();
    await visit(`/tasks/${id}?view=session`);
    await expect(session(page)).toContainText(`allowed by a link of ${owner.name}`);
  });
});

test.describe("of two people who answer", () => {
  test.use({ expectedComplaints: /status of 409/ });

  test("the second is told who was first", async ({ page, visit, watched, asks, arrives, hydrated }) => {
    test.skip(hydrated, "a page that is alive shows no more what was answered elsewhere");
    const { title } = await asks("Is answered twice");
    await visit("/approvals");
    await arrives((timeout) => expect(question(page, title)).toBeVisible({ timeout }));
    const other = await watched(await page.context().newPage());
    await other.goto("/approvals");
    await allow(question(other, title));
    await expect(answered(other, title)).toContainText("Allowed");
    await deny(question(page, title), "Not now");
    await expect(page.getByText(`This was allowed already by ${owner.name}.`)).toBeVisible();
    await expect(answered(page, title)).toContainText("Allowed");
  });
});

test("what somebody tells an agent at work is in its session, and the agent goes on with it", async ({ page, visit, api, asks, arrives }) => {
  // it waits for an answer meanwhile, so that there is time to tell it something
  const { id } = await asks("Is told something");
  await visit(`/tasks/${id}?view=session`);
  await arrives((timeout) => expect(questionsHere(page)).toBeVisible({ timeout }));
  await page.getByLabel("Tell the agent").fill("Mind the tests");
  await page.getByRole("button", { name: "Tell it", exact: true }).click();
  await arrives((timeout) => expect(saidBy(page, owner.name)).toHaveText("Mind the tests", { timeout }));
  await allow(questionsHere(page));
  await api.reaches(id, "succeeded");
  await arrives((timeout) => expect(session(page)).toContainText("That is all.", { timeout }));
  const order = ["I begin.", "Mind the tests", "That is all."];
  const entries = await session(page).getByRole("listitem").allTextContents();
  expect(entries.flatMap((entry) => order.filter((words) => entry.includes(words)))).toEqual(order);
  await arrives((timeout) => expect(page.getByLabel("Tell the agent"), "nobody is there any more to hear it").toHaveCount(0, { timeout }));
});

test("an agent that is interrupted leaves off what it does, and goes on with what it is told", async ({ page, visit, api, works, arrives }) => {
  const { id } = await works("Is interrupted", "Lie down. fake:sleeps");
  await visit(`/tasks/${id}?view=session`);
  await arrives((timeout) => expect(session(page)).toContainText("sleep 300", { timeout }));
  await page.getByLabel("Tell the agent").fill("Get up");
  await page.getByRole("button", { name: "Interrupt and tell it" }).click();
  await arrives((timeout) => expect(saidBy(page, owner.name)).toHaveText("Get up", { timeout }));
  await api.reaches(id, "succeeded");
  await arrives((timeout) => expect(session(page)).toContainText("That is all.", { timeout }));
});
