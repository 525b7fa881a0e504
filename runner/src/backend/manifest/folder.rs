//! The folder of manifests: which files are read, and whose agents are there. It is looked at again and again; what is as it was is neither
//! asked again nor complained about again.

use std::{
    fs::{self, File, Metadata},
    io::{self, ErrorKind, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use domain::{AgentName, Backend};
use tracing::{info, warn};

use super::{Manifest, Speaks};
use crate::{
    backend::found::{self, Found},
    sandbox::Sandbox,
};

/// Of a manifest, in bytes.
const LONGEST: u64 = 64 * 1024;

pub(crate) struct Folder {
    path: PathBuf,
    /// Files that are read.
    most: usize,
    seen: Vec<Seen>,
    /// What is wrong with the folder itself.
    trouble: Option<String>,
}

struct Seen {
    entry: Entry,
    found: Option<Found>,
}

/// A file as it was found, and all on which it hangs whether its agent is there.
#[derive(Clone, PartialEq)]
struct Entry {
    file: String,
    says: Result<(Backend, Arc<Manifest>), String>,
    program: Option<Stamp>,
    /// Why what it needs may not be shown to it.
    not_shown: Option<String>,
}

/// A program, so that another one in its place is seen.
#[derive(Clone, PartialEq)]
struct Stamp {
    path: PathBuf,
    file: u64,
    changed: Option<SystemTime>,
}

impl Folder {
    pub fn new(path: PathBuf, most: usize) -> Self {
        Self { path, most, seen: vec![], trouble: None }
    }

    /// The agents of the manifests that there are now.
    pub async fn look(&mut self, sandbox: &Sandbox) -> Vec<Found> {
        let entries = self.entries(sandbox).await;
        let before = std::mem::take(&mut self.seen);
        let (folder, known) = (self.path.as_path(), before.as_slice());
        let looked = entries.into_iter().map(move |entry| async move {
            let found = match known.iter().find(|seen| seen.entry == entry) {
                Some(seen) => seen.found.clone(),
                None => ask(folder, &entry).await,
            };
            Seen { entry, found }
        });
        let now = futures::future::join_all(looked).await;
        let agents: Vec<_> = now.iter().filter_map(|seen| seen.found.clone()).collect();
        for gone in before.iter().filter_map(|seen| seen.found.as_ref()) {
            if !agents.iter().any(|found| found.backend == gone.backend) {
                info!("{} is there no more", gone.backend.title());
            }
        }
        self.seen = now;
        agents
    }

    async fn entries(&mut self, sandbox: &Sandbox) -> Vec<Entry> {
        let (path, most) = (self.path.clone(), self.most);
        let read = tokio::task::spawn_blocking(move || read_all(&path, most)).await.unwrap_or_else(|error| Err(error.to_string()));
        let (mut entries, trouble) = match read {
            Ok(entries) => (entries, None),
            Err(why) => (vec![], Some(why)),
        };
        if let Some(why) = trouble.as_ref().filter(|why| self.trouble.as_ref() != Some(*why)) {
            warn!("No manifest in {} is read: {why}", self.path.display());
        }
        self.trouble = trouble;
        for entry in &mut entries {
            let Ok((_, manifest)) = &entry.says else { continue };
            entry.not_shown = manifest.needs.iter().find_map(|path| sandbox.may_show(path).err()).map(|error| error.to_string());
        }
        entries
    }
}

async fn ask(folder: &Path, entry: &Entry) -> Option<Found> {
    let place = folder.join(&entry.file);
    let left_out = |why: &str| warn!("The manifest {} is left out: {why}", place.display());
    let (backend, manifest) = match &entry.says {
        Ok((backend, manifest)) => (backend, manifest),
        Err(why) => {
            left_out(why);
            return None;
        }
    };
    if let Some(why) = &entry.not_shown {
        left_out(&format!("`needs`: {why}"));
        return None;
    }
    let program = Path::new(manifest.program());
    match found::ask(backend.clone(), program, &manifest.version).await {
        Ok(Some(found)) => {
            info!("{} {} is at {}, as {} says", backend.title(), found.version, found.program.display(), place.display());
            Some(Found { manifest: Some(Arc::clone(manifest)), ..found })
        }
        Ok(None) => {
            left_out(&format!("`command`: there is no program {}; it is looked for on the runner's PATH", program.display()));
            None
        }
        Err(why) => {
            left_out(&format!("`version`: {} is asked for its version, and {why}", program.display()));
            None
        }
    }
}

/// In the order of their names.
fn read_all(folder: &Path, most: usize) -> Result<Vec<Entry>, String> {
    let about = match fs::metadata(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(vec![]),
        about => about.map_err(|error| error.to_string())?,
    };
    if !about.is_dir() {
        return Err("it is no folder".into());
    }
    if !is_safe(&about) {
        return Err(format!("{NOT_SAFE} the folder"));
    }
    let files = fs::read_dir(folder).and_then(|files| files.collect::<io::Result<Vec<_>>>()).map_err(|error| error.to_string())?;
    let names = files.into_iter().filter_map(|file| file.file_name().into_string().ok());
    let mut names: Vec<_> = names.filter(|name| name.ends_with(".toml") && !name.starts_with('.')).collect();
    names.sort_unstable();
    let entry = |(number, file): (usize, String)| {
        let says = match number < most {
            true => read_one(&folder.join(&file), &file).map(|(backend, manifest)| (backend, Arc::new(manifest))),
            false => Err(format!("{most} others come before it, and more are not read")),
        };
        let program = says.as_ref().ok().and_then(|(_, manifest)| stamp(Path::new(manifest.program())));
        Entry { file, says, program, not_shown: None }
    };
    Ok(names.into_iter().enumerate().map(entry).collect())
}

fn read_one(path: &Path, file: &str) -> Result<(Backend, Manifest), String> {
    let name = file.strip_suffix(".toml").and_then(AgentName::parse).ok_or_else(|| {
        let longest = AgentName::LONGEST;
        format!("its name has to be at most {longest} lower case letters, digits and dashes, with .toml behind them")
    })?;
    let text = read_safely(path)?;
    let manifest = Manifest::parse(&text)?;
    let backend = match manifest.speaks {
        Speaks::Acp => Backend::Acp(name),
        Speaks::Lines | Speaks::Text => Backend::Own(name),
    };
    Ok((backend, manifest))
}

const NOT_SAFE: &str = "it has to belong to the runner's user or to root, and nobody else may write to it; chown and chmod go-w";

/// A file that only its owner has written: it names programs, and a link leads to what others may have.
fn read_safely(path: &Path) -> Result<String, String> {
    let in_words = |error: io::Error| error.to_string();
    let named = fs::symlink_metadata(path).map_err(in_words)?;
    if !named.is_file() {
        return Err("it has to be a file, and no link to one".into());
    }
    let file = File::open(path).map_err(in_words)?;
    let about = file.metadata().map_err(in_words)?;
    if !about.is_file() || (about.dev(), about.ino()) != (named.dev(), named.ino()) {
        return Err("it was changed while it was looked at; it is looked at again".into());
    }
    if !is_safe(&about) {
        return Err(format!("{NOT_SAFE} the file"));
    }
    let mut text = String::new();
    file.take(LONGEST + 1).read_to_string(&mut text).map_err(in_words)?;
    if text.len() as u64 > LONGEST {
        return Err(format!("it is longer than {LONGEST} bytes"));
    }
    Ok(text)
}

fn is_safe(about: &Metadata) -> bool {
    let is_ours = about.uid() == rustix::process::geteuid().as_raw() || about.uid() == 0;
    is_ours && about.mode() & 0o022 == 0
}

fn stamp(program: &Path) -> Option<Stamp> {
    let path = found::whole_path(program)?;
    let about = fs::metadata(&path).ok()?;
    Some(Stamp { file: about.ino(), changed: about.modified().ok(), path })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use tempfile::TempDir;

    use super::*;
    use crate::SandboxConfig;

    struct Place {
        root: TempDir,
        folder: Folder,
    }

    impl Place {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            let path = root.path().join("agents");
            fs::create_dir(&path).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
            Self { folder: Folder::new(path, 3), root }
        }

        /// Its agent counts how often it was asked for its version.
        fn program(&self, version: &str) -> PathBuf {
            let path = self.root.path().join("agent");
            let asked = self.asked_file();
            fs::write(&path, format!("#!/bin/sh\necho asked >> {}\necho {version}\n", asked.display())).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            path
        }

        fn asked_file(&self) -> PathBuf {
            self.root.path().join("asked")
        }

        fn asked(&self) -> usize {
            fs::read_to_string(self.asked_file()).unwrap_or_default().lines().count()
        }

        fn put(&self, file: &str, text: &str) -> PathBuf {
            let path = self.folder.path.join(file);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            path
        }

        async fn look(&mut self) -> Vec<String> {
            let sandbox = Sandbox::new(SandboxConfig::default(), self.root.path().join("state"));
            self.folder.look(&sandbox).await.iter().map(|found| format!("{} {}", found.backend.name(), found.version)).collect()
        }
    }

    fn text_of(program: &Path) -> String {
        format!("speaks = \"text\"\ncommand = [\"{}\"]\n", program.display())
    }

    #[tokio::test]
    async fn what_is_put_there_is_there_and_what_is_taken_away_is_gone() {
        let mut place = Place::new();
        assert!(place.look().await.is_empty());
        let program = place.program("1.2");
        let file = place.put("mine.toml", &text_of(&program));
        place.put("README.md", "not for the runner");
        assert_eq!(place.look().await, ["own:mine 1.2"]);
        place.put("goose.toml", &text_of(&program).replace("\"text\"", "\"acp\""));
        assert_eq!(place.look().await, ["acp:goose 1.2", "own:mine 1.2"]);
        fs::remove_file(file).unwrap();
        assert_eq!(place.look().await, ["acp:goose 1.2"]);
        fs::remove_dir_all(&place.folder.path).unwrap();
        assert!(place.look().await.is_empty() && place.folder.trouble.is_none(), "there need be no folder");
    }

    #[tokio::test]
    async fn a_program_is_asked_again_when_it_is_another() {
        let mut place = Place::new();
        let program = place.program("1.2");
        place.put("mine.toml", &text_of(&program));
        place.look().await;
        assert_eq!(place.look().await, ["own:mine 1.2"]);
        assert_eq!(place.asked(), 1, "it is as it was");
        fs::remove_file(&program).unwrap();
        assert!(place.look().await.is_empty());
        place.program("1.3");
        assert_eq!(place.look().await, ["own:mine 1.3"]);
        assert_eq!(place.asked(), 2);
    }

    #[tokio::test]
    async fn a_file_that_is_not_as_it_should_be_is_left_out_and_the_others_are_read() {
        let mut place = Place::new();
        let program = place.program("1");
        let good = text_of(&program);
        let elsewhere = place.root.path().join("elsewhere.toml");
        fs::write(&elsewhere, &good).unwrap();
        let own = place.put("mine.toml", &good);
        let why = |place: &Place, file: &str| {
            let all = read_all(&place.folder.path, place.folder.most).unwrap();
            all.into_iter().find(|entry| entry.file == file).and_then(|entry| entry.says.err()).unwrap_or_default()
        };
        let long = " ".repeat(70_000);
        for (file, text, expected) in [
            ("Mine.toml", good.as_str(), "lower case letters, digits and dashes"),
            ("a.toml", "speaks = \"text\"", "missing field `command`"),
            ("a.toml", "speaks = \"smoke\"\ncommand = [\"x\"]", "`speaks`: unknown variant `smoke`"),
            ("a.toml", long.as_str(), "longer than 65536 bytes"),
        ] {
            let put = place.put(file, text);
            assert!(why(&place, file).contains(expected), "{file}: {}", why(&place, file));
            assert_eq!(place.look().await, ["own:mine 1"], "{file}");
            fs::remove_file(put).unwrap();
        }
        symlink(&elsewhere, place.folder.path.join("a.toml")).unwrap();
        assert!(why(&place, "a.toml").contains("no link"), "{}", why(&place, "a.toml"));
        fs::remove_file(place.folder.path.join("a.toml")).unwrap();
        fs::set_permissions(&own, fs::Permissions::from_mode(0o620)).unwrap();
        assert!(why(&place, "mine.toml").contains("chmod go-w the file"), "whoever writes it has the runner start programs");
        assert!(place.look().await.is_empty());
        fs::set_permissions(&own, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(place.look().await, ["own:mine 1"], "it is looked at again");
        fs::set_permissions(&place.folder.path, fs::Permissions::from_mode(0o722)).unwrap();
        assert!(place.look().await.is_empty());
        assert!(place.folder.trouble.as_ref().is_some_and(|why| why.ends_with("chmod go-w the folder")));
    }

    #[tokio::test]
    async fn more_than_a_runner_can_say_are_left_out() {
        let mut place = Place::new();
        let good = text_of(&place.program("1"));
        for name in ["a", "b", "c", "d"] {
            place.put(&format!("{name}.toml"), &good);
        }
        assert_eq!(place.look().await, ["own:a 1", "own:b 1", "own:c 1"]);
    }

    #[tokio::test]
    async fn what_is_musters_own_is_shown_to_nobody() {
        let mut place = Place::new();
        let state = place.root.path().join("state");
        fs::create_dir_all(state.join("journal")).unwrap();
        let good = text_of(&place.program("1"));
        for (path, expected) in [(state.join("journal"), 0), (place.root.path().to_owned(), 0), (place.folder.path.clone(), 1)] {
            place.put("mine.toml", &format!("{good}needs = [\"{}\"]\n", path.display()));
            assert_eq!(place.look().await.len(), expected, "{}", path.display());
        }
        place.put("mine.toml", &format!("{good}needs = [\"/no/such/folder\"]\n"));
        assert!(place.look().await.is_empty());
    }
}
