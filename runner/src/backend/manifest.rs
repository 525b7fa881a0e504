//! What a manifest says of an agent: how it is started, and what its words mean. Whatever is not as it should be leaves the whole file out,
//! with the field and what to do: it names a program that the runner starts.

pub(crate) mod folder;
pub(super) mod line;
mod provider;

use std::{collections::BTreeMap, ffi::OsString, path::PathBuf};

use domain::{AgentTerms, endpoint::ModelFormat, error::Errors};
use serde::Deserialize;

use super::given::{Endpoint, is_no_key};
use crate::NetworkList;
use line::Line;
use provider::Provider;

/// The file `NAME.toml` in the folder of manifests.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    pub speaks: Speaks,
    /// The program, and what it is called with.
    command: Vec<String>,
    /// What it is called with to say its version.
    #[serde(default = "usual_version")]
    pub version: Vec<String>,
    /// For `{model}` where the task names none.
    model: Option<String>,
    /// What it is given of the runner's own environment: names, and beginnings of names with a star behind them.
    #[serde(default)]
    environment: Vec<String>,
    /// What it is given beside that.
    #[serde(default)]
    variables: BTreeMap<String, String>,
    /// Files and folders of the machine that it needs in its sandbox.
    #[serde(default)]
    pub needs: Vec<PathBuf>,
    /// Hosts that it has to reach, such as that of its model: as in a network list.
    #[serde(default)]
    hosts: Vec<String>,
    /// Characters with which a command of its own begins: a prompt that begins so is introduced.
    #[serde(default = "usual_marks")]
    command_marks: String,
    #[serde(default)]
    acp: Option<Protocol>,
    /// How it is told of an endpoint where its model is; without that it is told of none.
    #[serde(default)]
    provider: Option<Provider>,
    /// What it is called with as well in a later round, with `{session}` for what it has called its session.
    #[serde(default)]
    resume: Vec<String>,
    #[serde(default, rename = "line")]
    lines: Vec<Line>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Speaks {
    /// The Agent Client Protocol.
    Acp,
    /// A JSON object a line.
    Lines,
    /// What it prints is what it says.
    Text,
}

/// What is only said of one that speaks the protocol. What is not said is as strict as can be.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Protocol {
    /// The mode in which it asks before it does something, where it has several.
    pub mode: Option<String>,
    /// It asks leave for all that it does but look around, so that people can be asked.
    pub asks: bool,
    /// The title of a command that it asks for is that command, to the letter.
    pub title_is_the_command: bool,
}

const MODEL: &str = "{model}";
const PROMPT: &str = "{prompt}";
const SESSION: &str = "{session}";

/// Of one argument: the system takes at most 128 KiB.
const LONGEST_ARGUMENT: usize = 100_000;
/// Of one text in a manifest.
const LONGEST_TEXT: usize = 4096;
const MOST_ITEMS: usize = 100;
/// What Muster itself says. With `MUSTER_` begins the rest of that, and what is nobody's but the server's.
const MUSTERS_OWN: [&str; 7] = ["PATH", "HOME", "TMPDIR", "USER", "LOGNAME", "PWD", "DATABASE_URL"];
/// A beginning of names that is shorter would be of too many.
const SHORTEST_BEGINNING: usize = 3;

fn usual_version() -> Vec<String> {
    vec!["--version".into()]
}

fn usual_marks() -> String {
    "/!$@#".into()
}

impl Manifest {
    pub fn parse(text: &str) -> Result<Self, String> {
        let document = toml::Deserializer::parse(text).map_err(|error| in_words(".", text, &error))?;
        let manifest: Self =
            serde_path_to_error::deserialize(document).map_err(|error| in_words(&error.path().to_string(), text, error.inner()))?;
        manifest.check()?;
        Ok(manifest)
    }

    /// By its name on the path, or its whole path.
    pub fn program(&self) -> &str {
        self.command.first().map_or("", String::as_str)
    }

    pub fn protocol(&self) -> Protocol {
        self.acp.clone().unwrap_or_default()
    }

    /// Whether it can be told which model to use.
    pub fn takes_a_model(&self) -> bool {
        self.says_a_model() || self.provider.as_ref().is_some_and(Provider::takes_a_model)
    }

    fn says_a_model(&self) -> bool {
        self.command.iter().chain(self.variables.values()).any(|text| text.contains(MODEL))
    }

    /// In which format it asks an endpoint that was chosen for its task.
    pub fn endpoint_format(&self) -> Option<ModelFormat> {
        self.provider.as_ref().map(|provider| provider.format)
    }

    /// Whether people can be asked before it does something.
    pub fn asks(&self) -> bool {
        self.speaks == Speaks::Acp && self.protocol().asks
    }

    /// Whom it has to reach, beside the addresses that it is given.
    pub fn hosts(&self) -> NetworkList {
        // it was read when the manifest was
        self.network().unwrap_or_else(|_| NetworkList::nothing())
    }

    fn network(&self) -> Result<NetworkList, String> {
        match self.hosts.is_empty() {
            true => Ok(NetworkList::nothing()),
            false => self.hosts.join(",").parse::<NetworkList>().map(|list| list.said()),
        }
    }

