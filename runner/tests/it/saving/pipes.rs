//! A pipe is no file, and git would wait at it for somebody who has ended.

use domain::protocol::Assignment;

use crate::harness::{Repository, Server, State, outcome, without_a_sandbox};

#[tokio::test]
async fn nobody_waits_at_a_pipe_that_the_work_has_left() {
    let (state, repository) = (State::new(), Repository::with(&[("a.txt", "a\n"), (".gitignore", "*.tmp\n")]));
    let server = Server::with(&state).await;
    let ways: [fn(Assignment) -> Assignment; 2] = [|assignment| assignment, without_a_sandbox];
    for (command, pipe) in [
        ("mkfifo pipe .gitattributes", ".gitattributes"),
        ("rm .gitignore; mkfifo .gitignore", ".gitignore"),
        ("mkdir sub; echo x > sub/x; mkfifo sub/.gitignore", "sub/.gitignore"),
        ("git init --quiet inner; echo x > inner/x; rm inner/.git/HEAD; mkfifo inner/.git/HEAD", "inner/.git/HEAD"),
    ] {
        for wraps in ways {
            let assignment = wraps(repository.command(&format!("{command}; echo made > made.txt")));
            let report = server.carry_out(&assignment).await;
            assert_eq!(outcome(&report), "completed", "{command}: {}", server.log(assignment.attempt));
            let branch = report.branch.unwrap();
            assert_eq!(repository.show(&branch, "made.txt").as_deref(), Some("made"), "{command}");
            assert_eq!(repository.show(&branch, ".gitignore").is_none(), pipe == ".gitignore", "{command}: one that is gone is gone");
            let said = server.log(assignment.attempt);
            assert!(said.contains(&format!("{pipe} was a pipe, at which git would have waited")), "{command}: {said}");
        }
    }
}
