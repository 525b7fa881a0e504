//! A unified diff as git writes it. Pure. What is not understood is passed over, never guessed.

/// One file of a diff.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileDiff {
    /// The path before; absent for a new file.
    pub old_path: Option<String>,
    /// The path after; absent for a deleted file.
    pub new_path: Option<String>,
    pub binary: bool,
    /// A change of the file's mode, as `100644 → 100755`.
    pub mode: Option<String>,
    pub hunks: Vec<Hunk>,
    pub added: usize,
    pub removed: usize,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hunk {
    /// The line with the two `@@`, with what git says after it.
    pub heading: String,
    pub lines: Vec<DiffLine>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiffLine {
    pub kind: LineKind,
    pub text: String,
    /// The file ends here without a newline.
    pub no_newline: bool,
}

/// Carries the line's number on the sides on which it exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineKind {
    Context(u32, u32),
    Added(u32),
    Removed(u32),
}

/// What happened to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Added,
    Deleted,
    Renamed,
    Changed,
}

impl FileDiff {
    pub fn change(&self) -> Change {
        match (&self.old_path, &self.new_path) {
            (None, _) => Change::Added,
            (_, None) => Change::Deleted,
            (Some(old), Some(new)) if old != new => Change::Renamed,
            _ => Change::Changed,
        }
    }

    /// `old → new` for a renamed file.
    pub fn title(&self) -> String {
        match (&self.old_path, &self.new_path) {
            (Some(old), Some(new)) if old != new => format!("{old} → {new}"),
            (_, Some(path)) | (Some(path), None) => path.clone(),
            (None, None) => "unnamed file".to_owned(),
        }
    }

    pub fn lines(&self) -> usize {
        self.hunks.iter().map(|hunk| hunk.lines.len()).sum()
    }
}

pub fn parse(diff: &str) -> Vec<FileDiff> {
    let mut files: Vec<FileDiff> = vec![];
    // Lines that the open hunk still owes, on either side: inside a hunk, `--- x` is a removed line and no heading.
    let mut owed = (0_u32, 0_u32);
    let mut at = (0_u32, 0_u32);
    for line in diff.split('\n') {
        if let Some(names) = line.strip_prefix("diff --git ").filter(|_| owed == (0, 0)) {
            let (old_path, new_path) = names_of(names);
            files.push(FileDiff { old_path, new_path, ..FileDiff::default() });
            continue;
        }
        let Some(file) = files.last_mut() else { continue };
        if owed == (0, 0) && !line.starts_with('\\') {
            match line.strip_prefix("@@ ").and_then(ranges) {
                Some((old, new)) => {
                    (at, owed) = ((old.0, new.0), (old.1, new.1));
                    file.hunks.push(Hunk { heading: line.to_owned(), lines: vec![] });
                }
                None => header(file, line),
            }
            continue;
        }
        content(file, line, &mut at, &mut owed);
    }
    files
}

fn content(file: &mut FileDiff, line: &str, at: &mut (u32, u32), owed: &mut (u32, u32)) {
    let Some(hunk) = file.hunks.last_mut() else { return };
    let (sign, text) = match line.chars().next() {
        Some(sign) => (sign, &line[sign.len_utf8()..]),
        None => (' ', ""),
    };
    let kind = match sign {
        '\\' => {
            if let Some(last) = hunk.lines.last_mut() {
                last.no_newline = true;
            }
            return;
        }
        '+' => {
            file.added += 1;
            LineKind::Added(at.1)
        }
        '-' => {
            file.removed += 1;
            LineKind::Removed(at.0)
        }
        _ => LineKind::Context(at.0, at.1),
    };
    if !matches!(kind, LineKind::Added(_)) {
        at.0 += 1;
        owed.0 = owed.0.saturating_sub(1);
    }
    if !matches!(kind, LineKind::Removed(_)) {
        at.1 += 1;
        owed.1 = owed.1.saturating_sub(1);
    }
    hunk.lines.push(DiffLine { kind, text: text.strip_suffix('\r').unwrap_or(text).to_owned(), no_newline: false });
}

fn header(file: &mut FileDiff, line: &str) {
    if let Some(path) = line.strip_prefix("--- ") {
        file.old_path = side(path);
    } else if let Some(path) = line.strip_prefix("+++ ") {
        file.new_path = side(path);
    } else if let Some(path) = line.strip_prefix("rename from ").or_else(|| line.strip_prefix("copy from ")) {
        file.old_path = Some(unquoted(path));
    } else if let Some(path) = line.strip_prefix("rename to ").or_else(|| line.strip_prefix("copy to ")) {
        file.new_path = Some(unquoted(path));
    } else if line.starts_with("new file mode ") {
        file.old_path = None;
    } else if line.starts_with("deleted file mode ") {
        file.new_path = None;
    } else if let Some(mode) = line.strip_prefix("old mode ") {
        file.mode = Some(mode.to_owned());
    } else if let Some(mode) = line.strip_prefix("new mode ") {
        file.mode = file.mode.take().map(|old| format!("{old} → {mode}"));
    } else if line.starts_with("Binary files ") || line == "GIT binary patch" {
        file.binary = true;
    }
}

/// The path of a `---` or `+++` line, without the side's letter; nothing for `/dev/null`.
fn side(text: &str) -> Option<String> {
    let path = unquoted(text.split('\t').next().unwrap_or(text));
    if path == "/dev/null" {
        return None;
    }
    Some(path.strip_prefix("a/").or_else(|| path.strip_prefix("b/")).unwrap_or(&path).to_owned())
}

