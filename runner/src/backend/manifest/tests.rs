//! What is taken for a manifest, and what a program is called with by one.

use super::*;

const LINES: &str = r#"
speaks = "lines"
command = ["mine", "--json", "--model", "{model}", "--say={prompt}"]
model = "small"
resume = ["--session", "{session}"]

[[line]]
when = { "/type" = "begin", "/number" = 1, "/ok" = true }
started = { session = "/session" }
message = { text = "/text" }
"#;

fn texts(arguments: Vec<OsString>) -> Vec<String> {
    arguments.into_iter().map(|argument| argument.into_string().unwrap()).collect()
}

#[test]
fn a_program_is_called_with_what_its_manifest_says() {
    let manifest = Manifest::parse(LINES).unwrap();
    let (model, prompt) = (Some("large"), "put {model} and {session} into a{prompt}");
    let first = texts(manifest.arguments(model, prompt, None));
    assert_eq!(first, ["--json", "--model", "large", "--say=put {model} and {session} into a{prompt}"], "what a prompt says stays");
    let later = texts(manifest.arguments(None, "go on", Some("s1")));
    assert_eq!(later, ["--json", "--model", "small", "--say=go on", "--session", "s1"]);
    assert_eq!((manifest.program(), manifest.version.as_slice()), ("mine", ["--version".to_owned()].as_slice()));
    assert!(manifest.resumes() && manifest.prompt_is_an_argument() && manifest.takes_a_model() && !manifest.says_how_it_went());
}

#[test]
fn it_is_given_what_its_manifest_names_and_nothing_of_musters() {
    let text = "speaks = \"text\"\ncommand = [\"mine\"]\nmodel = \"small\"\nenvironment = [\"ACME_*\", \"OPENAI_API_KEY\", \"MUS*\"]\nvariables = { MODEL = \"the {model} one\" }\n";
    let manifest = Manifest::parse(text).unwrap();
    let all = ["ACME_KEY", "ACME_URL", "ACM", "OPENAI_API_KEY", "OPENAI_API_KEY_2", "MUSTER_API_KEY", "MUSTARD", "DATABASE_URL"];
    let given = manifest.given(all.into_iter().map(|name| (name.into(), format!("of {name}").into())), None, None);
    let names: Vec<_> = given.iter().filter_map(|(name, _)| name.to_str()).collect();
    assert_eq!(names, ["ACME_KEY", "ACME_URL", "OPENAI_API_KEY", "MUSTARD", "MODEL"]);
    assert_eq!((given[0].1.to_str(), given[4].1.to_str()), (Some("of ACME_KEY"), Some("the small one")));
}

