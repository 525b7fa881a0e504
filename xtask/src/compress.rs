//! A `.br` and a `.gz` beside each file that gets smaller by it, so that the server compresses nothing while it answers.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use flate2::write::GzEncoder;

use crate::Mode;
use crate::process::files_below;

/// Files below this are sent as they are: a header would outweigh the gain.
const SMALLEST: usize = 512;

pub fn compress_folder(folder: &Path, mode: Mode) -> Result<()> {
    let files: Vec<_> = files_below(folder)?.into_iter().filter(|path| is_compressible(path)).collect();
    std::thread::scope(|scope| {
        let threads: Vec<_> = files.iter().map(|path| scope.spawn(move || compress(path, mode))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| anyhow::anyhow!("a compressing thread panicked"))?)
    })
}

fn is_compressible(path: &Path) -> bool {
    let extension = path.extension().map(|extension| extension.to_string_lossy().into_owned());
    extension.is_some_and(|extension| ["js", "wasm", "css", "svg", "txt", "json", "webmanifest", "html"].contains(&extension.as_str()))
}

fn compress(path: &Path, mode: Mode) -> Result<()> {
    let content = fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
    if content.len() < SMALLEST {
        return Ok(());
    }
    let brotli = brotli(&content, mode)?;
    if brotli.len() < content.len() {
        fs::write(with_suffix(path, ".br"), brotli)?;
    }
    let gzip = gzip(&content, mode)?;
    if gzip.len() < content.len() {
        fs::write(with_suffix(path, ".gz"), gzip)?;
    }
    Ok(())
}

fn brotli(mut content: &[u8], mode: Mode) -> Result<Vec<u8>> {
    let quality = match mode {
        Mode::Dev => 2,
        Mode::Release => 11,
    };
    let parameters = brotli::enc::BrotliEncoderParams { quality, lgwin: 24, size_hint: content.len(), ..Default::default() };
    let mut compressed = vec![];
    brotli::BrotliCompress(&mut content, &mut compressed, &parameters)?;
    Ok(compressed)
}

fn gzip(content: &[u8], mode: Mode) -> Result<Vec<u8>> {
    let level = match mode {
        Mode::Dev => flate2::Compression::fast(),
        Mode::Release => flate2::Compression::best(),
    };
    let mut encoder = GzEncoder::new(vec![], level);
    encoder.write_all(content)?;
    Ok(encoder.finish()?)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
