//! What work in a sandbox can do, and what it cannot.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
};

use domain::{
    CheckKind, CheckStatus, FailureCode, Isolation, LogStream,
    protocol::{Assignment, Credentials},
};
use runner::{Network, RunnerConfig, SandboxConfig};
use tempfile::TempDir;

use crate::harness::{Repository, Server, checks, config, diff, failure_code, outcome, short, statuses};

/// What lies in `/tmp` is hidden from everybody; this is not.
pub fn place() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

pub async fn server_with(place: &Path, sandbox: SandboxConfig) -> Server {
    Server::with_config(RunnerConfig { sandbox, ..config(place.join("runner")) }, short()).await
}

async fn server(place: &Path) -> Server {
    server_with(place, SandboxConfig::default()).await
}

pub fn in_sandbox(repository: &Repository, command: &str) -> Assignment {
    Assignment { isolation: Isolation::Sandbox, ..repository.command(command) }
}

#[tokio::test]
async fn work_in_a_sandbox_is_done_checked_and_saved() {
    let (place, repository) = (place(), Repository::sample());
    let server = server(place.path()).await;
    let mut assignment = in_sandbox(
        &repository,
        "set -e; id -un; pwd; echo cached > ~/.cached; echo scratch > /tmp/scratch; echo half > half.txt; git add half.txt; \
         git commit --quiet -m 'Half of it'; echo whole > whole.txt; printf '{\"size\": 2}' > \"$MUSTER_OUTPUT\"; cat \"$MUSTER_INPUTS\"",
    );
    assignment.checks = checks(&[
        (CheckKind::FileExists, Some("whole.txt")),
        (CheckKind::CommandSucceeds, Some("grep half half.txt && git log -1 --format=%s | grep -q Half")),
        (CheckKind::CommandSucceeds, Some("test ! -e ~/.cached && test ! -e /tmp/scratch && echo mine > ~/.mine")),
        (CheckKind::CommandSucceeds, Some("test ! -e ~/.mine")),
        (CheckKind::GitClean, None),
    ]);
    let report = server.carry_out(&assignment).await;
    assert_eq!(outcome(&report), "completed", "{}", server.log(assignment.attempt));
    let [passed @ .., clean] = statuses(&report).try_into().unwrap_or([CheckStatus::Error; 5]);
    assert_eq!((passed, clean), ([CheckStatus::Passed; 4], CheckStatus::Failed), "{report:#?}");
    let output = server.output(assignment.attempt, LogStream::Stdout);
    assert!(output.starts_with("muster\n"), "nobody is root inside: {output}");
    assert!(server.log(assignment.attempt).contains("In a sandbox without a network"));
    assert!(diff(&report).contains("+whole") && diff(&report).contains("+half"), "{}", diff(&report));
    assert_eq!(report.output, Some(serde_json::json!({"size": 2})));
    assert!(!server.folder(assignment.attempt).exists());
    server.until_the_journal_is_empty().await;
}

/// Each act by itself; what it did not do is told by its exit status.
fn one_by_one(acts: &[String]) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "'\\''"));
    acts.iter()
        .enumerate()
        .map(|(number, act)| format!("bash -c {} > /dev/null 2>&1 && echo REACHED {number}\n", quoted(act)))
        .collect::<String>()
        + "echo done"
}

async fn reached<'a>(server: &Server, assignment: &Assignment, acts: &'a [String]) -> Vec<&'a str> {
    let report = server.carry_out(assignment).await;
    assert_eq!(outcome(&report), "completed", "{}", server.log(assignment.attempt));
    let output = server.output(assignment.attempt, LogStream::Stdout);
    assert!(output.ends_with("done\n"), "{output}");
    let numbers = output.lines().filter_map(|line| line.strip_prefix("REACHED "));
    numbers.map(|number| acts[number.parse::<usize>().unwrap()].as_str()).collect()
}

