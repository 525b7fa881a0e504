//! A Postgres of somebody else: Muster says what it does not trust before it stores anything there.

use sqlx::{Connection, PgConnection};
use tests::{
    machine::{Machine, stderr},
    their_postgres::TheirCluster,
};

async fn connect(url: &str) -> PgConnection {
    loop {
        if let Ok(connection) = PgConnection::connect(url).await {
            return connection;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_database_that_could_lose_what_was_accepted_is_refused() {
    let machine = Machine::new();
    let theirs = TheirCluster::create(&machine).await;

    for (settings, named) in [(["fsync=off"], "fsync=off"), (["full_page_writes=off"], "full_page_writes=off")] {
        let _running = theirs.start(&settings);
        let mut sql = connect(theirs.url()).await;
        let refused = machine.muster(&["serve", "--addr", "127.0.0.1:0"]).env("DATABASE_URL", theirs.url()).output().unwrap();
        assert_eq!(refused.status.code(), Some(1), "{}", stderr(&refused));
        let expected = format!("muster: the database runs with {named}, so a crash could lose what Muster has accepted; turn it on\n");
        assert!(stderr(&refused).ends_with(&expected), "{}", stderr(&refused));
        let tables: i64 =
            sqlx::query_scalar("select count(*) from pg_tables where schemaname = 'public'").fetch_one(&mut sql).await.unwrap();
        assert_eq!(tables, 0, "nothing was stored there");
    }
}

#[test]
fn a_url_that_leads_nowhere_is_one_line() {
    let machine = Machine::new();
    for (url, expected) in [
        ("postgres://localhost:1/none", "muster: the database cannot be reached: "),
        ("postgres://localhost:x/none", "muster: DATABASE_URL cannot be read: "),
        ("mysql://localhost/none", "muster: DATABASE_URL must begin with postgres://"),
    ] {
        let refused = machine.muster(&["serve", "--addr", "127.0.0.1:0"]).env("DATABASE_URL", url).output().unwrap();
        assert_eq!(refused.status.code(), Some(1));
        let text = stderr(&refused);
        assert!(text.lines().last().unwrap().starts_with(expected), "{text}");
    }
}
