//! What a program wrote to its terminal, as lines of styled text. Pure.
//!
//! Colours and weights (SGR) are kept; true colour becomes the nearest of the 256. A carriage return goes back to the start of the
//! line and what follows overwrites it, so a progress bar is one line. All else that steers a terminal is dropped: it would do
//! nothing here, or worse. A line is parsed when it is complete, and the newest one again while it grows; so it does not matter
//! where a piece of the log was cut.

use anstyle_parse::{Params, Parser, Perform};
use serde::{Deserialize, Serialize};

use super::super::html::is_shown;

/// Characters of one line that are shown; the rest of it is in the raw log.
pub const LINE_LIMIT: usize = 10_000;

/// How a piece of text looks. Colours are numbers of the 256-colour palette.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Style {
    pub foreground: Option<u8>,
    pub background: Option<u8>,
    #[serde(default)]
    effects: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Effect {
    Bold = 1,
    Dim = 2,
    Italic = 4,
    Underline = 8,
    Inverse = 16,
    Strike = 32,
}

impl Effect {
    pub const ALL: [Self; 6] = [Self::Bold, Self::Dim, Self::Italic, Self::Underline, Self::Inverse, Self::Strike];
}

impl Style {
    pub fn has(self, effect: Effect) -> bool {
        self.effects & effect as u8 != 0
    }

    fn set(&mut self, effect: Effect, on: bool) {
        if on { self.effects |= effect as u8 } else { self.effects &= !(effect as u8) }
    }

    /// Applies the numbers of one "select graphic rendition".
    fn apply(&mut self, params: &Params) {
        let mut groups = params.iter();
        while let Some(group) = groups.next() {
            let Some(&code) = group.first() else { continue };
            match code {
                0 => *self = Self::default(),
                1 => self.set(Effect::Bold, true),
                2 => self.set(Effect::Dim, true),
                3 => self.set(Effect::Italic, true),
                4 => self.set(Effect::Underline, group.get(1) != Some(&0)),
                7 => self.set(Effect::Inverse, true),
                9 => self.set(Effect::Strike, true),
                22 => {
                    self.set(Effect::Bold, false);
                    self.set(Effect::Dim, false);
                }
                23 => self.set(Effect::Italic, false),
                24 => self.set(Effect::Underline, false),
                27 => self.set(Effect::Inverse, false),
                29 => self.set(Effect::Strike, false),
                30..=37 => self.foreground = u8::try_from(code - 30).ok(),
                38 => self.foreground = extended(group, &mut groups).or(self.foreground),
                39 => self.foreground = None,
                40..=47 => self.background = u8::try_from(code - 40).ok(),
                48 => self.background = extended(group, &mut groups).or(self.background),
                49 => self.background = None,
                90..=97 => self.foreground = u8::try_from(code - 82).ok(),
                100..=107 => self.background = u8::try_from(code - 92).ok(),
                _ => {}
            }
        }
    }
}

/// `38;5;n`, `38;2;r;g;b`, and the same with colons, where a colour space may stand before the red.
fn extended<'a>(group: &[u16], rest: &mut impl Iterator<Item = &'a [u16]>) -> Option<u8> {
    let byte = |value: u16| u8::try_from(value.min(255)).unwrap_or(255);
    if group.len() > 1 {
        return match group[1..] {
            [5, n, ..] => Some(byte(n)),
            [2, r, g, b] | [2, _, r, g, b, ..] => Some(nearest(byte(r), byte(g), byte(b))),
            _ => None,
        };
    }
    let mut next = || rest.next().and_then(|group| group.first().copied());
    match next()? {
        5 => next().map(byte),
        2 => {
            let (r, g, b) = (next()?, next()?, next()?);
            Some(nearest(byte(r), byte(g), byte(b)))
        }
        _ => None,
    }
}

/// The nearest colour of the 6 × 6 × 6 cube or the 24 greys.
fn nearest(r: u8, g: u8, b: u8) -> u8 {
    const STEPS: [i32; 6] = [0, 95, 135, 175, 215, 255];
    let step = |value: u8| (0..6_u8).min_by_key(|&i| (STEPS[i as usize] - i32::from(value)).abs()).unwrap_or(0);
    let distance = |r2: i32, g2: i32, b2: i32| {
        let (dr, dg, db) = (i32::from(r) - r2, i32::from(g) - g2, i32::from(b) - b2);
        dr * dr + dg * dg + db * db
    };
    let (sr, sg, sb) = (step(r), step(g), step(b));
    let cube = distance(STEPS[sr as usize], STEPS[sg as usize], STEPS[sb as usize]);
    let mean = (i32::from(r) + i32::from(g) + i32::from(b)) / 3;
    let grey = ((mean - 3) / 10).clamp(0, 23);
    let level = 8 + grey * 10;
    if distance(level, level, level) < cube { 232 + u8::try_from(grey).unwrap_or(0) } else { 16 + 36 * sr + 6 * sg + sb }
}

/// Text of one style.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    pub style: Style,
    pub text: String,
}

/// Parses one line, without its newline, that begins in `style`. Returns what is seen and the style in which it ends.
pub fn parse_line(raw: &str, style: Style) -> (Vec<Span>, Style) {
    let mut line = Pen { cells: Vec::with_capacity(raw.len().min(LINE_LIMIT)), column: 0, style };
    let mut parser = Parser::<anstyle_parse::DefaultCharAccumulator>::new();
    for byte in raw.bytes() {
        parser.advance(&mut line, byte);
    }
    (spans(&line.cells), line.style)
}

