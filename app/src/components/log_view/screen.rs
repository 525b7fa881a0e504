//! From pieces of a log to numbered lines. Pure, and small enough to travel: the server renders the beginning, hands over where it
//! stopped, and the browser goes on exactly there.

use domain::{LogChunk, LogStream};
use serde::{Deserialize, Serialize};

use super::{
    super::html::escape_into,
    ansi::{Effect, Span, Style, parse_line},
};

/// Bytes of an unfinished line that are kept; a longer one is broken.
const OPEN_LINE_LIMIT: usize = 32 * 1024;

/// What a line is. The three streams are told apart by shape and colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineKind {
    Output(LogStream),
    /// Here an attempt begins.
    Attempt(i32),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// From 1, over everything shown.
    pub number: u64,
    pub kind: LineKind,
    pub spans: Vec<Span>,
}

/// What became of a piece that was handed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    Whole,
    /// All of it was there already.
    Known,
    /// It does not begin where the last one ended: ask again from [`Screen::end`].
    OutOfPlace,
}

/// How far the log has been read, and what of it is not a complete line yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Screen {
    end: i64,
    lines: u64,
    attempt: i32,
    /// By stream: each writes its own lines, so one does not break those of another.
    open: [OpenLine; 3],
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct OpenLine {
    style: Style,
    raw: String,
}

const STREAMS: [LogStream; 3] = [LogStream::Stdout, LogStream::Stderr, LogStream::Muster];

fn place(stream: LogStream) -> usize {
    match stream {
        LogStream::Stdout => 0,
        LogStream::Stderr => 1,
        LogStream::Muster => 2,
    }
}

impl Screen {
    /// A screen that expects the log from this byte on.
    pub fn from_offset(offset: i64) -> Self {
        Self { end: offset, lines: 0, attempt: 0, open: Default::default() }
    }

    /// The byte after the last one read; where to go on after a break.
    pub fn end(&self) -> i64 {
        self.end
    }

    /// Takes one piece, and adds the lines that it completes.
    pub fn take(&mut self, chunk: &LogChunk, lines: &mut Vec<Line>) -> Taken {
        if chunk.end <= self.end {
            return Taken::Known;
        }
        if chunk.offset != self.end {
            return Taken::OutOfPlace;
        }
        self.end = chunk.end;
        if chunk.attempt != self.attempt {
            self.finish(lines);
            self.attempt = chunk.attempt;
            lines.push(Line { number: self.lines, kind: LineKind::Attempt(chunk.attempt), spans: vec![] });
        }
        let mut pieces = chunk.text.split('\n');
        let mut piece = pieces.next().unwrap_or_default();
        for next in pieces {
            self.open[place(chunk.stream)].raw.push_str(piece);
            self.complete(chunk.stream, lines);
            piece = next;
        }
        self.open[place(chunk.stream)].raw.push_str(piece);
        self.shorten(chunk.stream, lines);
        Taken::Whole
    }

    /// Every line that has begun becomes a line: the attempt is over.
    pub fn finish(&mut self, lines: &mut Vec<Line>) {
        for stream in STREAMS {
            if !self.open[place(stream)].raw.is_empty() {
                self.complete(stream, lines);
            }
            self.open[place(stream)].style = Style::default();
        }
    }

    /// The lines that have begun, as they look now.
    pub fn open_lines(&self) -> Vec<Line> {
        let mut number = self.lines;
        let mut lines = vec![];
        for stream in STREAMS {
            let open = &self.open[place(stream)];
            let (spans, _) = parse_line(&open.raw, open.style);
            if !spans.is_empty() {
                number += 1;
                lines.push(Line { number, kind: LineKind::Output(stream), spans });
            }
        }
        lines
    }

    fn complete(&mut self, stream: LogStream, lines: &mut Vec<Line>) {
        let open = &mut self.open[place(stream)];
        let (spans, style) = parse_line(&open.raw, open.style);
        open.style = style;
        open.raw.clear();
        self.lines += 1;
        lines.push(Line { number: self.lines, kind: LineKind::Output(stream), spans });
    }

