//! How hard a task is: what was said, what was inferred, and what of it reaches the runner.

use domain::{
    NewTask,
    task::{SignalKind, Tier, TierSource},
};
use engine::testing::TestEngine;
use sqlx::PgPool;

use crate::scenario::checked;

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_is_said_counts_and_what_is_inferred_is_kept_beside_it(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let (ada, runner) = (test.owner().await, test.runner("r1").await);
    let hard = |tier| NewTask { command: None, prompt: Some("Refactor the store".into()), tier, ..checked("Refactor") };
    for (tier, expected, source) in [
        (Some(Tier::Trivial), Tier::Trivial, TierSource::Given),
        (Some(Tier::Complex), Tier::Complex, TierSource::Given),
        (None, Tier::Complex, TierSource::Inferred),
    ] {
        let task = test.create(&ada, hard(tier)).await;
        let complexity = test.engine.get_task(&ada, task.summary.id).await.unwrap().complexity;
        assert_eq!((complexity.tier, complexity.source, complexity.given), (expected, source, tier));
        assert_eq!((complexity.inferred.tier, complexity.inferred.confidence), (Some(Tier::Complex), 0.7));
        let keyword = complexity.inferred.signals.iter().find(|signal| signal.kind == SignalKind::Keyword).unwrap();
        assert_eq!((keyword.value.as_str(), keyword.tier), ("refactor", Tier::Complex));
        assert_eq!(runner.claims_one().await.tier, expected, "it reaches the runner as it is");
        let disputed = "Said to be trivial, though it reads like a complex task";
        let timeline = test.timeline(&ada, task.summary.id).await;
        assert_eq!(timeline.iter().any(|line| line == disputed), tier == Some(Tier::Trivial), "{timeline:?}");
        assert_eq!(timeline[0], "Created, queued");
    }
    let preview = test.engine.preview_task(&ada, hard(None)).await.unwrap();
    assert_eq!(preview.complexity.tier, Tier::Complex);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn rows_from_before_are_of_no_known_tier(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let (ada, runner) = (test.owner().await, test.runner("r1").await);
    let task = test.create(&ada, checked("old")).await.summary.id;
    sqlx::query("update task set inferred = default").execute(&pool).await.unwrap();
    let complexity = test.engine.get_task(&ada, task).await.unwrap().complexity;
    assert_eq!((complexity.tier, complexity.source, complexity.inferred.tier), (Tier::Standard, TierSource::Unknown, None));
    assert_eq!(runner.claims_one().await.tier, Tier::Standard);
}
