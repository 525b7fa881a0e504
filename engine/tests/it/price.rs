//! What models cost: set and removed by admins of a workspace, and what was used by the price of its time.

use chrono::TimeDelta;
use domain::{
    Actor, ActorKind, AgentTerms, AttemptKey, Backend, CostSource, NewTask, Permission, Role, SessionEvent, SessionEventKind as Event,
    StepCost, TaskId, Timestamp, Usage,
    price::{SetModelPrice, UnpricedModel},
    session::SessionEnd,
};
use engine::{
    Error,
    testing::{TestEngine, TestRunner, Words},
};
use sqlx::PgPool;

use crate::scenario::{checked, refused};

fn as_role(role: Role, of: &Actor) -> Actor {
    let ActorKind::User { id, .. } = of.kind else { panic!("a person") };
    Actor::new(of.workspace_id, ActorKind::User { id, role })
}

/// Dollars for a million tokens.
fn dollars(input: i64, output: i64) -> SetModelPrice {
    SetModelPrice { input_micros: input * 1_000_000, output_micros: output * 1_000_000, cache_read_micros: None, cache_write_micros: None }
}

fn answer(model: &str, cost: Option<StepCost>) -> Event {
    Event::Usage { model: Some(model.into()), input: 1000, cached: 400, cache_written: 100, output: 10, cost, is_part: false }
}

fn by(micros: u64, source: CostSource) -> Option<StepCost> {
    Some(StepCost { micros, source })
}

/// A task whose attempt has begun on a runner of its own.
struct AtWork {
    task: TaskId,
    runner: TestRunner,
    attempt: AttemptKey,
    said: i64,
}

impl AtWork {
    async fn begins(test: &TestEngine, actor: &Actor) -> Self {
        let agent = AgentTerms { backend: Some(Backend::Codex), ..AgentTerms::default() };
        let new = NewTask { command: None, prompt: Some("Tidy up".into()), agent, ..checked("one") };
        let task = test.create(actor, new).await.summary.id;
        let runner = test.runner_with("able", &["codex"]).await;
        let attempt = runner.claims_one().await.attempt;
        runner.starts(attempt).await.unwrap();
        Self { task, runner, attempt, said: 0 }
    }

    async fn says(&mut self, at: Timestamp, kinds: Vec<Event>) {
        let first = self.said + 1;
        self.said += i64::try_from(kinds.len()).unwrap();
        let events = (first..).zip(kinds).map(|(number, kind)| SessionEvent { number, at, kind }).collect();
        self.runner.says_together(&[(self.attempt, Words::Session(events))]).await.pop().unwrap().unwrap();
    }

    /// What each of its answers has cost.
    async fn costs(&self, test: &TestEngine, actor: &Actor) -> Vec<Option<StepCost>> {
        let events = test.engine.session(actor, self.task, None, 0).await.unwrap().events;
        let cost = |event: SessionEvent| match event.kind {
            Event::Usage { cost, .. } => Some(cost),
            Event::Judge { event, .. } => match *event {
                Event::Usage { cost, .. } => Some(cost),
                _ => None,
            },
            _ => None,
        };
        events.into_iter().filter_map(cost).collect()
    }