/// Both paths of a `diff --git` line. Without quotes they are only told apart where they are the same, and then later lines say
/// nothing else.
fn names_of(names: &str) -> (Option<String>, Option<String>) {
    if names.starts_with('"') {
        let mut parts = names.splitn(2, "\" ");
        let old = parts.next().map(|text| format!("{text}\"")).as_deref().and_then(side);
        return (old, parts.next().and_then(side));
    }
    let middle = names.len() / 2;
    match (names.get(..middle), names.get(middle..)) {
        (Some(old), Some(new)) if new.starts_with(' ') => (side(old), side(&new[1..])),
        _ => (None, None),
    }
}

/// `-1,2 +3,4 @@ …` as start and length of both sides.
fn ranges(text: &str) -> Option<((u32, u32), (u32, u32))> {
    let (ranges, _) = text.split_once(" @@")?;
    let (old, new) = ranges.split_once(' ')?;
    let range = |text: &str, sign| {
        let (start, length) = text.strip_prefix(sign).map(|text| text.split_once(',').unwrap_or((text, "1")))?;
        Some((start.parse().ok()?, length.parse().ok()?))
    };
    Some((range(old, '-')?, range(new, '+')?))
}

/// Git puts a path with unusual bytes in quotes and writes them as `\303\244`.
fn unquoted(text: &str) -> String {
    let Some(quoted) = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) else { return text.to_owned() };
    let mut bytes = vec![];
    let mut rest = quoted.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        match rest.next() {
            Some(b'n') => bytes.push(b'\n'),
            Some(b't') => bytes.push(b'\t'),
            Some(b'r') => bytes.push(b'\r'),
            Some(first @ b'0'..=b'3') => {
                let digit = |byte: Option<u8>| byte.map_or(0, |byte| byte.wrapping_sub(b'0') & 7);
                bytes.push((first - b'0') << 6 | digit(rest.next()) << 3 | digit(rest.next()));
            }
            Some(other) => bytes.push(other),
            None => {}
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIFF: &str = r#"diff --git a/src/main.rs b/src/main.rs
index 1..2 100644
--- a/src/main.rs
+++ b/src/main.rs
@@ -1,3 +1,4 @@ fn main() {
 one
--- a dash line
+two
+++ a plus line
 three
@@ -10 +11,0 @@
-gone
\ No newline at end of file
diff --git a/new file.txt b/new file.txt
new file mode 100644
index 0..1
--- /dev/null
+++ b/new file.txt
@@ -0,0 +1 @@
+hello
diff --git a/old.txt b/old.txt
deleted file mode 100644
--- a/old.txt
+++ /dev/null
@@ -1 +0,0 @@
-bye
diff --git a/a.rs b/b.rs
similarity index 100%
rename from a.rs
rename to b.rs
diff --git a/logo.png b/logo.png
index 1..2 100644
Binary files a/logo.png and b/logo.png differ
diff --git a/run.sh b/run.sh
old mode 100644
new mode 100755
diff --git "a/\303\244.txt" "b/\303\244.txt"
index 1..2
--- "a/\303\244.txt"
+++ "b/\303\244.txt"
@@ -1 +1 @@
-a
+b
"#;

    #[test]
    fn every_kind_of_file_is_told_apart() {
        let files: Vec<(String, Change, usize, usize)> =
            parse(DIFF).iter().map(|file| (file.title(), file.change(), file.added, file.removed)).collect();
        assert_eq!(
            files,
            [
                ("src/main.rs".into(), Change::Changed, 2, 2),
                ("new file.txt".into(), Change::Added, 1, 0),
                ("old.txt".into(), Change::Deleted, 0, 1),
                ("a.rs → b.rs".into(), Change::Renamed, 0, 0),
                ("logo.png".into(), Change::Changed, 0, 0),
                ("run.sh".into(), Change::Changed, 0, 0),
                ("ä.txt".into(), Change::Changed, 1, 1),
            ]
        );
        let files = parse(DIFF);
        assert!(files[4].binary && !files[0].binary);
        assert_eq!(files[5].mode.as_deref(), Some("100644 → 100755"));
    }

    #[test]
    fn lines_are_numbered_on_both_sides() {
        let hunks = &parse(DIFF)[0].hunks;
        let kinds: Vec<LineKind> = hunks.iter().flat_map(|hunk| hunk.lines.iter().map(|line| line.kind)).collect();
        assert_eq!(
            kinds,
            [
                LineKind::Context(1, 1),
                LineKind::Removed(2),
                LineKind::Added(2),
                LineKind::Added(3),
                LineKind::Context(3, 4),
                LineKind::Removed(10)
            ]
        );
        assert!(hunks[1].lines[0].no_newline);
        assert_eq!(hunks[0].lines[1].text, "-- a dash line");
    }

    #[test]
    fn nonsense_is_no_diff() {
        for text in ["", "hello\nworld", "@@ -1 +1 @@\n+x", "diff --git", "--- a\n+++ b\n"] {
            assert_eq!(parse(text), [], "{text:?}");
        }
        assert_eq!(parse("diff --git a/x b/x\n@@ -1,99 +1,99 @@\n+cut off").len(), 1);
    }
}
