//! Pull requests: which forge a repository is on, with which token it is asked, and how its pull request is found, made or brought up to date.

use domain::{
    PullRequest,
    protocol::{Trouble, WantedPullRequest},
};
use serde_json::Value;

use super::{
    NotDone,
    github::GitHub,
    gitlab::GitLab,
    http::{Api, NoAnswer},
    remote::Remote,
    trouble,
};
use crate::{
    config::{Forge, ForgeKind},
    git::{Bounds, Git, GitError, Place},
    life::Runner,
};

/// For a credential helper to answer.
const HELPER: Bounds = Bounds { time: std::time::Duration::from_secs(60), output: 64 * 1024 };

/// What is to be there.
pub(super) struct Wanted<'a> {
    pub title: &'a str,
    pub body: &'a str,
    pub branch: &'a str,
    pub base: &'a str,
}

/// A forge that is spoken to.
enum Spoken {
    GitHub(GitHub),
    GitLab(GitLab),
}

/// The pull request of a branch that was pushed: the one that is open is brought up to date, else there is a new one. When an answer got lost,
/// the next try finds what it was about.
pub(super) async fn open(
    git: &Git,
    runner: &Runner,
    location: &str,
    branch: &str,
    base: Option<&str>,
    wanted: &WantedPullRequest,
) -> Result<PullRequest, NotDone> {
    let spoken = spoken(git, runner, location).await?;
    let base = match base {
        Some(base) => base.to_owned(),
        None => spoken.default_branch().await?,
    };
    let wanted = Wanted { title: &wanted.title, body: &wanted.body, branch, base: &base };
    if let Some(open) = spoken.find(branch).await? {
        return Ok(spoken.update(&open, &wanted).await?);
    }
    match spoken.create(&wanted).await {
        // somebody was faster
        Err(NoAnswer::Refused(refused)) if matches!(refused.status, 409 | 422) => match spoken.find(branch).await? {
            Some(open) => Ok(spoken.update(&open, &wanted).await?),
            None => Err(spoken.api().why(NoAnswer::Refused(refused), "a pull request be opened").into()),
        },
        Err(no) => Err(spoken.api().why(no, "a pull request be opened").into()),
        Ok(made) => Ok(made),
    }
}

/// What the pull request of a branch says, as long as it is open.
pub(super) async fn say_anew(
    git: &Git,
    runner: &Runner,
    location: &str,
    branch: &str,
    wanted: &WantedPullRequest,
) -> Result<Option<PullRequest>, NotDone> {
    let spoken = spoken(git, runner, location).await?;
    let Some(open) = spoken.find(branch).await? else { return Ok(None) };
    // where it goes stays as it is
    let wanted = Wanted { title: &wanted.title, body: &wanted.body, branch, base: "" };
    Ok(Some(spoken.update(&open, &wanted).await?))
}

/// The forge that a repository is on, as this machine may speak with it.
async fn spoken(git: &Git, runner: &Runner, location: &str) -> Result<Spoken, NotDone> {
    let remote = Remote::parse(location).ok_or_else(|| {
        let message = "its repository is on no forge, so that no pull request can be opened; its branch is pushed".to_owned();
        trouble(message, "Give the repository an origin on GitHub or GitLab, or let its results be pushed alone.")
    })?;
    let forge = forge_of(&remote, &runner.config.landing.forges)?;
    let token = token(git, runner, &remote).await?;
    Ok(Spoken::new(&forge, &remote, &token)?)
}

impl Spoken {
    fn new(forge: &Forge, remote: &Remote, token: &str) -> Result<Self, Trouble> {
        let base = forge.api.clone().unwrap_or_else(|| usual_api(forge.kind, remote));
        match forge.kind {
            ForgeKind::GitHub => GitHub::new(remote, &base, token).map(Self::GitHub),
            ForgeKind::GitLab => GitLab::new(remote, &base, token).map(Self::GitLab),
        }
    }

    fn api(&self) -> &Api {
        match self {
            Self::GitHub(forge) => &forge.api,
            Self::GitLab(forge) => &forge.api,
        }
    }

    async fn default_branch(&self) -> Result<String, Trouble> {
        let about = match self {
            Self::GitHub(forge) => forge.about().await,
            Self::GitLab(forge) => forge.about().await,
        };
        let about = about.map_err(|no| self.api().why(no, "the repository be looked at"))?;
        let branch = about.get("default_branch").and_then(Value::as_str).filter(|name| !name.is_empty());
        let nothing =
            || trouble("the repository has no default branch for a pull request to go to", "Push a first commit to it, and try again.");
        branch.map(str::to_owned).ok_or_else(nothing)
    }

    /// The open pull request of the branch.
    async fn find(&self, branch: &str) -> Result<Option<PullRequest>, Trouble> {
        let found = match self {
            Self::GitHub(forge) => forge.find(branch).await,
            Self::GitLab(forge) => forge.find(branch).await,
        };
        found.map_err(|no| self.api().why(no, "its pull requests be looked at"))
    }

