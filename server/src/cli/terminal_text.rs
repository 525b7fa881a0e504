//! Makes what a task printed safe to show on a terminal: colors stay, everything that moves the cursor, sets titles, writes the
//! clipboard or asks the terminal a question goes.

use anstyle_parse::{Params, Parser, Perform};

/// Cleans a stream of bytes; pieces may end anywhere, also inside a character or an escape sequence.
#[derive(Default)]
pub struct TerminalText {
    parser: Parser,
    kept: Kept,
}

#[derive(Default)]
struct Kept {
    text: String,
    styled: bool,
}

impl TerminalText {
    pub fn clean(&mut self, bytes: &[u8]) -> String {
        for byte in bytes {
            if *byte == b'\n' {
                // An escape sequence ends with its line at the latest: one that is never closed must not swallow the rest of the log.
                self.parser = Parser::default();
                self.kept.text.push('\n');
            } else {
                self.parser.advance(&mut self.kept, *byte);
            }
        }
        std::mem::take(&mut self.kept.text)
    }

    /// What puts the terminal back to its own colors.
    pub fn reset(&mut self) -> &'static str {
        if std::mem::take(&mut self.kept.styled) { "\x1b[0m" } else { "" }
    }
}

impl Perform for Kept {
    fn print(&mut self, c: char) {
        if !c.is_control() {
            self.text.push(c);
        }
    }

    fn execute(&mut self, byte: u8) {
        if matches!(byte, b'\t' | b'\r') {
            self.text.push(char::from(byte));
        }
    }

    fn csi_dispatch(&mut self, params: &Params, intermediates: &[u8], ignore: bool, action: u8) {
        if action != b'm' || ignore || !intermediates.is_empty() {
            return;
        }
        let parts = params.iter().map(|part| part.iter().map(u16::to_string).collect::<Vec<_>>().join(":"));
        let parts = parts.collect::<Vec<_>>().join(";");
        self.text.push_str(&format!("\x1b[{parts}m"));
        self.styled = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clean(text: &str) -> String {
        TerminalText::default().clean(text.as_bytes())
    }

    #[test]
    fn colors_tabs_and_line_ends_stay() {
        let text = "\x1b[1;31mred\x1b[0m\tand \x1b[38;5;208morange\x1b[0m, \x1b[4:3mwavy\x1b[0m 10%\r100%\nürgend: 日本\n";
        assert_eq!(clean(text), text);
    }

    #[test]
    fn everything_else_that_steers_a_terminal_goes() {
        for bad in [
            "\x1b[2J",
            "\x1b[10;10H",
            "\x1b[?1049h",
            "\x1b[6n",
            "\x1b[>4;1m",
            "\x1b]0;title\x07",
            "\x1b]52;c;ZXZpbA==\x1b\\",
            "\x1b]8;;https://example.org\x1b\\",
            "\x1bP+q544e\x1b\\",
            "\x1b_payload\x1b\\",
            "\x1bc",
            "\x1b(0",
            "\x08",
            "\x07",
            "\x0b",
            "\x7f",
            "\u{9b}",
            "\u{85}",
        ] {
            let shown = clean(&format!("a{bad}b"));
            assert!(!shown.contains(|c: char| c.is_control()), "{bad:?} left {shown:?}");
            assert!(shown.starts_with('a') && shown.ends_with('b'), "{bad:?} left {shown:?}");
        }
    }

    #[test]
    fn a_sequence_that_is_never_closed_ends_with_its_line() {
        assert_eq!(clean("a\x1b]0;hidden\nshown"), "a\nshown");
    }

    #[test]
    fn pieces_may_end_anywhere() {
        let text = "é\x1b[31mx\x1b[0m\x1b]0;t\x07日";
        let mut stream = TerminalText::default();
        let pieces: String = text.as_bytes().chunks(1).map(|piece| stream.clean(piece)).collect();
        assert_eq!(pieces, "é\x1b[31mx\x1b[0m日");
        assert_eq!(stream.reset(), "\x1b[0m");
        assert_eq!(stream.reset(), "");
    }
}
