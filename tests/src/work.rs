//! Work that is handed to agents, and the people who look after it.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::machine::{Client, Machine, Server, stderr, stdout};

const PATIENCE: Duration = Duration::from_secs(60);

pub struct Work<'a> {
    pub client: Client<'a>,
    pub repository: String,
}

impl<'a> Work<'a> {
    pub fn at(machine: &'a Machine, server: &'a Server) -> Self {
        let client = Client { machine, url: &server.url, key: machine.creates_key("member") };
        Self { client, repository: machine.repository().to_str().unwrap().to_owned() }
    }

    /// Its id.
    pub fn hands_in(&self, prompt: &str, more: &[&str]) -> String {
        self.hands_to("claude-code", prompt, more)
    }

    pub fn hands_to(&self, agent: &str, prompt: &str, more: &[&str]) -> String {
        let usual = ["task", "run", prompt, "--repo", &self.repository, "--title", "Tidy up", "--agent", agent, "--json"];
        let created = self.client.run(&[&usual, more].concat());
        let task: Value = serde_json::from_str(&stdout(&created)).unwrap_or_else(|_| panic!("{}", stderr(&created)));
        task["id"].as_str().unwrap().to_owned()
    }

    /// As it is when it has ended.
    pub fn waits_for(&self, id: &str) -> Value {
        self.client.run(&["task", "logs", id, "--follow"]);
        self.shows(id)
    }

    /// It has succeeded, in one session, after its agent had said that it heard what it was told.
    pub fn has_heard_it(&self, id: &str) {
        let ended = self.waits_for(id);
        assert_eq!(ended["state"], "succeeded", "{}", self.log(id));
        let events = self.session(id);
        assert!(events.iter().any(|event| event["text"] == "I have heard it."), "{events:#?}");
        assert_eq!(events.iter().filter(|event| event["type"] == "ended").count(), 1, "{events:#?}");
    }

    pub fn shows(&self, id: &str) -> Value {
        let shown = self.client.run(&["task", "show", id, "--json"]);
        serde_json::from_str(&stdout(&shown)).unwrap_or_else(|_| panic!("{}", stderr(&shown)))
    }

    pub fn session(&self, id: &str) -> Vec<Value> {
        let shown = self.client.run(&["task", "session", id, "--json"]);
        let part: Value = serde_json::from_str(&stdout(&shown)).unwrap_or_else(|_| panic!("{}", stderr(&shown)));
        part["events"].as_array().unwrap().clone()
    }

    pub fn log(&self, id: &str) -> String {
        stdout(&self.client.run(&["task", "logs", id]))
    }
}

pub fn file(machine: &Machine, task: &Value, name: &str) -> String {
    let branch = task["attempt_list"].as_array().unwrap().last().unwrap()["branch"].as_str().unwrap().to_owned();
    let shown = std::process::Command::new("git").arg("-C").arg(machine.repository()).args(["show", &format!("{branch}:{name}")]).output();
    stdout(&shown.unwrap())
}

pub fn until<T>(what: &str, there: impl Fn() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = there() {
            return found;
        }
        assert!(Instant::now() < deadline, "in vain until {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// What waits for an answer now, once there is something.
pub fn asked(client: &Client<'_>) -> Value {
    until("somebody is asked", || {
        let listed = client.run(&["approval", "list", "--json"]);
        let listed: Value = serde_json::from_str(&stdout(&listed)).unwrap_or_else(|_| panic!("{}", stderr(&listed)));
        listed["items"].as_array().or(listed.as_array()).unwrap().first().cloned()
    })
}

pub fn id(approval: &Value) -> &str {
    approval["id"].as_str().unwrap()
}

pub fn says_so(client: &Client<'_>, arguments: &[&str]) {
    let said = client.run(arguments);
    assert!(said.status.success(), "{arguments:?}: {}", stderr(&said));
}

pub fn permissions(events: &[Value]) -> Vec<(bool, &str)> {
    let asked = events.iter().filter(|event| event["type"] == "permission");
    asked.map(|event| (event["allowed"].as_bool().unwrap(), event["by"].as_str().unwrap())).collect()
}
