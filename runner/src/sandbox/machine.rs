//! What a room shows of the machine, read-only: its programs and libraries, those of its settings that programs need and nobody hides,
//! and what the runner was started with leave to show. No home is shown, nor `/opt`, `/run`, `/var`, `/srv` or anything else.
//!
//! It is looked at anew for each room, as what lies on a machine changes while a runner lives.

use std::{
    env,
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

use super::{HOME, Places, SHARED_BYTES, TMP, USER, USER_ID};
use crate::{Network, folders::private_folder, process::program_path};

/// Programs and libraries. Where one of them is a link, so it is inside.
const SYSTEM: [&str; 9] = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store"];
/// Of `/etc`: who is called what, how names and libraries are found, whom one trusts, where one is, and how shells and tools begin.
const SETTINGS: [&str; 46] = [
    "alternatives",
    "bash.bashrc",
    "bashrc",
    "ca-certificates",
    "ca-certificates.conf",
    "chromium",
    "chromium.d",
    "crypto-policies",
    "debian_version",
    "default/locale",
    "fonts",
    "gai.conf",
    "host.conf",
    "hosts",
    "inputrc",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "locale.alias",
    "locale.conf",
    "localtime",
    "login.defs",
    "lsb-release",
    "magic",
    "mime.types",
    "networks",
    "nsswitch.conf",
    "os-release",
    "pki/ca-trust",
    "pki/tls/certs",
    "pki/tls/openssl.cnf",
    "profile",
    "profile.d",
    "protocols",
    "rpc",
    "services",
    "shells",
    "ssl/cert.pem",
    "ssl/certs",
    "ssl/openssl.cnf",
    "static",
    "terminfo",
    "texmf",
    "timezone",
    "vulkan",
    "xdg",
];
/// As [`SETTINGS`], where the name goes on with a version.
const VERSIONED: [&str; 5] = ["java", "perl", "python", "ruby", "ImageMagick"];
/// Of the kernel's own folder, what a room of root's could write to although it has no rights.
const SWITCHES: [&str; 5] = ["/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/fs"];
/// How folders are called that hold programs and nothing else.
const PROGRAMS: [&str; 4] = ["bin", "sbin", ".bin", "shims"];
/// Collections of tools: the variable that says where, and where below a home they are when nothing says so.
const TOOLS: [(&str, Option<&str>); 11] = [
    ("RUSTUP_HOME", Some(".rustup")),
    ("NVM_DIR", Some(".nvm")),
    ("VOLTA_HOME", Some(".volta")),
    ("PYENV_ROOT", Some(".pyenv")),
    ("RBENV_ROOT", Some(".rbenv")),
    ("ASDF_DATA_DIR", Some(".asdf")),
    ("MISE_DATA_DIR", Some(".local/share/mise")),
    ("SDKMAN_DIR", Some(".sdkman")),
    ("BUN_INSTALL", Some(".bun")),
    ("GOROOT", None),
    ("JAVA_HOME", None),
];

/// Where the runner's user keeps tools, for the environment of whoever is inside.
pub(crate) fn tools() -> Vec<(&'static str, PathBuf)> {
    let home = env::home_dir();
    let place = |(variable, usual): (&'static str, Option<&str>)| {
        let path = env::var_os(variable).map(PathBuf::from).or_else(|| Some(home.as_ref()?.join(usual?)))?;
        (path.is_absolute() && path.is_dir()).then_some((variable, path))
    };
    TOOLS.into_iter().filter_map(place).collect()
}

/// The machine's own.
pub(super) fn shown(state_dir: &Path, network: &Network) -> Places {
    let mut room = Places::default();
    for path in SYSTEM.map(Path::new) {
        match fs::read_link(path) {
            Ok(target) => room.add("--symlink", &[&target, path]),
            Err(_) => room.read_only_if_there(path),
        }
    }
    show_settings(&mut room, state_dir);
    room.add("--dev", &[Path::new("/dev")]);
    room.add("--size", &[Path::new(SHARED_BYTES)]);
    room.nothing_in(Path::new("/dev/shm"));
    room.add("--proc", &[Path::new("/proc")]);
    for switches in SWITCHES {
        room.read_only_if_there(Path::new(switches));
    }
    for folder in ["/run", "/var", "/home"] {
        room.add("--dir", &[Path::new(folder)]);
    }
    room.add("--symlink", &[Path::new("../run"), Path::new("/var/run")]);
    room.add("--symlink", &[Path::new("../tmp"), Path::new("/var/tmp")]);
    // names are looked up where the machine does it now
    if *network == Network::Open
        && let Ok(resolver) = fs::canonicalize("/etc/resolv.conf")
    {
        room.read_only(&resolver, Path::new("/etc/resolv.conf"));
    }
    room
}

/// What the runner's user has of their own to work with, and what is to be shown beside it; nothing of what is hidden.
pub(super) fn show_tools(room: &mut Places, read: &[PathBuf], hidden: &[PathBuf]) -> io::Result<()> {
    let mut shown: Vec<PathBuf> = SYSTEM.map(PathBuf::from).into();
    for path in programs().into_iter().chain(tools().into_iter().map(|(_, path)| path)) {
        let Ok(real) = path.canonicalize() else { continue };
        if real.is_dir() && !holds_a_home(&real) && !holds_a_home(&path) && !is_hidden(&real, hidden) {
            show(room, &mut shown, &path, real);
        }
    }
    for path in read {
        show(room, &mut shown, path, may_be_shown(path, hidden)?);
    }
    Ok(())
}

/// Where it really is, unless it is not to be shown.
pub(super) fn may_be_shown(path: &Path, hidden: &[PathBuf]) -> io::Result<PathBuf> {
    let about = |what: &str| format!("{} is to be shown in sandboxes: {what}", path.display());
    let real = path.canonicalize().map_err(|error| io::Error::new(error.kind(), about(&error.to_string())))?;
    if !path.is_absolute() || is_hidden(&real, hidden) {
        return Err(io::Error::other(about("it has to be a whole path, and no folder of Muster's own may lie there or around it")));
    }
    if holds_the_works(&real) || holds_the_works(path) {
        return Err(io::Error::other(about("it would cover the home of the work, or its folder for what is temporary")));
    }
    Ok(real)
}

fn is_hidden(path: &Path, hidden: &[PathBuf]) -> bool {
    hidden.iter().any(|folder| path.starts_with(folder) || folder.starts_with(path))
}

/// Below what is shown already nothing new can come to be: a link there leads to where it leads outside.
fn show(room: &mut Places, shown: &mut Vec<PathBuf>, path: &Path, real: PathBuf) {
    let is_shown = |path: &Path| shown.iter().any(|folder| path.starts_with(folder));
    let at = if is_shown(path) { real.clone() } else { path.to_owned() };
    if is_shown(&at) {
        return;
    }
    room.read_only(&real, &at);
    shown.push(at);
}

/// Whether a home lies there, the work's own included.
fn holds_a_home(path: &Path) -> bool {
    let home = env::home_dir().map(|home| home.canonicalize().unwrap_or(home));
    home.is_some_and(|home| home.starts_with(path)) || holds_the_works(path)
}

fn holds_the_works(path: &Path) -> bool {
    [TMP, HOME].into_iter().any(|own| Path::new(own).starts_with(path))
}

/// Folders with programs that the machine's own do not hold, and the libraries beside them.
fn programs() -> Vec<PathBuf> {
    let holds_programs = |path: &PathBuf| PROGRAMS.iter().any(|name| path.ends_with(name));
    let folders: Vec<_> = env::split_paths(&program_path()).filter(holds_programs).collect();
    let home = env::home_dir();
    let libraries = folders.iter().filter(|path| path.ends_with("bin") && path.parent() != home.as_deref());
    let libraries: Vec<_> = libraries.map(|path| path.with_file_name("lib")).collect();
    folders.into_iter().chain(libraries).collect()
}

/// As in `python3.11` and `java-17-openjdk`, and not as in what only begins so.
fn is_versioned(name: &str) -> bool {
    let rest = VERSIONED.iter().find_map(|start| name.strip_prefix(start));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(|first: char| first.is_ascii_digit() || first == '-'))
}