    async fn used(&self, test: &TestEngine, actor: &Actor) -> Usage {
        test.engine.get_task(actor, self.task).await.unwrap().attempt_list[0].usage.agent.clone().unwrap()
    }
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn an_answer_costs_what_its_model_did_at_that_time(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let mut work = AtWork::begins(&test, &ada).await;
    test.advance(TimeDelta::milliseconds(100));
    let first = test.engine.set_model_price(&ada, "gpt-5.2", dollars(3, 15)).await.unwrap().valid_from;
    test.advance(TimeDelta::milliseconds(100));
    let cached = SetModelPrice { cache_read_micros: Some(300_000), cache_write_micros: Some(3_750_000), ..dollars(6, 30) };
    let second = test.engine.set_model_price(&ada, "gpt-5.2", cached).await.unwrap().valid_from;
    test.advance(TimeDelta::milliseconds(100));
    test.engine.remove_model_price(&ada, "gpt-5.2").await.unwrap();
    let removed = second + TimeDelta::milliseconds(100);
    test.advance(TimeDelta::milliseconds(100));
    // told after all of that, as by a runner that was away for a while
    for at in [first - TimeDelta::milliseconds(1), first, second - TimeDelta::milliseconds(1), second, removed] {
        work.says(at, vec![answer("gpt-5.2", None)]).await;
    }
    let (old, new) = (by(3150, CostSource::Workspace), by(500 * 6 + 120 + 375 + 300, CostSource::Workspace));
    let costs = work.costs(&test, &ada).await;
    assert_eq!(costs, [None, old, old, new, None], "before it was set and after it was removed nobody knows it");

    // neither a price that is set later nor one that costs nothing changes what is there
    test.engine.set_model_price(&ada, "gpt-5.2", dollars(0, 0)).await.unwrap();
    assert_eq!(work.costs(&test, &ada).await, costs);
    work.says(removed + TimeDelta::milliseconds(100), vec![answer("gpt-5.2", None)]).await;
    assert_eq!(work.costs(&test, &ada).await[5], by(0, CostSource::Workspace), "which is known to be nothing");
    let used = work.used(&test, &ada).await;
    assert_eq!((used.steps, used.priced_steps, used.priced_micros), (6, 4, Some(2 * 3150 + 3795)));
    assert_eq!(used.costs_in_words(), ["$0.0100 at the workspace's price (4 of 6 steps priced)"]);
}

/// A runner's clock may say anything.
#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn no_answer_comes_before_its_attempt_or_after_now(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let set = test.engine.set_model_price(&ada, "small", dollars(1, 1)).await.unwrap().valid_from;
    test.advance(TimeDelta::seconds(1));
    let mut work = AtWork::begins(&test, &ada).await;
    for at in [Timestamp::UNIX_EPOCH, set + TimeDelta::days(3650)] {
        work.says(at, vec![answer("small", None)]).await;
    }
    assert_eq!(work.costs(&test, &ada).await, [by(1010, CostSource::Workspace); 2]);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_model_without_a_price_is_unknown_and_never_free(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    test.engine.set_model_price(&ada, "small", dollars(1, 1)).await.unwrap();
    let mut work = AtWork::begins(&test, &ada).await;
    let now = Timestamp::UNIX_EPOCH;
    let unnamed = Event::Usage { model: None, input: 7, cached: 0, cache_written: 0, output: 1, cost: None, is_part: false };
    work.says(now, vec![answer("large", None), answer("SMALL", None), unnamed]).await;
    assert_eq!(work.costs(&test, &ada).await, [None; 3], "names are compared to the letter");
    let used = work.used(&test, &ada).await;
    assert_eq!((used.steps, used.priced_steps, used.priced_micros, used.cost_micros), (3, 0, None, None));
    assert_eq!(used.costs_in_words(), ["price unknown"]);
    assert_eq!(used.unpriced, ["large", "SMALL"]);
    let unpriced = |model: &str| UnpricedModel { model: model.into(), attempts: 1 };
    assert_eq!(test.engine.list_model_prices(&ada).await.unwrap().unpriced, [unpriced("SMALL"), unpriced("large")]);
    test.engine.set_model_price(&ada, "large", dollars(2, 2)).await.unwrap();
    assert_eq!(test.engine.list_model_prices(&ada).await.unwrap().unpriced, [unpriced("SMALL")], "it has one now");
    assert_eq!(work.costs(&test, &ada).await, [None; 3], "though what was used stays what it was");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_an_agent_tells_counts_and_no_runner_speaks_for_the_workspace(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    test.engine.set_model_price(&ada, "small", dollars(1, 1)).await.unwrap();
    let mut work = AtWork::begins(&test, &ada).await;
    let now = Timestamp::UNIX_EPOCH;
    let told = [by(700, CostSource::Agent), by(800, CostSource::Workspace), by(0, CostSource::Agent), None];
    work.says(now, told.into_iter().map(|cost| answer("small", cost)).collect()).await;
    let (agents, ours) = (by(800, CostSource::Agent), by(1010, CostSource::Workspace));
    assert_eq!(work.costs(&test, &ada).await, [by(700, CostSource::Agent), agents, ours, ours], "nothing is told by who knows no price");
    let used = work.used(&test, &ada).await;
    assert_eq!((used.cost_micros, used.told_steps, used.priced_micros, used.priced_steps), (Some(1500), 2, Some(2020), 2));

    // an agent that tells it for the whole turn has told it of all its steps; what these cost by the workspace's price stands beside that
    let ended = Event::Ended { how: SessionEnd::Completed, turns: None, cost_micros: Some(9000) };
    work.says(now, vec![ended]).await;
    let used = work.used(&test, &ada).await;
    assert_eq!((used.cost_micros, used.told_steps, used.priced_micros), (Some(9000), 4, Some(2020)));
    assert!(!used.is_incomplete);

    // and judges
    work.runner.verifies(work.attempt).await.unwrap();
    let judged = |kind| Event::Judge { round: 1, check: 1, event: Box::new(kind) };
    work.says(now, vec![judged(answer("small", None)), judged(answer("large", None))]).await;
    assert_eq!(work.costs(&test, &ada).await[4..], [ours, None]);
    let judges = test.engine.get_task(&ada, work.task).await.unwrap().attempt_list[0].usage.judges.clone().unwrap();
    assert_eq!((judges.steps, judges.priced_steps, judges.priced_micros, judges.unpriced), (2, 1, Some(1010), vec!["large".to_owned()]));
    let all = Usage::of_attempts(&test.engine.get_task(&ada, work.task).await.unwrap().attempt_list).unwrap();
    assert_eq!((all.cost_micros, all.priced_micros, all.steps), (Some(9000), Some(3030), 6), "of the task");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn admins_set_prices_and_every_member_sees_them(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let forbidden = |error: Error| matches!(error, Error::Forbidden(domain::Forbidden(Permission::ManagePrices)));
    for role in [Role::Member, Role::Viewer] {
        let bob = as_role(role, &ada);
        assert!(forbidden(test.engine.set_model_price(&bob, "small", dollars(1, 1)).await.unwrap_err()));
        assert!(forbidden(test.engine.remove_model_price(&bob, "small").await.unwrap_err()));
        assert_eq!(test.engine.list_model_prices(&bob).await.unwrap().prices, []);
    }
    let set = test.engine.set_model_price(&as_role(Role::Admin, &ada), " acme/small:1b ", dollars(1, 2)).await.unwrap();
    assert_eq!((set.model.as_str(), set.set_by.as_str(), set.valid_until), ("acme/small:1b", "Ada", None));
    assert_eq!(test.engine.list_model_prices(&as_role(Role::Viewer, &ada)).await.unwrap().prices, [set]);
    let wrong = SetModelPrice { cache_write_micros: Some(i64::MAX), ..dollars(-1, 0) };
    assert_eq!(
        refused(test.engine.set_model_price(&ada, "small", wrong).await),
        ["/input_micros out_of_range", "/cache_write_micros out_of_range"]
    );
    assert_eq!(refused(test.engine.set_model_price(&ada, " ", dollars(1, 1)).await), ["/model required"]);
    for none in ["other", "a\0b"] {
        assert!(matches!(test.engine.remove_model_price(&ada, none).await, Err(Error::NotFound { .. })));
        assert!(matches!(test.engine.model_price_history(&ada, none).await, Err(Error::NotFound { .. })));
    }
    assert_eq!(refused(test.engine.set_model_price(&ada, "a\0b", dollars(1, 1)).await), ["/model nul"]);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn prices_are_of_their_workspace(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let stranger = test.stranger().await;
    test.engine.set_model_price(&stranger, "small", dollars(9, 9)).await.unwrap();
    assert_eq!(test.engine.list_model_prices(&ada).await.unwrap().prices, []);
    assert!(matches!(test.engine.model_price_history(&ada, "small").await, Err(Error::NotFound { .. })));
    assert!(matches!(test.engine.remove_model_price(&ada, "small").await, Err(Error::NotFound { .. })));
    let mut work = AtWork::begins(&test, &ada).await;
    work.says(Timestamp::UNIX_EPOCH, vec![answer("small", None)]).await;
    assert_eq!(work.costs(&test, &ada).await, [None], "that of others is none of ours");
    assert_eq!(test.engine.list_model_prices(&stranger).await.unwrap().unpriced, [], "and what others use is none of theirs");
    test.engine.set_model_price(&ada, "small", dollars(1, 1)).await.unwrap();
    work.says(Timestamp::UNIX_EPOCH, vec![answer("small", None)]).await;
    assert_eq!(work.costs(&test, &ada).await[1], by(1010, CostSource::Workspace));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn who_set_and_ended_a_price_stays_on_record(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let engine = &test.engine;
    let first = engine.set_model_price(&ada, "small", dollars(1, 1)).await.unwrap();
    test.advance(TimeDelta::seconds(7));
    assert_eq!(engine.set_model_price(&ada, "small", dollars(1, 1)).await.unwrap(), first, "the same again is the one that there is");
    engine.set_model_price(&ada, "small", dollars(2, 2)).await.unwrap();
    test.advance(TimeDelta::seconds(7));
    engine.remove_model_price(&ada, "small").await.unwrap();
    for forged in [
        "update model_price set input_micros = 1",
        "update model_price set set_by = 'system'",
        "update model_price set ended_by = 'system'",
        "update model_price set valid_until = null, ended_by = null",
        "delete from model_price",
    ] {
        let refused = sqlx::query(forged).execute(&pool).await.unwrap_err();
        assert!(refused.to_string().contains("never change"), "{forged}: {refused}");
    }
    let kept = engine.model_price_history(&ada, "small").await.unwrap();
    let told: Vec<_> = kept.iter().map(|price| (price.prices.input_micros, price.set_by.as_str(), price.ended_by.as_deref())).collect();
    assert_eq!(told, [(2_000_000, "Ada", Some("Ada")), (1_000_000, "Ada", Some("Ada"))], "the latest first");
    let changed = first.valid_from + TimeDelta::seconds(7);
    assert_eq!((kept[1].valid_until, kept[0].valid_from), (Some(changed), changed));
    assert_eq!(engine.list_model_prices(&ada).await.unwrap().prices, []);
}
