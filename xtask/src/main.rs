//! `cargo xtask`: the build steps that cargo does not do. What each verb promises is said in its module.

mod compress;
mod dev;
mod process;
mod site;
mod sqlx;
mod steps;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask VERB

  build [--release]        the site (wasm, styles, icons) in site/, then the server that carries it
  site [--release]         the site alone
  dev                      build, serve, and do both again when a file changes
  sqlx-prepare [--check]   describe the queries of engine in engine/.sqlx, or see that what is there is right
";

/// How much time goes into the result.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Dev,
    Release,
}

impl Mode {
    pub fn name(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Release => "release",
        }
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["build"] => site::build_all(Mode::Dev),
        ["build", "--release"] => site::build_all(Mode::Release),
        ["site"] => site::build(Mode::Dev),
        ["site", "--release"] => site::build(Mode::Release),
        ["dev"] => dev::watch(),
        ["sqlx-prepare"] => sqlx::prepare(),
        ["sqlx-prepare", "--check"] => sqlx::check(),
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
