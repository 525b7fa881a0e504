//! T3, the ambiguous commit: every route that changes something is cut off around its COMMIT, in the program and on both hops, and
//! sent again. The second answer is the one that the first would have been, and there is exactly one effect.

use std::net::SocketAddr;

use anyhow::Context;
use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};
use serde_json::Value;
use sqlx::PgPool;
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::{
    api::{Answer, Api},
    check::{self, Outcome, Violation},
    proxy::Ambush,
    routes::{self, Ready, added, rows},
    world::{Setup, World},
};

/// The server that dies; the other one takes what is sent again, and what needs no death.
const DIES: usize = 0;
const STAYS: usize = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    /// The server dies before it commits.
    DiesBefore,
    /// The server dies after it has committed, before it answers.
    DiesAfter,
    /// The client goes away as soon as it has sent its request.
    ClientLeaves,
    /// The connection to Postgres breaks before the COMMIT gets there.
    CommitLost,
    /// The connection to Postgres breaks when the COMMIT is there, before its answer comes.
    AnswerLost,
}

struct Case<'a> {
    world: &'a World,
    pool: &'a PgPool,
    api: &'a Api,
    route: &'a str,
}

pub async fn run(seed: u64) -> anyhow::Result<Outcome> {
    let world = World::create(Setup { slots: [0, 0], ..Setup::default() }).await?;
    let pool = PgPool::connect(world.database_url()).await?;
    let api = Api::new(&world)?;
    let mut random = StdRng::seed_from_u64(seed);
    let mut routes = routes::all(&api, &world.direct[STAYS].to_string()).await?;
    routes.shuffle(&mut random);
    routes::first_of_all(&world, &pool, &api, &world.direct[STAYS].to_string()).await?;
    let mut violations = vec![];
    let mut cases = 0;
    for (index, route) in routes.iter().enumerate() {
        let case = Case { world: &world, pool: &pool, api: &api, route };
        let Some(normal) = case.undisturbed().await? else {
            violations.push(format!("{route} changes something, and nobody has said in torture/src/routes.rs how it is brought to do so"));
            continue;
        };
        let mut cuts = [Cut::DiesBefore, Cut::DiesAfter, Cut::ClientLeaves, Cut::CommitLost, Cut::AnswerLost];
        cuts.shuffle(&mut random);
        for cut in cuts {
            cases += 1;
            let key = format!("{seed}-{index}-{cut:?}");
            let found = case.cut(cut, &key, &normal).await.with_context(|| format!("{route} {cut:?}"))?;
            violations.extend(found.into_iter().map(|what| format!("{route} {cut:?}: {what}")));
        }
    }
    violations.extend(check::sound(&pool).await?);
    pool.close().await;
    check::judged(&world, format!("{} routes, {cases} cuts", routes.len()), violations).await
}

/// What the request does when nothing goes wrong.
struct Normal {
    status: u16,
    added: Vec<(String, i64)>,
}

impl Case<'_> {
    fn address(&self) -> String {
        self.world.direct[STAYS].to_string()
    }

    async fn prepare(&self) -> anyhow::Result<Option<Ready>> {
        routes::prepare(self.world, self.pool, self.api, &self.address(), self.route).await
    }

    async fn undisturbed(&self) -> anyhow::Result<Option<Normal>> {
        let Some(ready) = self.prepare().await? else { return Ok(None) };
        let before = rows(self.pool).await?;
        let answer = self.api.post(&self.address(), &ready.path, &ready.body, None).await?;
        anyhow::ensure!(answer.is_success(), "{} answered {}: {}", self.route, answer.status, answer.text);
        Ok(Some(Normal { status: answer.status, added: added(&before, &rows(self.pool).await?) }))
    }

    async fn cut(&self, cut: Cut, key: &str, normal: &Normal) -> anyhow::Result<Vec<Violation>> {
        let Some(ready) = self.prepare().await? else { return Ok(vec![]) };
        let mut found = vec![];
        let before = match cut {
            Cut::DiesBefore | Cut::DiesAfter => {
                let place = if cut == Cut::DiesBefore { "answer.kept" } else { "answer.committed" };
                self.world.kill_server(DIES).await?;
                self.world.start_server(DIES, Some(place)).await?;
                self.world.wait_until_ready(DIES).await?;
                let before = rows(self.pool).await?;
                let first = self.api.post(&self.world.direct[DIES].to_string(), &ready.path, &ready.body, Some(key)).await;
                if !self.world.dies(DIES).await? {
                    found.push(format!("the server did not come by {place}"));
                }
                if let Ok(answer) = first {
                    found.push(format!("it was answered {} before it was committed, or after the end", answer.status));
                }
                before
            }
            Cut::ClientLeaves => {
                let before = rows(self.pool).await?;
                self.send_and_leave(self.world.direct[STAYS], &ready, key).await?;
                before
            }
            Cut::CommitLost | Cut::AnswerLost => {
                let before = rows(self.pool).await?;
                let proxy = &self.world.before_postgres[STAYS];
                // The first COMMIT is of the look for an earlier answer.
                proxy.lie_in_wait(Ambush { seen: key.into(), passes: 1, reaches: cut == Cut::AnswerLost });
                let first = self.api.post(&self.address(), &ready.path, &ready.body, Some(key)).await;
                if !proxy.was_sprung() {
                    found.push("there was no COMMIT to cut".into());
                }
                if let Ok(answer) = first.as_ref().map(|answer| answer.status)
                    && answer < 500
                {
                    found.push(format!("it was answered {answer} although its COMMIT was not answered"));
                }
                before
            }
        };
        let second = self.api.post_until_answered(&self.address(), &ready.path, &ready.body, Some(key)).await?;
        let third = self.api.post_until_answered(&self.address(), &ready.path, &ready.body, Some(key)).await?;
        found.extend(judge(&second, &third, normal));
        let effect = added(&before, &rows(self.pool).await?);
        if effect != normal.added {
            found.push(format!("its effect was {effect:?}, once it is {:?}", normal.added));
        }
        if matches!(cut, Cut::DiesAfter | Cut::AnswerLost) && !second.replayed {
            found.push("it was committed, and carried out again".into());
        }
        if cut == Cut::DiesBefore && second.replayed {
            found.push("it was answered before it was committed".into());
        }
        Ok(found)
    }

    async fn send_and_leave(&self, address: SocketAddr, ready: &Ready, key: &str) -> anyhow::Result<()> {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(&self.api.raw_post(&address.to_string(), &ready.path, &ready.body, key)).await?;
        stream.flush().await?;
        Ok(())
    }
}

fn judge(second: &Answer, third: &Answer, normal: &Normal) -> Vec<Violation> {
    let mut found = vec![];
    if second.status != normal.status {
        found.push(format!("sent again it was answered {}: {}", second.status, second.text.chars().take(200).collect::<String>()));
    }
    if (third.status, as_json(third)) != (second.status, as_json(second)) || !third.replayed {
        found.push("a third time it was answered otherwise".into());
    }
    found
}

fn as_json(answer: &Answer) -> Value {
    answer.json()
}
