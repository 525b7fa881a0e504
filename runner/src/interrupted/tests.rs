use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

use domain::{AttemptId, Isolation, TaskId};
use tempfile::TempDir;
use uuid::Uuid;

use super::*;
use crate::journal::{Beside, Checkout};

const SESSION: &str = "0197c0de-0000-7000-8000-000000000001";

struct Place {
    root: TempDir,
    interrupted: Interrupted,
}

impl Place {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        private_folder(&root.path().join("kept")).unwrap();
        Self { interrupted: Self::life(&root), root }
    }

    fn life(root: &TempDir) -> Interrupted {
        Interrupted::new(root.path().join("kept"), Duration::from_secs(3600))
    }

    /// An attempt whose agent has said this in its session.
    fn entry(&self, task: TaskId, number: i32, said: &str) -> Entry {
        let attempt = AttemptKey { task_id: task, attempt_id: AttemptId(Uuid::now_v7()), number };
        let folder = self.root.path().join(attempt.attempt_id.to_string());
        let work = folder.join("work");
        let project = work.to_str().unwrap().replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        let place = folder.join("home/.claude-code/projects").join(project);
        fs::create_dir_all(&place).unwrap();
        fs::write(place.join(format!("{SESSION}.jsonl")), said).unwrap();
        let checkout = Checkout {
            path: work,
            git_dir: folder.join("git"),
            base_commit: "0123456789abcdef".into(),
            branch: format!("muster/a-{number}"),
            submodules: vec![],
        };
        let spoken = Spoken {
            backend: Backend::ClaudeCode,
            version: "9.9.9".into(),
            is_simple: false,
            model: None,
            session: SESSION.into(),
            spent: Spent { micros: 1300, ..Spent::default() },
            asked: "all of it".into(),
        };
        Entry {
            attempt,
            title: "Tidy up".into(),
            repository: "/srv/app".into(),
            mirror: "/srv/mirror".into(),
            folder,
            worktree: Some(checkout),
            leader: None,
            boot: String::new(),
            isolation: Isolation::None,
            group: None,
            lfs: false,
            beside: vec![],
            spoken: Some(spoken),
        }
    }

    async fn keeps(&self, entry: &Entry) {
        self.interrupted.keep(entry, &[Saved { commit: Some("fedcba".into()), ..Saved::default() }]).await;
    }

    fn folders(&self) -> usize {
        fs::read_dir(self.root.path().join("kept")).unwrap().count()
    }
}

fn task() -> TaskId {
    TaskId(Uuid::now_v7())
}

fn told(interrupted: &Interrupted) -> Vec<AttemptKey> {
    match interrupted.told() {
        ToServer::Keeps { attempts, .. } => attempts,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_is_kept_is_there_in_the_next_life_and_is_given_to_one() {
    let place = Place::new();
    let entry = place.entry(task(), 1, "what was said");
    place.keeps(&entry).await;
    fs::create_dir_all(place.root.path().join("kept").join(format!("{}.new", Uuid::now_v7()))).unwrap();
    let next = Place::life(&place.root);
    next.load().await;
    assert_eq!(told(&next), [entry.attempt]);
    assert_eq!(place.folders(), 1, "what a life has begun to write goes");
    let (kept, session) = next.take(entry.attempt).await.unwrap();
    assert_eq!(session, b"what was said");
    let checkout = entry.worktree.unwrap();
    assert_eq!((kept.attempt, kept.commit.as_deref()), (entry.attempt, Some("fedcba")));
    assert_eq!((kept.base_commit, kept.branch, kept.worktree), (checkout.base_commit, checkout.branch, checkout.path));
    assert!(next.take(entry.attempt).await.is_none(), "it is nobody else's");
    assert_eq!((told(&next), place.folders()), (vec![], 0));
}

#[tokio::test]
async fn of_one_task_there_is_one_and_of_all_there_are_few() {
    let place = Place::new();
    let one = task();
    let (first, second) = (place.entry(one, 1, "first"), place.entry(one, 2, "second"));
    for entry in [&first, &second] {
        place.keeps(entry).await;
    }
    assert_eq!(told(&place.interrupted), [second.attempt]);
    let mut last = second.attempt;
    for _ in 0..MOST {
        let entry = place.entry(task(), 1, "another");
        place.keeps(&entry).await;
        last = entry.attempt;
    }
    let all = told(&place.interrupted);
    assert_eq!((all.len(), all.last(), place.folders()), (MOST, Some(&last), MOST));
    assert!(!all.contains(&second.attempt), "the oldest goes");
    lock(&place.interrupted.known)[0].bytes = MOST_BYTES;
    place.interrupted.keep_within_bounds().await;
    assert_eq!(told(&place.interrupted), all[1..], "nor are there ever many bytes");
}

#[tokio::test]
async fn what_nobody_goes_on_from_goes() {
    let place = Place::new();
    let (old, over, left) = (place.entry(task(), 1, "old"), place.entry(task(), 1, "over"), place.entry(task(), 1, "left"));
    for entry in [&old, &over, &left] {
        place.keeps(entry).await;
    }
    lock(&place.interrupted.known)[0].kept_at = clock::now() - TimeDelta::seconds(3601);
    assert_eq!(told(&place.interrupted), [over.attempt, left.attempt], "an hour is enough");
    assert!(place.interrupted.take(old.attempt).await.is_none());
    place.interrupted.forget(&[over.attempt]).await;
    assert_eq!((told(&place.interrupted), place.folders()), (vec![left.attempt], 1));
    place.interrupted.forget_all().await;
    assert!(place.interrupted.is_empty());
    assert_eq!(place.folders(), 0);
}

#[tokio::test]
async fn what_is_more_than_a_session_and_a_commit_is_not_kept() {
    let place = Place::new();
    let entry = place.entry(task(), 1, "said");
    let beside = Beside { name: "api".into(), repository: "/srv/api".into(), mirror: "/srv/mirror".into(), worktree: None };
    for other in [
        Entry { spoken: None, ..entry.clone() },
        Entry { lfs: true, ..entry.clone() },
        Entry { beside: vec![beside], ..entry.clone() },
        Entry { worktree: None, ..entry.clone() },
    ] {
        place.keeps(&other).await;
    }
    let mut elsewhere = entry.clone();
    elsewhere.spoken.as_mut().unwrap().session = "../../secret".into();
    place.keeps(&elsewhere).await;
    let mut never_begun = entry;
    never_begun.spoken.as_mut().unwrap().session = "0197c0de-0000-7000-8000-000000000002".into();
    place.keeps(&never_begun).await;
    assert_eq!((told(&place.interrupted), place.folders()), (vec![], 0));
}

#[tokio::test]
async fn of_what_cannot_be_kept_nothing_stays() {
    let place = Place::new();
    let mut entry = place.entry(task(), 1, "said");
    entry.spoken.as_mut().unwrap().backend = Backend::Codex;
    // a name that the work has given, and that cannot be written down
    let day = entry.folder.join("home/.codex/sessions").join(OsStr::from_bytes(b"\xff"));
    fs::create_dir_all(&day).unwrap();
    fs::write(day.join(format!("rollout-2026-11-28T05-00-00-{SESSION}.jsonl")), "said").unwrap();
    place.keeps(&entry).await;
    assert_eq!((told(&place.interrupted), place.folders()), (vec![], 0));
}
