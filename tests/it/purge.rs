//! `muster admin purge`, on a database that a server is serving.

use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use tests::{
    machine::{Client, Machine, stderr, stdout},
    their_postgres::TheirCluster,
};

#[tokio::test]
async fn what_ended_long_ago_is_counted_and_then_deleted() {
    let machine = Machine::new();
    let theirs = TheirCluster::create(&machine).await;
    let _postgres = theirs.start(&[]);
    let url = theirs.url();
    while PgConnection::connect(url).await.is_err() {}
    let server = machine.serves_on(Some(url));
    let made = machine.muster(&["admin", "create-key", "--name", "tests"]).env("DATABASE_URL", url).output().unwrap();
    let client = Client { machine: &machine, url: &server.url, key: stdout(&made).trim().to_owned() };
    let repository = machine.repository();
    let submit = |title: &str| {
        let run = ["task", "run", "--repo", repository.to_str().unwrap(), "--command", "true", "--title", title, "--in", "1h"];
        let id = stdout(&client.run(&run)).trim().to_owned();
        assert_eq!(client.run(&["task", "cancel", &id]).status.code(), Some(0));
        id
    };
    let (old, young) = (submit("Old"), submit("Young"));
    let mut sql = PgConnection::connect(url).await.unwrap();
    let aged = "update task set ended_at = ended_at - interval '40 days' where title = 'Old'";
    sqlx::query(aged).execute(&mut sql).await.unwrap();

    let purge = |arguments: &[&str]| {
        let command = [&["admin", "purge", "--older-than", "30d"][..], arguments].concat();
        machine.muster(&command).env("DATABASE_URL", url).output().unwrap()
    };
    assert_eq!(stdout(&purge(&["--preview"])), "1\t0\n");
    let unasked = purge(&[]);
    assert_eq!(unasked.status.code(), Some(2), "nobody said yes");
    assert!(stderr(&unasked).contains("it would delete 1 task and 0 workflow runs"), "{}", stderr(&unasked));
    assert_eq!(client.run(&["task", "show", &old]).status.code(), Some(0), "it is still there");
    let done: Value = serde_json::from_str(&stdout(&purge(&["--yes", "--json"]))).unwrap();
    assert_eq!(done, json!({"tasks": 1, "runs": 0, "deleted": true}));
    assert_eq!(client.run(&["task", "show", &old]).status.code(), Some(1));
    assert_eq!(client.run(&["task", "show", &young]).status.code(), Some(0));
    assert_eq!(stdout(&purge(&[])), "0\t0\n", "nothing is nothing to ask about");
    let wrong = machine.muster(&["admin", "purge", "--older-than", "soon"]).output().unwrap();
    assert_eq!(wrong.status.code(), Some(2));
    server.stops();
}
