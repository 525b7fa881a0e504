//! Whether two texts of a file are the same, but for what says nothing: the ids that git writes, and how lines end.

/// The id that git writes, behind this.
const OPENS: &[u8] = b"$Id: ";

/// Of what git would write and what stands there, by the `working-tree-encoding` of the file, which may be none.
pub(super) fn are_alike(written: &[u8], standing: &[u8], encoding: &[u8]) -> bool {
    if written == standing {
        return true;
    }
    let (carriage_return, line_feed) = ends_of_lines(written, encoding);
    let plain = |text| without_returns(&without_ids(text), &carriage_return, &line_feed);
    plain(written) == plain(standing)
}

/// As they are written by this encoding. What has one byte for each writes them as ASCII does.
fn ends_of_lines(written: &[u8], encoding: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let encoding = String::from_utf8_lossy(encoding).to_ascii_uppercase();
    let widths = [("UTF-16", 2), ("UTF16", 2), ("UCS-2", 2), ("UCS2", 2), ("UTF-32", 4), ("UTF32", 4), ("UCS-4", 4), ("UCS4", 4)];
    let width = widths.into_iter().find(|(name, _)| encoding.starts_with(name)).map_or(1, |(_, width)| width);
    let is_little = encoding.contains("LE") || (!encoding.contains("BE") && written.starts_with(b"\xff\xfe"));
    let end = |byte: u8| {
        let mut end = vec![0; width];
        end[if is_little { 0 } else { width - 1 }] = byte;
        end
    };
    (end(b'\r'), end(b'\n'))
}

/// Without those that stand before the end of a line, which git writes and takes away as attributes say.
fn without_returns(text: &[u8], carriage_return: &[u8], line_feed: &[u8]) -> Vec<u8> {
    let mut without = Vec::with_capacity(text.len());
    let mut signs = text.chunks(line_feed.len()).peekable();
    while let Some(sign) = signs.next() {
        if sign != carriage_return || signs.peek() != Some(&line_feed) {
            without.extend_from_slice(sign);
        }
    }
    without
}

/// What stands there may have an older one, or none yet.
fn without_ids(text: &[u8]) -> Vec<u8> {
    let (mut plain, mut rest) = (Vec::with_capacity(text.len()), text);
    while let Some(at) = rest.windows(OPENS.len()).position(|part| part == OPENS) {
        let (before, inside) = (&rest[..at], &rest[at + OPENS.len()..]);
        plain.extend_from_slice(before);
        let id = inside.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        match inside[id..].strip_prefix(b" $") {
            Some(after) if id == 40 || id == 64 => {
                plain.extend_from_slice(b"$Id$");
                rest = after;
            }
            _ => {
                plain.extend_from_slice(OPENS);
                rest = inside;
            }
        }
    }
    plain.extend_from_slice(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_id_says_nothing() {
        let id = "0123456789abcdef0123456789abcdef01234567";
        let text = format!("a $Id: {id} $ b $Id: evil(); $ $Id: {} $ $Id: {id}", &id[1..]);
        assert_eq!(String::from_utf8(without_ids(text.as_bytes())).unwrap(), text.replacen(&format!("$Id: {id} $"), "$Id$", 1));
        assert_eq!(without_ids(b"$Id$"), b"$Id$");
    }

    #[test]
    fn how_lines_end_says_nothing_whatever_a_sign_is_written_as() {
        let little = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
        let big = |text: &str| text.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<_>>();
        let (crlf, lf, other) = ("\u{feff}a\r\nb\r\n", "\u{feff}a\r\nb\n", "\u{feff}a\rb\r\n");
        for encoding in ["UTF-16LE", "utf-16le-bom", "UTF-16"] {
            assert!(are_alike(&little(crlf), &little(lf), encoding.as_bytes()), "{encoding}");
            assert!(!are_alike(&little(crlf), &little(other), encoding.as_bytes()), "{encoding}");
        }
        assert!(are_alike(&big(crlf), &big(lf), b"UTF-16") && are_alike(&big(crlf), &big(lf), b"UTF-16BE"));
        assert!(are_alike(b"a\r\n", b"a\n", b"unspecified") && !are_alike(b"a\r", b"a", b"SHIFT-JIS"));
        // the same bytes between signs are no ends
        assert!(!are_alike(&little("\u{d05}\u{a00}\u{100}"), &little("\u{a05}\u{100}"), b"UTF-16LE"));
        assert!(!are_alike(&little("\u{d00}\u{a00}"), &little("\u{a00}"), b"UTF-16LE"));
    }
}
