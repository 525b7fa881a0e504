use domain::LogChunk;
use engine::{Error, testing::TestEngine};
use sqlx::PgPool;

use crate::scenario::checked;

fn text(chunks: &[LogChunk]) -> String {
    chunks.iter().map(|chunk| chunk.text.as_str()).collect()
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_reader_goes_on_at_exactly_the_byte_it_knows(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let task = test.create(&ada, checked("one")).await.summary.id;
    let runner = test.runner("r1").await;
    let attempt = runner.claims_one().await.attempt;
    for (offset, piece) in [(0, "hello "), (6, "wörld"), (12, "\n")] {
        runner.logs(attempt, offset, piece).await.unwrap();
    }
    let whole = "hello wörld\n";
    for from in 0..=whole.len() {
        let chunks = test.engine.task_log_raw(&ada, task, from as i64).await.unwrap();
        let bytes: Vec<u8> = chunks.iter().flat_map(|chunk| chunk.bytes.clone()).collect();
        assert_eq!(bytes, &whole.as_bytes()[from..], "from byte {from}");
        assert_eq!(chunks.first().map(|chunk| chunk.offset), (from < whole.len()).then_some(from as i64));
    }
    assert_eq!(test.engine.task_log(&ada, task, 999).await.unwrap(), []);
    assert!(matches!(test.engine.task_log(&ada, task, -1).await, Err(Error::Invalid(_))));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_piece_is_stored_once_and_never_after_a_gap(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let task = test.create(&ada, checked("one")).await.summary.id;
    let runner = test.runner("r1").await;
    let attempt = runner.claims_one().await.attempt;
    runner.logs(attempt, 0, "abc").await.unwrap();
    runner.logs(attempt, 0, "abc").await.unwrap();
    assert!(matches!(runner.logs(attempt, 5, "late").await, Err(Error::Missing)));
    assert!(matches!(runner.logs(attempt, 3, &"x".repeat(65_537)).await, Err(Error::Invalid(_))));
    runner.logs(attempt, 3, "def").await.unwrap();
    assert_eq!(text(&test.engine.task_log(&ada, task, 0).await.unwrap()), "abcdef");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn the_next_attempt_writes_on_where_the_last_one_ended(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let task = test.create(&ada, checked("one")).await.summary.id;
    let runner = test.runner("r1").await;
    for (number, piece) in [(1, "first\n"), (2, "second\n")] {
        let attempt = runner.claims_one().await.attempt;
        assert_eq!(attempt.number, number);
        runner.logs(attempt, 0, piece).await.unwrap();
        runner.comes_back_without(attempt).await.unwrap();
    }
    let chunks = test.engine.task_log(&ada, task, 0).await.unwrap();
    assert_eq!(chunks.iter().map(|chunk| (chunk.offset, chunk.end, chunk.attempt)).collect::<Vec<_>>(), [(0, 6, 1), (6, 13, 2)]);
    let view = test.engine.get_task(&ada, task).await.unwrap();
    assert_eq!(view.attempt_list.iter().map(|attempt| (attempt.log_start, attempt.log_end)).collect::<Vec<_>>(), [(0, 6), (6, 13)]);
    assert_eq!(view.log_bytes, 13);
}
