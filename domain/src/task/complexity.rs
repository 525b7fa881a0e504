//! How hard a task is: what whoever hands it in says, and what can be told from how it is written. What they say always counts; both
//! are kept.

use serde::{Deserialize, Serialize};

use super::Work;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "snake_case"))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Tier {
    Trivial,
    #[default]
    Standard,
    Complex,
}

impl Tier {
    pub const ALL: [Self; 3] = [Self::Trivial, Self::Standard, Self::Complex];

    pub fn name(self) -> &'static str {
        match self {
            Self::Trivial => "trivial",
            Self::Standard => "standard",
            Self::Complex => "complex",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tier| tier.name() == name)
    }
}

/// The tier that counts, where it comes from, and what else is known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Complexity {
    pub tier: Tier,
    pub source: TierSource,
    /// What whoever handed it in said.
    pub given: Option<Tier>,
    pub inferred: Inferred,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum TierSource {
    Given,
    Inferred,
    /// Nobody said anything, and nothing could be told.
    Unknown,
}

/// What can be told from how a task is written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Inferred {
    /// Nothing when there was nothing to tell it by.
    pub tier: Option<Tier>,
    /// From 0 to 1.
    pub confidence: f64,
    pub signals: Vec<Signal>,
}

/// One thing about a task, and the tier that it speaks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Signal {
    pub kind: SignalKind,
    /// How many, or which word.
    pub value: String,
    pub tier: Tier,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum SignalKind {
    Words,
    Files,
    Checks,
    Keyword,
}

impl Complexity {
    pub fn of(given: Option<Tier>, inferred: Inferred) -> Self {
        let source = match (given, inferred.tier) {
            (Some(_), _) => TierSource::Given,
            (None, Some(_)) => TierSource::Inferred,
            (None, None) => TierSource::Unknown,
        };
        Self { tier: given.or(inferred.tier).unwrap_or_default(), source, given, inferred }
    }

    /// What was said and what was inferred, where they differ.
    pub fn disputed(&self) -> Option<(Tier, Tier)> {
        self.given.zip(self.inferred.tier).filter(|(given, inferred)| given != inferred)
    }
}

/// Each speaks for a complex task, also as the beginning of a longer word.
const COMPLEX: [&str; 7] = ["refactor", "architect", "migration", "redesign", "security", "overhaul", "rewrite"];
/// Each speaks for a trivial task. Articles in between do not matter, nor how the last word ends.
const TRIVIAL: [&[&str]; 6] = [&["fix", "typo"], &["update", "readme"], &["bump", "version"], &["rename"], &["format"], &["lint"]];
const ENDINGS: [&str; 7] = ["", "s", "d", "ed", "ing", "ting", "ted"];

/// Tells the tier from how many words a task has, how many files it names, how many checks it defines, and from certain words.
///
/// A complex word wins, the surer the more of the three counts agree. A trivial phrase wins unless one of them speaks for complex.
/// Otherwise the tier that most of the three speak for does; between equals it is standard, and it is trivial only where the words
/// speak for that, as naming no file and no check says little.
pub fn infer(title: &str, work: &Work, files: usize, checks: usize) -> Inferred {
    let text = text(title, work);
    let words: Vec<String> =
        text.split(|c: char| !c.is_alphanumeric() && c != '\'').map(str::to_lowercase).filter(|word| !word.is_empty()).collect();
    let keyword = complex_word(&words).or_else(|| trivial_phrase(&words));
    if words.is_empty() && files == 0 && checks == 0 {
        return Inferred::default();
    }
    let by_words = match words.len() {
        0..10 => Tier::Trivial,
        10..=50 => Tier::Standard,
        _ => Tier::Complex,
    };
    let counts = [
        (SignalKind::Words, words.len(), by_words),
        (SignalKind::Files, files, by_count(files)),
        (SignalKind::Checks, checks, by_count(checks)),
    ];
    let votes = |tier: Tier| counts.iter().filter(|(_, _, vote)| *vote == tier).count();
    let mut signals: Vec<_> =
        counts.iter().map(|(kind, count, tier)| Signal { kind: *kind, value: count.to_string(), tier: *tier }).collect();
    let (tier, confidence) = match &keyword {
        Some((_, Tier::Complex)) => (Tier::Complex, 0.7 + 0.1 * votes(Tier::Complex) as f64),
        Some((_, Tier::Trivial)) if votes(Tier::Complex) == 0 => (Tier::Trivial, if words.len() < 10 { 0.9 } else { 0.75 }),
        _ => {
            let speaks_for_trivial = !words.is_empty() && by_words == Tier::Trivial || keyword.is_some();
            let tier = majority(votes, speaks_for_trivial);
            (tier, votes(tier) as f64 / counts.len() as f64)
        }
    };
    signals.extend(keyword.map(|(value, tier)| Signal { kind: SignalKind::Keyword, value, tier }));
    Inferred { tier: Some(tier), confidence: (confidence * 100.0).round() / 100.0, signals }
}

