//! The board: what stands where, how much of it, and for whom.

use chrono::TimeDelta;
use domain::{
    Board, CheckStatus, NewTask, NewTasks, Priority, TaskFilter, TaskStateName,
    board::{CARDS, COUNTED, ColumnKind, ENDED_HOURS, Pile},
};
use engine::testing::{TestEngine, report};
use sqlx::PgPool;

use crate::scenario::{after, checked};

fn piles(board: &Board, kind: ColumnKind) -> &[Pile] {
    &board.columns.iter().find(|column| column.kind == kind).unwrap().piles
}

/// `state lane count: titles` of every pile of a column.
fn seen(board: &Board, kind: ColumnKind) -> Vec<String> {
    let text = |pile: &Pile| {
        let lane = pile.priority.map(|lane| format!(" {}", lane.name())).unwrap_or_default();
        let titles: Vec<_> = pile.cards.iter().map(|card| card.task.title.as_str()).collect();
        format!("{}{lane} {}{}: {}", pile.state.name(), pile.tasks, if pile.more { "+" } else { "" }, titles.join(", "))
    };
    piles(board, kind).iter().map(text).collect()
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn every_task_stands_where_it_is(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let (ada, eve, runner) = (test.owner().await, test.stranger().await, test.runner("r1").await);
    let (done, fails, running, verifying) =
        (test.create(&ada, checked("done")).await, checked("fails"), checked("running"), checked("verifying"));
    runner.succeeds(&runner.claims_one().await).await.unwrap();
    test.create(&ada, NewTask { max_attempts: 1, ..fails }).await;
    runner.fails(&runner.claims_one().await).await.unwrap();
    let running = test.create(&ada, running).await;
    runner.starts(runner.claims_one().await.attempt).await.unwrap();
    test.create(&ada, verifying).await;
    let assignment = runner.claims_one().await;
    runner.starts(assignment.attempt).await.unwrap();
    runner.verifies(assignment.attempt).await.unwrap();
    test.create(&ada, after("first dependent", &[&running])).await;
    test.create(&ada, after("second dependent", &[&running])).await;
    test.create(&ada, checked("normal")).await;
    test.create(&ada, NewTask { priority: Priority::Urgent, tags: vec!["nightly".into()], ..checked("urgent") }).await;
    test.create(&eve, checked("theirs")).await;

    let board = test.engine.board(&ada, TaskFilter::default()).await.unwrap();
    assert_eq!(seen(&board, ColumnKind::Waiting), ["blocked 2: second dependent, first dependent"]);
    assert_eq!(seen(&board, ColumnKind::Queued), ["queued urgent 1: urgent", "queued normal 1: normal"], "by lane, and none of theirs");
    assert_eq!(seen(&board, ColumnKind::Running), ["running 1: running"]);
    assert_eq!(seen(&board, ColumnKind::Verifying), ["verifying 1: verifying"]);
    assert_eq!(seen(&board, ColumnKind::NeedsAPerson), ["failed 1: fails"]);
    assert_eq!(seen(&board, ColumnKind::Ended), ["succeeded 1: done"]);
    let card = &piles(&board, ColumnKind::Running)[0].cards[0];
    assert_eq!((card.dependents, card.first_dependent.as_deref()), (2, Some("first dependent")));
    assert_eq!(done.summary.title, piles(&board, ColumnKind::Ended)[0].cards[0].task.title);

    let nightly = TaskFilter { tag: Some("nightly".into()), state: Some(TaskStateName::Dead), ..TaskFilter::default() };
    let board = test.engine.board(&ada, nightly).await.unwrap();
    let all: Vec<_> = ColumnKind::ALL.into_iter().flat_map(|kind| seen(&board, kind)).collect();
    assert_eq!(all, ["queued urgent 1: urgent"], "the filter holds for every column, but for its state");
    let low = TaskFilter { priority: Some(Priority::Low), ..TaskFilter::default() };
    assert!(test.engine.board(&ada, low).await.unwrap().columns.iter().all(|column| column.piles.is_empty()));

    test.advance(TimeDelta::hours(ENDED_HOURS) + TimeDelta::seconds(1));
    let board = test.engine.board(&ada, TaskFilter::default()).await.unwrap();
    assert_eq!(seen(&board, ColumnKind::Ended), Vec::<String>::new(), "what ended long ago has left the board");
    assert_eq!(seen(&board, ColumnKind::NeedsAPerson), ["failed 1: fails"], "what needs a person stays until it has one");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_pile_is_read_and_counted_so_far_and_no_further(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let (ada, runner) = (test.owner().await, test.runner("r1").await);
    let many = |count: i64| NewTasks { tasks: (0..count).map(|number| checked(&format!("task {number}"))).collect() };
    test.engine.create_tasks(&ada, many(COUNTED)).await.unwrap();
    let queued = |board: &Board| {
        let pile = &piles(board, ColumnKind::Queued)[0];
        (pile.tasks, pile.more, pile.cards.len() as i64)
    };
    let board = test.engine.board(&ada, TaskFilter::default()).await.unwrap();
    assert_eq!(queued(&board), (COUNTED, false, CARDS));
    assert_eq!(piles(&board, ColumnKind::Queued)[0].cards[0].task.title, "task 0", "what has waited longest is first");
    test.engine.create_tasks(&ada, many(2)).await.unwrap();
    let board = test.engine.board(&ada, TaskFilter::default()).await.unwrap();
    assert_eq!(queued(&board), (COUNTED, true, CARDS));
    for assignment in runner.claims(CARDS as usize + 1).await {
        runner.starts(assignment.attempt).await.unwrap();
        runner.verifies(assignment.attempt).await.unwrap();
        runner.reports(assignment.attempt, report(&assignment, CheckStatus::Passed)).await.unwrap();
    }
    let board = test.engine.board(&ada, TaskFilter::default()).await.unwrap();
    let ended = &piles(&board, ColumnKind::Ended)[0];
    assert_eq!((ended.tasks, ended.more, ended.cards.len() as i64), (CARDS + 1, false, CARDS));
}
