//! What the service of a runner finds around it: the PATH of whoever joined the machine, and what a file in its folder says. Keys that are set
//! where somebody joins are written nowhere unasked; that the service does not have them is said.

use std::{
    ffi::OsStr,
    fs::{self, OpenOptions, Permissions},
    io::{self, ErrorKind, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use crate::config::is_for_agents;

/// In the folder of a runner.
pub const ENVIRONMENT: &str = "environment";

/// Makes the file unless it is there, for its owner's eyes alone; its place.
pub fn make_file(folder: &Path, unit: &str) -> io::Result<PathBuf> {
    let place = folder.join(ENVIRONMENT);
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&place) {
        Ok(mut file) => file.write_all(explanation(unit).as_bytes())?,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => fs::set_permissions(&place, Permissions::from_mode(0o600))?,
        Err(error) => return Err(error),
    }
    Ok(place)
}

fn explanation(unit: &str) -> String {
    format!(
        "# What the service {unit} finds in its environment, a line each as NAME=\"value\".\n\
         # In the quotes a \\ goes before each of \\ \" $ and `, and a value may have several lines.\n\
         # Here is the place for keys and addresses that agents need, such as\n\
         #   ANTHROPIC_API_KEY=\"...\"\n\
         # and for a PATH= that goes before the one that the unit says, when agents are elsewhere now.\n\
         # Nobody but you may read this file. It goes when the machine leaves its server.\n\
         # What is changed here holds from: systemctl --user restart {unit}\n"
    )
}

/// The folders of a PATH that can be written into a unit, in their order.
pub fn writable_path(path: &OsStr) -> String {
    let folders = std::env::split_paths(path).filter_map(|folder| folder.into_os_string().into_string().ok());
    folders.filter(|folder| !folder.contains(char::is_control)).collect::<Vec<_>>().join(":")
}

/// Of the variables here, those that agents would be given and that the service does not have, neither by what systemd has for all services nor by
/// the file. What they say is nobody's business.
pub fn missing<'a>(here: impl Iterator<Item = &'a str>, of_systemd: &str, file: &str) -> Vec<&'a str> {
    let there: Vec<_> = names(of_systemd).chain(names(file)).collect();
    let mut missing: Vec<_> = here.filter(|name| is_for_agents(name) && !there.contains(name)).collect();
    missing.sort_unstable();
    missing
}

/// To which a value is given.
fn names(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';']));
    lines.filter_map(|line| line.split_once('=')).map(|(name, _)| name.trim())
}

/// Puts the value of a line into quotes, or systemd would read another one out of what has quotes or backslashes.
const QUOTED: &str = r#"sed 's/[\\"$`]/\\&/g; s/=/="/; s/$/"/'"#;

/// How whoever joined the machine can give these to its service.
pub fn how_to_give(missing: &[&str], place: &Path, unit: &str) -> String {
    let (are, them) = if missing.len() == 1 { ("is", "it") } else { ("are", "them") };
    let (names, words) = (missing.join(", "), missing.join("|"));
    let place = format!("'{}'", place.display().to_string().replace('\'', r"'\''"));
    format!(
        "{names} {are} set here, and the service does not have {them}. For its agents to have {them} (what has several lines is \
         to be written there by hand):\n  \
         env | grep -E '^({words})=' | {QUOTED} >> {place} && systemctl --user restart {unit}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_for_its_owner_and_what_people_have_written_stays() {
        let folder = tempfile::tempdir().unwrap();
        let place = make_file(folder.path(), "muster-runner-1.service").unwrap();
        let mode = || fs::metadata(&place).unwrap().permissions().mode() & 0o777;
        let text = fs::read_to_string(&place).unwrap();
        assert_eq!((mode(), names(&text).count()), (0o600, 0), "{text}");
        assert!(text.lines().all(|line| line.starts_with("# ")) && text.contains("restart muster-runner-1.service\n"), "{text}");
        fs::write(&place, "ANTHROPIC_API_KEY=mine\n").unwrap();
        fs::set_permissions(&place, Permissions::from_mode(0o644)).unwrap();
        assert_eq!(make_file(folder.path(), "muster-runner-1.service").unwrap(), place);
        assert_eq!((mode(), fs::read_to_string(&place).unwrap().as_str()), (0o600, "ANTHROPIC_API_KEY=mine\n"));
    }

    #[test]
    fn of_a_path_goes_what_no_unit_can_say() {
        let path = "/home/ada/.local/bin:/a\nExecStart=/bin/false:/opt/my tools 100%:/usr/bin";
        assert_eq!(writable_path(OsStr::new(path)), "/home/ada/.local/bin:/opt/my tools 100%:/usr/bin");
    }

    #[test]
    fn what_the_service_has_is_not_missing() {
        let here = ["OPENAI_API_KEY", "HOME", "https_proxy", "ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY", "AWS_SECRET_ACCESS_KEY"];
        let missing = |systemd: &str, file: &str| missing(here.into_iter(), systemd, file).join(" ");
        assert_eq!(missing("", ""), "ANTHROPIC_API_KEY ANTHROPIC_BASE_URL OPENAI_API_KEY https_proxy", "and nothing else is agents'");
        let file = "# ANTHROPIC_API_KEY=...\n; ANTHROPIC_API_KEY=...\nANTHROPIC_BASE_URL=http://a\n https_proxy = x\n";
        assert_eq!(missing("LANG=C\nOPENAI_API_KEY=x\n", file), "ANTHROPIC_API_KEY");
    }

    #[test]
    fn how_to_give_them_is_a_command_that_names_them_and_the_file() {
        let said = how_to_give(&["ANTHROPIC_API_KEY", "https_proxy"], Path::new("/srv/ada's runner/environment"), "u.service");
        let (what, command) = said.split_once("\n  ").unwrap();
        assert!(what.starts_with("ANTHROPIC_API_KEY, https_proxy are set here, and the service does not have them."), "{what}");
        let file = r"'/srv/ada'\''s runner/environment'";
        let expected =
            format!("env | grep -E '^(ANTHROPIC_API_KEY|https_proxy)=' | {QUOTED} >> {file} && systemctl --user restart u.service");
        assert_eq!(command, expected);
    }

    #[test]
    fn what_is_given_is_written_as_systemd_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("environment");
        let said = how_to_give(&["ANTHROPIC_API_KEY", "https_proxy"], &place, "u.service");
        let (command, _) = said.split_once("\n  ").unwrap().1.split_once(" && systemctl").unwrap();
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", command]).env("ANTHROPIC_API_KEY", r#"a\b"c$d`e=f g#h"#).env("https_proxy", "http://'it's'");
        assert!(shell.status().unwrap().success());
        let written = fs::read_to_string(&place).unwrap();
        let mut lines: Vec<_> = written.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, [r#"ANTHROPIC_API_KEY="a\\b\"c\$d\`e=f g#h""#, r#"https_proxy="http://'it's'""#]);
    }
}