fn by_count(count: usize) -> Tier {
    match count {
        0 => Tier::Trivial,
        1..=3 => Tier::Standard,
        _ => Tier::Complex,
    }
}

fn majority(votes: impl Fn(Tier) -> usize, speaks_for_trivial: bool) -> Tier {
    let candidates = if speaks_for_trivial { Tier::ALL.as_slice() } else { &Tier::ALL[1..] };
    let most = candidates.iter().map(|tier| votes(*tier)).max().unwrap_or_default();
    let mut first = candidates.iter().filter(|tier| votes(**tier) == most);
    match (first.next(), first.next()) {
        (Some(tier), None) => *tier,
        _ => Tier::Standard,
    }
}

/// All that is said, once: a title is often the beginning of the work.
fn text(title: &str, work: &Work) -> String {
    let begins = title.trim().trim_end_matches('…');
    if work.text().trim_start().starts_with(begins) { work.text().to_owned() } else { format!("{title} {}", work.text()) }
}

fn complex_word(words: &[String]) -> Option<(String, Tier)> {
    let word = words.iter().find(|word| COMPLEX.iter().any(|complex| word.starts_with(complex)))?;
    Some((word.clone(), Tier::Complex))
}

fn trivial_phrase(words: &[String]) -> Option<(String, Tier)> {
    let words: Vec<&str> = words.iter().map(String::as_str).filter(|word| !matches!(*word, "a" | "an" | "the")).collect();
    let says =
        |phrase: &[&str]| words.windows(phrase.len()).any(|window| window.iter().zip(phrase).all(|(word, part)| is_form_of(word, part)));
    let phrase = TRIVIAL.into_iter().find(|phrase| says(phrase))?;
    Some((phrase.join(" "), Tier::Trivial))
}