#[tokio::test]
async fn what_is_not_the_works_is_out_of_its_reach() {
    let (place, repository, beside) = (place(), Repository::sample(), self::place());
    let server = server(place.path()).await;
    let (secret, written) = (beside.path().join("secret"), beside.path().join("written"));
    fs::write(&secret, "canary").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let abstract_socket = format!("muster-{port}");
    let address = <std::os::unix::net::SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(&abstract_socket).unwrap();
    let _local = std::os::unix::net::UnixListener::bind_addr(&address).unwrap();
    let (own, state) = (std::process::id(), server.state.display().to_string());
    let acts = [
        format!("cat {}", secret.display()),
        format!("echo x > {}", written.display()),
        format!("cat {state}/identity"),
        format!("ls {state}/journal"),
        format!("kill -0 {own}"),
        format!("cat /proc/{own}/environ"),
        "test $(ls -d /proc/[0-9]* | wc -l) -gt 12".into(),
        format!("exec 3<>/dev/tcp/127.0.0.1/{port}"),
        format!("perl -MSocket -e 'socket(S, 1, 1, 0) && connect(S, pack(\"Sa*\", 1, \"\\0{abstract_socket}\")) or exit 1'"),
        "perl -e 'socket(S, 40, 1, 0) or exit 1'".into(),
        // keyctl asks for the session's keys, io_uring_setup for nothing that can be
        "perl -e 'syscall(250, 0, -3, 0) >= 0 or !$!{EPERM} or exit 1'".into(),
        "perl -e 'syscall(425, 1, 0) >= 0 or !$!{EPERM} or exit 1'".into(),
        "unshare --user true".into(),
        // the call below it, which starts a process in a user namespace of its own
        "perl -e 'exit(syscall(56, 0x10000011, 0, 0, 0, 0) == -1)'".into(),
        "ls /srv".into(),
        "ls /mnt".into(),
        "ls /opt".into(),
    ];
    let outside = reached(&server_without(&self::place()).await, &repository.command(&one_by_one(&acts)), &acts).await;
    assert_eq!(outside, acts.iter().map(String::as_str).collect::<Vec<_>>(), "without a sandbox all of it is possible");
    fs::remove_file(&written).unwrap();
    assert_eq!(reached(&server, &in_sandbox(&repository, &one_by_one(&acts)), &acts).await, Vec::<&str>::new());
    assert!(!written.exists());
}

async fn server_without(place: &TempDir) -> Server {
    server_with(place.path(), SandboxConfig { may_be_left_out: true, ..SandboxConfig::default() }).await
}

/// These would harm the machine that runs the test, so nobody sees them succeed.
#[tokio::test]
async fn the_machine_is_read_only_and_lends_nobody_its_rights() {
    let (place, repository) = (place(), Repository::sample());
    let server = server(place.path()).await;
    let acts: Vec<String> = [
        "echo x > /etc/muster-was-here",
        "echo x > /usr/bin/muster-was-here",
        "echo x > /muster-was-here",
        "echo x > /home/muster-was-here",
        "head -c 1 /etc/shadow",
        "echo x > /proc/sys/kernel/hostname",
        "echo x >> /proc/sysrq-trigger",
        "mount -t tmpfs none /mnt",
        "umount /tmp",
        "chroot / true",
        "chown 1 .",
        "mknod device c 1 3",
        "grep -q '^CapBnd:.*[1-9a-f]' /proc/self/status",
        "grep -q '^NoNewPrivs:.*0' /proc/self/status",
        "grep -q '^Seccomp:.*0' /proc/self/status",
        "test -e /run/docker.sock -o -e /var/run/docker.sock -o -e /run/dbus -o -e /sys/kernel",
        "getent hosts example.org",
        "exec 3<>/dev/tcp/169.254.169.254/80",
        "test -n \"$SSH_AUTH_SOCK$DBUS_SESSION_BUS_ADDRESS$DATABASE_URL\"",
    ]
    .map(String::from)
    .into();
    assert_eq!(reached(&server, &in_sandbox(&repository, &one_by_one(&acts)), &acts).await, Vec::<&str>::new());
}

