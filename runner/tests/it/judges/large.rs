//! What a judge can read of files that Git LFS keeps.

use std::fs;

use domain::{CheckKind, CheckStatus, protocol::Assignment};

use super::{agent, judged, of_judges, prompts};
use crate::{
    agents::session,
    harness::{Repository, State, check_output, statuses},
};

/// Commits one file twice, as git-lfs would have it.
const TWICE: &str = r#"keeps() {
  id=$(printf '%s\n' "$1" | sha256sum | cut -c1-64)
  folder=$(git rev-parse --absolute-git-dir)/lfs/objects/$(printf %s "$id" | cut -c1-2)/$(printf %s "$id" | cut -c3-4)
  mkdir -p "$folder"
  printf '%s\n' "$1" > "$folder/$id"
  printf 'version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %s\n' "$id" $((${#1} + 1)) > large.bin
  git add large.bin
  git commit -qm "$1"
}
keeps first; keeps second"#;

/// Pushed are both of them.
#[tokio::test]
async fn what_a_commit_on_the_way_has_in_git_lfs_a_judge_can_read() {
    let (repository, state) = (Repository::sample(), State::new());
    let judge = r#"[ "$(cat on-the-way-*/* | sort | tr '\n' ' ')" = 'first second ' ] && [ -e large.bin ] && verdict "$word" pass read"#;
    let agent = agent(TWICE, judge);
    // nothing is to be fetched, so whatever goes by its name is as good
    fs::create_dir_all(state.path()).unwrap();
    fs::write(state.path().join("gitconfig.local"), "[alias]\n\tlfs = !true\n").unwrap();
    let server = agent.runs(&state).await;
    let assignment = Assignment { lfs: true, ..judged(&repository, &[(CheckKind::Review, None)]) };
    let report = server.carry_out(&assignment).await;
    assert_eq!(statuses(&report), [CheckStatus::Passed], "{}\n{}", check_output(&report, 0), server.log(assignment.attempt));
    let told = of_judges(&session(&server, &assignment));
    let told = prompts(&told)[0];
    assert!(told.contains("are in on-the-way-") && told.contains("\nfirst\n") && told.contains("\nsecond\n"), "{told}");
    let files = repository.git(&["ls-tree", "--name-only", &report.branch.unwrap()]);
    assert_eq!(files, "Makefile\nREADME.md\nlarge.bin", "the judge alone has them as files");
}
