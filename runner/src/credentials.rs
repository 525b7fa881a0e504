//! How git proves who it is to other hosts: with tokens that lie in files of this machine, one for each host, outside of every sandbox.
//!
//! Git is given a credential helper that reads the file when git asks for it, and the token goes to git over a pipe. So it is in no argument,
//! address, environment or setting, and one that is replaced is used from then on. What the runner's user has set in `gitconfig.local` is
//! asked about the hosts that have no file. A token goes to its host over https alone, or in the clear to this very machine.
//!
//! A runner inside a server works for every workspace, and all of that is for the first of them, which is that of whoever runs the server.
//! Another one is a guest: it has what lies in the folder that is called as the workspace, in the folder of tokens. Git has settings of its own
//! for it, and nothing else of the machine's user.

use std::{
    ffi::OsStr,
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use tracing::warn;

use crate::{
    folders::{private_folder, remove},
    git::{SETTINGS, quoted},
    landing::is_here,
};

const HEAD: &str = "# Written by Muster at every start, from the folder MUSTER_GIT_TOKENS. Your own settings belong in gitconfig.local.\n";

/// The settings of whoever has nothing here. No workspace is called so.
const OF_NOBODY: &str = ".nobody";

/// Writes the settings that name the helpers. Without a folder of tokens there are none.
pub(crate) fn write(settings: &Path, tokens: Option<&Path>) -> io::Result<()> {
    fs::write(settings, HEAD.to_owned() + &helpers(tokens))
}

/// Writes the settings of the workspaces that have a folder among the tokens, and of those that have none, as they are now. They are whole.
pub(crate) fn write_for_guests(settings: &Path, tokens: Option<&Path>) -> io::Result<()> {
    remove(settings)?;
    private_folder(settings)?;
    fs::write(settings.join(OF_NOBODY), SETTINGS)?;
    for (slug, folder) in tokens.map(guests).unwrap_or_default() {
        fs::write(settings.join(slug), SETTINGS.to_owned() + HEAD + &helpers(Some(&folder)))?;
    }
    Ok(())
}

/// The settings of git for this workspace.
pub(crate) fn of_guest(settings: &Path, slug: &str) -> PathBuf {
    let own = settings.join(slug);
    if is_slug(slug) && own.is_file() { own } else { settings.join(OF_NOBODY) }
}

/// What a workspace has of the machine that it shares.
pub(crate) fn whose_tokens(slug: &str) -> String {
    format!(
        "Its runner works for several workspaces: for '{slug}' it has the tokens in the folder {slug} of its MUSTER_GIT_TOKENS alone, and no \
         keys for ssh."
    )
}

fn helpers(tokens: Option<&Path>) -> String {
    let Some(folder) = tokens else { return String::new() };
    match hosts(folder) {
        Ok(hosts) => hosts.iter().map(|(host, file)| helper(host, file)).collect(),
        Err(error) => {
            warn!("The folder of git tokens {} cannot be read, so that git goes without them: {error}", folder.display());
            String::new()
        }
    }
}

/// The folders of other workspaces. One that cannot be read was told of by whoever looked for the hosts.
fn guests(folder: &Path) -> Vec<(String, PathBuf)> {
    let entries = folder.canonicalize().and_then(fs::read_dir).into_iter().flatten().flatten();
    let named = entries.filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path())));
    named.filter(|(name, path)| is_slug(name) && path.is_dir()).collect()
}

/// As workspaces are called in addresses.
fn is_slug(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=50).contains(&name.len()) && name.chars().all(fits) && !name.starts_with('-') && !name.ends_with('-')
}

/// The hosts that there is a token for, each with its file. What is called otherwise than a host is none.
fn hosts(folder: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut hosts = vec![];
    let folder = folder.canonicalize()?;
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        if path.is_dir() && is_slug(name) {
            continue;
        }
        if !is_host(name) {
            // a hidden one is nobody's token
            if !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')) {
                let what = "it is not called as a host is, such as github.com, nor a folder that is called as a workspace";
                warn!("{} is left out: {what}", path.display());
            }
            continue;
        }
        // a link, as where secrets are mounted, leads to a file
        let about = match fs::metadata(&path) {
            Ok(about) if about.is_file() => about,
            Ok(_) => continue,
            Err(error) => {
                warn!("The token in {} is left out: {error}", path.display());
                continue;
            }
        };
        if about.permissions().mode() & 0o077 != 0 {
            warn!("The token in {} can be read by others on this machine: `chmod 600` makes it yours", path.display());
        }
        hosts.push((name.to_ascii_lowercase(), path.clone()));
    }
    hosts.sort_unstable();
    Ok(hosts)
}

fn is_host(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
    !name.starts_with(['.', '-']) && name.contains(['.', ':']) && name.chars().all(fits) || name == "localhost"
}

