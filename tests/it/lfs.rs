//! Git LFS, which a program with its name plays: its files are fetched, are in the worktree, and what is new is pushed before the branch.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::Value;
use tests::machine::{Client, FakeForge, Machine, Server, stderr, stdout};

/// Long for a busy machine, and never reached when all is well.
const PATIENCE: Duration = Duration::from_secs(60);
const PROGRAM: &str = include_str!("../data/programs/git-lfs");

fn sum(content: &str) -> String {
    digest(&SHA256, content.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn pointer(content: &str) -> String {
    format!("version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize {}\n", sum(content), content.len())
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let settings = ["-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "commit.gpgSign=false"];
    let done = Command::new("git").args(settings).args(arguments).current_dir(folder).output().unwrap();
    assert!(done.status.success(), "git {arguments:?}: {}", stderr(&done));
    stdout(&done).trim().to_owned()
}

struct Scene {
    machine: Machine,
    forge: FakeForge,
}

impl Scene {
    /// A forge whose repository has a file that Git LFS keeps.
    fn new() -> Self {
        let machine = Machine::new();
        let forge = machine.forges("hub");
        let scene = Self { machine, forge };
        fs::create_dir_all(scene.server()).unwrap();
        fs::write(scene.server().join(sum("large\n")), "large\n").unwrap();
        scene.installs(PROGRAM);
        let place = scene.machine.folder.path().join("clone");
        let forge = scene.forge.repository();
        git(scene.machine.folder.path(), &["clone", "--quiet", forge.to_str().unwrap(), place.to_str().unwrap()]);
        fs::write(place.join("large.bin"), pointer("large\n")).unwrap();
        git(&place, &["add", "."]);
        // afterwards, or git would want to put it through git-lfs already
        fs::write(place.join(".gitattributes"), "*.bin filter=lfs diff=lfs merge=lfs -text\n").unwrap();
        git(&place, &["add", ".gitattributes"]);
        git(&place, &["commit", "--quiet", "-m", "Large"]);
        git(&place, &["push", "--quiet", "origin", "HEAD"]);
        scene
    }

    /// What Git LFS keeps on the other side.
    fn server(&self) -> PathBuf {
        self.machine.folder.path().join("lfs-server")
    }

    fn has(&self, content: &str) -> bool {
        fs::read_to_string(self.server().join(sum(content))).is_ok_and(|there| there == content)
    }

    fn programs(&self) -> PathBuf {
        self.machine.folder.path().join("bin")
    }

    fn installs(&self, program: &str) {
        fs::create_dir_all(self.programs()).unwrap();
        let path = self.programs().join("git-lfs");
        fs::write(&path, program.replace("@SERVER@", self.server().to_str().unwrap())).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    }

    fn serves(&self) -> Server {
        let path = format!("{}:{}", self.programs().display(), std::env::var("PATH").unwrap());
        self.machine.serves_landing(&[(&self.forge, "github")], &[("PATH", &path)])
    }

    fn client<'a>(&'a self, server: &'a Server) -> Client<'a> {
        Client { machine: &self.machine, url: &server.url, key: self.machine.creates_key("member") }
    }
}

fn task(client: &Client<'_>, id: &str) -> Value {
    serde_json::from_str(&stdout(&client.run(&["task", "show", id, "--json"]))).unwrap()
}

/// Once that is so.
fn until(client: &Client<'_>, id: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let task = task(client, id);
        if is_so(&task) {
            return task;
        }
        assert!(Instant::now() < deadline, "{task}");
        std::thread::yield_now();
    }
}

#[test]
fn what_git_lfs_keeps_is_in_the_worktree_and_lands_before_the_branch() {
    let scene = Scene::new();
    let server = scene.serves();
    let client = scene.client(&server);
    let location = scene.forge.location();
    let command = "cat large.bin; echo more >> large.bin; echo other > other.bin; git add other.bin; git commit --quiet -m Other";
    let check = "command_succeeds=grep -q more large.bin && grep -q other other.bin";
    let run = ["task", "run", "--repo", &location, "--lfs", "--command", command, "--check", check, "--land", "push", "--watch"];
    let ran = client.run(&run);
    assert_eq!(ran.status.code(), Some(0), "{}{}", stdout(&ran), stderr(&ran));
    let id = stdout(&client.run(&["task", "list"])).split('\t').next().unwrap().to_owned();
    let done = until(&client, &id, |task| task["landing"]["state"] == "landed");
    let log = stdout(&client.run(&["task", "logs", &id]));
    assert!(log.contains("large\n") && log.contains("with 2 files of Git LFS"), "{log}");
    let branch = done["landing"]["branch"].as_str().unwrap();
    for (name, content) in [("large.bin", "large\nmore\n"), ("other.bin", "other\n")] {
        assert_eq!(git(&scene.forge.repository(), &["show", &format!("{branch}:{name}")]), pointer(content).trim());
        assert!(scene.has(content), "{name} is where its pointer leads");
    }

    // nobody has asked for it
    let without = ["task", "run", "--repo", &location, "--command", "cat large.bin", "--check", "git_clean", "--watch"];
    assert_eq!(client.run(&without).status.code(), Some(0));
    let id = stdout(&client.run(&["task", "list"])).split('\t').next().unwrap().to_owned();
    assert!(stdout(&client.run(&["task", "logs", &id])).contains("version https://git-lfs"), "it is a pointer");
    server.stops();
}

#[test]
fn whom_the_repository_names_for_git_lfs_is_not_asked() {
    let scene = Scene::new();
    let place = scene.machine.folder.path().join("clone");
    fs::write(place.join(".lfsconfig"), "[lfs]\n\turl = ssh://git@forge.test/theirs.git\n").unwrap();
    git(&place, &["add", ".lfsconfig"]);
    git(&place, &["commit", "--quiet", "-m", "Others"]);
    let chosen = git(&place, &["rev-parse", "HEAD"]);
    git(&place, &["commit", "--quiet", "--allow-empty", "-m", "Last"]);
    git(&place, &["push", "--quiet", "origin", "HEAD"]);
    // it is at no branch, so that a clone is at this commit
    git(&scene.forge.repository(), &["update-ref", "--no-deref", "HEAD", &chosen]);
    let server = scene.serves();
    let client = scene.client(&server);
    let location = scene.forge.location();
    let command = "cat .lfsconfig large.bin; echo more >> large.bin";
    let check = "command_succeeds=grep -q more large.bin";
    let run = ["task", "run", "--repo", &location, "--lfs", "--command", command, "--check", check, "--land", "push", "--watch"];
    let ran = client.run(&run);
    assert_eq!(ran.status.code(), Some(0), "{}{}", stdout(&ran), stderr(&ran));
    let id = stdout(&client.run(&["task", "list"])).split('\t').next().unwrap().to_owned();
    until(&client, &id, |task| task["landing"]["state"] == "landed");
    let log = stdout(&client.run(&["task", "logs", &id]));
    assert!(log.contains("theirs.git") && log.contains("large\n"), "{log}");
    assert!(scene.has("large\nmore\n"));
    server.stops();
}

#[test]
fn where_git_lfs_or_what_it_keeps_is_missing_the_task_says_so() {
    let scene = Scene::new();
    let server = scene.serves();
    let client = scene.client(&server);
    let location = scene.forge.location();
    let run = ["task", "run", "--repo", &location, "--lfs", "--command", "true", "--attempts", "1"];
    let failed = |code: &str| {
        let id = stdout(&client.run(&run)).trim().to_owned();
        let task = until(&client, &id, |task| task["state"] == "failed" || task["state"] == "dead");
        assert_eq!(task["failure"]["code"], code, "{task}");
        task["failure"]["message"].as_str().unwrap().to_owned()
    };
    fs::remove_file(scene.server().join(sum("large\n"))).unwrap();
    let message = failed("repository_unreachable");
    assert!(message.contains("cannot fetch the files of Git LFS") && message.contains("the server has no object"), "{message}");

    // the runner has said that it has it
    scene.installs("#!/bin/sh\nexit 1\n");
    assert!(failed("lfs_missing").contains("git-lfs is not on this machine"));
    server.stops();

    // it says so no more: the task waits for one that has it
    let server = scene.serves();
    let client = scene.client(&server);
    let waits = client.run(&run);
    assert!(stderr(&waits).contains("No runner has git-lfs"), "{}", stderr(&waits));
    assert_eq!(task(&client, stdout(&waits).trim())["state"], "queued");
    server.stops();
}
