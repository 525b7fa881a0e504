//! What is allowed without asking anybody: the rules, what has come of them, and who made and removed them.

use domain::{ApprovalRule, AskedKind, Permission, Repository, Role, approval::PATTERN_MAX, exact_text::visible};
use leptos::{form::ActionForm, prelude::*};
use leptos_router::hooks::use_query_map;

use super::{MakeApprovalRule, RemoveApprovalRule, acts::refusal, answer_form::RuleDraft, words::kind_word};
use crate::{
    components::{Button, ButtonKind, DataTable, Icon, Reveal, SelectField, TextField, Time, toast::tell},
    page_json::{Fetched, read},
    task::form::messages,
    text::{count, short_location},
};

/// What a person can do with rules.
#[derive(Clone, Copy)]
pub struct RuleActs {
    make: ServerAction<MakeApprovalRule>,
    remove: ServerAction<RemoveApprovalRule>,
    /// What a browser without scripts has typed and was refused.
    draft: StoredValue<Option<RuleDraft>>,
}

impl RuleActs {
    pub fn new(refresh: Callback<()>) -> Self {
        let draft = use_query_map().with_untracked(|query| query.get_str("draft").and_then(read::<RuleDraft>));
        let acts = Self { make: ServerAction::new(), remove: ServerAction::new(), draft: StoredValue::new(draft) };
        tell(acts.make.value(), |_| "Whatever fits is allowed from now on".into(), refresh);
        tell(acts.remove.value(), |()| "The rule is gone, and it is asked again".into(), refresh);
        acts
    }

    /// The server's no, at its place in the page.
    pub fn refusal(self) -> impl IntoView {
        move || {
            let made = self.make.value().get().and_then(Result::err);
            made.or_else(|| self.remove.value().get().and_then(Result::err)).map(refusal)
        }
    }
}

const COLUMNS: &[(&str, &str)] =
    &[("Allows", ""), ("Holds for", "c-table__place"), ("Made and used", "c-table__place"), ("Change", "c-table__acts")];

/// `repositories` are what a rule can hold for.
pub fn rules_part(
    rules: Signal<Vec<ApprovalRule>>,
    repositories: Fetched<Vec<Repository>>,
    role: Signal<Option<Role>>,
    acts: RuleActs,
) -> impl IntoView {
    let of = move |is_removed: bool| rules.get().into_iter().filter(|rule| rule.removed_at.is_some() == is_removed).collect::<Vec<_>>();
    let is_empty = Memo::new(move |_| of(false).is_empty());
    let may_change = move || role.get().is_some_and(|role| role.may(Permission::ManageApprovalRules));
    view! {
        <section class="l-part" id="rules" aria-labelledby="rules-title">
            <h2 class="l-part__title" id="rules-title">"Rules"</h2>
            <p class="u-quiet">"Nobody is asked about what a rule allows. It stays on record above all the same, with the rule in place of a person."</p>
            {move || {
                if is_empty.get() {
                    return view! { <p class="u-quiet">"There is none: people are asked every time."</p> }.into_any();
                }
                view! {
                    <DataTable caption="Rules, newest first" columns=COLUMNS>
                        <For each=move || of(false) key=|rule| (rule.id, rule.used) let:rule>{row(rule, may_change, acts)}</For>
                    </DataTable>
                }
                .into_any()
            }}
            {move || may_change().then(|| make_form(repositories.get().and_then(Result::ok).unwrap_or_default(), acts))}
            {move || removed(of(true))}
        </section>
    }
}

fn row(rule: ApprovalRule, may_change: impl Fn() -> bool + Send + Sync + 'static, acts: RuleActs) -> impl IntoView {
    let remove = {
        let rule = rule.clone();
        move || may_change().then(|| remove_form(&rule, acts.remove))
    };
    let (place, title) = holds_for(&rule);
    let (allows, used) = (allows(&rule), used(&rule));
    view! {
        <tr class="c-table__row">
            <td class="c-table__main" data-label="Allows">{allows}</td>
            <td class="c-table__place" data-label="Holds for" title=title>{place}</td>
            <td class="c-table__place" data-label="Made and used">{rule.made_by} ", " <Time at=rule.made_at /> ". " {used}</td>
            <td class="c-table__act c-table__wide">{remove}</td>
        </tr>
    }
}

fn allows(rule: &ApprovalRule) -> impl IntoView + use<> {
    view! {
        <span class="u-quiet">{kind_word(rule.kind)} " "</span>
        <code class="c-approval__exact">{visible(&rule.pattern)}</code>
        {rule.without_sandbox.then_some(" also without a sandbox")}
    }
}

