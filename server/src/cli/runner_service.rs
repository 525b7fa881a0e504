//! A runner as a service of the user who joined it, where systemd runs such services.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{error::CliError, output::remark, runner_folder::Membership};

/// Whether systemd answers for this user.
pub fn is_possible() -> bool {
    systemctl(&["show-environment"]).is_ok()
}

/// Installs and starts it; its name.
pub fn install(folder: &Path, known: &Membership) -> Result<String, CliError> {
    let name = name(known);
    let installed = || -> io::Result<()> {
        let program = std::env::current_exe()?;
        let units = units()?;
        fs::create_dir_all(&units)?;
        fs::write(units.join(&name), unit(&program, &fs::canonicalize(folder)?, known))?;
        systemctl(&["daemon-reload"])?;
        systemctl(&["enable", "--now", &name])
    };
    installed().map_err(|error| CliError::Failed {
        message: format!("the service {name} could not be installed: {error}"),
        remedy: Some("`muster runner join --resume --foreground` does without it".into()),
    })?;
    if !lingers() {
        remark("It ends when you sign out of this machine; `loginctl enable-linger` keeps it, and starts it with the machine.");
    }
    Ok(name)
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
    systemctl(&["enable", "--now", &name]).map_err(|error| not_done("started", &name, &error))
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
        systemctl(&["daemon-reload"])
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

/// Exit status 4 is a server that does not take this runner: starting it again would not help. Its control group is handed to it, so that it
/// can give parts of it to attempts, unless the machine has joined with another.
fn unit(program: &Path, folder: &Path, known: &Membership) -> String {
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
         {groups}ExecStart={program} runner run --runner-dir {folder}\n\
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
        program = quoted(program),
        folder = quoted(folder),
    )
}

fn one_line(text: &str) -> String {
    text.replace(|c: char| c.is_control(), " ").replace('%', "%%")
}

/// As systemd reads an argument.
fn quoted(path: &Path) -> String {
    let text = one_line(&path.to_string_lossy()).replace('\\', "\\\\").replace('"', "\\\"").replace('$', "$$");
    format!("\"{text}\"")
}

fn lingers() -> bool {
    let shown = Command::new("loginctl").args(["show-user", "--property=Linger", "--value"]).args(std::env::var_os("USER")).output();
    shown.is_ok_and(|shown| shown.stdout.starts_with(b"yes"))
}

/// As a user's own systemd is asked.
fn systemctl(arguments: &[&str]) -> io::Result<()> {
    let done = Command::new("systemctl").arg("--user").args(arguments).stdin(Stdio::null()).output()?;
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr);
    Err(io::Error::other(format!("systemctl {}: {}", arguments[0], said.trim().lines().last().unwrap_or("it failed"))))
}

#[cfg(test)]
mod tests {
    use domain::RunnerId;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_path_is_one_argument_whatever_it_holds() {
        let id = RunnerId(Uuid::from_u128(1));
        let known = Membership {
            id,
            url: "https://muster.example.org".parse().unwrap(),
            name: "box\nExecStart=/bin/false".into(),
            workspace: "w".into(),
            paths: false,
            settings: Default::default(),
        };
        let text = unit(Path::new("/opt/my tools/muster"), Path::new("/home/100%/a \"b\" $HOME"), &known);
        assert!(text.contains("ExecStart=\"/opt/my tools/muster\" runner run --runner-dir \"/home/100%%/a \\\"b\\\" $$HOME\"\n"), "{text}");
        assert_eq!(text.matches("\nExecStart=").count(), 1, "{text}");
        assert!(text.contains("\nDelegate=yes\nEnvironment=MUSTER_SANDBOX_CGROUP=own\nExecStart="), "{text}");
        let mut elsewhere = known;
        elsewhere.settings.sandbox.groups = Some(runner::Groups::None);
        let text = unit(Path::new("/opt/muster"), Path::new("/srv/runner"), &elsewhere);
        assert!(text.contains("\nDelegate=yes\nExecStart="), "what was said when it joined holds: {text}");
    }
}
