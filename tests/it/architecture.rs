//! Rules of the house that a compiler does not know.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// Who may use whom. Everything that is not here is a mistake; a new line is a decision.
const EDGES: [(&str, &str); 21] = [
    ("engine", "domain"),
    ("runner", "domain"),
    ("app", "domain"),
    ("app", "engine"),
    ("bench-engine", "app"),
    ("bench-engine", "domain"),
    ("bench-engine", "engine"),
    ("bench-engine", "runner"),
    ("bench-engine", "server"),
    ("frontend", "app"),
    ("server", "app"),
    ("server", "domain"),
    ("server", "engine"),
    ("server", "runner"),
    ("tests", "app"),
    ("tests", "domain"),
    ("tests", "engine"),
    ("tests", "runner"),
    ("tests", "server"),
    ("torture", "domain"),
    ("torture", "tests"),
];

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

#[test]
fn crates_use_only_whom_they_may() {
    let metadata = MetadataCommand::new().manifest_path(root().join("Cargo.toml")).other_options(["--offline".into()]).exec().unwrap();
    let members: BTreeSet<_> = metadata.workspace_packages().iter().map(|package| package.name.to_string()).collect();
    let mut found = vec![];
    for package in metadata.workspace_packages() {
        for dependency in package.dependencies.iter().filter(|one| one.kind == DependencyKind::Normal) {
            if members.contains(&dependency.name) {
                found.push((package.name.to_string(), dependency.name.clone()));
            }
            let sql =
                dependency.name == "sqlx" && !["engine", "domain", "tests", "torture", "bench-engine"].contains(&package.name.as_str());
            let web =
                ["axum", "leptos"].contains(&dependency.name.as_str()) && ["domain", "engine", "runner"].contains(&package.name.as_str());
            assert!(!sql && !web, "{} must not use {}", package.name, dependency.name);
        }
    }
    found.sort();
    let mut allowed = EDGES.map(|(from, to)| (from.to_owned(), to.to_owned())).to_vec();
    allowed.sort();
    assert_eq!(found, allowed);
}

/// Every Rust file below a folder.
fn sources(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|end| end == "rs"))
        .collect()
}

#[test]
fn only_the_engine_speaks_sql() {
    for name in ["domain", "runner", "app", "server", "frontend"] {
        for file in sources(&root().join(name).join("src")) {
            let text = fs::read_to_string(&file).unwrap();
            let speaks = text.contains("sqlx::query") || text.contains("query!(") || text.contains("sqlx::raw_sql");
            assert!(!speaks, "{} contains SQL", file.display());
        }
    }
}

#[test]
fn the_pages_are_split_by_cfg_in_two_places() {
    let mut places = vec![];
    for file in sources(&root().join("app/src")) {
        let text = fs::read_to_string(&file).unwrap();
        places.extend(
            text.lines().filter(|line| line.trim_start().starts_with("#[cfg(feature")).map(|_| file.file_name().unwrap().to_owned()),
        );
    }
    places.sort();
    assert_eq!(places, ["lib.rs", "problem.rs"]);
}

#[test]
fn what_is_released_cannot_be_made_to_die() {
    let tree = ["tree", "--offline", "--package", "server", "--edges", "normal", "--prefix", "none", "--format", "{p} {f}"];
    let output = Command::new(env!("CARGO")).args(tree).current_dir(root()).output().unwrap();
    let tree = String::from_utf8(output.stdout).unwrap();
    let mut domain = tree.lines().filter(|line| line.starts_with("domain ")).peekable();
    assert!(domain.peek().is_some(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(domain.all(|line| !line.contains("crash-points")), "{tree}");
    // and a release of whoever asks for it all the same is without it
    let source = fs::read_to_string(root().join("domain/src/crash.rs")).unwrap();
    let conditions: Vec<_> = source.lines().filter(|line| line.contains("cfg(")).map(|line| line.trim().to_owned()).collect();
    let armed = |line: &String| line.contains(r#"all(feature = "crash-points", debug_assertions)"#);
    assert!(!conditions.is_empty() && conditions.iter().all(armed), "{conditions:?}");
}

/// Of two that are called alike the description of the API has one, and says of the other what is not so.
#[test]
fn no_two_schemas_are_called_alike() {
    let mut known = BTreeMap::new();
    for name in ["domain", "engine", "app", "server"] {
        for file in sources(&root().join(name).join("src")) {
            for schema in schemas(&fs::read_to_string(&file).unwrap()) {
                let place = file.display().to_string();
                let other = known.insert(schema.clone(), place.clone());
                assert_eq!(other, None, "{place} has a {schema} as well: say `schema(as = ...)` of one of the two");
            }
        }
    }
    assert!(known.contains_key("Approval") && known.contains_key("ApprovalGate") && known.len() > 150, "they are found: {known:?}");
}

/// What the types of a file that have a schema are called in the description of the API.
fn schemas(text: &str) -> Vec<String> {
    let (mut found, mut has_one, mut called) = (vec![], false, None);
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with("use ")) {
        if let Some((_, name)) = line.split_once("ToSchema for ") {
            found.extend(name.split(' ').next().map(str::to_owned));
            continue;
        }
        has_one |= line.contains("ToSchema");
        if let Some((_, name)) = line.split_once("schema(as = ") {
            called = name.split([')', ',']).next().map(str::to_owned);
        }
        let item = line.trim_start_matches("pub ").trim_start_matches("pub(crate) ");
        if let Some(item) = item.strip_prefix("struct ").or_else(|| item.strip_prefix("enum ")) {
            let name = item.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned();
            let called = called.take().unwrap_or(name);
            // what a macro makes has its name there
            found.extend(std::mem::take(&mut has_one).then_some(called).filter(|called| !called.is_empty()));
        }
    }
    found
}

#[test]
fn no_file_has_grown_beyond_its_idea() {
    for name in ["domain", "engine", "runner", "app", "server", "frontend", "xtask"] {
        for file in sources(&root().join(name).join("src")) {
            let lines = fs::read_to_string(&file).unwrap().lines().count();
            assert!(lines <= 600, "{} has {lines} lines: split it by idea", file.display());
        }
    }
}