/// Where it holds, in short and in full.
fn holds_for(rule: &ApprovalRule) -> (String, Option<String>) {
    match &rule.repository {
        Some(location) => (short_location(location), Some(location.clone())),
        None => ("The whole workspace".to_owned(), None),
    }
}

fn used(rule: &ApprovalRule) -> impl IntoView + use<> {
    let times = match rule.used {
        0 => "Never used.".to_owned(),
        used => format!("Used {}", count(usize::try_from(used).unwrap_or_default(), "time")),
    };
    let last = rule.last_used_at.map(|at| view! { ", last " <Time at=at /> "." });
    view! { {times} {last} }
}

/// Opens without scripts, and asks before anything is lost.
fn remove_form(rule: &ApprovalRule, remove: ServerAction<RemoveApprovalRule>) -> impl IntoView + use<> {
    let (id, about) = (rule.id.to_string(), visible(&rule.pattern));
    view! {
        <Reveal text="Remove…" shape=Icon::Close about=about danger=true>
            <ActionForm action=remove>
                <input type="hidden" name="id" value=id />
                <p>"From then on people are asked again. What it has allowed stays done."</p>
                <Button text="Remove the rule" kind=ButtonKind::Danger busy=remove.pending() />
            </ActionForm>
        </Reveal>
    }
}

fn make_form(repositories: Vec<Repository>, acts: RuleActs) -> impl IntoView {
    let (make, draft) = (acts.make, acts.draft.get_value());
    let is_open = draft.is_some();
    let RuleDraft { kind, pattern, repository } =
        draft.unwrap_or(RuleDraft { kind: AskedKind::Command, pattern: String::new(), repository: None });
    let kinds = AskedKind::ALL.map(|kind| (kind.name(), kind_word(kind))).to_vec();
    let errors = Signal::derive(move || {
        let problem = make.value().get().and_then(Result::err);
        messages(problem.as_ref(), "/pattern")
    });
    let place = |one: Repository| {
        let id = one.id.to_string();
        let is_chosen = repository.as_ref() == Some(&id);
        view! { <option value=id selected=is_chosen>{one.location}</option> }
    };
    let places = repositories.into_iter().map(place).collect_view();
    view! {
        <div>
            <Reveal text="Add a rule…" shape=Icon::Plus about="for what agents ask" open=is_open>
                <ActionForm action=make>
                    <SelectField id="rule-kind" label="Kind" name="kind" value=kind.name() choices=kinds />
                    <TextField
                        id="rule-pattern"
                        label="Allows"
                        name="pattern"
                        value=pattern
                        required=true
                        code=true
                        max=PATTERN_MAX as u32
                        hint="Exactly what would be asked, or how it begins with a star at the end: cargo test *, src/*."
                        errors=errors
                    />
                    <div class="c-field">
                        <label class="c-field__label" for="rule-repository">"Holds for"</label>
                        <select class="c-input c-input--select" id="rule-repository" name="repository">
                            <option value="">"The whole workspace"</option>
                            {places}
                        </select>
                    </div>
                    <Button text="Add the rule" kind=ButtonKind::Primary shape=Icon::Plus busy=make.pending() />
                </ActionForm>
            </Reveal>
        </div>
    }
}

const REMOVED_COLUMNS: &[(&str, &str)] =
    &[("Allowed", ""), ("Held for", "c-table__place"), ("Made", "c-table__place"), ("Removed", "c-table__place")];

fn removed(rules: Vec<ApprovalRule>) -> impl IntoView {
    (!rules.is_empty()).then(|| {
        let summary = format!("{} that {} removed", count(rules.len(), "rule"), if rules.len() == 1 { "was" } else { "were" });
        view! {
            <details class="c-approval__removed">
                <summary>{summary}</summary>
                <DataTable caption="Rules that were removed, latest first" columns=REMOVED_COLUMNS>
                    {rules.into_iter().map(removed_row).collect_view()}
                </DataTable>
            </details>
        }
    })
}

fn removed_row(rule: ApprovalRule) -> impl IntoView {
    let (place, title) = holds_for(&rule);
    let allowed = allows(&rule);
    view! {
        <tr class="c-table__row">
            <td class="c-table__main" data-label="Allowed">{allowed}</td>
            <td class="c-table__place" data-label="Held for" title=title>{place}</td>
            <td class="c-table__place" data-label="Made">{rule.made_by} ", " <Time at=rule.made_at /></td>
            <td class="c-table__place" data-label="Removed">{rule.removed_by} ", " {rule.removed_at.map(|at| view! { <Time at=at /> })}</td>
        </tr>
    }
}
