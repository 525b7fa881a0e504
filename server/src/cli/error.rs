//! How a command ends: its exit status, and what it says when something went wrong: one line of what happened, the fields that are
//! not right, and what to do about it.

use std::{
    io::{self, ErrorKind, Write},
    process::ExitCode,
};

use anstyle::{AnsiColor, Style};
use domain::{FieldError, Invalid};
use reqwest::Url;
use serde::Deserialize;
use thiserror::Error;

/// What the exit status says; scripts rely on the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: done; where a task is watched, it succeeded.
    Done,
    /// 1: it did not succeed, or could not be carried out.
    Failed,
    /// 2: the command line does not make sense.
    Usage,
    /// 4: no API key, or one that is refused.
    SignIn,
    /// 130: a person pressed Ctrl-C, as shells count it.
    Interrupted,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::SignIn => 4,
            Exit::Interrupted => 130,
        })
    }
}

#[derive(Debug, Error)]
pub enum CliError {
    #[error("nothing answers at {url}: {cause}")]
    Unreachable { url: Url, cause: String },
    #[error("{0}")]
    Refused(Problem),
    #[error("no API key: MUSTER_API_KEY is not set")]
    NoKey,
    /// A token with which a machine joins is not good.
    #[error("{0}")]
    BadToken(String),
    /// The server does not take this machine's runner.
    #[error("{0}")]
    NotARunner(String),
    #[error("{message}")]
    Usage { message: String, remedy: String },
    #[error("{0}")]
    Invalid(Invalid),
    #[error("{message}")]
    Failed { message: String, remedy: Option<String> },
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
}

/// The body of an answer that says no (RFC 9457), as far as the command line needs it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Problem {
    pub status: u16,
    pub title: String,
    pub detail: Option<String>,
    pub errors: Vec<FieldError>,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.detail {
            // Where fields are named, they say it better.
            Some(detail) if !detail.is_empty() && self.errors.is_empty() => write!(f, "{}: {detail}", self.title),
            _ => f.write_str(&self.title),
        }
    }
}

impl CliError {
    pub fn failed(message: impl Into<String>) -> Self {
        Self::Failed { message: message.into(), remedy: None }
    }

    pub fn exit(&self) -> Exit {
        match self {
            Self::Output(error) if error.kind() == ErrorKind::BrokenPipe => Exit::Done,
            Self::NoKey | Self::BadToken(_) | Self::NotARunner(_) => Exit::SignIn,
            Self::Refused(problem) if matches!(problem.status, 401 | 403) => Exit::SignIn,
            Self::Usage { .. } | Self::Invalid(_) => Exit::Usage,
            Self::Unreachable { .. } | Self::Refused(_) | Self::Failed { .. } | Self::Output(_) => Exit::Failed,
        }
    }

    /// Whether the same request may go better in a moment: the server restarts, or has too much to do.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused(problem) => matches!(problem.status, 429 | 502 | 503 | 504),
            _ => false,
        }
    }

    fn fields(&self) -> &[FieldError] {
        match self {
            Self::Refused(problem) => &problem.errors,
            Self::Invalid(invalid) => &invalid.errors,
            _ => &[],
        }
    }

    fn remedy(&self) -> Option<&str> {
        match self {
            Self::Unreachable { .. } => Some("start it with `muster serve`, or set MUSTER_URL to where it runs"),
            Self::NoKey => Some("make a key with `muster admin create-key --name NAME` and set MUSTER_API_KEY to it"),
            Self::Refused(problem) => match problem.status {
                401 => Some("see that MUSTER_API_KEY belongs to this server; `muster admin create-key --name NAME` makes a new key"),
                403 => Some("use a key whose role allows it; `muster admin create-key --name NAME --role ROLE` makes one"),
                404 => Some("see what there is with `muster task list`, `muster workflow list` and `muster workflow runs`"),
                _ => None,
            },
            Self::BadToken(_) => Some("`muster runner token`, on a machine that is signed in, makes another"),
            Self::NotARunner(_) => Some("`muster runner leave --force` clears up here; join again with a new token"),
            Self::Usage { remedy, .. } => Some(remedy),
            Self::Failed { remedy, .. } => remedy.as_deref(),
            Self::Invalid(_) | Self::Output(_) => None,
        }
    }
}

/// Says what went wrong on stderr, and gives the exit status. A reader that went away is no error, so nothing is said about it.
pub fn report(error: &CliError) -> Exit {
    if !matches!(error, CliError::Output(error) if error.kind() == ErrorKind::BrokenPipe) {
        // When stderr is gone too, there is nobody left to tell.
        let _ = write_report(error, &mut anstream::stderr().lock());
    }
    error.exit()
}

fn write_report(error: &CliError, out: &mut impl Write) -> io::Result<()> {
    let name = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
    let dim = Style::new().dimmed();
    writeln!(out, "{name}muster:{name:#} {}", one_line(&error.to_string()))?;
    for field in error.fields() {
        writeln!(out, "  {}: {}", field.pointer, one_line(&field.message))?;
    }
    match error.remedy() {
        Some(remedy) => writeln!(out, "  {dim}try:{dim:#} {remedy}"),
        None => Ok(()),
    }
}

/// What came from elsewhere must neither break the line nor steer the terminal.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16) -> CliError {
        CliError::Refused(Problem { status, title: "No".into(), ..Problem::default() })
    }

    fn text(error: &CliError) -> String {
        let mut out = anstream::StripStream::new(Vec::new());
        write_report(error, &mut out).unwrap();
        String::from_utf8(out.into_inner()).unwrap()
    }

    #[test]
    fn the_exit_status_tells_sign_in_from_the_rest() {
        assert_eq!([401, 403, 404, 409, 422, 500].map(|status| refused(status).exit() as u8), {
            let (sign_in, failed) = (Exit::SignIn as u8, Exit::Failed as u8);
            [sign_in, sign_in, failed, failed, failed, failed]
        });
        assert_eq!(CliError::NoKey.exit(), Exit::SignIn);
        assert_eq!(CliError::Output(ErrorKind::BrokenPipe.into()).exit(), Exit::Done);
    }

    #[test]
    fn a_problem_is_shown_with_its_fields_and_without_escape_codes() {
        let body = r#"{"type": "/problems/invalid", "status": 422, "title": "Not\u001b[2J valid", "detail": "2 fields",
            "errors": [{"pointer": "/title", "code": "required", "message": "must not be empty"}]}"#;
        let error = CliError::Refused(serde_json::from_str(body).unwrap());
        assert_eq!(text(&error), "muster: Not [2J valid\n  /title: must not be empty\n");
    }

    #[test]
    fn a_server_that_is_not_there_is_named_with_the_remedy() {
        let url = "http://127.0.0.1:7878".parse().unwrap();
        let said = text(&CliError::Unreachable { url, cause: "connection refused".into() });
        assert_eq!(
            said,
            "muster: nothing answers at http://127.0.0.1:7878/: connection refused\n  \
             try: start it with `muster serve`, or set MUSTER_URL to where it runs\n"
        );
    }
}