    /// Keeps an unfinished line small: what was overwritten is forgotten, and a line that never ends is broken.
    fn shorten(&mut self, stream: LogStream, lines: &mut Vec<Line>) {
        let open = &mut self.open[place(stream)];
        if open.raw.len() <= OPEN_LINE_LIMIT {
            return;
        }
        match open.raw.rfind('\r') {
            Some(at) if at > 0 => {
                open.style = parse_line(&open.raw[..at], open.style).1;
                open.raw.drain(..at);
            }
            _ => self.complete(stream, lines),
        }
    }
}

/// The HTML of one line. The number is an attribute, which the style sheet shows, so that it is not copied with the text.
pub fn line_html(line: &Line, html: &mut String) {
    let stream = match line.kind {
        LineKind::Attempt(number) => {
            html.push_str("<div class=\"c-log__attempt\">Attempt ");
            html.push_str(&number.to_string());
            html.push_str("</div>");
            return;
        }
        LineKind::Output(LogStream::Stdout) => "",
        LineKind::Output(LogStream::Stderr) => " c-log__line--stderr",
        LineKind::Output(LogStream::Muster) => " c-log__line--muster",
    };
    html.push_str("<div class=\"c-log__line");
    html.push_str(stream);
    html.push_str("\" data-n=\"");
    html.push_str(&line.number.to_string());
    html.push_str("\">");
    spans_html(&line.spans, html);
    html.push_str("</div>");
}

pub fn spans_html(spans: &[Span], html: &mut String) {
    spans.iter().for_each(|span| span_html(span, html));
}