#[tokio::test]
async fn what_git_is_told_beside_the_history_stays_as_it_is() {
    let (place, repository) = (place(), Repository::sample());
    let server = server(place.path()).await;
    let acts: Vec<String> = [
        "git config core.hooksPath /tmp",
        "echo 'touch /tmp/x' > \"$(git rev-parse --git-dir)/hooks/post-commit\"",
        "mv \"$(git rev-parse --git-dir)/hooks\" /tmp/",
        "echo /etc > \"$(git rev-parse --git-dir)/objects/info/alternates\"",
        "mv \"$(git rev-parse --git-dir)/objects\" \"$(git rev-parse --git-dir)/elsewhere\"",
        "echo 'gitdir: /tmp' > .git",
        "rm -f .git",
        "mv ../work ../elsewhere",
        "ln -s /etc ../kept",
        "ls ../kept",
        "ls ../index",
        "echo x > \"$MUSTER_INPUTS\"",
    ]
    .map(String::from)
    .into();
    assert_eq!(reached(&server, &in_sandbox(&repository, &one_by_one(&acts)), &acts).await, Vec::<&str>::new());
}

/// With a repository that belongs at this path: git looks into what the work puts there, and takes none of it in as files.
fn with_another_at(path: &str) -> Repository {
    let repository = Repository::sample();
    let commit = repository.git(&["rev-parse", "HEAD"]);
    fs::create_dir(repository.path.join(path)).unwrap();
    repository.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{commit},{path}")]);
    repository.commit(&[]);
    repository
}

/// Muster looks at what is left with git; nothing of it makes git leave the sandbox.
#[tokio::test]
async fn a_repository_that_the_work_leaves_runs_nothing_outside() {
    let (place, repository, beside) = (place(), with_another_at("sub"), self::place());
    let server = server(place.path()).await;
    let trace = beside.path().join("ran");
    let trace_it = format!("touch {}", trace.display());
    let command = format!(
        "set -e; git init --quiet sub; cd sub; echo '* filter=x' > .gitattributes; echo a > a; git add a; git commit --quiet -m a; \
         git config filter.x.clean '{trace_it}; cat'; git config core.fsmonitor '{trace_it}'; echo b > a; cd ..; \
         git -c core.fsmonitor=false add sub 2> /dev/null; git commit --quiet -m 'With a repository inside'"
    );
    let mut assignment = in_sandbox(&repository, &command);
    assignment.checks = checks(&[(CheckKind::GitClean, None)]);
    let report = server.carry_out(&assignment).await;
    assert_eq!(failure_code(&report), Some(FailureCode::WorkNotSaved), "what is only in the inner repository is kept: {report:?}");
    assert!(outcome(&report).contains("--submodules"), "what helps is said: {}", outcome(&report));
    assert!(server.folder(assignment.attempt).join("work/sub/a").exists());
    assert!(!trace.exists(), "a program that the work named ran outside");

    // the same by hand, to see that it would
    let status = ["status", "--porcelain", "--ignore-submodules=none"];
    assert!(Command::new("git").args(status).current_dir(server.folder(assignment.attempt).join("work")).status().unwrap().success());
    assert!(trace.exists());
}