fn is_form_of(word: &str, base: &str) -> bool {
    let stem = base.strip_suffix('e').unwrap_or(base);
    word.strip_prefix(base).is_some_and(|ending| ENDINGS.contains(&ending)) || word.strip_prefix(stem) == Some("ing")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many words that mean nothing.
    fn words(count: usize) -> String {
        vec!["word"; count].join(" ")
    }

    fn inferred(text: &str, files: usize, checks: usize) -> (Option<Tier>, f64) {
        let Inferred { tier, confidence, .. } = infer(text, &Work::Prompt(text.into()), files, checks);
        (tier, confidence)
    }

    #[test]
    fn every_row_of_the_rule() {
        let (trivial, standard, complex) = (Some(Tier::Trivial), Some(Tier::Standard), Some(Tier::Complex));
        let long = |text: &str, count: usize| format!("{text} {}", words(count));
        for (text, files, checks, expected, why) in [
            (String::new(), 0, 0, (None, 0.0), "no signal at all"),
            // complex words win, with 0.1 for each count that agrees
            ("Refactor it".into(), 0, 0, (complex, 0.7), "a complex word"),
            ("refactoring the architecture".into(), 0, 0, (complex, 0.7), "as part of a longer word"),
            ("Redesign it".into(), 4, 0, (complex, 0.8), "and many files"),
            ("Overhaul it".into(), 4, 4, (complex, 0.9), "and many checks"),
            (long("security", 50), 4, 4, (complex, 1.0), "and many words"),
            ("Rewrite it and fix a typo".into(), 1, 1, (complex, 0.7), "also beside a trivial phrase"),
            // trivial phrases win where nothing speaks for complex
            ("Fix typo".into(), 0, 0, (trivial, 0.9), "a trivial phrase in few words"),
            ("Fix the typos in both".into(), 3, 3, (trivial, 0.9), "with an article and a plural"),
            (long("update the README", 7), 0, 0, (trivial, 0.75), "in ten words or more"),
            ("bump version".into(), 4, 0, (trivial, 0.67), "many files speak against it: the majority, of which the phrase is a sign"),
            (long("renaming", 50), 4, 4, (complex, 1.0), "everything speaks against it"),
            // the majority of the three
            (words(9), 0, 0, (trivial, 1.0), "few words, no files, no checks"),
            (words(10), 0, 0, (standard, 0.33), "never trivial by what is not there"),
            (words(51), 0, 0, (complex, 0.33), "never trivial by what is not there"),
            (words(50), 1, 0, (standard, 0.67), "two of three"),
            (words(50), 3, 3, (standard, 1.0), "three of three"),
            (words(51), 4, 3, (complex, 0.67), "two of three"),
            (words(51), 4, 4, (complex, 1.0), "three of three"),
            (words(9), 3, 0, (trivial, 0.67), "two of three, and the words say so"),
            (words(9), 3, 4, (standard, 0.33), "each for another tier: standard"),
            (words(51), 1, 0, (standard, 0.33), "each for another tier: standard"),
        ] {
            assert_eq!(inferred(&text, files, checks), expected, "{text}: {why}");
        }
    }

    #[test]
    fn words_are_told_from_those_that_only_look_alike() {
        for (text, expected) in [
            ("lint", Some("lint")),
            ("Formatted", Some("format")),
            ("bumping the versions", Some("bump version")),
            ("cargo fmt && npm run lint", Some("lint")),
            ("Print the information of a linter", None),
            ("fix it, typo", None),
            ("immigration", None),
            ("migrations", Some("migrations")),
        ] {
            let inferred = infer(text, &Work::Prompt(text.into()), 0, 0);
            let keyword = inferred.signals.iter().find(|signal| signal.kind == SignalKind::Keyword);
            assert_eq!(keyword.map(|signal| signal.value.as_str()), expected, "{text}");
        }
    }

    #[test]
    fn a_title_that_begins_the_work_is_counted_once() {
        let work = Work::Prompt("Write a test for the date parser".into());
        let count = |title: &str| infer(title, &work, 0, 0).signals[0].value.clone();
        assert_eq!([count("Write a test…"), count("Write a test for the date parser"), count("Dates")], ["7", "7", "8"]);
    }

    #[test]
    fn whoever_hands_it_in_has_the_last_word_and_both_are_kept() {
        let complex = || infer("Refactor", &Work::Command("x".into()), 0, 0);
        let said = Complexity::of(Some(Tier::Trivial), complex());
        assert_eq!((said.tier, said.source, said.inferred.tier), (Tier::Trivial, TierSource::Given, Some(Tier::Complex)));
        assert_eq!(said.disputed(), Some((Tier::Trivial, Tier::Complex)));
        let told = Complexity::of(None, complex());
        assert_eq!((told.tier, told.source, told.disputed()), (Tier::Complex, TierSource::Inferred, None));
        let unknown = Complexity::of(None, Inferred::default());
        assert_eq!((unknown.tier, unknown.source), (Tier::Standard, TierSource::Unknown));
        assert_eq!(Complexity::of(Some(Tier::Complex), Inferred::default()).disputed(), None, "nothing was inferred");
        assert_eq!(Complexity::of(Some(Tier::Complex), complex()).disputed(), None);
    }
}
