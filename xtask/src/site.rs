//! `site/`: everything a browser loads besides the pages, named by content so that it may be cached for ever.
//!
//! ```text
//! site/manifest.json                  {"script": "/assets/…", "wasm": "/assets/…", "style": "/assets/…"}
//! site/assets/muster.<hash>.js        what wasm-bindgen wrote; started with the address of the wasm file
//! site/assets/muster_bg.<hash>.wasm
//! site/assets/snippets.<hash>/…       JavaScript of crates, when there is any
//! site/assets/main.<hash>.css
//! site/…                              public/ as it is
//! ```
//!
//! Each is there as `.br` and `.gz` too, where that is smaller. The folder is swapped in as a whole, and only when something changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use wasm_bindgen_cli_support::Bindgen;

use crate::Mode;
use crate::compress::compress_folder;
use crate::process::{cargo, copy_folder, files_below, root, run, target};
use crate::steps::{Inputs, short_hash, step};

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
    let inputs = Inputs::new().add(folder.as_bytes()).add_stamp(&compiled)?.add_file(&root()?.join("package-lock.json"))?;
    step(&format!("wasm-{folder}"), inputs, |result| {
        let release = mode == Mode::Release;
        Bindgen::new()
            .input_path(&compiled)
            .out_name("muster")
            .web(true)?
            .typescript(false)
            .demangle(release)
            .remove_name_section(release)
            .remove_producers_section(true)
            .generate(result)
            .context("wasm-bindgen failed")?;
        let module = result.join("muster_bg.wasm");
        if release {
            let tool = npm_tool("wasm-opt")?;
            run(Command::new(tool).arg("-Oz").args(WASM_FEATURES).arg(&module).arg("--output").arg(&module))?;
        }
        move_snippets(result)?;
        name_by_content(result, "muster", "js")?;
        name_by_content(result, "muster_bg", "wasm")?;
        compress_folder(result, mode)
    })
}

/// Snippets have names that say nothing about their content, so their folder gets one that does.
fn move_snippets(result: &Path) -> Result<()> {
    let snippets = result.join("snippets");
    if !snippets.exists() {
        return Ok(());
    }
    let mut contents = vec![];
    for path in files_below(&snippets)? {
        contents.extend(fs::read(path)?);
    }
    let named = format!("snippets.{}", short_hash(&contents));
    fs::rename(snippets, result.join(&named))?;
    let script = result.join("muster.js");
    let source = fs::read_to_string(&script)?;
    fs::write(script, source.replace("'./snippets/", &format!("'./{named}/")).replace("\"./snippets/", &format!("\"./{named}/")))?;
    Ok(())
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

fn manifest(assets: &Path) -> Result<String> {
    let named = |stem: &str, extension: &str| -> Result<String> {
        let names = files_below(assets)?.into_iter().filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()));
        let matching = names.into_iter().find(|name| {
            let parts: Vec<_> = name.split('.').collect();
            matches!(parts.as_slice(), [first, _, last] if *first == stem && *last == extension)
        });
        Ok(format!("/assets/{}", matching.with_context(|| format!("no {stem}.*.{extension} was made"))?))
    };
    let (script, wasm, style) = (named("muster", "js")?, named("muster_bg", "wasm")?, named("main", "css")?);
    Ok(format!("{{\"script\": \"{script}\", \"wasm\": \"{wasm}\", \"style\": \"{style}\"}}\n"))
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
