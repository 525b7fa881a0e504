//! What agents ask people: answered once, by whoever may, and told to the runner until it has heard it.

use chrono::TimeDelta;
use domain::{
    Actor, ActorKind, AgentTerms, Approval, ApprovalStateName as State, Ask, AskedKind, AttemptKey, Backend, Decision, Isolation, NewTask,
    Role, SessionEvent, SessionEventKind, TaskId,
    approval::{AnswerApproval, ApprovalFilter, Asked, NewApprovalRule},
    protocol::{Tell, ToRunner},
    runner::RunnerFilter,
    session::{INTERRUPTED, TellAgent},
};
use engine::{
    ApprovalKeeper, Error, Service, Tick,
    testing::{ConnectedRunner, TestEngine, Words},
};
use serde_json::json;
use sqlx::PgPool;

use crate::scenario::checked;

struct Scene {
    test: TestEngine,
    ada: Actor,
    runner: ConnectedRunner,
    task: TaskId,
    attempt: AttemptKey,
}

fn prompt(title: &str) -> NewTask {
    let agent = AgentTerms { ask: Some(Ask::Commands), answer_minutes: Some(10), ..AgentTerms::default() };
    NewTask { command: None, prompt: Some("Tidy up".into()), agent, ..checked(title) }
}

/// An agent at work.
async fn scene(pool: &PgPool) -> Scene {
    let test = TestEngine::new(pool).await;
    let ada = test.owner().await;
    let task = test.create(&ada, prompt("one")).await.summary.id;
    let runner = test.connected_runner("r1", 10).await;
    let attempt = runner.runner.claims_one().await.attempt;
    runner.runner.starts(attempt).await.unwrap();
    Scene { test, ada, runner, task, attempt }
}

fn command(text: &str) -> Asked {
    Asked::new(AskedKind::Command, "Bash", text, &json!({"command": text})).unwrap()
}

impl Scene {
    async fn says(&self, words: Words) -> engine::Result<()> {
        self.runner.runner.says_together(&[(self.attempt, words)]).await.pop().unwrap()
    }

    async fn asks(&self, number: i32, text: &str) {
        self.says(Words::Asks(number, Isolation::Sandbox, command(text))).await.unwrap();
    }

    async fn list(&self, state: Option<State>) -> Vec<Approval> {
        let filter = ApprovalFilter { state, ..ApprovalFilter::default() };
        self.test.engine.list_approvals(&self.ada, &filter).await.unwrap().items
    }

    async fn pending(&self) -> Approval {
        let mut pending = self.list(Some(State::Pending)).await;
        assert_eq!(pending.len(), 1);
        pending.remove(0)
    }

    /// What has gone down the link since the last time.
    fn told(&mut self) -> Vec<Tell> {
        let told = self.runner.told().into_iter();
        told.filter_map(|message| if let ToRunner::Tell(telling) = message { Some(telling.what) } else { None }).collect()
    }

    fn someone(&self, role: Role) -> Actor {
        let id = domain::UserId(uuid::Uuid::now_v7());
        Actor::new(self.ada.workspace_id, ActorKind::User { id, role })
    }
}

fn allow() -> AnswerApproval {
    AnswerApproval::new(Decision::Allow)
}

