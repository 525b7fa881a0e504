//! A runner as a service of the user who joined it, where systemd runs such services.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{
    error::CliError,
    output::remark,
    runner_environment::{how_to_give, make_file, missing, writable_path},
    runner_folder::Membership,
};

/// Whether systemd answers for this user.
pub fn is_possible() -> bool {
    systemctl(&["show-environment"]).is_ok()
}

/// Installs and starts it; its name. It finds programs where whoever calls this does.
pub fn install(folder: &Path, known: &Membership) -> Result<String, CliError> {
    let name = name(known);
    let installed = || -> io::Result<PathBuf> {
        let program = std::env::current_exe()?;
        let folder = fs::canonicalize(folder)?;
        let file = make_file(&folder, &name)?;
        let units = units()?;
        fs::create_dir_all(&units)?;
        let place = Place { program: &program, folder: &folder, file: &file, path: &writable_path(&runner::program_path()) };
        fs::write(units.join(&name), unit(place, known))?;
        systemctl(&["daemon-reload"])?;
        systemctl(&["enable", "--now", &name])?;
        Ok(file)
    };
    let file = installed().map_err(|error| CliError::Failed {
        message: format!("the service {name} could not be installed: {error}"),
        remedy: Some("`muster runner join --resume --foreground` does without it".into()),
    })?;
    tell_what_is_missing(&file, &name);
    if !lingers() {
        remark("It ends when you sign out of this machine; `loginctl enable-linger` keeps it, and starts it with the machine.");
    }
    Ok(name)
}

/// Keys that are set here are not in the service, and without them its agents reach nothing.
fn tell_what_is_missing(file: &Path, name: &str) {
    let here = std::env::vars_os().filter(|(_, value)| !value.is_empty());
    let here: Vec<_> = here.filter_map(|(name, _)| name.into_string().ok()).collect();
    // where one of them cannot be asked, what it has is said to be missing, which does no harm
    let of_systemd = systemctl(&["show-environment"]).unwrap_or_default();
    let of_the_file = fs::read_to_string(file).unwrap_or_default();
    let missing = missing(here.iter().map(String::as_str), &of_systemd, &of_the_file);
    if !missing.is_empty() {
        remark(&how_to_give(&missing, file, name));
    }
}

/// Stops it; whether it was installed.
pub fn stop(known: &Membership) -> Result<bool, CliError> {
    let name = name(known);
    let stopped = || -> io::Result<bool> {
        let is_there = units()?.join(&name).exists();
        if is_there {
            systemctl(&["disable", "--now", &name])?;
        }
        Ok(is_there)
    };
    stopped().map_err(|error| not_done("stopped", &name, &error))
}

/// After [`stop`].
pub fn start(known: &Membership) -> Result<(), CliError> {
    let name = name(known);
    systemctl(&["enable", "--now", &name]).map(drop).map_err(|error| not_done("started", &name, &error))
}

/// After [`stop`], when it was installed.
pub fn remove(known: &Membership) -> Result<(), CliError> {
    let name = name(known);
    let removed = || -> io::Result<()> {
        let unit = units()?.join(&name);
        if !unit.exists() {
            return Ok(());
        }
        fs::remove_file(unit)?;
        systemctl(&["daemon-reload"]).map(drop)
    };
    removed().map_err(|error| not_done("removed", &name, &error))
}

fn not_done(what: &str, name: &str, error: &io::Error) -> CliError {
    CliError::Failed {
        message: format!("the service {name} could not be {what}: {error}"),
        remedy: Some(format!("see `systemctl --user status {name}`, and try again")),
    }
}

fn name(known: &Membership) -> String {
    format!("muster-runner-{}.service", known.id.short())
}

fn units() -> io::Result<PathBuf> {
    let named = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let settings = named("XDG_CONFIG_HOME").or_else(|| named("HOME").map(|home| home.join(".config")));
    Ok(settings.ok_or_else(|| io::Error::other("HOME is not set"))?.join("systemd/user"))
}

/// What a unit says of this machine.
#[derive(Clone, Copy)]
struct Place<'a> {
    program: &'a Path,
    folder: &'a Path,
    /// With what it finds in its environment.
    file: &'a Path,
    path: &'a str,
}

