//! The endpoint on a runner's machine: what the runner tells of it, and what it has it pull.

use std::{net::TcpListener, time::Duration};

use domain::{
    PullId,
    endpoint::{
        EndpointLook, Looked,
        pull::{PullEnd, PullProgress, WantedPull},
    },
    protocol::{ToRunner, ToServer},
};
use runner::{
    AgentConfig, Limits, OllamaConfig, RunnerConfig,
    ollama::{Asker, Pulled, Reach},
};
use uuid::Uuid;

use crate::{
    fake_ollama::FakeOllama,
    harness::{Server, State, config, short},
};

/// A runner that looks often, at this address.
async fn at(state: &State, url: &str, is_said: bool) -> Server {
    let agents = AgentConfig { ollama: Some(OllamaConfig { url: url.into(), is_said }), ..AgentConfig::default() };
    let limits = Limits { reading: Duration::from_millis(100), ..short() };
    Server::with_config(RunnerConfig { agents, ..config(state.path()) }, limits).await
}

/// What it told of the endpoint with each reading.
fn looks(heard: &[ToServer]) -> Vec<Option<EndpointLook>> {
    let look = |message: &ToServer| match message {
        ToServer::Reading { endpoint, .. } => Some(endpoint.as_deref().cloned()),
        _ => None,
    };
    heard.iter().filter_map(look).collect()
}

fn last(heard: &[ToServer]) -> Option<Looked> {
    looks(heard).pop().flatten().map(|look| look.looked)
}

/// Names with whether they are warm.
fn models(looked: Option<Looked>) -> Vec<(String, &'static str)> {
    match looked {
        Some(Looked::Answers { models, .. }) => models.into_iter().map(|model| (model.name, model.state.name())).collect(),
        _ => vec![],
    }
}

fn nobodys_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[tokio::test]
async fn an_ollama_is_found_with_its_models_lost_within_one_look_and_found_again() {
    let (state, ollama) = (State::new(), FakeOllama::with(&[("llama3:latest", false), ("tiny:1b", true)]).await);
    let server = at(&state, &ollama.url, false).await;
    let cold = [("llama3:latest".to_owned(), "cold"), ("tiny:1b".to_owned(), "warm")];
    server.until("its models", |heard| models(last(heard)) == cold).await;
    let Some(Looked::Answers { version, models: found }) = last(&server.heard()) else { panic!("it answered a moment ago") };
    assert_eq!(version.as_deref(), Some("0.9.1"));
    assert_eq!((found[0].size, found[0].quantization.as_deref(), found[1].vram), (1024, Some("Q4_0"), Some(512)));
    let look = looks(&server.heard()).pop().flatten().unwrap();
    assert_eq!((look.url.as_str(), look.is_said), (ollama.url.as_str(), false), "it was merely found");

    ollama.loads("llama3:latest");
    server.until("it warm", |heard| models(last(heard)).first().is_some_and(|(_, state)| *state == "warm")).await;
    ollama.breaks(true);
    server.until("that it does not answer", |heard| matches!(last(heard), Some(Looked::Fails { .. }))).await;
    ollama.breaks(false);
    server.until("it again", |heard| models(last(heard)).len() == 2).await;
}

#[tokio::test]
async fn where_nothing_was_ever_found_nothing_is_told_unless_somebody_said_that_it_is_there() {
    let (state, url) = (State::new(), nobodys_port());
    let server = at(&state, &url, false).await;
    server.until("three readings", |heard| looks(heard).len() >= 3).await;
    assert!(looks(&server.heard()).iter().all(Option::is_none));
    server.stop().await;
    let server = at(&state, &url, true).await;
    server.until("why it does not answer", |heard| matches!(last(heard), Some(Looked::Fails { why }) if why.contains("refused"))).await;
    assert!(looks(&server.heard()).pop().flatten().unwrap().is_said);
}

fn wanted(number: u128, model: &str) -> WantedPull {
    WantedPull { id: PullId(Uuid::from_u128(number)), model: model.into() }
}

/// The last word about a pull.
fn progress(heard: &[ToServer], number: u128) -> Option<PullProgress> {
    heard.iter().rev().find_map(|message| match message {
        ToServer::Pulling { pull, progress, .. } if pull.0.as_u128() == number => Some(progress.clone()),
        _ => None,
    })
}

async fn wants(server: &Server, wanted: &[WantedPull]) {
    server.tell(ToRunner::Pulls { wanted: wanted.to_vec(), optional: true }).await;
}

