//! What most tasks leave as it is: lane, times, retries, agent, dependencies, labels and limits.

use domain::{Ask, Land, task::Tier};
use leptos::prelude::*;

use super::{agents::Agents, form::TaskForm, terms_fields::In};
use crate::components::{SelectField, TextAreaField, TextField};

#[component]
pub fn More<E>(form: TaskForm, agents: Agents, errors: E) -> impl IntoView
where
    E: Fn(&'static str) -> Signal<Vec<String>> + 'static,
{
    let usual = TaskForm::default();
    // anything but what is usual is shown
    let shown = |form: &TaskForm| {
        let unusual = TaskForm { title: String::new(), ..form.clone() };
        let TaskForm { work, command, prompt, repository, base_ref, repositories, success_criteria, checks, .. } = TaskForm::default();
        TaskForm { work, command, prompt, repository, base_ref, repositories, success_criteria, checks, ..unusual }
    };
    let is_open = shown(&form) != usual;
    let field = In { form: "form", errors: &errors };
    let tiers: Vec<_> = std::iter::once(("", "As it reads")).chain(Tier::ALL.map(|tier| (tier.name(), tier_name(tier)))).collect();
    let (usual_agent, agents) = (vec![("", "Whatever the runner has")], agents.choices(&form.agent));
    let asks = vec![("", "As usual: nothing"), (Ask::Commands.name(), "Commands"), (Ask::Everything.name(), "Everything")];
    let fetched = vec![("", "Nothing"), ("submodules", "Submodules"), ("lfs", "Files of Git LFS"), ("submodules lfs", "Both of them")];
    let lands = Land::ALL.map(|land| (land.name(), land.label())).to_vec();
    view! {
        <details class="p-new__more" open=is_open>
            <summary class="p-new__heading">"More: priority, time, needs, agent, dependencies, labels, limits"</summary>
            <div class="p-new__part">
                <div class="p-new__trio">
                    {field.priority(form.priority)}
                    {field.timeout(form.timeout, "For one attempt, such as 90s, 15m or 1h 30m.")}
                    {field.max_attempts(form.max_attempts, "1 to 10; a failed check is handed to the next one.")}
                </div>
                {field.retry([form.retry, form.retry_base, form.retry_cap, form.retry_by_class])}
                <div class="p-new__trio">
                    <TextField
                        id="capabilities"
                        label="Needs"
                        name="form[capabilities]"
                        value=form.capabilities
                        optional=true
                        hint="What its runner must have, such as gpu docker. No other is given it."
                        errors=errors("/capabilities")
                    />
                    <SelectField
                        id="tier"
                        label="How hard it is"
                        name="form[tier]"
                        value=form.tier
                        choices=tiers
                        hint="What you say counts; how it reads is shown beside it."
                        errors=errors("/tier")
                    />
                    <TextField
                        id="estimate"
                        label="Expected to take"
                        name="form[estimate]"
                        value=form.estimate
                        optional=true
                        max=20_u32
                        hint="Such as 10m; shown beside what it took."
                        errors=errors("/estimate_seconds")
                    />
                </div>
                <div class="p-new__duo">
                    <SelectField
                        id="agent"
                        label="Agent"
                        name="form[agent]"
                        value=form.agent
                        choices=usual_agent
                        more=agents
                        hint="Who is given a prompt. No runner without it is given the task."
                        errors=errors("/agent")
                    />
                    <TextField
                        id="model"
                        label="Model"
                        name="form[model]"
                        value=form.model
                        optional=true
                        code=true
                        max=200_u32
                        hint="As the agent knows it; its own choice if empty."
                        errors=errors("/agent/model")
                    />
                    <TextField
                        id="max-turns"
                        label="Most turns"
                        name="form[max_turns]"
                        kind="number"
                        value=form.max_turns
                        optional=true
                        hint="Answers of the model, each time that it is told something."
                        errors=errors("/agent/max_turns")
                    />
                    <SelectField
                        id="ask"
                        label="Asks people for"
                        name="form[ask]"
                        value=form.ask
                        choices=asks
                        hint="It waits until somebody allows or denies it. In a sandbox, to ask for commands leaves it free to edit files."
                        errors=errors("/agent/ask")
                    />
                    <TextField
                        id="answer-minutes"
                        label="Waits for an answer"
                        name="form[answer_minutes]"
                        kind="number"
                        value=form.answer_minutes
                        optional=true
                        hint="In minutes: what nobody has answered by then is denied; 30 if empty."
                        errors=errors("/agent/answer_minutes")
                    />
                    <TextField
                        id="max-cost"
                        label="Most cost in dollars"
                        name="form[max_cost]"
                        value=form.max_cost
                        optional=true
                        max=20_u32
                        hint="Such as 2.50, in each attempt; the agent is stopped once that is passed."
                        errors=errors("/agent/max_cost_cents")
                    />
                    <TextField
                        id="verification-retries"
                        label="Rounds after failed checks"
                        name="form[verification_retries]"
                        kind="number"
                        value=form.verification_retries
                        optional=true
                        hint="How often the agent is told what did not pass and goes on, in one attempt: 0 to 5, and 2 if empty."
                        errors=errors("/agent/max_verification_retries")
                    />
                </div>
                <SelectField
                    id="also-fetched"
                    label="Also fetched"
                    name="form[also_fetched]"
                    value=form.also_fetched
                    choices=fetched
                    hint="Beside the repository's files, by the runner, with what its machine may read."
                    errors=errors("/also_fetched")
                />
                <TextField
                    id="run-at"
                    label="Not before"
                    name="form[run_at]"
                    kind="datetime-local"
                    value=form.run_at
                    optional=true
                    hint="In UTC. It also waits for what it depends on."
                    errors=errors("/run_at")
                />
                <div class="p-new__trio">
                    {field.complete_by(form.complete_by)}
                    {field.queue_time(form.queue_time)}
                    <TextField
                        id="share"
                        label="Shares"
                        name="form[share]"
                        value=form.share
                        optional=true
                        max=110_u32
                        hint="A key such as staging, or staging=3: so many with it run at once."
                        errors=errors("/concurrency")
                    />
                </div>
                <div class="p-new__trio">
                    <SelectField
                        id="land"
                        label="When it has passed"
                        name="form[land]"
                        value=form.land
                        choices=lands
                        hint="The runner pushes with the token of its machine; nothing lands that has not passed."
                        errors=errors("/land")
                    />
                    {field.tags(form.tags)}
                    <TextField
                        id="correlation-id"
                        label="Belongs to"
                        name="form[correlation_id]"
                        value=form.correlation_id
                        optional=true
                        max=100_u32
                        hint="A ticket or a build; the work sees it as MUSTER_CORRELATION_ID."
                        errors=errors("/correlation_id")
                    />
                </div>
                <TextAreaField
                    id="depends-on"
                    label="Depends on"
                    name="form[depends_on]"
                    value=form.depends_on
                    optional=true
                    code=true
                    rows=2
                    hint="Ids of tasks that have to succeed first; with :end behind it, one only has to end. When one does not, this task is skipped."
                    errors=errors("/depends_on")
                />
                <TextAreaField
                    id="inputs"
                    label="Inputs"
                    name="form[inputs]"
                    value=form.inputs
                    optional=true
                    code=true
                    rows=2
                    hint="name=value, one per line. A command reads MUSTER_INPUT_NAME; a prompt holds ${{ name }}."
                    errors=errors("/inputs")
                />
                <TextAreaField
                    id="files"
                    label="Files of interest"
                    name="form[files]"
                    value=form.files
                    optional=true
                    code=true
                    rows=2
                    hint="One per line; a hint for the work."
                    errors=errors("/files")
                />
            </div>
        </details>
    }
}

fn tier_name(tier: Tier) -> &'static str {
    match tier {
        Tier::Trivial => "Trivial",
        Tier::Standard => "Standard",
        Tier::Complex => "Complex",
    }
}