fn show_settings(room: &mut Places, state_dir: &Path) {
    let etc = Path::new("/etc");
    let versioned = fs::read_dir(etc).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let versioned = versioned.filter(|name| is_versioned(&name.to_string_lossy()));
    for name in SETTINGS.map(OsString::from).into_iter().chain(versioned) {
        let path = etc.join(name);
        match fs::read_link(&path) {
            Ok(target) => room.add("--symlink", &[&target, &path]),
            Err(_) if path.exists() => room.read_only_if_there(&path),
            Err(_) => {}
        }
    }
    for name in ["passwd", "group"] {
        room.read_only(&names(state_dir).join(name), &etc.join(name));
    }
}

fn names(state_dir: &Path) -> PathBuf {
    state_dir.join("inside")
}

/// Who there is in a room: programs ask for the name and the home of whoever runs them.
pub(super) fn write_names(state_dir: &Path) -> io::Result<()> {
    let folder = names(state_dir);
    private_folder(&folder)?;
    let nobody = "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin";
    fs::write(folder.join("passwd"), format!("root:x:0:0:root:/root:/bin/sh\n{USER}:x:{USER_ID}:{USER_ID}::{HOME}:/bin/sh\n{nobody}\n"))?;
    fs::write(folder.join("group"), format!("root:x:0:\n{USER}:x:{USER_ID}:\nnogroup:x:65534:\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_begins_like_a_language_is_not_its_settings() {
        let shown = ["python3", "python3.11", "perl", "java-17-openjdk", "ImageMagick-6"];
        assert!(shown.into_iter().all(is_versioned));
        assert!(["phpmyadmin", "pythonista.d", "perlbrew", "shadow"].into_iter().all(|name| !is_versioned(name)));
    }

    #[test]
    fn nothing_is_shown_twice_nor_where_nothing_can_come_to_be() {
        let (mut room, mut shown) = (Places::default(), SYSTEM.map(PathBuf::from).to_vec());
        for (path, real) in [
            ("/usr/local/bin", "/usr/local/bin"),
            ("/usr/local/jdk", "/usr/lib/jvm/java-17"),
            ("/usr/local/go", "/srv/go1.27"),
            ("/srv/tools/bin", "/srv/tools/bin"),
            ("/srv/tools/bin", "/srv/tools/bin"),
        ] {
            show(&mut room, &mut shown, Path::new(path), real.into());
        }
        assert_eq!(room.0, ["--ro-bind", "/srv/go1.27", "/srv/go1.27", "--ro-bind", "/srv/tools/bin", "/srv/tools/bin"]);
    }
}