#[tokio::test]
async fn a_pull_is_told_as_it_goes_on_is_left_off_and_goes_to_its_end() {
    let (state, ollama) = (State::new(), FakeOllama::with(&[]).await);
    let server = at(&state, &ollama.url, true).await;
    wants(&server, &[wanted(1, "tiny")]).await;
    server.until("half of it", |heard| progress(heard, 1).is_some_and(|told| (told.completed, told.total) == (50, 100))).await;
    for _ in 0..2 {
        wants(&server, &[]).await;
    }
    ollama.until_pulls(1, 1).await;

    wants(&server, &[wanted(2, "tiny")]).await;
    ollama.until_pulls(2, 1).await;
    wants(&server, &[wanted(2, "tiny")]).await;
    ollama.goes_on();
    server.until("its end", |heard| progress(heard, 2).is_some_and(|told| told.end == Some(PullEnd::Done))).await;
    server.until("the model", |heard| !models(last(heard)).is_empty()).await;
}

#[tokio::test]
async fn a_pull_that_fails_says_why_and_what_has_ended_is_told_over_the_next_link() {
    let (state, ollama) = (State::new(), FakeOllama::with(&[]).await);
    let server = at(&state, &ollama.url, true).await;
    wants(&server, &[wanted(3, "missing")]).await;
    let failed = |told: &PullProgress| told.end == Some(PullEnd::Failed { why: "file does not exist".into() });
    server.until("why", |heard| progress(heard, 3).is_some_and(|told| failed(&told))).await;
    let told = |heard: &[ToServer]| {
        heard.iter().filter(|message| matches!(message, ToServer::Pulling { progress, .. } if failed(progress))).count()
    };
    let before = told(&server.heard());
    server.cut();
    server.until("the same again", |heard| told(heard) > before).await;
}

#[tokio::test(start_paused = true)]
async fn a_pull_that_says_the_same_again_and_again_ends() {
    let ollama = FakeOllama::with(&[]).await;
    for (model, says_something) in [("hangs", true), ("hangs-in-turn", true), ("hangs-silently", false)] {
        let began = tokio::time::Instant::now();
        let mut told = 0;
        let end = Asker::new(Reach::Anybody).unwrap().at(&ollama.url).unwrap().pull(model, |_| told += 1).await;
        assert_eq!(end, Pulled::failed("it has come no further for 30 min"), "{model}");
        assert_eq!(told > 100, says_something, "{model} has said something all the while: {told}");
        assert!(began.elapsed() < Duration::from_mins(31), "{model}: {:?}", began.elapsed());
    }
}

/// Whoever is told counts how often a pull falls back, each time that it is begun again.
#[tokio::test]
async fn what_an_ollama_fetches_anew_is_no_step_back() {
    let ollama = FakeOllama::with(&[]).await;
    let mut told = vec![];
    let tell = |progress: PullProgress| {
        told.push(progress.completed);
        if progress.status == "pulling a1" {
            ollama.goes_on();
        }
    };
    let end = Asker::new(Reach::Anybody).unwrap().at(&ollama.url).unwrap().pull("fetches-anew", tell).await;
    assert_eq!(end, Pulled::Ended(PullEnd::Done));
    assert_eq!(told.iter().filter(|completed| **completed == 50).count(), 2, "half of it, and then less: {told:?}");
    assert!(told.is_sorted() && told.last() == Some(&100), "{told:?}");
}

#[tokio::test]
async fn a_pull_that_says_more_than_an_ollama_does_ends() {
    let ollama = FakeOllama::with(&[]).await;
    let end = Asker::new(Reach::Anybody).unwrap().at(&ollama.url).unwrap().pull("floods", |_| ()).await;
    assert!(matches!(&end, Pulled::Ended(PullEnd::Failed { why }) if why.contains("says more than an Ollama does")), "{end:?}");
}