fn span_html(span: &Span, html: &mut String) {
    if span.style == Style::default() {
        return escape_into(html, &span.text);
    }
    html.push_str("<span class=\"");
    if let Some(colour) = span.style.foreground {
        html.push_str(&format!("f{colour} "));
    }
    if let Some(colour) = span.style.background {
        html.push_str(&format!("g{colour} "));
    }
    for effect in Effect::ALL.into_iter().filter(|effect| span.style.has(*effect)) {
        html.push_str(match effect {
            Effect::Bold => "ab ",
            Effect::Dim => "ad ",
            Effect::Italic => "ai ",
            Effect::Underline => "au ",
            Effect::Inverse => "ar ",
            Effect::Strike => "as ",
        });
    }
    html.push_str("\">");
    escape_into(html, &span.text);
    html.push_str("</span>");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(offset: i64, stream: LogStream, text: &str) -> LogChunk {
        LogChunk { offset, end: offset + text.len() as i64, attempt: 1, stream, text: text.into() }
    }

    fn text(line: &Line) -> String {
        match line.kind {
            LineKind::Attempt(number) => format!("== attempt {number}"),
            LineKind::Output(_) => line.spans.iter().map(|span| span.text.as_str()).collect(),
        }
    }

    /// Feeds pieces one after the other and returns everything that is seen at the end.
    fn screen(pieces: &[(LogStream, &str)]) -> Vec<String> {
        let (mut screen, mut lines) = (Screen::from_offset(0), vec![]);
        for (stream, piece) in pieces {
            assert_eq!(screen.take(&chunk(screen.end(), *stream, piece), &mut lines), Taken::Whole);
        }
        lines.extend(screen.open_lines());
        lines.iter().map(text).collect()
    }

    use LogStream::{Muster, Stderr, Stdout};

    #[test]
    fn it_does_not_matter_where_a_log_is_cut() {
        let log = "one\n\x1b[31mred äöü\x1b[0m\r\n10%\r20%\x1b[K\nlast";
        let whole = screen(&[(Stdout, log)]);
        assert_eq!(whole, ["== attempt 1", "one", "red äöü", "20%", "last"]);
        for cut in (1..log.len()).filter(|cut| log.is_char_boundary(*cut)) {
            assert_eq!(screen(&[(Stdout, &log[..cut]), (Stdout, &log[cut..])]), whole, "cut at {cut}");
        }
        let letters: Vec<(LogStream, &str)> = log.split_inclusive(|_| true).map(|letter| (Stdout, letter)).collect();
        assert_eq!(screen(&letters), whole);
    }

    #[test]
    fn streams_do_not_break_each_others_lines() {
        assert_eq!(
            screen(&[(Stdout, "compi"), (Stderr, "warning\n"), (Stdout, "ling\n"), (Muster, "Checks begin\n")]),
            ["== attempt 1", "warning", "compiling", "Checks begin"]
        );
    }

    #[test]
    fn nothing_is_shown_twice_and_no_gap_is_passed_over() {
        let (mut screen, mut lines) = (Screen::from_offset(0), vec![]);
        let first = chunk(0, Stdout, "a\nb\n");
        assert_eq!(screen.take(&first, &mut lines), Taken::Whole);
        assert_eq!(screen.take(&first, &mut lines), Taken::Known);
        assert_eq!(screen.take(&chunk(9, Stdout, "z\n"), &mut lines), Taken::OutOfPlace);
        assert_eq!(screen.take(&chunk(2, Stdout, "b\nc\n"), &mut lines), Taken::OutOfPlace);
        assert_eq!(screen.take(&chunk(4, Stdout, "c\n"), &mut lines), Taken::Whole);
        assert_eq!(lines.iter().map(text).collect::<Vec<_>>(), ["== attempt 1", "a", "b", "c"]);
        assert_eq!(screen.end(), 6);
    }

    #[test]
    fn a_new_attempt_ends_the_lines_and_colours_of_the_last() {
        let (mut screen, mut lines) = (Screen::from_offset(0), vec![]);
        screen.take(&chunk(0, Stdout, "\x1b[31mhalf"), &mut lines);
        screen.take(&LogChunk { attempt: 2, ..chunk(9, Stdout, "new\n") }, &mut lines);
        assert_eq!(lines.iter().map(text).collect::<Vec<_>>(), ["== attempt 1", "half", "== attempt 2", "new"]);
        assert_eq!(lines[3].spans[0].style, Style::default());
        assert_eq!(lines[3].number, 2);
    }

    #[test]
    fn a_progress_bar_that_never_ends_stays_small() {
        let (mut screen, mut lines) = (Screen::from_offset(0), vec![]);
        for step in 0..20_000 {
            let text = format!("\r\x1b[3{}m{step:>8}%", step % 8);
            screen.take(&chunk(screen.end(), Stdout, &text), &mut lines);
        }
        assert_eq!(lines.len(), 1, "only the heading");
        assert!(screen.open[0].raw.len() <= OPEN_LINE_LIMIT);
        assert_eq!(text(&screen.open_lines()[0]), "   19999%");
    }

    #[test]
    fn what_the_server_rendered_is_continued_in_the_browser() {
        let mut lines = vec![];
        let mut server = Screen::from_offset(0);
        server.take(&chunk(0, Stdout, "one\n\x1b[32mtw"), &mut lines);
        let travelled = serde_json::to_string(&server).unwrap();
        let mut browser: Screen = serde_json::from_str(&travelled).unwrap();
        browser.take(&chunk(browser.end(), Stdout, "o\nthree\n"), &mut lines);
        assert_eq!(lines.iter().map(text).collect::<Vec<_>>(), ["== attempt 1", "one", "two", "three"]);
        assert_eq!(lines[3].spans[0].style.foreground, Some(2));
    }

    #[test]
    fn html_in_a_log_stays_text() {
        let (mut screen, mut lines, mut html) = (Screen::from_offset(0), vec![], String::new());
        screen.take(&chunk(0, Stderr, "<script>\x1b[1;4;38;5;9malert(\"1\")</script>\n"), &mut lines);
        line_html(&lines[1], &mut html);
        assert_eq!(
            html,
            "<div class=\"c-log__line c-log__line--stderr\" data-n=\"1\">&lt;script&gt;<span class=\"f9 ab au \">alert(&quot;1&quot;)\
             &lt;/script&gt;</span></div>"
        );
    }
}
