//! A Postgres of somebody else: Muster says what it does not trust before it stores anything there.

use std::{
    fs,
    os::unix::{fs::MetadataExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use server::postgres::PrivateCluster;
use sqlx::{Connection, PgConnection};
use tests::machine::{Machine, stderr};

/// A Postgres that a person runs, with settings of their own.
struct TheirPostgres(Child);

impl TheirPostgres {
    fn start(program: &Path, data: &Path, run: &Path, settings: &[&str]) -> Self {
        let owner = fs::metadata(data).unwrap();
        let mut command = Command::new(program);
        command.arg("-D").arg(data).args(["-c", "listen_addresses=", "-c"]).arg(format!("unix_socket_directories={}", run.display()));
        command.args(settings.iter().flat_map(|setting| ["-c", setting])).stdout(Stdio::null()).stderr(Stdio::null()).current_dir("/");
        if rustix::process::geteuid().is_root() {
            command.uid(owner.uid()).gid(owner.gid());
        }
        Self(command.spawn().unwrap())
    }
}

impl Drop for TheirPostgres {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.0), Signal::INT);
        let _ = self.0.wait();
    }
}

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
    let state = machine.folder.path().join("theirs");
    let cluster = PrivateCluster::start(&state).await.unwrap();
    let url = cluster.url();
    let pid = fs::read_to_string(state.join("postgres/postmaster.pid")).unwrap().lines().next().unwrap().to_owned();
    let program: PathBuf = fs::read_link(format!("/proc/{pid}/exe")).unwrap();
    cluster.stop().await.unwrap();
    fs::create_dir_all(state.join("run")).unwrap();
    let owner = fs::metadata(state.join("postgres")).unwrap();
    std::os::unix::fs::chown(state.join("run"), Some(owner.uid()), Some(owner.gid())).unwrap();

    for (settings, named) in [(["fsync=off"], "fsync=off"), (["full_page_writes=off"], "full_page_writes=off")] {
        let _theirs = TheirPostgres::start(&program, &state.join("postgres"), &state.join("run"), &settings);
        let mut sql = connect(&url).await;
        let refused = machine.muster(&["serve", "--addr", "127.0.0.1:0"]).env("DATABASE_URL", &url).output().unwrap();
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
