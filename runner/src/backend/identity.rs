//! Whose commits the work's are.

use std::{io, process::Stdio};

use tokio::process::Command;

use crate::git::quoted;

/// What git in the work signs commits with.
pub(crate) struct Identity {
    name: String,
    email: String,
    /// This user's git says so by itself, where it is asked.
    is_known: bool,
}

impl Identity {
    /// The user's own where there is one, else Muster's. Fails when there is no git.
    pub async fn find() -> io::Result<Self> {
        Ok(match (setting("user.name").await?, setting("user.email").await?) {
            (name, Some(email)) => Self { name: name.unwrap_or_else(|| "Muster".into()), email, is_known: true },
            (_, None) => Self::musters(),
        })
    }

    pub fn musters() -> Self {
        Self { name: "Muster".into(), email: "muster@localhost".into(), is_known: false }
    }

    /// For whoever has the user's home, as far as that does not say it.
    pub fn variables(&self) -> Vec<(&'static str, &str)> {
        let (name, email) = (self.name.as_str(), self.email.as_str());
        let all = [("GIT_AUTHOR_NAME", name), ("GIT_AUTHOR_EMAIL", email), ("GIT_COMMITTER_NAME", name), ("GIT_COMMITTER_EMAIL", email)];
        if self.is_known { vec![] } else { all.to_vec() }
    }

    /// For a home of its own. The work may say otherwise.
    pub fn settings(&self) -> String {
        format!("[user]\n\tname = {}\n\temail = {}\n", quoted(&self.name), quoted(&self.email))
    }
}

/// Of this user's git.
async fn setting(name: &str) -> io::Result<Option<String>> {
    let asked = Command::new("git").args(["config", "--get", name]).current_dir("/").stdin(Stdio::null()).output().await?;
    let value = String::from_utf8_lossy(&asked.stdout).trim().to_owned();
    Ok((asked.status.success() && !value.is_empty()).then_some(value))
}