fn spans(cells: &[(char, Style)]) -> Vec<Span> {
    let mut spans: Vec<Span> = vec![];
    for &(character, style) in cells {
        match spans.last_mut() {
            Some(last) if last.style == style => last.text.push(character),
            _ => spans.push(Span { style, text: character.to_string() }),
        }
    }
    spans
}

/// Writes one line.
struct Pen {
    cells: Vec<(char, Style)>,
    column: usize,
    style: Style,
}

impl Pen {
    fn put(&mut self, character: char) {
        if self.column >= LINE_LIMIT {
            return;
        }
        while self.cells.len() < self.column {
            self.cells.push((' ', Style::default()));
        }
        let cell = (character, self.style);
        match self.cells.get_mut(self.column) {
            Some(old) => *old = cell,
            None => self.cells.push(cell),
        }
        self.column += 1;
    }

    /// `0` from here to the end, `1` up to here, `2` everything.
    fn erase(&mut self, part: u16) {
        match part {
            0 => self.cells.truncate(self.column),
            1 => self.cells.iter_mut().take(self.column + 1).for_each(|cell| *cell = (' ', Style::default())),
            _ => self.cells.clear(),
        }
    }
}

impl Perform for Pen {
    fn print(&mut self, character: char) {
        if is_shown(character) {
            self.put(character);
        }
    }

    fn execute(&mut self, byte: u8) {
        match byte {
            b'\r' => self.column = 0,
            b'\t' => self.put('\t'),
            0x08 => self.column = self.column.saturating_sub(1),
            _ => {}
        }
    }

    fn csi_dispatch(&mut self, params: &Params, intermediates: &[u8], ignore: bool, action: u8) {
        if ignore || !intermediates.is_empty() {
            return;
        }
        match action {
            b'm' => self.style.apply(params),
            b'K' => self.erase(params.iter().next().and_then(|group| group.first().copied()).unwrap_or(0)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(raw: &str) -> String {
        parse_line(raw, Style::default()).0.into_iter().map(|span| span.text).collect()
    }

    /// Foreground, background, effects and the text that has them.
    type Styled = (Option<u8>, Option<u8>, Vec<Effect>, String);

    fn styled(raw: &str) -> Vec<Styled> {
        let effects = |style: Style| Effect::ALL.into_iter().filter(|effect| style.has(*effect)).collect();
        parse_line(raw, Style::default())
            .0
            .into_iter()
            .map(|span| (span.style.foreground, span.style.background, effects(span.style), span.text))
            .collect()
    }

    #[test]
    fn colours_and_weights_are_kept() {
        assert_eq!(
            styled("plain \x1b[1;31mred\x1b[0m \x1b[38;5;208;48;5;17morange\x1b[39m on blue\x1b[49m"),
            [
                (None, None, vec![], "plain ".into()),
                (Some(1), None, vec![Effect::Bold], "red".into()),
                (None, None, vec![], " ".into()),
                (Some(208), Some(17), vec![], "orange".into()),
                (None, Some(17), vec![], " on blue".into()),
            ]
        );
        assert_eq!(
            styled("\x1b[93mbright\x1b[7minverse\x1b[22;27m\x1b[9mgone"),
            [
                (Some(11), None, vec![], "bright".into()),
                (Some(11), None, vec![Effect::Inverse], "inverse".into()),
                (Some(11), None, vec![Effect::Strike], "gone".into()),
            ]
        );
    }

    #[test]
    fn true_colour_becomes_the_nearest_of_the_palette() {
        let colour = |raw: &str| styled(raw)[0].0;
        assert_eq!(colour("\x1b[38;2;255;0;0mx"), Some(196));
        assert_eq!(colour("\x1b[38:2::255:0:0mx"), Some(196));
        assert_eq!(colour("\x1b[38:2:0:95:135mx"), Some(24));
        assert_eq!(colour("\x1b[38;2;50;50;50mx"), Some(236));
        assert_eq!(colour("\x1b[38;2;0;0;0mx"), Some(16));
        assert_eq!(colour("\x1b[38;9mx"), None);
    }

    #[test]
    fn all_else_that_steers_a_terminal_is_dropped() {
        assert_eq!(seen("\x1b]0;owned\x07title \x1b]8;;https://example.org\x1b\\link\x1b]8;;\x1b\\"), "title link");
        assert_eq!(seen("a\x1b[2J\x1b[H\x1b[10;10Hb\x1b[?25lc\x1b[5nd\x1bcE"), "abcdE");
        assert_eq!(seen("bell\x07 nul\0 del\x7f c1\u{9b} rtl\u{202e}x"), "bell nul del c1 rtlx");
        assert_eq!(seen("\x1bP1;2qsixel\x1b\\after"), "after");
        assert_eq!(seen("unfinished \x1b[31"), "unfinished ");
    }

    #[test]
    fn a_carriage_return_overwrites_the_line() {
        assert_eq!(seen("10%\r20%\r100%"), "100%");
        assert_eq!(seen("downloading\rdone"), "doneloading");
        assert_eq!(seen("downloading\r\x1b[Kdone"), "done");
        assert_eq!(seen("abc\x1b[2K\rd"), "d");
        assert_eq!(seen("ab\x08c"), "ac");
        assert_eq!(seen("windows\r"), "windows");
    }

    #[test]
    fn a_style_reaches_into_the_next_line() {
        let (_, style) = parse_line("\x1b[32mgreen", Style::default());
        assert_eq!(style.foreground, Some(2));
        assert_eq!(parse_line("still", style).0[0].style.foreground, Some(2));
    }

    #[test]
    fn a_line_without_an_end_is_cut() {
        assert_eq!(seen(&"x".repeat(LINE_LIMIT * 2)).len(), LINE_LIMIT);
    }
}
