use domain::{
    CheckStatus, LogChunk, LogStream, TaskStateName,
    log::LOG_QUOTA,
    protocol::{Heard, Said, ToRunner, ToServer},
};
use engine::{
    Error,
    testing::{TestEngine, report},
};
use sqlx::PgPool;

use crate::{link::Link, scenario::checked};

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

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_is_longer_than_any_log_is_heard_and_not_kept(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (mut link, task, assignment) = Link::at_work(&test, &ada).await;
    let attempt = assignment.attempt;
    let piece = |offset, text: &str| ToServer::Log { attempt, offset, stream: LogStream::Stdout, bytes: text.as_bytes().to_vec() };
    let said = |sequence, said| ToServer::Said { attempt, sequence, said };
    let logged = |end| ToRunner::Logged { attempt, end };
    // nobody has to send all of it
    let almost = LOG_QUOTA - 4;
    sqlx::query("update attempt set log_bytes = $1").bind(almost as i64).execute(&pool).await.unwrap();
    assert_eq!(link.asks(piece(almost, "end\n")).await, logged(LOG_QUOTA));
    for (offset, text) in [(0, "more"), (4, "and"), (4, "and"), (0, "more"), (7, " more")] {
        let offset = LOG_QUOTA + offset;
        assert_eq!(link.asks(piece(offset, text)).await, logged(offset + text.len() as u64), "{text}");
    }
    let (heard, end) = (|sequence, log| Heard { attempt, sequence, log }, LOG_QUOTA + 12);
    assert_eq!(link.asks(piece(end + 100, "late")).await, ToRunner::Missing(heard(0, end)), "what it says has its order still");
    link.breaks().await;
    let kept = test.engine.task_log(&ada, task, almost as i64).await.unwrap();
    let kept: Vec<_> = kept.iter().map(|chunk| (chunk.stream, chunk.text.trim())).collect();
    let full = (LogStream::Muster, "The log of this attempt is full: what its runner sends after this is not kept");
    assert_eq!(kept, [(LogStream::Stdout, "end"), full], "it is said once");

    let (mut link, known, _) = Link::welcome(&test, 1, &[attempt]).await;
    assert_eq!(known, [heard(0, end)], "nothing of it is to be said again");
    let report = Box::new(report(&assignment, CheckStatus::Passed));
    let started = Said::Started { base_commit: "0123456789abcdef".into(), branch: "muster/one-1".into(), continues: None };
    for (sequence, next) in [(1, started), (2, Said::Verifying), (3, Said::Report { log_end: end, report })] {
        assert_eq!(link.asks(said(sequence, next)).await, ToRunner::Stored { attempt, sequence });
    }
    assert_eq!(test.engine.task_state(&ada, task).await.unwrap(), TaskStateName::Succeeded);
    link.breaks().await;
}