    pub fn marks(&self) -> Vec<char> {
        self.command_marks.chars().collect()
    }

    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Whether it says itself that all went well, so that nothing else counts as that.
    pub fn says_how_it_went(&self) -> bool {
        self.lines.iter().any(Line::may_end_well)
    }

    pub fn tells_of_tools(&self) -> bool {
        self.speaks == Speaks::Acp || self.lines.iter().any(Line::may_call_a_tool)
    }

    /// Whether a session can go on in a later round.
    pub fn resumes(&self) -> bool {
        !self.resume.is_empty()
    }

    /// Whether it is told its prompt as an argument; else on its standard input.
    pub fn prompt_is_an_argument(&self) -> bool {
        self.command.iter().any(|text| text.contains(PROMPT))
    }

    /// Why it cannot be told this.
    pub fn too_long(&self, prompt: &str) -> Option<String> {
        let is_too_long = self.prompt_is_an_argument() && prompt.len() > LONGEST_ARGUMENT;
        let bytes = prompt.len();
        is_too_long.then(|| {
            format!("what it is to be told is {bytes} bytes, and an argument holds {LONGEST_ARGUMENT}; without {PROMPT} in its manifest it would be told that on its standard input")
        })
    }

    /// What it is called with.
    pub fn arguments(&self, model: Option<&str>, prompt: &str, session: Option<&str>) -> Vec<OsString> {
        let later = self.resume.iter().filter(|_| session.is_some());
        // the prompt last: whatever stands in it stays
        let filled = |text: &String| self.with_model(text, model).replace(SESSION, session.unwrap_or_default()).replace(PROMPT, prompt);
        self.command.iter().skip(1).chain(later).map(|text| filled(text).into()).collect()
    }

    /// What it finds in its environment beside what everybody does; `all` is the runner's own. Where its model is at an endpoint, it is given
    /// nothing of that which may be a key.
    pub fn given(
        &self,
        all: impl Iterator<Item = (OsString, OsString)>,
        model: Option<&str>,
        endpoint: Option<Endpoint<'_>>,
    ) -> Vec<(OsString, OsString)> {
        let is_wanted = |name: &str| {
            self.environment.iter().any(|wanted| match wanted.strip_suffix('*') {
                Some(beginning) => name.starts_with(beginning),
                None => name == wanted,
            })
        };
        let may_be_given = |name: &str| is_wanted(name) && !is_musters(name) && (endpoint.is_none() || is_no_key(name));
        let inherited = all.filter(|(name, _)| name.to_str().is_some_and(may_be_given));
        let own = self.variables.iter().map(|(name, value)| (name.into(), self.with_model(value, model).into()));
        let told = self.provider.as_ref().map(|provider| provider.told(self.model(model), endpoint)).unwrap_or_default();
        let is_told = |name: &OsString| told.iter().any(|(said, _)| said == name);
        let others: Vec<_> = inherited.chain(own).filter(|(name, _)| !is_told(name)).collect();
        others.into_iter().chain(told).collect()
    }

    /// The model of the task, else its own.
    pub fn model<'a>(&'a self, of_the_task: Option<&'a str>) -> Option<&'a str> {
        of_the_task.or(self.model.as_deref())
    }

    fn with_model(&self, text: &str, model: Option<&str>) -> String {
        text.replace(MODEL, self.model(model).unwrap_or_default())
    }

    fn check(&self) -> Result<(), String> {
        self.check_command()?;
        self.check_model()?;
        self.check_surroundings()?;
        self.check_words()
    }

    fn check_command(&self) -> Result<(), String> {
        for (field, texts) in [("command", &self.command), ("version", &self.version), ("resume", &self.resume)] {
            if texts.len() > MOST_ITEMS || texts.iter().any(|text| text.len() > LONGEST_TEXT || text.contains('\0')) {
                return Err(format!("`{field}`: at most {MOST_ITEMS} texts of {LONGEST_TEXT} bytes are taken, without NUL characters"));
            }
        }
        let program = self.program();
        if program.is_empty() || program.contains(['{', '}']) || (program.contains('/') && !program.starts_with('/')) {
            return Err("`command`: begins with the program, by its name on the runner's PATH or its whole path".into());
        }
        if self.version.is_empty() {
            return Err("`version`: what the program is called with to say its version; leave it out for --version".into());
        }
        if self.speaks == Speaks::Acp && self.prompt_is_an_argument() {
            return Err(format!("`command`: {PROMPT} is not for an agent that speaks acp, which is told it by the protocol"));
        }
        if self.command.iter().map(|text| text.matches(PROMPT).count()).sum::<usize>() > 1 {
            return Err(format!("`command`: takes {PROMPT} once, as there is only so much room for arguments"));
        }
        if self.command.iter().any(|text| text.contains(SESSION)) {
            return Err(format!("`command`: {SESSION} is for `resume`, as there is no session yet in the first round"));
        }
        if self.resume.iter().any(|text| text.contains(PROMPT)) {
            return Err(format!("`resume`: {PROMPT} is for `command`, which it is called with in every round"));
        }
        if self.version.iter().any(|text| [MODEL, PROMPT, SESSION].iter().any(|name| text.contains(name))) {
            return Err("`version`: takes none of the words in braces, as there is no task yet".into());
        }
        Ok(())
    }