fn answers(told: &[Tell]) -> Vec<(i32, Decision, &str)> {
    told.iter()
        .map(|tell| match tell {
            Tell::Answer { question, answer } => (*question, answer.decision, answer.by.as_str()),
            Tell::Message { .. } => panic!("{tell:?}"),
        })
        .collect()
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_question_is_answered_once_and_told_until_it_was_heard(pool: PgPool) {
    let mut scene = scene(&pool).await;
    scene.asks(1, "cargo test").await;
    let asked = scene.pending().await;
    assert_eq!((asked.subject.as_str(), asked.tool.as_str(), asked.attempt, asked.runner.as_str()), ("cargo test", "Bash", 1, "r1"));
    assert_eq!(asked.deadline - asked.asked_at, TimeDelta::minutes(10));
    assert_eq!(asked.patterns, ["cargo test", "cargo test *"]);
    let options: Vec<_> = asked.options.iter().map(|option| (option.answer.name(), option.role)).collect();
    assert_eq!(options, [("allow_once", Role::Member), ("deny", Role::Member), ("allow_always", Role::Admin)]);
    assert_eq!(asked.options[2].patterns, asked.patterns);
    let task = scene.test.engine.get_task(&scene.ada, scene.task).await.unwrap();
    assert!(task.summary.asks && task.attempt_list[0].blocked_since == Some(asked.asked_at));
    let runners = scene.test.engine.list_runners(&scene.ada, RunnerFilter::default()).await.unwrap();
    assert_eq!((runners[0].busy, runners[0].blocked), (1, 1));
    assert_eq!(scene.test.engine.pending_approvals(&scene.ada).await.unwrap(), 1);

    scene.test.advance(TimeDelta::seconds(7));
    let answer = AnswerApproval { message: Some(" mind the flags ".into()), ..allow() };
    let answered = scene.test.engine.answer_approval(&scene.ada, asked.id, answer).await.unwrap();
    let closed = answered.closed.unwrap();
    assert_eq!((answered.state, closed.by.as_deref(), closed.message.as_deref()), (State::Allowed, Some("Ada"), Some("mind the flags")));
    assert!(answered.options.is_empty(), "it was answered");
    assert_eq!(answers(&scene.told()), [(1, Decision::Allow, "Ada")], "at once");
    assert_eq!(scene.runner.runner.is_told(scene.attempt).await.len(), 1, "and with each heartbeat");
    let twice = scene.test.engine.answer_approval(&scene.ada, asked.id, AnswerApproval::new(Decision::Deny)).await;
    assert!(matches!(&twice, Err(Error::Conflict(why)) if why == "this was allowed already by Ada"), "{twice:?}");
    scene.says(Words::AsksNoMore(1)).await.unwrap();
    scene.says(Words::Heard(1)).await.unwrap();
    assert!(scene.runner.runner.is_told(scene.attempt).await.is_empty());
    assert_eq!(scene.list(None).await[0].state, State::Allowed, "an answer stays");
    assert!(!scene.test.engine.get_task(&scene.ada, scene.task).await.unwrap().summary.asks);
    let timeline = scene.test.timeline(&scene.ada, scene.task).await;
    assert!(timeline.contains(&"Attempt 1: the agent asks for leave to use Bash, and waits".into()), "{timeline:?}");
    assert!(timeline.contains(&"Attempt 1: allowed by Ada, after 7 s".into()), "{timeline:?}");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_question_that_is_refused_each_time_hides_no_other(pool: PgPool) {
    let scene = scene(&pool).await;
    for number in 1..=100 {
        scene.asks(number, "refused").await;
    }
    scene.test.advance(TimeDelta::seconds(1));
    scene.asks(101, "after them").await;
    let refuse = "create function refuse() returns trigger language plpgsql as $$ begin raise exception 'no'; end $$";
    sqlx::query(refuse).execute(&pool).await.unwrap();
    let trigger = "create trigger refuse before update on approval for each row when (old.subject = 'refused') execute function refuse()";
    sqlx::query(trigger).execute(&pool).await.unwrap();
    scene.test.advance(TimeDelta::minutes(10));
    let mut keeper = ApprovalKeeper::default();
    let mut pending = async || {
        let tick = keeper.tick(&scene.test.engine).await.unwrap();
        (tick, scene.test.engine.pending_approvals(&scene.ada).await.unwrap())
    };
    assert_eq!(pending().await, (Tick::Idle, 101), "there is no hurry to be refused again");
    assert_eq!(pending().await, (Tick::Idle, 100));
    sqlx::query("drop trigger refuse on approval").execute(&pool).await.unwrap();
    assert_eq!(pending().await, (Tick::Idle, 100), "they are left alone");
    scene.test.advance(TimeDelta::seconds(61));
    assert_eq!(pending().await, (Tick::Busy, 0), "and tried again");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_nobody_answers_is_denied(pool: PgPool) {
    let mut scene = scene(&pool).await;
    scene.asks(1, "rm -r target").await;
    let asked = scene.pending().await;
    scene.test.advance(TimeDelta::minutes(10) - TimeDelta::seconds(1));
    scene.test.keep_time().await;
    assert_eq!(scene.pending().await.id, asked.id);
    scene.test.advance(TimeDelta::seconds(1));
    let late = scene.test.engine.answer_approval(&scene.ada, asked.id, allow()).await;
    assert!(matches!(&late, Err(Error::Conflict(_))), "its time is over, whether or not somebody has noticed: {late:?}");
    scene.test.keep_time().await;
    let told = scene.told();
    assert_eq!(answers(&told), [(1, Decision::Deny, "its deadline")]);
    assert!(matches!(&told[0], Tell::Answer { answer, .. } if answer.unanswered && answer.message.is_some()));
    assert_eq!(scene.list(None).await[0].state, State::Expired);
    scene.test.keep_time().await;
    assert!(scene.told().is_empty());
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_an_agent_no_longer_waits_for_cannot_be_answered(pool: PgPool) {
    let mut scene = scene(&pool).await;
    for (number, text) in [(1, "one"), (2, "two"), (3, "three")] {
        scene.asks(number, text).await;
    }
    scene.says(Words::AsksNoMore(2)).await.unwrap();
    let states = |all: Vec<Approval>| all.into_iter().map(|one| (one.subject, one.state)).collect::<Vec<_>>();
    let named = |text: &str, state| (text.to_owned(), state);
    assert_eq!(
        states(scene.list(None).await),
        [named("three", State::Pending), named("two", State::Withdrawn), named("one", State::Pending)]
    );
    let ids: Vec<_> = scene.list(None).await.into_iter().map(|one| one.id).collect();
    let answered = scene.test.engine.answer_approval(&scene.ada, ids[1], allow()).await;
    assert!(matches!(&answered, Err(Error::Conflict(why)) if why.contains("no longer waits")), "{answered:?}");

    // its runner comes back without it
    scene.runner.runner.comes_back_without(scene.attempt).await.unwrap();
    assert!(scene.list(Some(State::Pending)).await.is_empty(), "nobody is asked for one that has ended");
    let answered = scene.test.engine.answer_approval(&scene.ada, ids[0], allow()).await;
    assert!(matches!(&answered, Err(Error::Conflict(_))), "{answered:?}");
    assert!(scene.told().is_empty());
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn who_may_answer_is_asked_before_anything_else(pool: PgPool) {
    let scene = scene(&pool).await;
    scene.asks(1, "cargo test").await;
    scene.says(Words::Asks(2, Isolation::None, command("make install"))).await.unwrap();
    let all = scene.list(None).await;
    let (open, confined) = (&all[0], &all[1]);
    assert_eq!((open.answered_by_role, confined.answered_by_role), (Role::Admin, Role::Member));
    let answer = async |actor: &Actor, approval: &Approval, answer| scene.test.engine.answer_approval(actor, approval.id, answer).await;
    let forbidden = |outcome: engine::Result<Approval>| matches!(outcome, Err(Error::Forbidden(_)));
    let (viewer, member) = (scene.someone(Role::Viewer), scene.someone(Role::Member));
    assert!(forbidden(answer(&viewer, confined, allow()).await));
    assert!(forbidden(answer(&member, open, allow()).await), "what is allowed there is done as the runner's user");
    let always = AnswerApproval { always: Some("cargo test".into()), ..allow() };
    assert!(forbidden(answer(&member, confined, always.clone()).await), "rules are for admins");
    let stranger = scene.test.stranger().await;
    assert!(matches!(answer(&stranger, confined, allow()).await, Err(Error::NotFound { .. })));
    assert!(scene.test.engine.list_approvals(&stranger, &ApprovalFilter::default()).await.unwrap().items.is_empty());
    assert!(forbidden(scene.test.engine.link_approval(&viewer, confined.id).await.map(|_| confined.clone())));
    let wrong = AnswerApproval { always: Some("cargo build".into()), ..allow() };
    assert!(matches!(answer(&scene.ada, confined, wrong).await, Err(Error::Invalid(_))));
    assert_eq!(scene.list(Some(State::Pending)).await.len(), 2, "none of these has answered anything");
    answer(&member, confined, allow()).await.unwrap();
    answer(&scene.ada, open, AnswerApproval::new(Decision::Deny)).await.unwrap();
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_rule_answers_what_it_allows_and_nothing_else(pool: PgPool) {
    let mut scene = scene(&pool).await;
    scene.asks(1, "cargo test --release").await;
    let asked = scene.pending().await;
    let always = AnswerApproval { always: Some("cargo test *".into()), ..allow() };
    scene.test.engine.answer_approval(&scene.ada, asked.id, always).await.unwrap();
    scene.told();
    let rules = scene.test.engine.list_approval_rules(&scene.ada).await.unwrap();
    assert_eq!((rules[0].pattern.as_str(), rules[0].made_by.as_str(), rules[0].approval_id), ("cargo test *", "Ada", Some(asked.id)));
    assert!(rules[0].repository.is_some(), "here, and nowhere else");

    scene.asks(2, "cargo test -p engine").await;
    assert_eq!(answers(&scene.told()), [(2, Decision::Allow, "the rule “cargo test *”")], "nobody had to be asked");
    scene.asks(3, "cargo test; rm -r /").await;
    assert_eq!(scene.pending().await.subject, "cargo test; rm -r /");
    let used = scene.test.engine.list_approval_rules(&scene.ada).await.unwrap().remove(0);
    assert_eq!((used.used, used.last_used_at.is_some()), (1, true));

    let elsewhere = scene.test.create(&scene.ada, NewTask { repository: "https://example.org/other.git".into(), ..prompt("two") }).await;
    let other = scene.runner.runner.claims_one().await.attempt;
    assert_eq!(other.task_id, elsewhere.summary.id);
    scene.runner.runner.starts(other).await.unwrap();
    let asks = async |number| {
        let words = Words::Asks(number, Isolation::Sandbox, command("cargo test"));
        scene.runner.runner.says_together(&[(other, words)]).await.pop().unwrap().unwrap();
    };
    asks(1).await;
    assert_eq!(scene.list(Some(State::Pending)).await.len(), 2, "the rule is of another repository");
    let everywhere =
        NewApprovalRule { kind: AskedKind::Command, pattern: "cargo test".into(), repository_id: None, without_sandbox: false };
    let made = scene.test.engine.make_approval_rule(&scene.ada, everywhere.clone()).await.unwrap();
    assert_eq!(scene.test.engine.make_approval_rule(&scene.ada, everywhere).await.unwrap().id, made.id, "the same again is the same");
    asks(2).await;
    assert_eq!(scene.list(Some(State::Pending)).await.len(), 2);

    let open = Words::Asks(3, Isolation::None, command("cargo test"));
    scene.runner.runner.says_together(&[(other, open)]).await.pop().unwrap().unwrap();
    assert_eq!(scene.list(Some(State::Pending)).await.len(), 3, "it was made for sandboxes");
    scene.test.engine.remove_approval_rule(&scene.ada, made.id).await.unwrap();
    asks(4).await;
    assert_eq!(scene.list(Some(State::Pending)).await.len(), 4, "it answers no more");
    let removed = scene.test.engine.list_approval_rules(&scene.ada).await.unwrap().pop().unwrap();
    assert_eq!((removed.id, removed.removed_by.as_deref()), (made.id, Some("Ada")), "and can still be seen");
    let member = scene.someone(Role::Member);
    let refused = scene
        .test
        .engine
        .make_approval_rule(
            &member,
            NewApprovalRule { kind: AskedKind::Edit, pattern: "*".into(), repository_id: None, without_sandbox: false },
        )
        .await;
    assert!(matches!(refused, Err(Error::Forbidden(_))));
}

/// The database refuses it, whoever writes.
#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn who_made_and_removed_a_rule_stays_on_record(pool: PgPool) {
    let scene = scene(&pool).await;
    let engine = scene.test.engine.clone();
    let new = NewApprovalRule { kind: AskedKind::Command, pattern: "make".into(), repository_id: None, without_sandbox: false };
    let made = engine.make_approval_rule(&scene.ada, new).await.unwrap();
    scene.test.advance(TimeDelta::seconds(7));
    engine.remove_approval_rule(&scene.ada, made.id).await.unwrap();
    for forged in [
        "update approval_rule set made_by = 'system'",
        "update approval_rule set without_sandbox = true",
        "update approval_rule set pattern = 'make *'",
        "update approval_rule set removed_by = 'system'",
        "update approval_rule set removed_by = null, removed_at = null",
        "delete from approval_rule",
    ] {
        let refused = sqlx::query(forged).execute(&pool).await.unwrap_err();
        assert!(refused.to_string().contains("never change"), "{forged}: {refused}");
    }
    let kept = engine.list_approval_rules(&scene.ada).await.unwrap().remove(0);
    assert_eq!((kept.id, kept.made_by.as_str(), kept.made_at), (made.id, "Ada", made.made_at));
    assert_eq!((kept.removed_by.as_deref(), kept.removed_at), (Some("Ada"), Some(made.made_at + TimeDelta::seconds(7))));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_link_answers_once_for_whoever_made_it(pool: PgPool) {
    let mut scene = scene(&pool).await;
    scene.asks(1, "cargo test").await;
    let asked = scene.pending().await;
    let token = |link: domain::approval::ApprovalLink| link.path.strip_prefix("/answer?token=").unwrap().to_owned();
    let (first, second) = {
        let link = async || token(scene.test.engine.link_approval(&scene.ada, asked.id).await.unwrap());
        (link().await, link().await)
    };
    let engine = scene.test.engine.clone();
    let by_link = engine.approval_by_link(&first).await.unwrap();
    assert_eq!(by_link.id, asked.id);
    assert_eq!(by_link.options, asked.options[..2], "a link makes no rule");
    assert_eq!(scene.pending().await.id, asked.id, "looking answers nothing");
    assert!(matches!(engine.approval_by_link("AAAA").await, Err(Error::Unauthorized(_))));
    let always = AnswerApproval { always: Some("cargo test".into()), ..allow() };
    assert!(matches!(engine.answer_by_link(&first, always).await, Err(Error::Invalid(_))), "no rules by links");

    // whoever made it may not any more
    let role = "update member set role = $1 where workspace_id = $2";
    sqlx::query(role).bind("viewer").bind(scene.ada.workspace_id.0).execute(&pool).await.unwrap();
    assert!(matches!(engine.answer_by_link(&first, allow()).await, Err(Error::Unauthorized(_))));
    sqlx::query(role).bind("owner").bind(scene.ada.workspace_id.0).execute(&pool).await.unwrap();

    let answered = engine.answer_by_link(&first, AnswerApproval::new(Decision::Deny)).await.unwrap();
    assert_eq!((answered.state, answered.closed.unwrap().by.as_deref()), (State::Denied, Some("a link of Ada")));
    assert_eq!(answers(&scene.told()), [(1, Decision::Deny, "a link of Ada")]);
    for used in [&first, &second] {
        assert!(matches!(engine.answer_by_link(used, allow()).await, Err(Error::Unauthorized(_))));
        assert!(matches!(engine.approval_by_link(used).await, Err(Error::Unauthorized(_))));
    }
}

/// A link in the repository leads an edit anywhere, and what is allowed is done as the runner's user.
#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn behind_a_dot_a_rule_about_all_files_answers_no_agent_of_a_manifest(pool: PgPool) {
    let mut scene = scene(&pool).await;
    let all = NewApprovalRule { kind: AskedKind::Edit, pattern: "*".into(), repository_id: None, without_sandbox: false };
    scene.test.engine.make_approval_rule(&scene.ada, all).await.unwrap();
    let edit = |file: &str| Asked::new(AskedKind::Edit, "edit", file, &json!({"change": "x"})).unwrap();
    let goose = Backend::parse("acp:goose").unwrap();
    scene.says(Words::AsksOf(goose.clone(), 1, edit("src/lib.rs"))).await.unwrap();
    scene.says(Words::AsksOf(Backend::GeminiCli, 2, edit(".goose/config.yaml"))).await.unwrap();
    assert_eq!(answers(&scene.told()).iter().map(|(question, ..)| *question).collect::<Vec<_>>(), [1, 2]);
    scene.says(Words::AsksOf(goose, 3, edit(".goose/config.yaml"))).await.unwrap();
    let asked = scene.pending().await;
    assert_eq!(asked.subject, ".goose/config.yaml");
    assert_eq!(asked.patterns, [".goose/config.yaml", ".goose/*"]);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn without_a_sandbox_only_rules_that_say_so_answer_and_none_about_edits(pool: PgPool) {
    let scene = scene(&pool).await;
    for (kind, pattern) in [(AskedKind::Command, "make *"), (AskedKind::Edit, "docs/*")] {
        let new = NewApprovalRule { kind, pattern: pattern.into(), repository_id: None, without_sandbox: false };
        scene.test.engine.make_approval_rule(&scene.ada, new.clone()).await.unwrap();
        let refused = scene.test.engine.make_approval_rule(&scene.ada, NewApprovalRule { without_sandbox: true, ..new }).await;
        assert_eq!(refused.is_err(), kind == AskedKind::Edit, "{refused:?}");
    }
    // whatever stands there
    sqlx::query("alter table approval_rule disable trigger made_once").execute(&pool).await.unwrap();
    sqlx::query("update approval_rule set without_sandbox = true where kind = 'edit'").execute(&pool).await.unwrap();
    let edit = Asked::new(AskedKind::Edit, "Write", "docs/a.md", &json!({"file_path": "docs/a.md"})).unwrap();
    scene.says(Words::Asks(1, Isolation::None, command("make all"))).await.unwrap();
    scene.says(Words::Asks(2, Isolation::None, edit.clone())).await.unwrap();
    scene.says(Words::Asks(3, Isolation::Sandbox, edit)).await.unwrap();
    let states: Vec<_> = scene.list(None).await.into_iter().rev().map(|one| one.state).collect();
    assert_eq!(states, [State::Allowed, State::Pending, State::Allowed]);
    scene.asks(4, "make install").await;
    let timeline = scene.test.timeline(&scene.ada, scene.task).await;
    assert_eq!(
        timeline.iter().filter(|line| line.contains("asks for leave")).count(),
        1,
        "those that a rule answers are no news: {timeline:?}"
    );
}

/// Whatever two people do at the same moment, one answer counts and the runner hears one.
#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn of_two_answers_at_once_one_counts(pool: PgPool) {
    let mut scene = scene(&pool).await;
    for number in 1..=10 {
        scene.asks(number, "cargo test").await;
        let asked = scene.pending().await;
        let (engine, ada) = (&scene.test.engine, &scene.ada);
        let answer = |decision| engine.answer_approval(ada, asked.id, AnswerApproval::new(decision));
        let (one, two) = tokio::join!(answer(Decision::Allow), answer(Decision::Deny));
        assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
        let kept = if one.is_ok() { Decision::Allow } else { Decision::Deny };
        assert_eq!(answers(&scene.told()), [(number, kept, "Ada")]);
        assert_eq!(scene.test.engine.approval(&scene.ada, asked.id).await.unwrap().state, State::from(kept));
    }
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_runner_asks_what_can_be_shown_or_is_refused(pool: PgPool) {
    let scene = scene(&pool).await;
    for number in [0, -1, 1001] {
        assert!(scene.says(Words::Asks(number, Isolation::Sandbox, command("ls"))).await.is_err(), "{number}");
    }
    let hidden = Asked { subject: "x".repeat(100_000), ..command("ls") };
    assert!(scene.says(Words::Asks(1, Isolation::Sandbox, hidden)).await.is_err());
    assert!(scene.says(Words::Asks(1, Isolation::Sandbox, Asked { tool: String::new(), ..command("ls") })).await.is_err());
    assert!(scene.list(None).await.is_empty());
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn an_agent_at_work_is_told_what_people_say(pool: PgPool) {
    let mut scene = scene(&pool).await;
    let tell = |text: &str, interrupt| TellAgent { text: text.into(), interrupt };
    let too_early = scene.test.engine.tell_agent(&scene.ada, scene.task, tell("hello", false)).await;
    assert!(matches!(too_early, Err(Error::Conflict(_))), "nobody is there to hear it: {too_early:?}");
    let at = "2026-11-28T10:00:00Z".parse().unwrap();
    let event = SessionEvent { number: 1, at, kind: SessionEventKind::Message { text: "I begin.".into() } };
    scene.says(Words::Session(vec![event])).await.unwrap();
    scene.test.engine.tell_agent(&scene.ada, scene.task, tell("Mind the tests", false)).await.unwrap();
    scene.test.engine.tell_agent(&scene.ada, scene.task, tell("Stop that", true)).await.unwrap();
    let message = |text: &str, interrupt| Tell::Message { text: text.into(), by: "Ada".into(), interrupt };
    assert_eq!(scene.told(), [message("Mind the tests", false), message("Stop that", true)]);
    let said = scene.test.engine.tell_agent(&scene.ada, scene.task, tell("", true)).await.unwrap();
    assert_eq!(
        (said.text.as_str(), scene.told()),
        (INTERRUPTED, vec![message(INTERRUPTED, true)]),
        "who interrupts it need not say a word"
    );
    scene.says(Words::Heard(3)).await.unwrap();
    scene.says(Words::Heard(2)).await.unwrap();
    let unheard: Vec<_> =
        scene.runner.runner.is_told(scene.attempt).await.into_iter().map(|telling| (telling.number, telling.what)).collect();
    assert_eq!(unheard, [(1, message("Mind the tests", false))], "each is heard for itself");
    let part = scene.test.engine.session(&scene.ada, scene.task, None, 0).await.unwrap();
    assert_eq!(part.on_its_way.iter().map(|one| (one.text.as_str(), one.by.as_str())).collect::<Vec<_>>(), [("Mind the tests", "Ada")]);
    let viewer = scene.someone(Role::Viewer);
    assert!(matches!(scene.test.engine.tell_agent(&viewer, scene.task, tell("x", false)).await, Err(Error::Forbidden(_))));
    assert!(matches!(scene.test.engine.tell_agent(&scene.ada, scene.task, tell(" ", false)).await, Err(Error::Invalid(_))));
    let stranger = scene.test.stranger().await;
    assert!(matches!(scene.test.engine.tell_agent(&stranger, scene.task, tell("x", false)).await, Err(Error::NotFound { .. })));
    for _ in 0..19 {
        scene.test.engine.tell_agent(&scene.ada, scene.task, tell("again", false)).await.unwrap();
    }
    let more = scene.test.engine.tell_agent(&scene.ada, scene.task, tell("again", false)).await;
    assert!(matches!(more, Err(Error::Conflict(_))), "{more:?}");
}
