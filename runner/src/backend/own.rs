//! The `own:NAME` backends: a program that is told its prompt once and prints what it does, as its manifest describes it: JSON objects, one a
//! line, or a text.
//!
//! Nothing is said to it while it works, and it asks nobody. How it went is what it says itself, where its manifest knows that, and then its
//! exit code.

use std::{path::PathBuf, process::ExitStatus, sync::Arc};

use domain::{
    Backend, Failure, FailureCode, SessionEventKind as Event,
    approval::Answer,
    session::{SessionEnd, TEXT_MAX, kept_text},
};

use super::{
    Beginning, Dialogue, Heard, Opening, how,
    json::{message, shortened},
    manifest::{Manifest, Speaks, line::Said},
    prompt::no_command,
};

/// Bytes of what an agent may call its session.
const LONGEST_SESSION: usize = 200;

pub(crate) struct Own {
    backend: Backend,
    version: String,
    manifest: Arc<Manifest>,
    worktree: PathBuf,
    model: Option<String>,
    session: Option<String>,
    is_begun: bool,
    /// Calls of tools that have no name.
    calls: u64,
    /// Of a text, what has come since the last empty line.
    gathered: String,
    /// How it went, as it says.
    end: Option<Result<(), String>>,
}

pub(crate) fn open(place: Beginning<'_>, prompt: &str, (backend, version): (&Backend, &str), manifest: &Arc<Manifest>) -> (Opening, Own) {
    let mut marks = manifest.marks();
    let is_an_argument = manifest.prompt_is_an_argument();
    if is_an_argument {
        // it would be taken for an option
        marks.push('-');
    }
    let prompt = no_command(prompt, &marks);
    let model = place.terms.model.as_deref();
    let dialogue = Own {
        backend: backend.clone(),
        version: version.to_owned(),
        manifest: Arc::clone(manifest),
        worktree: place.worktree,
        model: manifest.model(model).map(str::to_owned),
        session: place.session,
        is_begun: false,
        calls: 0,
        gathered: String::new(),
        end: None,
    };
    let arguments = manifest.arguments(model, &prompt, dialogue.session.as_deref());
    let lines = if is_an_argument { vec![] } else { vec![prompt] };
    (Opening { arguments, variables: vec![], files: vec![], lines }, dialogue)
}

impl Dialogue for Own {
    fn hear(&mut self, line: &str) -> Heard {
        if self.manifest.speaks == Speaks::Text {
            return Heard::events(self.says(line));
        }
        let Some(message) = message(line) else { return Heard::output() };
        if self.end.is_some() {
            // it has said all
            return Heard::default();
        }
        let lines = self.manifest.lines().iter();
        let all = lines.flat_map(|line| line.read(&message, &self.worktree, &mut self.calls));
        let (said, ends): (Vec<_>, Vec<_>) = all.partition(|said| !matches!(said, Said::Ended(_)));
        // whichever table says that it is the end, what the others say about the line comes before it, and one that went badly counts
        let end = ends.into_iter().max_by_key(|end| matches!(end, Said::Ended(Err(_))));
        let mut heard = Heard::default();
        for said in said.into_iter().chain(end) {
            match said {
                Said::Started { session, model } => {
                    self.session = session.filter(|name| is_a_name(name)).or(self.session.take());
                    self.model = model.or(self.model.take());
                    heard.events.extend(self.begins());
                }
                Said::Event(event) => {
                    let event = self.by_its_model(event);
                    heard.events.extend(self.begins().into_iter().chain([event]));
                }
                Said::Ended(end) => {
                    heard.events.extend(self.begins());
                    heard.events.push(ended(end.is_ok()));
                    heard.is_over = true;
                    self.end = Some(end);
                }
            }
        }
        heard
    }

    fn answer(&mut self, _: &str, _: &Answer) -> Heard {
        Heard::default()
    }

    fn tell(&mut self, _: &str, _: bool) -> Option<Heard> {
        None
    }

    fn listens(&self) -> bool {
        false
    }

    fn gone(&mut self, status: Option<ExitStatus>) -> Vec<Event> {
        let mut events = self.whole();
        if status.is_some() && self.end.is_none() {
            events.extend(self.begins());
            events.push(ended(self.verdict(status).is_ok()));
        }
        events
    }

    fn may_be_the_last(&self, _: &str) -> bool {
        false
    }

    fn session(&self) -> Option<String> {
        self.session.clone().filter(|_| self.manifest.resumes())
    }

    fn verdict(&self, ended: Option<ExitStatus>) -> Result<(), Failure> {
        let failed = |what: String| Err(Failure::new(FailureCode::CommandFailed, format!("{} {what}", self.backend.title())));
        match &self.end {
            Some(Err(why)) if why.trim().is_empty() => return failed("failed".into()),
            Some(Err(why)) => return failed(format!("failed: {}", shortened(why))),
            None if self.manifest.says_how_it_went() => return failed(format!("{} without saying how it went", how(ended))),
            Some(Ok(())) | None => {}
        }
        match ended {
            Some(ended) if ended.success() => Ok(()),
            // it had said that all went well, and would not go
            None if self.end.is_some() => Ok(()),
            Some(_) if self.end.is_some() => failed(format!("{} after it had said that all went well", how(ended))),
            _ => failed(how(ended)),
        }
    }
}

impl Own {
    /// Once, before anything else that is told of it.
    fn begins(&mut self) -> Option<Event> {
        if std::mem::replace(&mut self.is_begun, true) {
            return None;
        }
        let version = Some(kept_text(&self.version));
        Some(Event::Started { backend: self.backend.clone(), version, model: self.model.clone(), session: self.session.clone() })
    }

    /// What it has used, it has used with the model that it has, unless it says of which.
    fn by_its_model(&self, mut event: Event) -> Event {
        if let Event::Usage { model, .. } = &mut event {
            *model = model.take().or_else(|| self.model.clone());
        }
        event
    }

    /// A line of a text. What stands together is one message.
    fn says(&mut self, line: &str) -> Vec<Event> {
        let line = line.trim_end();
        if line.is_empty() {
            return self.whole();
        }
        let before = if self.gathered.len() + line.len() > TEXT_MAX { self.whole() } else { vec![] };
        self.gathered.push_str(line);
        self.gathered.push('\n');
        before
    }

    /// What was gathered, if anything.
    fn whole(&mut self) -> Vec<Event> {
        let text = std::mem::take(&mut self.gathered);
        if text.trim().is_empty() {
            return vec![];
        }
        self.begins().into_iter().chain([Event::Message { text: kept_text(text.trim_end()) }]).collect()
    }
}

fn ended(well: bool) -> Event {
    let how = if well { SessionEnd::Completed } else { SessionEnd::Failed };
    Event::Ended { how, turns: None, cost_micros: None }
}

/// What can be given to it as an argument, and is no option.
pub(crate) fn is_a_name(session: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._:-".contains(c);
    (1..=LONGEST_SESSION).contains(&session.len()) && session.chars().all(fits) && !session.starts_with('-')
}

#[cfg(test)]
mod tests;
