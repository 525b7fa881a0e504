//! A change of a file as its lines, without what is the same before and after it: of a large file, what happens in it can still be shown.

/// Lines that stay, around those that do not.
const AROUND: usize = 3;

/// In the form of `diff -u`, as one piece.
pub(super) fn diff(old: &str, new: &str) -> String {
    let (was, is): (Vec<_>, Vec<_>) = (old.split_inclusive('\n').collect(), new.split_inclusive('\n').collect());
    let before = was.iter().zip(&is).take_while(|(one, other)| one == other).count();
    let after = was[before..].iter().rev().zip(is[before..].iter().rev()).take_while(|(one, other)| one == other).count();
    if before + after == was.len().max(is.len()) {
        return String::new();
    }
    let (start, kept) = (before.saturating_sub(AROUND), after.min(AROUND));
    let (was_end, is_end) = (was.len() - after, is.len() - after);
    // a side without lines begins before the first
    let from = |count: usize| if count == 0 { 0 } else { start + 1 };
    let (was_count, is_count) = (was_end + kept - start, is_end + kept - start);
    let mut diff = format!("@@ -{},{was_count} +{},{is_count} @@\n", from(was_count), from(is_count));
    let mut put = |sign: char, lines: &[&str]| {
        for line in lines {
            diff.push(sign);
            diff.push_str(line);
            if !line.ends_with('\n') {
                diff.push_str("\n\\ No newline at end of file\n");
            }
        }
    };
    put(' ', &was[start..before]);
    put('-', &was[before..was_end]);
    put('+', &is[before..is_end]);
    put(' ', &was[was_end..was_end + kept]);
    diff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_same_before_and_after_a_change_is_left_out() {
        let lines = |middle: &str| format!("{}{middle}{}", "a\n".repeat(1000), "z\n".repeat(1000));
        let changed = diff(&lines("old\n"), &lines("new\nmore\n"));
        assert_eq!(changed, "@@ -998,7 +998,8 @@\n a\n a\n a\n-old\n+new\n+more\n z\n z\n z\n");
        assert_eq!(diff("", "hi\n"), "@@ -0,0 +1,1 @@\n+hi\n");
        assert_eq!(diff("hi\n", ""), "@@ -1,1 +0,0 @@\n-hi\n");
        assert_eq!(diff("a\na\n", "a\na\na\n"), "@@ -1,2 +1,3 @@\n a\n a\n+a\n", "no line is told twice");
        assert_eq!(diff("same", "same"), "");
    }

    #[test]
    fn the_end_of_the_last_line_is_a_part_of_it() {
        let none = "\\ No newline at end of file\n";
        assert_eq!(diff("a", "a\n"), format!("@@ -1,1 +1,1 @@\n-a\n{none}+a\n"));
        assert_eq!(diff("a\r\n", "a\n"), "@@ -1,1 +1,1 @@\n-a\r\n+a\n");
    }
}
