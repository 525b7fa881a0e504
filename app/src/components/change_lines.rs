//! A change as lines that go and lines that come, as people read them before it is made: from an old and a new text, or from a diff. That of
//! a commit is read elsewhere.

use leptos::prelude::*;

/// Lines that have the same said of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    pub sign: Sign,
    /// Each with its sign before it.
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    Same,
    Minus,
    Plus,
}

/// All of the old lines that go and all of the new ones, with so many lines around them of those that both begin and end with.
pub fn pieces(old: &str, new: &str, around: usize, shown: impl Fn(&str) -> String) -> Vec<Piece> {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.split_inclusive('\n').collect(), new.split_inclusive('\n').collect());
    let start = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    let most = old.len().min(new.len()) - start;
    let end = old.iter().rev().zip(new.iter().rev()).take(most).take_while(|(old, new)| old == new).count();
    let (old_end, new_end) = (old.len() - end, new.len() - end);
    let parts = [
        (Sign::Same, &old[start.saturating_sub(around)..start]),
        (Sign::Minus, &old[start..old_end]),
        (Sign::Plus, &new[start..new_end]),
        (Sign::Same, &old[old_end..old_end + end.min(around)]),
    ];
    let signed = |sign, lines: &[&str]| {
        let mark = match sign {
            Sign::Same => ' ',
            Sign::Minus => '-',
            Sign::Plus => '+',
        };
        lines.iter().map(|line| format!("{mark} {}\n", shown(without_end(line)))).collect()
    };
    parts.into_iter().filter(|(_, lines)| !lines.is_empty()).map(|(sign, lines)| Piece { sign, text: signed(sign, lines) }).collect()
}

/// Its lines have their signs already.
pub fn of_diff(diff: &str, shown: impl Fn(&str) -> String) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = vec![];
    for line in diff.split_inclusive('\n') {
        let sign = match line.as_bytes().first() {
            Some(b'+') => Sign::Plus,
            Some(b'-') => Sign::Minus,
            _ => Sign::Same,
        };
        let text = format!("{}\n", shown(without_end(line)));
        match pieces.last_mut() {
            Some(last) if last.sign == sign => last.text.push_str(&text),
            _ => pieces.push(Piece { sign, text }),
        }
    }
    pieces
}

fn without_end(line: &str) -> &str {
    line.strip_suffix('\n').unwrap_or(line)
}

/// In a `<pre>` of the class `c-change-lines`.
pub fn piece(piece: Piece) -> AnyView {
    match piece.sign {
        Sign::Same => view! { <span>{piece.text}</span> }.into_any(),
        Sign::Minus => view! { <del>{piece.text}</del> }.into_any(),
        Sign::Plus => view! { <ins>{piece.text}</ins> }.into_any(),
    }
}
