//! The parts of the editor, and what travels to it.

pub mod findings;
pub mod place;
pub mod source_field;

use domain::{IfMatch, workflow::Validation};
use serde::{Deserialize, Serialize};

use crate::problem::Problem;

/// What a new workflow begins with.
pub const EXAMPLE: &str = r#"name: release
title: Release ${{ version }}
description: Builds and tests, asks, and publishes.
# Where it works; a run may name another one.
# repository: /srv/git/app

parameters:
  version:
    description: What is released

steps:
  - id: build
    title: Build
    command: make build

  - id: test
    title: Test
    needs: [build]
    command: make test

  - id: ok
    title: Ask for approval
    needs: [test]
    approval:
      message: Release ${{ version }}?

  - id: publish
    title: Publish
    needs: [ok]
    # A command reads what it is given from its environment.
    command: make publish VERSION="$MUSTER_INPUT_VERSION"
    checks:
      - kind: git_clean
"#;

/// What the editor was opened with: the name and the version of a workflow, or nothing and 0 for a new one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    pub name: String,
    pub version: i32,
}

impl Opened {
    /// What whoever saves a workflow of this name has seen of it. Under another name than it was opened with, there may be none yet.
    pub fn seen_of(&self, name: &str) -> IfMatch {
        let version = if name == self.name { self.version } else { 0 };
        IfMatch::Versions(vec![version.into()])
    }
}

/// What a browser without scripts has sent: its page is rendered again with it.
#[derive(Clone, Debug)]
pub struct Draft {
    pub source: String,
    pub opened: Opened,
    /// Why it was not saved, if that was asked for.
    pub problem: Option<Problem>,
}

/// What the editor begins with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Editing {
    pub source: String,
    pub opened: Opened,
    pub validation: Validation,
    pub problem: Option<Problem>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn under_another_name_it_is_a_new_workflow() {
        let opened = Opened { name: "release".into(), version: 3 };
        assert_eq!(opened.seen_of("release"), IfMatch::Versions(vec![3]));
        assert_eq!(opened.seen_of("release-2"), IfMatch::Versions(vec![0]));
        assert_eq!(Opened::default().seen_of("release"), IfMatch::Versions(vec![0]));
    }
}
