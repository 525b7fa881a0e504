//! What is in the folder, and what comes of it at each look.

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
        let says = self.root.path().join("says");
        let script = format!("#!/bin/sh\necho asked >> {}\ncat {} 2>/dev/null || echo {version}\n", asked.display(), says.display());
        fs::write(&path, script).unwrap();
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

    fn sandbox(&self) -> Sandbox {
        Sandbox::new(SandboxConfig::default(), self.root.path().join("state"))
    }

    async fn look(&mut self) -> Vec<String> {
        self.look_at(Instant::now()).await
    }

    async fn look_at(&mut self, now: Instant) -> Vec<String> {
        let sandbox = Arc::new(self.sandbox());
        self.folder.look(&sandbox, now).await.iter().map(|found| format!("{} {}", found.backend.name(), found.version)).collect()
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
        let all = read_all(&place.folder.path, place.folder.most, &place.sandbox()).unwrap();
        all.into_iter().find(|looked| looked.entry.file == file).and_then(|looked| looked.entry.says.err()).unwrap_or_default()
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
async fn a_folder_that_is_a_link_is_not_read() {
    let mut place = Place::new();
    let program = place.program("1");
    place.put("mine.toml", &text_of(&program));
    let real = place.root.path().join("real");
    fs::rename(&place.folder.path, &real).unwrap();
    symlink(&real, &place.folder.path).unwrap();
    assert!(place.look().await.is_empty());
    assert!(place.folder.trouble.as_ref().is_some_and(|why| why.contains("no link")), "whoever moves the link names the programs");
}

#[tokio::test]
async fn a_program_that_did_not_answer_is_asked_again_after_a_while() {
    let mut place = Place::new();
    let program = place.program("none");
    place.put("mine.toml", &text_of(&program));
    let began = Instant::now();
    assert!(place.look_at(began).await.is_empty());
    assert!(place.look_at(began + Duration::from_secs(59)).await.is_empty());
    assert_eq!(place.asked(), 1, "not each time that somebody looks");
    assert!(place.look_at(began + Duration::from_secs(60)).await.is_empty());
    assert_eq!(place.asked(), 2);
    fs::write(place.root.path().join("says"), "1.4").unwrap();
    assert!(place.look_at(began + Duration::from_secs(119)).await.is_empty());
    assert_eq!(place.look_at(began + Duration::from_secs(120)).await, ["own:mine 1.4"], "its file is what it was");
    assert_eq!(place.look_at(began + Duration::from_secs(999)).await, ["own:mine 1.4"]);
    assert_eq!(place.asked(), 3);
}

#[tokio::test]
async fn a_file_that_somebody_is_writing_takes_no_agent_away() {
    let mut place = Place::new();
    let good = text_of(&place.program("1"));
    let file = place.put("mine.toml", &good);
    assert_eq!(place.look().await, ["own:mine 1"]);
    place.put("mine.toml", &good[..20]);
    assert_eq!(place.look().await, ["own:mine 1"], "half of it is there");
    place.put("mine.toml", &good);
    assert_eq!(place.look().await, ["own:mine 1"]);
    assert_eq!(place.asked(), 1);
    place.put("mine.toml", &good[..20]);
    assert_eq!(place.look().await, ["own:mine 1"]);
    assert!(place.look().await.is_empty(), "half of it is all");
    place.put("mine.toml", &good);
    assert_eq!(place.look().await, ["own:mine 1"]);
    place.put("mine.toml", &good[..20]);
    let long_ago = SystemTime::now() - Duration::from_secs(3);
    File::options().write(true).open(&file).unwrap().set_modified(long_ago).unwrap();
    assert!(place.look().await.is_empty(), "nobody is writing any more");
    place.put("mine.toml", &good);
    assert_eq!(place.look().await, ["own:mine 1"]);
    place.put("mine.toml", &good[..20]);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o620)).unwrap();
    assert!(place.look().await.is_empty(), "it may be somebody else who writes");
}

#[tokio::test]
async fn more_than_a_runner_can_say_are_left_out() {
    let mut place = Place::new();
    let good = text_of(&place.program("1"));
    for name in ["a", "b", "c", "d"] {
        place.put(&format!("{name}.toml"), &good);
    }
    for name in ["A", "B", "a_b"] {
        place.put(&format!("{name}.toml"), &good);
    }
    assert_eq!(place.look().await, ["own:a 1", "own:b 1", "own:c 1"], "what has no name that counts takes nobody's place");
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
