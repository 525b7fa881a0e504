//! The parts of the editor, and what travels to it.

pub mod findings;
pub mod place;
pub mod source_field;

use domain::workflow::Validation;
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

/// What a browser without scripts has sent: its page is rendered again with it.
#[derive(Clone, Debug)]
pub struct Draft {
    pub source: String,
    /// Why it was not saved, if that was asked for.
    pub problem: Option<Problem>,
}

/// What the editor begins with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Editing {
    pub source: String,
    pub validation: Validation,
    pub problem: Option<Problem>,
}