    async fn create(&self, wanted: &Wanted<'_>) -> Result<PullRequest, NoAnswer> {
        match self {
            Self::GitHub(forge) => forge.create(wanted).await,
            Self::GitLab(forge) => forge.create(wanted).await,
        }
    }

    async fn update(&self, open: &PullRequest, wanted: &Wanted<'_>) -> Result<PullRequest, Trouble> {
        let updated = match self {
            Self::GitHub(forge) => forge.update(open, wanted).await,
            Self::GitLab(forge) => forge.update(open, wanted).await,
        };
        updated.map_err(|no| self.api().why(no, "its pull request be brought up to date"))
    }
}

/// Said by whoever runs the runner, or by the name of the host.
fn forge_of(remote: &Remote, known: &[Forge]) -> Result<Forge, Trouble> {
    let host = remote.host.as_str();
    if let Some(forge) = known.iter().find(|forge| forge.host == host) {
        return Ok(forge.clone());
    }
    let kind = match host {
        "github.com" => Some(ForgeKind::GitHub),
        "gitlab.com" => Some(ForgeKind::GitLab),
        host if host.starts_with("github.") => Some(ForgeKind::GitHub),
        host if host.starts_with("gitlab.") => Some(ForgeKind::GitLab),
        _ => None,
    };
    let unknown = || {
        let advice = format!("Start the runner with MUSTER_FORGES=\"{host}=github\" or \"{host}=gitlab\", and try again.");
        trouble(format!("it is not known what forge {host} is, so that no pull request was opened; its branch is pushed"), advice)
    };
    kind.map(|kind| Forge { host: host.to_owned(), kind, api: None }).ok_or_else(unknown)
}

fn usual_api(kind: ForgeKind, remote: &Remote) -> String {
    let (scheme, host) = (remote.scheme(), &remote.host);
    match kind {
        ForgeKind::GitHub if host == "github.com" => "https://api.github.com".to_owned(),
        ForgeKind::GitHub => format!("{scheme}://{host}/api/v3"),
        ForgeKind::GitLab => format!("{scheme}://{host}/api/v4"),
    }
}

/// The very one that git pushes with over http, from the same helpers. Where git goes by ssh it is for this alone.
async fn token(git: &Git, runner: &Runner, remote: &Remote) -> Result<String, NotDone> {
    let question = format!("protocol={}\nhost={}\npath={}.git\n\n", remote.scheme(), remote.host, remote.path);
    let place = Place::Folder(&runner.folders.state_dir);
    let answer = match git.run_with_input(place, &[&"credential", &"fill"], question.as_bytes(), HELPER).await {
        Ok(answer) => answer.text(),
        Err(GitError::GivenUp) => return Err(NotDone::Stopped),
        // what it says is of no use to anybody: it could not ask a person
        Err(_) => String::new(),
    };
    let token = answer.lines().find_map(|line| line.strip_prefix("password=")).filter(|token| !token.is_empty());
    let none = || {
        let (host, message) =
            (&remote.host, format!("there is no token for {}, so that no pull request was opened; its branch is pushed", remote.host));
        let advice = format!("Put one into a file named {host} in the folder MUSTER_GIT_TOKENS of the runner's machine, and try again.");
        NotDone::NoToken(trouble(message, advice))
    };
    Ok(token.ok_or_else(none)?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(location: &str) -> Remote {
        Remote::parse(location).unwrap()
    }

    #[test]
    fn a_forge_is_known_by_its_name_or_by_what_is_said_of_it() {
        let said = Forge::parse("code.example.org=gitlab,https://api.example.org/v4").unwrap();
        let known = std::slice::from_ref(&said);
        let kind = |location: &str| forge_of(&remote(location), known).map(|forge| (forge.kind, forge.api.is_some())).ok();
        assert_eq!(kind("https://github.com/a/b"), Some((ForgeKind::GitHub, false)));
        assert_eq!(kind("git@gitlab.example.org:a/b"), Some((ForgeKind::GitLab, false)));
        assert_eq!(kind("https://code.example.org/a/b"), Some((ForgeKind::GitLab, true)));
        assert_eq!(kind("https://example.org/a/b"), None);
    }

    #[test]
    fn the_api_is_where_such_forges_have_it() {
        let api = |kind, location: &str| usual_api(kind, &remote(location));
        assert_eq!(api(ForgeKind::GitHub, "git@github.com:a/b"), "https://api.github.com");
        assert_eq!(api(ForgeKind::GitHub, "https://ghe.example.org/a/b"), "https://ghe.example.org/api/v3");
        assert_eq!(api(ForgeKind::GitLab, "http://127.0.0.1:3000/a/b"), "http://127.0.0.1:3000/api/v4");
        assert_eq!(api(ForgeKind::GitLab, "http://example.org/a/b"), "https://example.org/api/v4", "no token goes over it in the clear");
    }
}