/// Exit status 4 is a server that does not take this runner: starting it again would not help. Its control group is handed to it, so that it
/// can give parts of it to attempts, unless the machine has joined with another.
fn unit(place: Place<'_>, known: &Membership) -> String {
    let groups = if known.settings.sandbox.groups.is_none() { "Environment=MUSTER_SANDBOX_CGROUP=own\n" } else { "" };
    format!(
        "[Unit]\n\
         Description=Muster runner {name} of {url}\n\
         Wants=network-online.target\n\
         After=network-online.target\n\
         StartLimitIntervalSec=0\n\
         \n\
         [Service]\n\
         Delegate=yes\n\
         {groups}Environment={path}\n\
         EnvironmentFile=-{file}\n\
         ExecStart={program} runner run --runner-dir {folder}\n\
         Restart=always\n\
         RestartSec=5\n\
         RestartPreventExitStatus=4\n\
         KillMode=mixed\n\
         TimeoutStopSec=60\n\
         \n\
         [Install]\n\
         WantedBy=default.target\n",
        name = one_line(&known.name),
        url = one_line(known.url.as_str()),
        path = quoted(&format!("PATH={}", place.path)),
        file = pattern(place.file),
        program = argument(place.program),
        folder = argument(place.folder),
    )
}

fn one_line(text: &str) -> String {
    text.replace(|c: char| c.is_control(), " ").replace('%', "%%")
}

/// As systemd reads a word.
fn quoted(text: &str) -> String {
    format!("\"{}\"", one_line(text).replace('\\', "\\\\").replace('"', "\\\""))
}

/// As it reads one that it calls a program with, in which a dollar is a variable.
fn argument(path: &Path) -> String {
    quoted(&path.to_string_lossy()).replace('$', "$$")
}

/// As it reads the name of a file, which goes to the end of its line, quotes and all, and may be a pattern for several.
fn pattern(path: &Path) -> String {
    let mut pattern = String::new();
    for c in one_line(&path.to_string_lossy()).chars() {
        if ['\\', '*', '?', '['].contains(&c) {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

fn lingers() -> bool {
    let shown = Command::new("loginctl").args(["show-user", "--property=Linger", "--value"]).args(std::env::var_os("USER")).output();
    shown.is_ok_and(|shown| shown.stdout.starts_with(b"yes"))
}

/// As a user's own systemd is asked; what it says.
fn systemctl(arguments: &[&str]) -> io::Result<String> {
    let done = Command::new("systemctl").arg("--user").args(arguments).stdin(Stdio::null()).output()?;
    if done.status.success() {
        return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&done.stderr);
    Err(io::Error::other(format!("systemctl {}: {}", arguments[0], said.trim().lines().last().unwrap_or("it failed"))))
}

#[cfg(test)]
mod tests {
    use domain::RunnerId;
    use uuid::Uuid;

    use super::*;

    fn membership(name: &str) -> Membership {
        Membership {
            id: RunnerId(Uuid::from_u128(1)),
            url: "https://muster.example.org".parse().unwrap(),
            name: name.into(),
            workspace: "w".into(),
            paths: false,
            settings: Default::default(),
        }
    }

    fn place<'a>(program: &'a str, folder: &'a str, file: &'a str, path: &'a str) -> Place<'a> {
        Place { program: Path::new(program), folder: Path::new(folder), file: Path::new(file), path }
    }

    #[test]
    fn a_path_is_one_argument_whatever_it_holds() {
        let known = membership("box\nExecStart=/bin/false");
        let odd = "/home/100%/a \"b\" $HOME";
        let text = unit(place("/opt/my tools/muster", odd, "/f", "/usr/bin"), &known);
        assert!(text.contains("ExecStart=\"/opt/my tools/muster\" runner run --runner-dir \"/home/100%%/a \\\"b\\\" $$HOME\"\n"), "{text}");
        assert_eq!(text.matches("\nExecStart=").count(), 1, "{text}");
        assert!(text.contains("\nDelegate=yes\nEnvironment=MUSTER_SANDBOX_CGROUP=own\nEnvironment=\"PATH="), "{text}");
        let mut elsewhere = known;
        elsewhere.settings.sandbox.groups = Some(runner::Groups::None);
        let text = unit(place("/opt/muster", "/srv/runner", "/f", "/usr/bin"), &elsewhere);
        assert!(text.contains("\nDelegate=yes\nEnvironment=\"PATH="), "what was said when it joined holds: {text}");
    }

    #[test]
    fn programs_are_found_where_they_were_found_when_it_joined_and_keys_are_in_a_file_that_need_not_be_there() {
        let path = r#"/home/ada/.local/bin:/opt/100% "a" $b\c:/usr/bin"#;
        let text = unit(place("/opt/muster", "/srv/r", r"/srv/100% [a] *?\r/environment", path), &membership("box"));
        // a dollar is a dollar there
        let written = r#"Environment="PATH=/home/ada/.local/bin:/opt/100%% \"a\" $b\\c:/usr/bin""#;
        let file = r"EnvironmentFile=-/srv/100%% \[a] \*\?\\r/environment";
        assert!(text.contains(&format!("\n{written}\n{file}\nExecStart=")), "{text}");
    }
}
