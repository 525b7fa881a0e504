//! As whom Postgres runs. It refuses to be root, so a Muster that is root drops to an unprivileged user for it.

use std::fs::{self, Metadata};
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use super::error::{PostgresError, file_error};

/// Users to drop to, the best one first.
const USERS: [&str; 2] = ["postgres", "nobody"];

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RunAs {
    Myself,
    User { name: String, uid: u32, gid: u32 },
}

impl RunAs {
    /// The owner of the data, where there is some already; it must not change hands when a `postgres` user appears later.
    pub fn for_cluster(data: &Path) -> Result<Self, PostgresError> {
        let me = rustix::process::geteuid().as_raw();
        // an empty folder is a place to put a cluster, whoever made it
        let is_empty = fs::read_dir(data).is_ok_and(|mut entries| entries.next().is_none());
        let owner = fs::symlink_metadata(data).ok().filter(|_| !is_empty).map(|data| (data.uid(), data.gid()));
        let passwd = if me == 0 { fs::read_to_string("/etc/passwd").unwrap_or_default() } else { String::new() };
        choose(me, owner, &passwd, data)
    }

    /// A command that knows nothing of Muster: none of its environment (which holds secrets), its folder, its standard streams or
    /// its process group, so that Ctrl-C in the terminal reaches Muster only, which then stops Postgres in order.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C").env("TZ", "UTC");
        for name in ["LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.current_dir("/").stdin(Stdio::null()).process_group(0);
        if let Self::User { uid, gid, .. } = self {
            // std also clears the supplementary groups when root sets a user
            command.uid(*uid).gid(*gid);
        }
        command
    }

    /// Makes over a file or folder that Muster created.
    pub fn give(&self, path: &Path) -> Result<(), PostgresError> {
        match self {
            Self::Myself => Ok(()),
            Self::User { uid, gid, .. } => {
                lchown(path, Some(*uid), Some(*gid)).map_err(file_error("hand over to the user of Postgres", path))
            }
        }
    }

    pub fn uid(&self) -> u32 {
        match self {
            Self::Myself => rustix::process::geteuid().as_raw(),
            Self::User { uid, .. } => *uid,
        }
    }

    /// Whether the user may pass through `folder` and every folder above it.
    pub fn check_reach(&self, folder: &Path) -> Result<(), PostgresError> {
        let Self::User { name, uid, gid } = self else { return Ok(()) };
        let mut folders: Vec<&Path> = folder.ancestors().collect();
        folders.reverse();
        for folder in folders {
            let metadata = fs::metadata(folder).map_err(file_error("look at", folder))?;
            if !may_enter(&metadata, *uid, *gid) {
                return Err(PostgresError::Unreachable { user: name.clone(), folder: folder.to_path_buf() });
            }
        }
        Ok(())
    }
}

fn may_enter(folder: &Metadata, uid: u32, gid: u32) -> bool {
    let mode = folder.permissions().mode();
    let bit = if folder.uid() == uid {
        0o100
    } else if folder.gid() == gid {
        0o010
    } else {
        0o001
    };
    mode & bit != 0
}

fn choose(me: u32, owner: Option<(u32, u32)>, passwd: &str, data: &Path) -> Result<RunAs, PostgresError> {
    let data: PathBuf = data.into();
    match owner {
        Some((owner, _)) if me != 0 && owner != me => Err(PostgresError::OwnedByAnother { data, owner, me }),
        _ if me != 0 => Ok(RunAs::Myself),
        Some((0, _)) => Err(PostgresError::OwnedByRoot { data }),
        Some((uid, gid)) => {
            let known = users(passwd).find(|user| matches!(user, RunAs::User { uid: known, .. } if *known == uid));
            Ok(known.unwrap_or(RunAs::User { name: format!("with the id {uid}"), uid, gid }))
        }
        None => USERS
            .iter()
            .find_map(|wanted| users(passwd).find(|user| matches!(user, RunAs::User { name, .. } if name == wanted)))
            .ok_or(PostgresError::NoUser),
    }
}

/// Everybody in `/etc/passwd` who is not root. Ids may be negative there: macOS calls nobody -2.
fn users(passwd: &str) -> impl Iterator<Item = RunAs> {
    let id = |text: &str| text.parse::<u32>().ok().or_else(|| text.parse::<i32>().ok().map(i32::cast_unsigned));
    passwd.lines().filter_map(move |line| {
        let mut fields = line.split(':');
        let (name, _, uid, gid) = (fields.next()?, fields.next()?, id(fields.next()?)?, id(fields.next()?)?);
        (uid != 0).then(|| RunAs::User { name: name.to_owned(), uid, gid })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\ntoor:x:0:0::/:/bin/sh\nada:x:1000:1000::/home/ada:/bin/sh\n\
                          nobody:*:-2:-2::/var/empty:/bin/false\npostgres:x:101:104::/var/lib/postgresql:/bin/bash\nbroken\n";

    fn decide(me: u32, owner: Option<(u32, u32)>, passwd: &str) -> Result<RunAs, String> {
        choose(me, owner, passwd, Path::new("/state/postgres")).map_err(|error| error.to_string())
    }

    fn user(name: &str, uid: u32, gid: u32) -> Result<RunAs, String> {
        Ok(RunAs::User { name: name.into(), uid, gid })
    }

    #[test]
    fn an_ordinary_user_runs_postgres_as_itself() {
        assert_eq!(decide(1000, None, PASSWD), Ok(RunAs::Myself));
        assert_eq!(decide(1000, Some((1000, 1000)), ""), Ok(RunAs::Myself));
        let refused = decide(1000, Some((101, 104)), PASSWD).expect_err("somebody else's cluster");
        assert!(refused.contains("belongs to the user with the id 101, but Muster runs as the one with the id 1000"), "{refused}");
    }

    #[test]
    fn root_drops_to_postgres_or_nobody() {
        assert_eq!(decide(0, None, PASSWD), user("postgres", 101, 104));
        assert_eq!(decide(0, None, "root:x:0:0:::\nnobody:*:-2:-2:::\n"), user("nobody", u32::MAX - 1, u32::MAX - 1));
        let refused = decide(0, None, "root:x:0:0:::\npostgres:x:0:0:::\n").expect_err("nobody to run it as");
        assert!(refused.contains("useradd --system postgres"), "{refused}");
    }

    #[test]
    fn a_cluster_stays_with_whoever_made_it() {
        assert_eq!(decide(0, Some((1000, 1000)), PASSWD), user("ada", 1000, 1000));
        assert_eq!(decide(0, Some((4711, 12)), PASSWD), user("with the id 4711", 4711, 12));
        let refused = decide(0, Some((0, 0)), PASSWD).expect_err("root's cluster");
        assert!(refused.contains("chown -R postgres: /state/postgres"), "{refused}");
    }
}
