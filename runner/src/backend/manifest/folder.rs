//! The folder of manifests: which files are read, and whose agents are there. It is looked at again and again; what is as it was is neither
//! asked again nor complained about again, unless its program did not answer.

use std::{
    fs::{self, File, Metadata},
    io::{self, ErrorKind, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use domain::{AgentName, Backend};
use tokio::time::Instant;
use tracing::{info, warn};

use super::{Manifest, Speaks};
use crate::{
    backend::found::{self, ASKED_AGAIN, Found, Stamp},
    sandbox::Sandbox,
};

/// Of a manifest, in bytes.
const LONGEST: u64 = 64 * 1024;
/// What was written later than this may not be all yet.
const AT_WORK: Duration = Duration::from_secs(2);

pub(crate) struct Folder {
    path: PathBuf,
    /// Files that are read.
    most: usize,
    seen: Vec<Seen>,
    /// What is wrong with the folder itself.
    trouble: Option<String>,
}

#[derive(Clone)]
struct Seen {
    entry: Entry,
    answer: Answer,
    /// It is not as it was found, but as it was before that.
    is_kept: bool,
}

/// A file as it was found, and all on which it hangs whether its agent is there.
#[derive(Clone, PartialEq)]
struct Entry {
    file: String,
    says: Says,
    program: Option<Stamp>,
    /// Why what it needs may not be shown to it.
    not_shown: Option<String>,
}

/// Whether the agent of a file is there.
#[derive(Clone)]
enum Answer {
    There(Found),
    /// Not before something changes.
    LeftOut,
    /// Its program did not say its version, for this reason.
    Silent {
        why: String,
        until: Instant,
    },
}

/// A file that was looked at.
struct Looked {
    entry: Entry,
    /// It is no manifest, but somebody has just written to it.
    is_half: bool,
}

impl Seen {
    fn found(&self) -> Option<&Found> {
        if let Answer::There(found) = &self.answer { Some(found) } else { None }
    }

    /// What it is this time, where nobody need be asked.
    fn still(&self, looked: &Looked, now: Instant) -> Option<Self> {
        // half of a file is not what somebody has meant: what was there stays for one look
        if looked.is_half && self.found().is_some() && !self.is_kept {
            return Some(Self { is_kept: true, ..self.clone() });
        }
        let is_due = matches!(&self.answer, Answer::Silent { until, .. } if *until <= now);
        (self.entry == looked.entry && !is_due).then(|| Self { is_kept: false, ..self.clone() })
    }

    /// Why its program did not answer the last time.
    fn silence(&self) -> Option<&str> {
        if let Answer::Silent { why, .. } = &self.answer { Some(why) } else { None }
    }
}

impl Folder {
    pub fn new(path: PathBuf, most: usize) -> Self {
        Self { path, most, seen: vec![], trouble: None }
    }

    /// The agents of the manifests that there are now.
    pub async fn look(&mut self, sandbox: &Arc<Sandbox>, now: Instant) -> Vec<Found> {
        let looked = self.files(sandbox).await;
        let before = std::mem::take(&mut self.seen);
        let (folder, known) = (self.path.as_path(), before.as_slice());
        let seen = looked.into_iter().map(move |looked| async move {
            let last = known.iter().find(|seen| seen.entry.file == looked.entry.file);
            if let Some(still) = last.and_then(|last| last.still(&looked, now)) {
                return still;
            }
            let known_silence = last.filter(|last| last.entry == looked.entry).and_then(Seen::silence);
            let answer = ask(folder, &looked.entry, known_silence, now).await;
            Seen { entry: looked.entry, answer, is_kept: false }
        });
        let seen = futures::future::join_all(seen).await;
        let agents: Vec<_> = seen.iter().filter_map(Seen::found).cloned().collect();
        for gone in before.iter().filter_map(Seen::found) {
            if !agents.iter().any(|found| found.backend == gone.backend) {
                info!("{} is there no more", gone.backend.title());
            }
        }
        self.seen = seen;
        agents
    }

    /// Where they lie a disk may take its time.
    async fn files(&mut self, sandbox: &Arc<Sandbox>) -> Vec<Looked> {
        let (path, most, sandbox) = (self.path.clone(), self.most, Arc::clone(sandbox));
        let read =
            tokio::task::spawn_blocking(move || read_all(&path, most, &sandbox)).await.unwrap_or_else(|error| Err(error.to_string()));
        let (files, trouble) = match read {
            Ok(files) => (files, None),
            Err(why) => (vec![], Some(why)),
        };
        if let Some(why) = trouble.as_ref().filter(|why| self.trouble.as_ref() != Some(*why)) {
            warn!("No manifest in {} is read: {why}", self.path.display());
        }
        self.trouble = trouble;
        files
    }
}

async fn ask(folder: &Path, entry: &Entry, known_silence: Option<&str>, now: Instant) -> Answer {
    let place = folder.join(&entry.file);
    let left_out = |why: &str| warn!("The manifest {} is left out: {why}", place.display());
    let (backend, manifest) = match &entry.says {
        Ok((backend, manifest)) => (backend, manifest),
        Err(why) => {
            left_out(why);
            return Answer::LeftOut;
        }
    };
    if let Some(why) = &entry.not_shown {
        left_out(&format!("`needs`: {why}"));
        return Answer::LeftOut;
    }
    let program = Path::new(manifest.program());
    match found::ask(backend.clone(), program, &manifest.version).await {
        Ok(Some(found)) => {
            info!("{} {} is at {}, as {} says", backend.title(), found.version, found.program.display(), place.display());
            Answer::There(Found { manifest: Some(Arc::clone(manifest)), ..found })
        }
        Ok(None) => {
            left_out(&format!("`command`: there is no program {}; it is looked for on the runner's PATH", program.display()));
            Answer::LeftOut
        }
        Err(why) => {
            if known_silence != Some(why.as_str()) {
                let again = ASKED_AGAIN.as_secs();
                left_out(&format!("`version`: {} is asked for its version, again every {again} s, and {why}", program.display()));
            }
            Answer::Silent { why, until: now + ASKED_AGAIN }
        }
    }
}

/// In the order of their names.
fn read_all(folder: &Path, most: usize, sandbox: &Sandbox) -> Result<Vec<Looked>, String> {
    // whoever could put another in the place of a link need not own what it leads to
    let about = match fs::symlink_metadata(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(vec![]),
        about => about.map_err(|error| error.to_string())?,
    };
    if !about.is_dir() {
        return Err("it has to be a folder, and no link to one".into());
    }
    if !is_safe(&about) {
        return Err(format!("{NOT_SAFE} the folder"));
    }
    let files = fs::read_dir(folder).and_then(|files| files.collect::<io::Result<Vec<_>>>()).map_err(|error| error.to_string())?;
    let names = files.into_iter().filter_map(|file| file.file_name().into_string().ok());
    let mut names: Vec<_> = names.filter(|name| name.ends_with(".toml") && !name.starts_with('.')).collect();
    names.sort_unstable();
    let mut read = 0;
    let looked = names.into_iter().map(|file| {
        let (says, is_half) = match name_of(&file) {
            Ok(_) if read >= most => (Err(format!("{most} others come before it, and more are not read")), false),
            Ok(name) => {
                read += 1;
                read_one(&folder.join(&file), name)
            }
            // it takes the place of no other
            Err(why) => (Err(why), false),
        };
        let manifest = says.as_ref().ok().map(|(_, manifest)| manifest);
        let program = manifest.and_then(|manifest| found::stamp(Path::new(manifest.program())));
        let not_shown = manifest.and_then(|manifest| manifest.needs.iter().find_map(|path| sandbox.may_show(path).err()));
        let not_shown = not_shown.map(|error| error.to_string());
        Looked { entry: Entry { file, says, program, not_shown }, is_half }
    });
    Ok(looked.collect())
}

fn name_of(file: &str) -> Result<AgentName, String> {
    file.strip_suffix(".toml").and_then(AgentName::parse).ok_or_else(|| {
        let longest = AgentName::LONGEST;
        format!("its name has to be at most {longest} lower case letters, digits and dashes, with .toml behind them")
    })
}

type Says = Result<(Backend, Arc<Manifest>), String>;

/// What it says, and whether it may not have been written to its end.
fn read_one(path: &Path, name: AgentName) -> (Says, bool) {
    let (bytes, changed) = match read_safely(path) {
        Ok(read) => read,
        Err(why) => return (Err(why), false),
    };
    let text = String::from_utf8(bytes).map_err(|_| "it is no text in UTF-8".to_owned());
    match text.and_then(|text| Manifest::parse(&text)) {
        Ok(manifest) => {
            let backend = match manifest.speaks {
                Speaks::Acp => Backend::Acp(name),
                Speaks::Lines | Speaks::Text => Backend::Own(name),
            };
            (Ok((backend, Arc::new(manifest))), false)
        }
        Err(why) => (Err(why), changed.and_then(|changed| changed.elapsed().ok()).is_some_and(|age| age < AT_WORK)),
    }
}

const NOT_SAFE: &str = "it has to belong to the runner's user or to root, and nobody else may write to it; chown and chmod go-w";

/// A file that only its owner has written, and when: it names programs, and a link leads to what others may have.
fn read_safely(path: &Path) -> Result<(Vec<u8>, Option<SystemTime>), String> {
    let in_words = |error: io::Error| error.to_string();
    let named = fs::symlink_metadata(path).map_err(in_words)?;
    if !named.is_file() {
        return Err("it has to be a file, and no link to one".into());
    }
    let file = File::open(path).map_err(in_words)?;
    let about = file.metadata().map_err(in_words)?;
    if !about.is_file() || (about.dev(), about.ino()) != (named.dev(), named.ino()) {
        return Err("it was changed while it was looked at; it is looked at again".into());
    }
    if !is_safe(&about) {
        return Err(format!("{NOT_SAFE} the file"));
    }
    let mut bytes = vec![];
    file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(in_words)?;
    if bytes.len() as u64 > LONGEST {
        return Err(format!("it is longer than {LONGEST} bytes"));
    }
    Ok((bytes, about.modified().ok()))
}

fn is_safe(about: &Metadata) -> bool {
    let is_ours = about.uid() == rustix::process::geteuid().as_raw() || about.uid() == 0;
    is_ours && about.mode() & 0o022 == 0
}

#[cfg(test)]
mod tests;
