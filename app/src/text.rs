//! Small texts that several pages share. Pure.

/// `1 task`, `2 tasks`.
pub fn count(number: usize, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

/// The last two parts of a path or URL, which is how people tell repositories apart.
pub fn short_location(location: &str) -> String {
    let trimmed = location.trim_end_matches('/').trim_end_matches(".git");
    let path = trimmed.split_once("://").map_or(trimmed, |(_, rest)| rest);
    let mut parts: Vec<&str> = path.rsplit(['/', ':']).filter(|part| !part.is_empty()).take(2).collect();
    parts.reverse();
    if parts.is_empty() { location.to_owned() } else { parts.join("/") }
}

/// As many of a commit's letters as tell it from the others of its repository.
pub fn short_commit(commit: &str) -> String {
    commit.chars().take(10).collect()
}

/// A sentence begins with a capital letter.
pub fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => first.to_uppercase().chain(characters).collect(),
        None => String::new(),
    }
}

/// Somebody's words in the title of the document, which the framework writes into the page without escaping it.
pub fn for_document_title(text: &str) -> String {
    text.replace('<', "‹").replace('>', "›")
}

/// Escapes what goes into a query value.
pub fn query_value(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => escaped.push(char::from(byte)),
            other => escaped.push_str(&format!("%{other:02X}")),
        }
    }
    escaped
}

/// An address with those of these values that there are. Without a path it is of the page that it is on; `part` is where on the page, if anywhere.
pub fn address(path: &str, values: [(&str, Option<String>); 2], part: &str) -> String {
    let values = values.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", query_value(&value?))));
    let values = values.collect::<Vec<_>>().join("&");
    let part = if part.is_empty() { String::new() } else { format!("#{part}") };
    // an empty one takes away what is asked for now
    if values.is_empty() && !path.is_empty() { format!("{path}{part}") } else { format!("{path}?{values}{part}") }
}

/// A time limit as people write it: `90s`, `15m`, `1h 30m`, or a bare number of minutes. In seconds.
pub fn parse_duration(text: &str) -> Result<u32, &'static str> {
    const WRONG: &str = "must be a time such as 90s, 15m or 1h 30m";
    let text = text.trim();
    if let Ok(minutes) = text.parse::<u32>() {
        return minutes.checked_mul(60).ok_or(WRONG);
    }
    let mut total = 0_u32;
    let mut digits = String::new();
    for character in text.chars().filter(|character| !character.is_whitespace()) {
        if character.is_ascii_digit() {
            digits.push(character);
            continue;
        }
        let seconds = match character.to_ascii_lowercase() {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            _ => return Err(WRONG),
        };
        let number: u32 = std::mem::take(&mut digits).parse().map_err(|_| WRONG)?;
        total = number.checked_mul(seconds).and_then(|part| total.checked_add(part)).ok_or(WRONG)?;
    }
    if digits.is_empty() && !text.is_empty() { Ok(total) } else { Err(WRONG) }
}

/// The other way round: `1h 30m`.
pub fn duration(seconds: u32) -> String {
    let parts = [(seconds / 3600, "h"), (seconds % 3600 / 60, "m"), (seconds % 60, "s")];
    let parts: Vec<String> = parts.iter().filter(|(number, _)| *number > 0).map(|(number, unit)| format!("{number}{unit}")).collect();
    if parts.is_empty() { "0s".to_owned() } else { parts.join(" ") }
}

/// A number that may be large, in groups of three digits: `12,400`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_are_told_by_their_last_parts() {
        assert_eq!(short_location("/srv/git/app.git"), "git/app");
        assert_eq!(short_location("https://example.org/team/app.git"), "team/app");
        assert_eq!(short_location("git@example.org:team/app"), "team/app");
        assert_eq!(short_location("/app/"), "app");
        assert_eq!(short_location("/"), "/");
    }

    #[test]
    fn commits_are_told_by_their_beginning() {
        assert_eq!(short_commit("0123456789abcdef0123456789abcdef01234567"), "0123456789");
        assert_eq!(short_commit("0123"), "0123");
    }

    #[test]
    fn durations_go_both_ways() {
        for (text, seconds) in [("90s", 90), ("15m", 900), ("1h 30m", 5400), ("1H", 3600), ("2", 120), ("1h5m10s", 3910)] {
            assert_eq!(parse_duration(text), Ok(seconds), "{text}");
        }
        for text in ["", "x", "1d", "m", "1h30", "-5", "99999999h"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
        for seconds in [1, 60, 90, 3600, 5400, 86_400, 3661] {
            assert_eq!(parse_duration(&duration(seconds)), Ok(seconds));
        }
    }

    #[test]
    fn large_numbers_are_grouped() {
        assert_eq!([0, 999, 1000, 12_400, 1_234_567].map(grouped), ["0", "999", "1,000", "12,400", "1,234,567"]);
    }

    #[test]
    fn query_values_hold_anything() {
        assert_eq!(query_value("/tasks?state=failed&x=ä"), "%2Ftasks%3Fstate%3Dfailed%26x%3D%C3%A4");
    }

    #[test]
    fn an_address_holds_what_there_is() {
        let there = |text: &str| Some(text.to_owned());
        assert_eq!(address("", [("cursor", there("a=")), ("stood", there("b"))], "log"), "?cursor=a%3D&stood=b#log");
        assert_eq!(address("", [("cursor", None), ("stood", None)], "log"), "?#log");
        assert_eq!(address("/approvals", [("waiting", None), ("cursor", there("b"))], ""), "/approvals?cursor=b");
        assert_eq!(address("/approvals", [("waiting", None), ("cursor", None)], "answered"), "/approvals#answered");
    }

    #[test]
    fn words_and_counts() {
        assert_eq!(count(1, "task"), "1 task");
        assert_eq!(count(0, "task"), "0 tasks");
        assert_eq!(capitalised("must not be empty"), "Must not be empty");
        assert_eq!(capitalised(""), "");
    }
}
