//! Files that are named on the command line; `-` is standard input.

use std::{
    fs,
    io::{self, Read},
    path::Path,
};

use super::error::CliError;

/// `what` it should hold is said when it cannot be read: "tasks as JSON".
pub fn read(file: &Path, what: &str) -> Result<String, CliError> {
    let mut text = String::new();
    let done = if file == Path::new("-") {
        io::stdin().read_to_string(&mut text).map(drop)
    } else {
        fs::read_to_string(file).map(|content| text = content)
    };
    done.map_err(|error| CliError::Usage {
        message: format!("{} cannot be read: {error}", file.display()),
        remedy: format!("give a file with {what}, or - for standard input"),
    })?;
    Ok(text)
}