/// Each by what is wrong with it.
#[test]
fn what_is_not_as_it_should_be_is_named_with_its_field() {
    let text = |more: &str| format!("speaks = \"text\"\ncommand = [\"mine\"]\n{more}");
    let acp = |more: &str| format!("speaks = \"acp\"\ncommand = [\"goose\", \"acp\"]\n{more}");
    let line = |line: &str| format!("speaks = \"lines\"\ncommand = [\"mine\"]\n[[line]]\n{line}");
    for (bad, expected) in [
        ("command = [\"x\"]".to_owned(), "missing field `speaks`"),
        ("speaks = \"text\"\ncommand = []".to_owned(), "`command`: begins with the program"),
        ("speaks = \"text\"\ncommand = [\"./mine\"]".to_owned(), "`command`: begins with the program"),
        ("speaks = \"text\"\ncommand = [\"{model}\"]\nmodel = \"m\"".to_owned(), "`command`: begins with the program"),
        ("speaks = \"text\"\ncommand = \"mine\"".to_owned(), "`command`: must be texts, in a list"),
        ("speaks = \"text\"\ncommand = [\"mine\", \"{prompt} {prompt}\"]".to_owned(), "`command`: takes {prompt} once"),
        ("speaks = \"text\"\ncommand = [\"mine\", \"{prompt}\", \"{prompt}\"]".to_owned(), "`command`: takes {prompt} once"),
        ("speaks = \"text\"\ncommand = [\"mine\", \"{session}\"]".to_owned(), "`command`: {session} is for `resume`"),
        (text("comand = [\"x\"]"), "unknown field `comand`"),
        (text("version = []"), "`version`"),
        (text("version = [\"{prompt}\"]"), "`version`"),
        (text("model = \"large\""), "`model`: there is no {model}"),
        (text("variables = { M = \"{model}\" }"), "`model`: say which it is"),
        (text("variables = { M = \"{model}\" }\nmodel = \"-x\""), "`model`: must not start with a hyphen"),
        (text("environment = [\"*\"]"), "`environment`"),
        (text("environment = [\"AB*\"]"), "`environment`"),
        (text("environment = [\"A B\"]"), "`environment`"),
        (text("environment = [\"MUSTER_API_KEY\"]"), "`environment`: MUSTER_API_KEY is Muster's own"),
        (text("environment = [\"DATABASE_URL\"]"), "`environment`: DATABASE_URL is Muster's own"),
        (text("variables = { HOME = \"/\" }"), "`variables`: HOME is for Muster"),
        (text("variables = { \"A=B\" = \"x\" }"), "`variables`"),
        (text("needs = [\"tools\"]"), "`needs`: tools is no whole path"),
        (text("command_marks = \"/a\""), "`command_marks`"),
        (text("resume = [\"{session}\"]"), "`resume`: is for an agent that speaks lines"),
        (text("acp = { asks = true }"), "`acp`: is for an agent that speaks acp"),
        (text("[[line]]\nmessage = { text = \"/a\" }"), "`line`: is for an agent that speaks lines"),
        (acp("acp = { ask = true }"), "unknown field `ask`"),
        (text("[provider]\nurl = \"URL\"\nmodel = \"M\""), "must be a table with `format`"),
        (
            text("[provider]\nformat = \"gemini\"\nurl = \"URL\"\nmodel = \"M\""),
            "(anthropic-messages, openai-responses, openai-chat or ollama)",
        ),
        (text("[provider]\nformat = \"ollama\"\nurl = \"URL\"\nmodel = \"M\"\nkeys = \"K\""), "must be a table"),
        (text("[provider]\nformat = \"ollama\"\nurl = \"A B\"\nmodel = \"M\""), "`provider`: `url`, `model` and `key` are names"),
        (text("[provider]\nformat = \"ollama\"\nurl = \"URL\"\nmodel = \"URL\""), "`provider`: `url`, `model` and `key` are names"),
        (text("[provider]\nformat = \"ollama\"\nurl = \"HOME\"\nmodel = \"M\""), "`provider`: HOME is for Muster"),
        (text("[provider]\nformat = \"ollama\"\nurl = \"URL\""), "`provider`: say by which variable it is told its `model`"),
        ("speaks = \"acp\"\ncommand = [\"goose\", \"{prompt}\"]".to_owned(), "`command`: {prompt} is not for"),
        ("speaks = \"lines\"\ncommand = [\"mine\"]".to_owned(), "`line`: say what its lines mean"),
        (line("when = { \"/type\" = \"x\" }"), "`line[0]`: say what such a line means"),
        (line("message = { text = \"text\" }"), "must be a JSON pointer"),
        (line("when = { \"/type\" = [1] }\nmessage = { text = \"/a\" }"), "must be a text, a number, true or false"),
        (line("file_change = { path = \"/a\", change = \"moved\" }"), "unknown variant `moved`"),
        (format!("resume = [\"-r\", \"{{session}}\"]\n{}", line("message = { text = \"/a\" }")), "`resume`: needs {session}"),
        (format!("resume = [\"-r\"]\n{}", line("started = { session = \"/a\" }")), "`resume`: needs {session}"),
        (format!("resume = [\"{{session}}\", \"{{prompt}}\"]\n{}", line("started = { session = \"/a\" }")), "`resume`: {prompt} is for"),
    ] {
        let why = Manifest::parse(&bad).unwrap_err();
        assert!(why.contains(expected), "{bad}\n{why}");
    }
    let told = text("[provider]\nformat = \"ollama\"\nurl = \"URL\"\nmodel = \"M\"\nkey = \"K\"");
    for good in [text(""), told, acp("acp = { asks = true, mode = \"approve\" }"), line("end = {}")] {
        assert!(Manifest::parse(&good).is_ok(), "{good}");
    }
    assert!(Manifest::parse("speaks = ").is_err());
}

#[test]
fn what_may_be_a_key_is_in_no_message() {
    let mine = |rest: &str| format!("speaks = \"text\"\ncommand = [\"mine\"]\n{rest}");
    for (field, text) in [
        ("variables", mine("variables = [\"sk-secret\"]")),
        ("variables", mine("variables = \"sk-secret\"")),
        ("variables", mine("variables = { KEY = [\"sk-secret\"] }")),
        ("environment", mine("environment = \"sk-secret\"")),
        ("environment", mine("environment = { KEY = \"sk-secret\" }")),
        ("version", mine("version = \"--key=sk-secret\"")),
        ("provider", mine("provider = \"sk-secret\"")),
        ("provider", mine("[provider]\nformat = \"ollama\"\nurl = \"URL\"\nkey = [\"sk-secret\"]")),
        ("provider", mine("[provider]\nformat = \"sk-secret\"\nurl = \"URL\"")),
        ("resume", mine("resume = \"--key=sk-secret\"")),
        ("command", "speaks = \"text\"\ncommand = \"mine --key=sk-secret\"".to_owned()),
    ] {
        let why = Manifest::parse(&text).unwrap_err();
        assert!(why.starts_with(&format!("`{field}")) && why.contains("must be ") && !why.contains("sk-secret"), "{why}");
    }
}

/// Whoever copies one has a manifest.
#[test]
fn the_examples_of_the_documentation_are_manifests() {
    let path = format!("{}/../docs/backends.md", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let examples: Vec<_> = text.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    let spoken = examples.iter().map(|example| Manifest::parse(example).unwrap_or_else(|why| panic!("{why}\n{example}")).speaks);
    assert_eq!(spoken.collect::<Vec<_>>(), [Speaks::Acp, Speaks::Lines, Speaks::Lines, Speaks::Lines]);
}