    fn check_model(&self) -> Result<(), String> {
        let mut errors = Errors::default();
        AgentTerms { model: self.model.clone(), ..AgentTerms::default() }.validate(&mut errors);
        if let Err(invalid) = errors.finish() {
            return Err(format!("`model`: {invalid}"));
        }
        match (self.says_a_model(), &self.model) {
            (true, None) => Err(format!("`model`: say which it is when the task names none, as {MODEL} has to become something")),
            (false, Some(_)) if !self.takes_a_model() => {
                Err(format!("`model`: there is no {MODEL} in `command` or `variables` that it could be put for"))
            }
            _ => self.provider.as_ref().map_or(Ok(()), |provider| provider.check(self.says_a_model())),
        }
    }

    fn check_surroundings(&self) -> Result<(), String> {
        for wanted in &self.environment {
            let (name, fits) = match wanted.strip_suffix('*') {
                Some(beginning) => (beginning, beginning.len() >= SHORTEST_BEGINNING),
                None => (wanted.as_str(), true),
            };
            if !is_name(name) || !fits {
                let shortest = SHORTEST_BEGINNING;
                return Err(format!(
                    "`environment`: takes names of variables, and beginnings of {shortest} letters or more with a star behind them"
                ));
            }
            if is_musters(name) {
                return Err(format!("`environment`: {name} is Muster's own, and given to nobody"));
            }
        }
        for (name, value) in &self.variables {
            if !is_name(name) || value.len() > LONGEST_TEXT || value.contains('\0') {
                return Err(format!("`variables`: takes texts of at most {LONGEST_TEXT} bytes, each under the name of a variable"));
            }
            if is_musters(name) {
                return Err(format!("`variables`: {name} is for Muster to say"));
            }
        }
        if self.environment.len() > MOST_ITEMS || self.variables.len() > MOST_ITEMS || self.needs.len() > MOST_ITEMS {
            return Err(format!("`environment`, `variables` and `needs`: at most {MOST_ITEMS} each"));
        }
        if self.hosts.len() > MOST_ITEMS {
            return Err(format!("`hosts`: at most {MOST_ITEMS}"));
        }
        if let Err(why) = self.network() {
            return Err(format!("`hosts`: {why}"));
        }
        match self.needs.iter().find(|path| !path.is_absolute()) {
            Some(path) => Err(format!("`needs`: {} is no whole path", path.display())),
            None => Ok(()),
        }
    }

    /// What is said about how it speaks fits how it does.
    fn check_words(&self) -> Result<(), String> {
        if self.command_marks.len() > MOST_ITEMS || self.command_marks.chars().any(|c| c.is_alphanumeric() || c.is_whitespace()) {
            return Err("`command_marks`: takes characters that are neither letters, digits nor spaces, such as /!".into());
        }
        if self.speaks != Speaks::Acp && self.acp.is_some() {
            return Err("`acp`: is for an agent that speaks acp".into());
        }
        if self.speaks != Speaks::Lines {
            return match (self.lines.is_empty(), self.resume.is_empty()) {
                (false, _) => Err("`line`: is for an agent that speaks lines".into()),
                (_, false) => Err("`resume`: is for an agent that speaks lines".into()),
                (true, true) => Ok(()),
            };
        }
        if self.lines.is_empty() || self.lines.len() > MOST_ITEMS {
            return Err(format!("`line`: say what its lines mean, in 1 to {MOST_ITEMS} tables [[line]]"));
        }
        if let Some(at) = self.lines.iter().position(Line::says_nothing) {
            return Err(format!("`line[{at}]`: say what such a line means, for example message = {{ text = \"/text\" }}"));
        }
        let (named, used) = (self.lines.iter().any(Line::may_name_a_session), self.resume.iter().any(|text| text.contains(SESSION)));
        match (self.resumes(), named && used) {
            (true, false) => Err(format!(
                "`resume`: needs {SESSION} in it, and a line that says what the session is called: started = {{ session = \"/session\" }}"
            )),
            _ => Ok(()),
        }
    }
}

fn is_name(name: &str) -> bool {
    (1..=LONGEST_TEXT).contains(&name.len()) && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn is_musters(name: &str) -> bool {
    MUSTERS_OWN.contains(&name) || name.starts_with("MUSTER_")
}

/// Never what stands where keys may be.
fn in_words(field: &str, text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start));
    let line = before.map(|before| format!(" (line {})", before.matches('\n').count() + 1)).unwrap_or_default();
    let what = match field.split(['.', '[']).next() {
        Some("command" | "version" | "resume" | "environment" | "hosts") => "must be texts, in a list",
        Some("variables") => "must be texts, each under the name of a variable",
        Some("provider") => provider::FORM,
        _ => error.message(),
    };
    let what = what.lines().collect::<Vec<_>>().join(" ");
    match field {
        "" | "." => format!("{what}{line}"),
        field => format!("`{field}`: {what}{line}"),
    }
}

#[cfg(test)]
mod tests;
