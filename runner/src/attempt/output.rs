//! What the work leaves for others: the file that `MUSTER_OUTPUT` names, as JSON or else as text.

use std::{fs, io, path::Path};

use domain::task::OUTPUT_MAX;
use serde_json::Value;

/// Beside the worktree, so that it is no part of what was changed.
pub(crate) const FILE: &str = "output";

/// Nothing when nothing was left; `Err` says why what is there is left out.
pub(crate) fn read(folder: &Path) -> Result<Option<Value>, String> {
    let file = folder.join(FILE);
    // looked at without following: only a file that the work made itself counts
    let about = match fs::symlink_metadata(&file) {
        Ok(about) => about,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    if !about.is_file() {
        return Err("it is not a file".into());
    }
    if about.len() > OUTPUT_MAX as u64 {
        return Err(format!("it has {} bytes, and at most {OUTPUT_MAX} are allowed", about.len()));
    }
    let bytes = fs::read(&file).map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&bytes).replace('\0', "\u{fffd}");
    if text.trim().is_empty() {
        return Ok(None);
    }
    let value = serde_json::from_str(&text).unwrap_or_else(|_| Value::String(text.trim_end().to_owned()));
    let as_json = value.to_string();
    if as_json.len() > OUTPUT_MAX || as_json.contains("\\u0000") {
        return Err(format!("as JSON it is longer than {OUTPUT_MAX} bytes, or holds a NUL character"));
    }
    // in a report it lies some levels deeper, and has to be read there
    if serde_json::from_str::<Value>(&format!("[[[[[[[[{as_json}]]]]]]]]")).is_err() {
        return Err("it is nested too deep".into());
    }
    Ok(Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn json_is_a_value_and_anything_else_text() {
        let folder = tempfile::tempdir().unwrap();
        let read_of = |content: &[u8]| {
            fs::write(folder.path().join(FILE), content).unwrap();
            read(folder.path())
        };
        assert_eq!(read(folder.path()), Ok(None));
        assert_eq!(read_of(br#"{"a": [1]}"#), Ok(Some(json!({"a": [1]}))));
        assert_eq!(read_of(b"two\nlines\n"), Ok(Some(json!("two\nlines"))));
        assert_eq!(read_of(b" \n"), Ok(None));
        assert_eq!(read_of(b"a\0b"), Ok(Some(json!("a\u{fffd}b"))));
        assert!(read_of(br#""\u0000""#).is_err());
        let nested = |depth: usize| [vec![b'['; depth], vec![b']'; depth]].concat();
        assert!(read_of(&nested(100)).unwrap().unwrap().is_array());
        assert_eq!(read_of(&nested(125)), Err("it is nested too deep".into()));
        assert!(read_of(&vec![b'x'; OUTPUT_MAX + 1]).unwrap_err().contains("at most"));
    }

    #[test]
    fn a_link_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join(FILE)).unwrap();
        assert_eq!(read(folder.path()), Err("it is not a file".into()));
    }
}