/// Any name does beside a token, where it is not GitHub's own for its apps. No other helper is asked about this host, as it would be told the
/// token once it was good, and some write down what they are told. A file without a token says nothing.
fn helper(host: &str, file: &Path) -> String {
    let reads = format!("tr -d '\\r\\n' < {}", shell_quoted(&file.to_string_lossy()));
    let says = r"printf 'username=x-access-token\npassword=%s\n'";
    let command = format!(r#"!f() {{ test "$1" = get && t=$({reads}) && test -n "$t" && {says} "$t"; }}; f"#);
    let section = |scheme: &str| format!("[credential \"{scheme}://{host}\"]\n\thelper =\n\thelper = {}\n", quoted(&command));
    if is_here(host) { section("https") + &section("http") } else { section("https") }
}

fn shell_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::{Argument, Bounds, Git, Place};

    /// What git is told about a host, by the helpers of this folder.
    async fn filled(folder: &Path, question: &str) -> String {
        let gitconfig = folder.join("settings");
        write(&gitconfig, Some(&folder.join("it's tokens"))).unwrap();
        let git = Git::new(gitconfig);
        let answer = git.run_with_input(Place::Folder(folder), &[&"credential", &"fill"], question.as_bytes(), Bounds::LOCAL).await;
        answer.map_or_else(|error| format!("{error:?}"), |answer| answer.text())
    }

    #[tokio::test]
    async fn git_is_given_the_token_of_the_host_that_it_speaks_to() {
        let folder = tempfile::tempdir().unwrap();
        let tokens = folder.path().join("it's tokens");
        fs::create_dir(&tokens).unwrap();
        for (host, token) in [("example.org", "one'\"$(id)%s\\n"), ("127.0.0.1:3000", "two"), ("README", "no"), (".hidden.org", "no")] {
            fs::write(tokens.join(host), format!("{token}\n")).unwrap();
        }
        let https = filled(folder.path(), "protocol=https\nhost=example.org\n\n").await;
        assert!(https.contains("username=x-access-token\npassword=one'\"$(id)%s\\n"), "{https}");
        let here = filled(folder.path(), "protocol=http\nhost=127.0.0.1:3000\n\n").await;
        assert!(here.contains("password=two"), "{here}");
        for other in
            ["protocol=http\nhost=example.org\n\n", "protocol=https\nhost=hidden.org\n\n", "protocol=https\nhost=other.example.org\n\n"]
        {
            let said = filled(folder.path(), other).await;
            assert!(!said.contains("password="), "{other}: {said}");
        }
        // another one in its place counts at once, as nothing but its place is written down
        let settings = fs::read_to_string(folder.path().join("settings")).unwrap();
        assert!(!settings.contains("one'") && !settings.contains("two"), "{settings}");
        fs::write(tokens.join("example.org"), "three").unwrap();
        assert!(filled(folder.path(), "protocol=https\nhost=example.org\n\n").await.contains("password=three"));
        fs::write(tokens.join("example.org"), "four\r\n").unwrap();
        let said = filled(folder.path(), "protocol=https\nhost=example.org\n\n").await;
        assert!(said.contains("password=four") && !said.contains('\r'), "{said:?}");
    }

    #[tokio::test]
    async fn a_workspace_has_what_was_put_there_for_it_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let (tokens, guests) = (folder.path().join("tokens"), folder.path().join("guests"));
        fs::create_dir_all(tokens.join("acme")).unwrap();
        for (file, token) in [("example.org", "first"), ("other.example.org", "first"), ("acme/example.org", "acmes")] {
            fs::write(tokens.join(file), token).unwrap();
        }
        write_for_guests(&guests, Some(&tokens)).unwrap();
        // as a user who has tokens elsewhere as well
        fs::write(folder.path().join("gitconfig.local"), "[credential]\n\thelper = \"!echo password=users;:\"\n").unwrap();
        let says = async |slug: &str, host: &str| {
            let git = Git::new(folder.path().join("settings")).for_guest(of_guest(&guests, slug));
            let question = format!("protocol=https\nhost={host}\n\n");
            let place = Place::Folder(folder.path());
            git.run_with_input(place, &[&"credential", &"fill"], question.as_bytes(), Bounds::LOCAL).await.map(|answer| answer.text())
        };
        assert!(says("acme", "example.org").await.unwrap().contains("password=acmes"));
        for (slug, host) in [("acme", "other.example.org"), ("others", "example.org"), ("../settings", "example.org"), ("", "example.org")]
        {
            assert!(says(slug, host).await.is_err(), "{slug} has a token of {host}");
        }
        let ssh = Git::new(folder.path().join("settings")).for_guest(of_guest(&guests, "acme"));
        let refused = ssh.run(Place::Folder(folder.path()), &[&"ls-remote", &"ssh://git@127.0.0.1:1/a.git"], Bounds::LOCAL).await;
        assert!(refused.unwrap_err().to_string().contains("transport 'ssh' not allowed"));
        // as git-lfs sees it, which asks for none of git's leave
        let environment = async |git: &Git| {
            let shows: [Argument<'_>; 3] = [&"-c", &"alias.shows=!env", &"shows"];
            git.run(Place::Folder(folder.path()), &shows, Bounds::LOCAL).await.unwrap().text()
        };
        let own = environment(&Git::new(folder.path().join("settings"))).await;
        let guests_own = environment(&ssh).await;
        let has = |text: &str, line: &str| text.lines().any(|one| one == line);
        assert!(has(&own, "GIT_SSH_COMMAND=ssh -o BatchMode=yes") && !has(&own, "HOME=/dev/null"), "{own}");
        for line in ["GIT_SSH_COMMAND=false", "KRB5CCNAME=FILE:/dev/null", "KRB5_CLIENT_KTNAME=FILE:/dev/null", "HOME=/dev/null"] {
            assert!(has(&guests_own, line), "{line}: {guests_own}");
        }
        assert!(!guests_own.contains("SSH_AUTH_SOCK"), "{guests_own}");

        // a folder that has gone is not remembered
        fs::remove_dir_all(tokens.join("acme")).unwrap();
        write_for_guests(&guests, Some(&tokens)).unwrap();
        assert!(says("acme", "example.org").await.is_err());
    }

    #[test]
    fn without_a_folder_there_are_none() {
        let folder = tempfile::tempdir().unwrap();
        let settings = folder.path().join("settings");
        for tokens in [None, Some(folder.path().join("missing"))] {
            write(&settings, tokens.as_deref()).unwrap();
            assert_eq!(fs::read_to_string(&settings).unwrap(), HEAD);
        }
    }
}