#[tokio::test]
async fn a_pull_that_nobody_answers_or_that_breaks_off_has_not_ended_and_is_begun_again() {
    let nobody = Asker::new(Reach::Others { own_machine: true }).unwrap().at(&nobodys_port()).unwrap();
    assert_eq!(nobody.pull("tiny", |_| ()).await, Pulled::Unanswered("Connection refused".into()));
    let (state, ollama) = (State::new(), FakeOllama::with(&[]).await);
    let ask = Asker::new(Reach::Anybody).unwrap().at(&ollama.url).unwrap();
    for status in [502, 503, 504] {
        let behind_a_proxy = ask.pull(&format!("refused{status} <html>"), |_| ()).await;
        assert!(matches!(behind_a_proxy, Pulled::Unanswered(_)), "{behind_a_proxy:?}");
    }

    let server = at(&state, &ollama.url, true).await;
    ollama.breaks(true);
    server.until("that it does not answer", |heard| matches!(last(heard), Some(Looked::Fails { .. }))).await;
    wants(&server, &[wanted(4, "cut")]).await;
    ollama.breaks(false);
    server.until("that it answers", |heard| matches!(last(heard), Some(Looked::Answers { .. }))).await;
    let mut asked = 0;
    while asked < 2 {
        // as the server says it, over and over
        wants(&server, &[wanted(4, "cut")]).await;
        let before = looks(&server.heard()).len();
        server.until("another look", |heard| looks(heard).len() > before).await;
        asked = ollama.pulls().len();
    }
    assert_eq!(ollama.pulls(), ["cut", "cut"]);
    assert_eq!(progress(&server.heard(), 4).and_then(|told| told.end), None);
    ollama.goes_on();
    server.until("its end", |heard| progress(heard, 4).is_some_and(|told| told.end == Some(PullEnd::Done))).await;

    // or the server would take it for one that was never begun, and give it no end
    wants(&server, &[wanted(5, "refused503 <html>")]).await;
    server.until("why it is not", |heard| progress(heard, 5).is_some_and(|told| told.end.is_none() && told.status.contains("503"))).await;
}

#[tokio::test]
async fn of_a_pull_that_is_refused_only_what_ollama_says_is_told_to_whoever_named_the_address() {
    let ollama = FakeOllama::with(&[]).await;
    let pull = async |reach, said: &str| {
        let pulled = Asker::new(reach).unwrap().at(&ollama.url).unwrap().pull(&format!("refused{said}"), |_| ()).await;
        match pulled {
            Pulled::Ended(PullEnd::Failed { why }) => why,
            other => panic!("{other:?}"),
        }
    };
    let others = Reach::Others { own_machine: true };
    assert_eq!(pull(others, "400 {\"error\":\"invalid model name\"}").await, "invalid model name");
    for said in ["403 {\"error\":\"no\",\"user\":\"ada\"}", "401 <html>", "404 [\"error\"]", "500 {\"error\":{\"secret\":1}}"] {
        assert_eq!(pull(others, said).await, "it does not answer as Ollama does", "{said}");
    }
    let own = pull(Reach::Anybody, "400 {\"error\":\"invalid model name\"}").await;
    assert!(own.starts_with("it answers /api/pull with 400") && own.ends_with(": invalid model name"), "{own}");
}

#[tokio::test]
async fn a_server_asks_nobody_on_its_own_machine_whatever_the_address_is_written_like() {
    let ollama = FakeOllama::with(&[("tiny", true)]).await;
    let port = ollama.url.rsplit(':').next().unwrap().to_owned();
    let others = |own_machine| Asker::new(Reach::Others { own_machine }).unwrap();
    for host in ["127.0.0.1", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]"] {
        assert!(others(false).at(&format!("http://{host}:{port}")).is_err(), "{host}");
    }
    let by_name = others(false).at(&format!("http://localhost:{port}")).unwrap();
    assert!(matches!(by_name.look().await, Looked::Fails { why } if why.contains("own machine")));
    let another = format!("{}/another-service", ollama.url);
    let fails = async |reach| Asker::new(reach).unwrap().at(&another).unwrap().look().await;
    let in_short = Looked::Fails { why: "it does not answer as Ollama does".into() };
    assert_eq!(fails(Reach::Others { own_machine: true }).await, in_short, "what is there is nobody's business");
    assert_eq!(fails(Reach::Anybody).await, Looked::Fails { why: "/api/tags is not as Ollama writes it".into() });
    let refuses = others(true).at(&nobodys_port()).unwrap().look().await;
    assert_eq!(refuses, Looked::Fails { why: "Connection refused".into() });
    let nowhere = others(true).at("http://nowhere.invalid:11434").unwrap().look().await;
    assert!(matches!(&nowhere, Looked::Fails { why } if why.contains("no name") || why.contains("within")), "{nowhere:?}");
    let allowed = others(true).at(&ollama.url).unwrap();
    assert_eq!(models(Some(allowed.look().await)), [("tiny".to_owned(), "warm")]);
    for never in ["169.254.169.254", "[fe80::1]", "0.0.0.0"] {
        assert!(others(true).at(&format!("http://{never}")).is_err(), "{never}");
    }
}