/// Whatever such a program does in the sandbox in which git looks, what Muster does next outside is not led by it.
#[tokio::test]
async fn a_program_that_runs_beside_git_finds_nothing_of_the_runners() {
    let (place, repository, beside) = (place(), with_another_at("sub"), self::place());
    let server = server(place.path()).await;
    let victim = beside.path().join("victim");
    fs::write(&victim, "untouched").unwrap();
    fs::write(server.state.join("gitconfig.local"), "[http]\n\textraHeader = canary\n").unwrap();
    let script = format!(
        "cd ../..; cat ../../gitconfig.local > git/loot 2>&1; ls kept > git/seen 2>&1; rm -rf index/index; ln -s {victim} index/index; \
         mkdir index/index.lock; rm -f kept/index.base; echo mine > kept/index.base; ln -s {folder} kept/nested; \
         mv git/objects git/elsewhere; echo ran >> git/trace; cat",
        victim = victim.display(),
        folder = beside.path().display()
    );
    let command = format!(
        "set -e; git init --quiet sub; cd sub; echo '* filter=x' > .gitattributes; echo a > a; git add a; git commit --quiet -m a; cd ..; \
         cat > odd.sh <<'END'\n{script}\nEND\n\
         git -C sub config filter.x.clean \"sh $PWD/odd.sh\"; echo b > sub/a; git add sub odd.sh 2> /dev/null; \
         git commit --quiet -m 'With a repository inside'"
    );
    let mut assignment = in_sandbox(&repository, &command);
    assignment.checks = checks(&[(CheckKind::GitClean, None), (CheckKind::GitClean, None)]);
    let report = server.carry_out(&assignment).await;
    // what is only in the inner repository is kept, and all that ran beside git with it
    assert_eq!(failure_code(&report), Some(FailureCode::WorkNotSaved), "{report:#?}");
    let left = |name: &str| fs::read_to_string(server.folder(assignment.attempt).join("git").join(name)).unwrap();
    assert!(left("trace").contains("ran"), "without that this shows nothing");
    assert!(!left("loot").contains("canary"), "{}", left("loot"));
    assert!(!left("seen").contains("index.base"), "{}", left("seen"));
    assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched");
    assert_eq!(fs::read_dir(beside.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn links_and_pipes_that_the_work_leaves_lead_nowhere() {
    let (place, repository, beside) = (place(), Repository::sample(), self::place());
    let server = server(place.path()).await;
    let secret = beside.path().join("secret");
    fs::write(&secret, "canary").unwrap();
    let command = format!(
        "set -e; git_dir=$(git rev-parse --git-dir); ln -s {folder} \"$git_dir/refs/heads/other\"; rm -f \"$git_dir/packed-refs\"; \
         ln -s {folder}/secret \"$git_dir/packed-refs\"; mkfifo \"$git_dir/pipe\"; mkfifo pipe; ln -s {folder}/secret leads-out; \
         rm -f \"$MUSTER_OUTPUT\"; ln -s {folder}/secret \"$MUSTER_OUTPUT\"; echo done > done.txt",
        folder = beside.path().display()
    );
    let mut assignment = in_sandbox(&repository, &command);
    assignment.checks = checks(&[(CheckKind::FileExists, Some("done.txt")), (CheckKind::GitClean, None)]);
    let report = server.carry_out(&assignment).await;
    assert_eq!(outcome(&report), "completed", "{}", server.log(assignment.attempt));
    let changes = diff(&report);
    assert!(changes.contains("done.txt") && changes.contains("leads-out"), "{changes}");
    assert!(!changes.contains("canary"), "{changes}");
    assert!(server.log(assignment.attempt).contains("The output was left out: it is not a file"), "{}", server.log(assignment.attempt));
    assert_eq!(report.output, None);

    let waits = in_sandbox(&repository, "mkfifo \"$MUSTER_RETRY_AFTER\"; exit 3");
    assert_eq!(failure_code(&server.carry_out(&waits).await), Some(FailureCode::CommandFailed));
}

/// One of another's, with what it has added: nothing of it is there to be borrowed.
#[tokio::test]
async fn a_repository_that_borrows_from_another_is_worked_on() {
    let (place, repository) = (place(), Repository::sample());
    let server = server(place.path()).await;
    let assignment = in_sandbox(&repository, "git log --oneline > log.txt");
    let borrowing = place.path().join("borrowing");
    let cloned = Command::new("git").args(["clone", "--quiet", "--shared", &assignment.repository]).arg(&borrowing).status().unwrap();
    assert!(cloned.success());
    let assignment = Assignment { repository: borrowing.to_str().unwrap().into(), ..assignment };
    let report = server.carry_out(&assignment).await;
    assert_eq!(outcome(&report), "completed", "{}", server.log(assignment.attempt));
    assert!(diff(&report).contains("log.txt"));
}

#[tokio::test]
async fn folders_that_lie_deeper_than_anybody_goes_are_deleted() {
    let (place, repository) = (place(), Repository::sample());
    let server = server(place.path()).await;
    let deep = "perl -e 'for (1 .. 5000) { mkdir \"d\" x 20; chdir \"d\" x 20 or die; chmod 0, \"..\" if $_ == 4000 }' ";
    let command = format!("cd ~ && {deep}; cd /tmp && {deep}; mkdir /tmp/closed && touch /tmp/closed/file && chmod 500 /tmp/closed");
    assert_eq!(outcome(&server.carry_out(&in_sandbox(&repository, &command)).await), "completed");
    server.stop().await;
    assert_eq!(fs::read_dir(place.path().join("runner/trash")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_network_that_is_open_is_the_machines() {
    let (place, repository) = (place(), Repository::sample());
    let server = server_with(place.path(), SandboxConfig { network: Network::Open, ..SandboxConfig::default() }).await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let assignment = in_sandbox(&repository, &format!("bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port}'"));
    assert_eq!(outcome(&server.carry_out(&assignment).await), "completed", "{}", server.log(assignment.attempt));
    assert!(server.log(assignment.attempt).contains("In a sandbox with the machine's network"));
}

#[tokio::test]
async fn what_is_to_be_shown_is_shown_and_can_only_be_read() {
    let (place, repository, beside) = (place(), Repository::sample(), self::place());
    fs::write(beside.path().join("model"), "large").unwrap();
    let read = vec![beside.path().to_owned()];
    let server = server_with(place.path(), SandboxConfig { read, ..SandboxConfig::default() }).await;
    let shown = beside.path().display();
    let assignment = in_sandbox(&repository, &format!("cat {shown}/model && ! touch {shown}/mine && ! rm {shown}/model"));
    assert_eq!(outcome(&server.carry_out(&assignment).await), "completed", "{}", server.log(assignment.attempt));

    let around = self::place();
    let server =
        server_with(&around.path().join("below"), SandboxConfig { read: vec![around.path().into()], ..SandboxConfig::default() }).await;
    let report = server.carry_out(&in_sandbox(&repository, "true")).await;
    assert_eq!(failure_code(&report), Some(FailureCode::SandboxUnavailable), "{report:?}");
    assert!(format!("{report:?}").contains("no folder of Muster's own may lie there"), "{report:?}");
}

/// Numbers of processes whose command line holds this.
pub fn running(word: &str) -> Vec<PathBuf> {
    let processes = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    processes.filter(|path| fs::read(path.join("cmdline")).is_ok_and(|line| String::from_utf8_lossy(&line).contains(word))).collect()
}

/// Starts three processes that hide with this on their command line, and goes on once all of them are there. It takes a room in which nothing else
/// is called as they are.
pub fn hides(word: &str) -> String {
    format!(
        "setsid sleep {word} & env -i setsid sh -c 'cd /; sleep {word} & sleep {word}' & \
         until [ $(cat /proc/[0-9]*/comm 2> /dev/null | grep -cx sleep) -ge 3 ]; do sleep 0.01; done"
    )
}

/// Processes in whose room something of this folder is mounted.
fn seeing(folder: &Path) -> Vec<PathBuf> {
    let processes = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let folder = folder.to_str().unwrap();
    processes.filter(|path| fs::read_to_string(path.join("mountinfo")).is_ok_and(|mounts| mounts.contains(folder))).collect()
}

#[tokio::test]
async fn nothing_of_the_work_outlives_it_however_it_hides() {
    let (place, repository) = (place(), Repository::sample());
    let server = server(place.path()).await;
    let word = "86421.5";
    let hides = hides(word);
    assert_eq!(outcome(&server.carry_out(&in_sandbox(&repository, &hides)).await), "completed");
    assert_eq!(running(word), Vec::<PathBuf>::new());

    let waits = in_sandbox(&repository, &format!("trap '' INT TERM; {hides}; echo ready; sleep {word}"));
    let attempt = server.assign(&waits).await;
    server.until_output(attempt, "ready").await;
    assert!(!seeing(place.path()).is_empty());
    server.cancel(attempt).await;
    assert_eq!(outcome(&server.report(attempt).await), "cancelled");
    assert_eq!(running(word), Vec::<PathBuf>::new());
    assert_eq!(seeing(place.path()), Vec::<PathBuf>::new(), "no room with mounts of it is left");
}

#[tokio::test]
async fn everybody_inside_has_a_moment_to_put_their_things_away() {
    let (place, repository) = (place(), Repository::sample());
    let server = server(place.path()).await;
    // whoever was started first is gone at once, and takes nobody along
    let command = "sh -c 'trap \"sleep 0.1; echo put away > note.txt; exit\" TERM; echo ready; while true; do sleep 0.05; done' & \
                   trap 'exit 3' INT; while true; do sleep 0.05; done";
    let attempt = server.assign(&in_sandbox(&repository, command)).await;
    server.until_output(attempt, "ready").await;
    server.cancel(attempt).await;
    let report = server.report(attempt).await;
    assert_eq!(outcome(&report), "cancelled");
    assert!(diff(&report).contains("+put away"), "{}", server.log(attempt));
}

#[tokio::test]
async fn where_no_sandbox_can_be_made_nothing_runs() {
    let (place, repository) = (place(), Repository::sample());
    let refuses = place.path().join("refuses");
    fs::write(&refuses, "#!/bin/sh\necho 'setting up uid map: Permission denied' >&2; exit 1\n").unwrap();
    assert!(Command::new("chmod").arg("+x").arg(&refuses).status().unwrap().success());
    for (program, reason) in [(PathBuf::from("/nonexistent/bwrap"), "/nonexistent/bwrap"), (refuses.clone(), "uid map: Permission denied")]
    {
        let server = server_with(&place.path().join("state"), SandboxConfig { program, ..SandboxConfig::default() }).await;
        let mut assignment = in_sandbox(&repository, "echo it ran");
        assignment.checks = checks(&[(CheckKind::CommandSucceeds, Some("true"))]);
        let report = server.carry_out(&assignment).await;
        assert_eq!(failure_code(&report), Some(FailureCode::SandboxUnavailable), "{report:?}");
        assert!(format!("{report:?}").contains(reason), "{report:?}");
        assert!(!server.log(assignment.attempt).contains("it ran"));
        server.stop().await;
    }
}

/// A sandbox that cannot be made any more, after one could.
#[tokio::test]
async fn what_bubblewrap_says_of_itself_is_not_taken_for_the_works() {
    let (place, repository) = (place(), Repository::sample());
    let fickle = place.path().join("fickle");
    fs::write(&fickle, format!("#!/bin/sh\ntest -e {}/broken && exit 1\nexec bwrap \"$@\"\n", place.path().display())).unwrap();
    assert!(Command::new("chmod").arg("+x").arg(&fickle).status().unwrap().success());
    let server = server_with(place.path(), SandboxConfig { program: fickle, ..SandboxConfig::default() }).await;
    let report = server.carry_out(&in_sandbox(&repository, "exit 1")).await;
    assert_eq!(failure_code(&report), Some(FailureCode::CommandFailed), "{report:?}");
    fs::write(place.path().join("broken"), "").unwrap();
    let report = server.carry_out(&in_sandbox(&repository, "exit 1")).await;
    assert_eq!(failure_code(&report), Some(FailureCode::SandboxUnavailable), "{report:?}");
    assert_eq!(fs::read_dir(server.state.join("attempts")).unwrap().count(), 0, "nothing ran, so nothing is kept");
}

#[tokio::test]
async fn a_workspace_that_shares_the_machine_has_a_sandbox_whatever_it_is_allowed() {
    let (place, repository) = (place(), Repository::sample());
    let lax = server_with(place.path(), SandboxConfig { may_be_left_out: true, ..SandboxConfig::default() }).await;
    let own = repository.command("id -un");
    let guest = Assignment { credentials: Credentials::Workspace { slug: "acme".into() }, ..repository.command("id -un") };
    for (assignment, is_inside) in [(own, false), (guest, true)] {
        assert_eq!(assignment.isolation, Isolation::None);
        assert_eq!(outcome(&lax.carry_out(&assignment).await), "completed");
        assert_eq!(lax.output(assignment.attempt, LogStream::Stdout) == "muster\n", is_inside);
    }
}

#[tokio::test]
async fn a_machine_that_does_not_let_go_of_it_uses_its_sandbox_all_the_same() {
    let (place, repository) = (place(), Repository::sample());
    let assignment = repository.command("id -un");
    assert_eq!(assignment.isolation, Isolation::None);
    let strict = server(place.path()).await;
    assert_eq!(outcome(&strict.carry_out(&assignment).await), "completed");
    assert_eq!(strict.output(assignment.attempt, LogStream::Stdout), "muster\n");
}
