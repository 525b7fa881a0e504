//! What checks have seen is what whoever checks the branch out gets, whatever a `.gitattributes` says of how it is kept.

use domain::FailureCode;

use crate::harness::{Repository, Server, State, failure_code, outcome};

#[tokio::test]
async fn what_would_be_checked_out_as_another_text_does_not_land() {
    let files = [("login.js", "ok = check() /*$Id: y $*/\n"), ("a.py", "ok\n"), (".gitignore", "own\n")];
    let (state, repository) = (State::new(), Repository::with(&files));
    let server = Server::with(&state).await;
    for (command, path) in [
        ("printf '*.js ident\\n' > .gitattributes; echo 'ok = /*$Id:*/ check() && /*$*/ true' > login.js", "login.js"),
        ("printf '*.py working-tree-encoding=UTF-7\\n' > .gitattributes; printf '#+AAo-evil()\\nok\\n' > a.py", "a.py"),
        // by a name of the work's own
        ("printf '[attr]own ident\\n*.js own\\n' > .gitattributes; echo 'ok = /*$Id:*/ check() && /*$*/ true' > login.js", "login.js"),
        // of what is as it was
        ("printf '*.js ident\\n' > .gitattributes", "login.js"),
        // where it is no part of what lands
        ("mkdir own; echo '*.js ident' > own/.gitattributes; echo '$Id: y $' > own/x.js; git add --force own/x.js", "own/x.js"),
        // and where nobody but git takes it for what it is
        ("ln -s '*.js ident' .gitattributes; echo x > x.txt", ".gitattributes"),
    ] {
        let report = server.carry_out(&repository.command(command)).await;
        assert_eq!(failure_code(&report), Some(FailureCode::WorkNotSaved), "{command}: {}", outcome(&report));
        let why = format!("{path}, which would be another text where the branch is checked out");
        assert!(outcome(&report).contains(&why), "{command}: {}", outcome(&report));
    }
    assert_eq!(repository.branches(), Vec::<String>::new());
}

#[tokio::test]
async fn what_comes_back_as_it_was_lands_whatever_is_said_of_it() {
    let attributes = "*.js ident\n*.inf working-tree-encoding=UTF-16LE-BOM eol=crlf\n*.rc working-tree-encoding=UTF-16LE-BOM\n";
    let (state, repository) = (State::new(), Repository::with(&[(".gitattributes", attributes), ("login.js", "/* $Id$ */ ok\n")]));
    let server = Server::with(&state).await;
    let command = "grep -q 'Id: ' login.js; echo more >> login.js; echo '// $Id$' > new.js; printf '\\377\\376h\\0\\n\\0' > app.rc
        printf '\\377\\376h\\0\\r\\0\\n\\0i\\0\\n\\0' > ends.inf
        echo '*.png binary' >> .gitattributes";
    let assignment = repository.command(command);
    let report = server.carry_out(&assignment).await;
    assert_eq!(outcome(&report), "completed", "{}", server.log(assignment.attempt));
    let branch = report.branch.unwrap();
    assert_eq!(repository.show(&branch, "login.js").as_deref(), Some("/* $Id$ */ ok\nmore"));
    assert_eq!(repository.show(&branch, "ends.inf").as_deref(), Some("h\ni"), "whatever its lines end with");
    assert_eq!([repository.show(&branch, "new.js"), repository.show(&branch, "app.rc")], [Some("// $Id$".into()), Some("h".into())]);
}

#[tokio::test]
async fn what_git_takes_for_the_same_and_would_write_as_another_text_does_not_land() {
    let (state, repository) = (State::new(), Repository::with(&[(".gitattributes", "*.js ident\n"), ("login.js", "ok = 1 /*$Id$*/\n")]));
    let server = Server::with(&state).await;
    let report = server.carry_out(&repository.command("echo x > x.txt; echo 'ok = 1 /*$Id: */ + 1 /*$*/' > login.js")).await;
    assert_eq!(failure_code(&report), Some(FailureCode::WorkNotSaved), "{}", outcome(&report));
    assert!(outcome(&report).contains("login.js, which would be another text"), "{}", outcome(&report));
}
