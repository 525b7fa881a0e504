//! Where agents keep what was said in a session: the one file that it takes to go on from it in another attempt.
//!
//! Nothing else of an agent's own folder is carried over: its settings, what programs it starts and what it remembers of other sessions are begun
//! anew with each attempt. Agents that keep their sessions in another way begin their attempts anew.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use domain::Backend;

/// How deep such files lie, and how many names are looked at.
const DEEPEST: usize = 4;
const MOST_NAMES: usize = 10_000;
/// A folder whose name would be longer Claude Code calls otherwise.
const LONGEST_FOLDER: usize = 200;

/// The file, below the agent's own folder; nothing when there is none, or when it does not lie where it would be looked for. What leads elsewhere
/// is not followed: whoever has worked there could have made it.
pub(crate) fn find(backend: &Backend, own: &Path, session: &str, worktree: &Path) -> io::Result<Option<PathBuf>> {
    let Some(top) = top(backend) else { return Ok(None) };
    if !is_folder(own) || !is_folder(&own.join(top)) {
        return Ok(None);
    }
    let found = search(own, Path::new(top), &|name| is_of(backend, name, session))?;
    // where this version calls the folder otherwise, nobody knows how it would be called for another worktree
    Ok(found.filter(|found| place(backend, found, worktree).is_some_and(|expected| expected == *found)))
}

/// Where that file is to lie, below the agent's own folder, for an agent that stands in this worktree.
pub(crate) fn place(backend: &Backend, found: &Path, worktree: &Path) -> Option<PathBuf> {
    match backend {
        Backend::ClaudeCode => Some(Path::new("projects").join(project(worktree)?).join(found.file_name()?)),
        Backend::Codex => Some(found.to_owned()),
        _ => None,
    }
}

fn top(backend: &Backend) -> Option<&'static str> {
    match backend {
        Backend::ClaudeCode => Some("projects"),
        Backend::Codex => Some("sessions"),
        _ => None,
    }
}

fn is_of(backend: &Backend, name: &str, session: &str) -> bool {
    match name.strip_suffix(".jsonl") {
        Some(name) if *backend == Backend::ClaudeCode => name == session,
        Some(name) => name.starts_with("rollout-") && name.strip_suffix(session).is_some_and(|rest| rest.ends_with('-')),
        None => false,
    }
}

/// As Claude Code calls what it keeps for whoever stands in a folder.
fn project(worktree: &Path) -> Option<String> {
    let name: String = worktree.to_str()?.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    (name.len() <= LONGEST_FOLDER).then_some(name)
}

fn is_folder(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|about| about.is_dir())
}

fn search(own: &Path, top: &Path, is_it: &dyn Fn(&str) -> bool) -> io::Result<Option<PathBuf>> {
    let (mut waiting, mut seen) = (vec![(top.to_owned(), 1)], 0);
    while let Some((folder, depth)) = waiting.pop() {
        for entry in fs::read_dir(own.join(&folder))? {
            let entry = entry?;
            seen += 1;
            if seen > MOST_NAMES {
                return Ok(None);
            }
            let (kind, name) = (entry.file_type()?, entry.file_name());
            let inside = folder.join(&name);
            if kind.is_dir() && depth < DEEPEST {
                waiting.push((inside, depth + 1));
            } else if kind.is_file() && name.to_str().is_some_and(is_it) {
                return Ok(Some(inside));
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const SESSION: &str = "0197c0de-0000-7000-8000-000000000001";

    fn written(own: &Path, path: &str) {
        fs::create_dir_all(own.join(path).parent().unwrap()).unwrap();
        fs::write(own.join(path), "{}\n").unwrap();
    }

    #[test]
    fn what_claude_code_keeps_of_a_session_is_found_and_has_its_place_by_the_worktree() {
        let own = tempfile::tempdir().unwrap();
        let find_in = |worktree: &str| find(&Backend::ClaudeCode, own.path(), SESSION, Path::new(worktree)).unwrap();
        assert_eq!(find_in("/srv/a.b/work"), None);
        written(own.path(), "projects/-srv-a-b-work/another.jsonl");
        assert_eq!(find_in("/srv/a.b/work"), None);
        let path = format!("projects/-srv-a-b-work/{SESSION}.jsonl");
        written(own.path(), &path);
        assert_eq!(find_in("/srv/a.b/work"), Some(path.clone().into()));
        assert_eq!(find_in("/srv/other"), None, "it is called in another way than is known here");
        let next = place(&Backend::ClaudeCode, Path::new(&path), Path::new("/srv/next/work"));
        assert_eq!(next, Some(format!("projects/-srv-next-work/{SESSION}.jsonl").into()));
        assert_eq!(place(&Backend::ClaudeCode, Path::new(&path), Path::new(&format!("/{}", "x".repeat(200)))), None);
    }

    #[test]
    fn what_codex_keeps_of_a_thread_lies_where_it_lay() {
        let own = tempfile::tempdir().unwrap();
        let path = format!("sessions/2026/11/28/rollout-2026-11-28T05-00-00-{SESSION}.jsonl");
        written(own.path(), &path);
        written(own.path(), "sessions/2026/11/28/rollout-2026-11-28T05-00-01-0197c0de-0000-7000-8000-000000000002.jsonl");
        let found = find(&Backend::Codex, own.path(), SESSION, Path::new("/srv/work")).unwrap();
        assert_eq!(found, Some(path.clone().into()));
        assert_eq!(place(&Backend::Codex, Path::new(&path), Path::new("/srv/next")), Some(path.into()));
        assert_eq!(find(&Backend::OpenCode, own.path(), SESSION, Path::new("/srv/work")).unwrap(), None);
    }

    #[test]
    fn what_leads_elsewhere_is_not_followed() {
        let (own, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        written(outside.path(), &format!("{SESSION}.jsonl"));
        let find_it = || find(&Backend::ClaudeCode, own.path(), SESSION, Path::new("/w")).unwrap();
        fs::create_dir_all(own.path().join("projects")).unwrap();
        symlink(outside.path(), own.path().join("projects/-w")).unwrap();
        assert_eq!(find_it(), None, "a folder");
        fs::remove_file(own.path().join("projects/-w")).unwrap();
        fs::create_dir_all(own.path().join("projects/-w")).unwrap();
        symlink(outside.path().join(format!("{SESSION}.jsonl")), own.path().join(format!("projects/-w/{SESSION}.jsonl"))).unwrap();
        assert_eq!(find_it(), None, "a file");
    }
}
