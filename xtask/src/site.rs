//! `site/`: everything a browser loads besides the pages, named by content so that it may be cached for ever.
//!
//! ```text
//! site/manifest.json                  {"script": "/assets/…", "wasm": …, "style": …, "parts": {"task_detail_page": ["/assets/…", …], …}}
//! site/assets/app.<hash>/muster.js    what wasm-bindgen wrote; started with the address of the wasm file
//! site/assets/app.<hash>/muster_bg.wasm
//! site/assets/app.<hash>/…            the parts of the program that a page asks for when it is opened, and the script that does so
//! site/assets/main.<hash>.css
//! site/…                              public/ as it is
//! ```
//!
//! Each is there as `.br` and `.gz` too, where that is smaller. The folder is swapped in as a whole, and only when something changed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use wasm_bindgen_cli_support::Bindgen;

use crate::Mode;
use crate::compress::compress_folder;
use crate::process::{cargo, copy_folder, files_below, root, run, target};
use crate::steps::{Inputs, short_hash, step};

/// In the folder of the program: the files of each part, without their ending.
const PARTS: &str = "parts.json";

const WASM_TARGET: &str = "wasm32-unknown-unknown";

/// What `wasm-opt` may use: all of it is in every browser that the styles are written for.
const WASM_FEATURES: [&str; 6] = [
    "--enable-bulk-memory",
    "--enable-nontrapping-float-to-int",
    "--enable-sign-ext",
    "--enable-mutable-globals",
    "--enable-reference-types",
    "--enable-multivalue",
];

/// The site, then the server that carries it.
pub fn build_all(mode: Mode) -> Result<()> {
    build(mode)?;
    let mut server = cargo();
    server.args(["build", "--package", "server"]);
    if mode == Mode::Release {
        server.arg("--release");
    }
    run(&mut server)
}

pub fn build(mode: Mode) -> Result<()> {
    let parts = [wasm(mode)?, styles(mode)?, public(mode)?];
    let site = root()?.join("site");
    let made_from = parts.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("\n");
    let note = target()?.join(format!("muster-site/made-{}", short_hash(site.as_os_str().as_encoded_bytes())));
    if site.join("manifest.json").exists() && fs::read_to_string(&note).is_ok_and(|noted| noted == made_from) {
        return Ok(());
    }
    let new = target()?.join(format!("muster-site/unfinished-site-{}", std::process::id()));
    let assets = new.join("assets");
    fs::create_dir_all(&assets)?;
    let [wasm, styles, public] = &parts;
    copy_folder(public, &new)?;
    copy_folder(wasm, &assets)?;
    copy_folder(styles, &assets)?;
    let manifest = manifest(&assets)?;
    fs::write(new.join("manifest.json"), manifest)?;
    swap_in(&new, &site)?;
    if mode == Mode::Release {
        compile_carrier_again()?;
    }
    fs::write(note, made_from)?;
    Ok(())
}

/// A release of the server holds the site inside it, and cargo does not see new files; a debug build reads the folder as it runs.
fn compile_carrier_again() -> Result<()> {
    let carrier = root()?.join("server/src/assets.rs");
    fs::File::options().append(true).open(&carrier)?.set_modified(std::time::SystemTime::now())?;
    Ok(())
}

/// The frontend for browsers: compiled, given its JavaScript, in a release made small, named by content, compressed.
fn wasm(mode: Mode) -> Result<PathBuf> {
    let (profile, folder) = match mode {
        Mode::Dev => ("dev", "debug"),
        Mode::Release => ("wasm-release", "wasm-release"),
    };
    run(cargo().args(["build", "--package", "frontend", "--lib", "--target", WASM_TARGET, "--profile", profile]))?;
    let compiled = target()?.join(WASM_TARGET).join(folder).join("frontend.wasm");
    let inputs = Inputs::new()
        .add(folder.as_bytes())
        .add(LEFT.concat().as_bytes())
        .add_stamp(&compiled)?
        .add_file(&root()?.join("package-lock.json"))?;
    step(&format!("wasm-{folder}"), inputs, |result| {
        let app = result.join("app");
        fs::create_dir_all(&app)?;
        let start = split(&compiled, &app)?;
        Bindgen::new()
            .input_path(&start)
            .out_name("muster")
            .web(true)?
            .typescript(false)
            // the parts find each other by these names
            .keep_lld_exports(true)
            .demangle(false)
            .remove_name_section(mode == Mode::Release)
            .remove_producers_section(true)
            .generate(&app)
            .context("wasm-bindgen failed")?;
        fs::remove_file(start)?;
        if mode == Mode::Release {
            let modules = files_below(&app)?.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "wasm"));
            modules.into_iter().try_for_each(|module| make_small(&module))?;
        }
        compress_folder(&app, mode)?;
        name_folder_by_content(result, "app")
    })
}

/// Cuts the program at its lazy pages. The parts, their loader and the list of their files come to lie in `app`; what the program
/// starts with is given back.
fn split(compiled: &Path, app: &Path) -> Result<PathBuf> {
    let program = fs::read(compiled)?;
    let start = app.join("start.wasm");
    let mut options = wasm_split_cli_support::Options::new(&program);
    options.output_dir = app;
    options.main_out_path = &start;
    options.main_module = "./muster.js";
    options.link_name = "./parts.js";
    let parts = wasm_split_cli_support::transform(options).map_err(|error| anyhow::anyhow!("the program could not be split: {error:#}"))?;
    let files: BTreeMap<_, _> = parts.prefetch_map.into_iter().collect();
    fs::write(app.join(PARTS), serde_json::to_string_pretty(&files)?)?;
    quiet_once_left(&app.join("parts.js"))?;
    Ok(start)
}

/// What stands before the loader of the parts, what it does when one could not be had, and what it does instead.
const LEFT: [&str; 3] = [
    "let left = false;\naddEventListener(\"pagehide\", () => { left = true; });\naddEventListener(\"pageshow\", () => { left = false; });\n",
    "console.error(e);",
    "if (!left) console.error(e);",
];

/// Whoever leaves a page breaks off what it was loading. That is no trouble, so the console is not told of it.
fn quiet_once_left(loader: &Path) -> Result<()> {
    let [before, loud, quiet] = LEFT;
    let generated = fs::read_to_string(loader)?;
    anyhow::ensure!(generated.matches(loud).count() == 1, "{} no longer says {loud:?} where a part cannot be had", loader.display());
    Ok(fs::write(loader, before.to_owned() + &generated.replace(loud, quiet))?)
}

fn make_small(module: &Path) -> Result<()> {
    run(Command::new(npm_tool("wasm-opt")?).arg("-Oz").args(WASM_FEATURES).arg(module).arg("--output").arg(module))
}

fn styles(mode: Mode) -> Result<PathBuf> {
    let folder = root()?.join("style");
    let bundler = root()?.join("scripts/bundle-styles.mjs");
    let inputs = Inputs::new().add_folder(&folder)?.add_file(&bundler)?.add_file(&root()?.join("package-lock.json"))?;
    step(&format!("style-{}", mode.name()), inputs, |result| {
        run(Command::new("node").arg(&bundler).arg(folder.join("main.css")).arg(result.join("main.css")))?;
        name_by_content(result, "main", "css")?;
        compress_folder(result, mode)
    })
}

fn public(mode: Mode) -> Result<PathBuf> {
    let folder = root()?.join("public");
    step(&format!("public-{}", mode.name()), Inputs::new().add_folder(&folder)?, |result| {
        copy_folder(&folder, result)?;
        compress_folder(result, mode)
    })
}

fn npm_tool(name: &str) -> Result<PathBuf> {
    let tool = root()?.join("node_modules/.bin").join(name);
    anyhow::ensure!(tool.exists(), "{} is not there: run scripts/setup", tool.display());
    Ok(tool)
}

fn name_by_content(folder: &Path, stem: &str, extension: &str) -> Result<()> {
    let plain = folder.join(format!("{stem}.{extension}"));
    let hash = short_hash(&fs::read(&plain)?);
    fs::rename(&plain, folder.join(format!("{stem}.{hash}.{extension}")))?;
    Ok(())
}

/// The parts of the program name each other, so it is their folder that gets a name of its content.
fn name_folder_by_content(parent: &Path, name: &str) -> Result<()> {
    let mut contents = vec![];
    for path in files_below(&parent.join(name))? {
        contents.extend(path.file_name().unwrap_or_default().as_encoded_bytes());
        contents.extend(fs::read(path)?);
    }
    fs::rename(parent.join(name), parent.join(format!("{name}.{}", short_hash(&contents))))?;
    Ok(())
}

fn manifest(assets: &Path) -> Result<String> {
    let named = |stem: &str, file: &str| -> Result<String> {
        let paths = files_below(assets)?;
        let names = paths.iter().filter_map(|path| path.strip_prefix(assets).ok()?.to_str());
        let mut matching = names.filter(|name| name.starts_with(stem) && name.ends_with(file));
        Ok(format!("/assets/{}", matching.next().with_context(|| format!("no {stem}…{file} was made"))?))
    };
    let script = named("app.", "/muster.js")?;
    let app = script.trim_end_matches("/muster.js");
    let files: BTreeMap<String, Vec<String>> =
        serde_json::from_slice(&fs::read(assets.join(app.trim_start_matches("/assets/")).join(PARTS))?)?;
    let path = |file: String| format!("{app}/{file}.wasm");
    let parts: BTreeMap<_, Vec<_>> = files.into_iter().map(|(part, files)| (part, files.into_iter().map(path).collect())).collect();
    let wasm = named("app.", "/muster_bg.wasm")?;
    let style = named("main.", ".css")?;
    Ok(serde_json::to_string_pretty(&serde_json::json!({ "script": script, "wasm": wasm, "style": style, "parts": parts }))?)
}

/// Replaces the folder as a whole. One that holds the same already stays as it is, so that nothing is built again for it.
fn swap_in(new: &Path, site: &Path) -> Result<()> {
    if site.exists() && is_same(new, site)? {
        fs::remove_dir_all(new)?;
        return Ok(());
    }
    let arriving = site.with_extension("new");
    let leaving = site.with_extension("old");
    for rest in [&arriving, &leaving] {
        if rest.exists() {
            fs::remove_dir_all(rest)?;
        }
    }
    // the target folder may be on another disk, where a rename would fail
    copy_folder(new, &arriving)?;
    if site.exists() {
        fs::rename(site, &leaving)?;
    }
    fs::rename(&arriving, site)?;
    if leaving.exists() {
        fs::remove_dir_all(&leaving)?;
    }
    fs::remove_dir_all(new)?;
    Ok(())
}

fn is_same(one: &Path, other: &Path) -> Result<bool> {
    let listed = |folder: &Path| -> Result<Vec<PathBuf>> {
        files_below(folder)?.into_iter().map(|path| Ok(path.strip_prefix(folder)?.to_owned())).collect()
    };
    let names = listed(one)?;
    if names != listed(other)? {
        return Ok(false);
    }
    for name in names {
        if fs::read(one.join(&name))? != fs::read(other.join(&name))? {
            return Ok(false);
        }
    }
    Ok(true)
}
