//! What is said about one attempt, on the disk: written as it is said, so that it outlives the process, and read by the next life.
//!
//! A record is its length, its checksum and its content. Written is not yet kept: what is decisive is synced before it is sent, and a piece of
//! a log never waits for the disk. What a crash has cut short ends the file, and counts as never said. Nothing is left behind the last record:
//! it could hold what the work has written, and be taken for what the runner has said.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufReader, Read},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use domain::{LogStream, protocol::Said};
use tracing::warn;

use crate::disk::on_disk;

/// Its length and its checksum.
const HEAD: usize = 8;
/// Longer than anything that is said.
const CONTENT_MAX: u32 = 16 * 1024 * 1024;
/// The first byte of what is said. That of a piece of log says its stream.
const SAID: u8 = b's';
const STREAMS: [(u8, LogStream); 3] = [(b'o', LogStream::Stdout), (b'e', LogStream::Stderr), (b'm', LogStream::Muster)];
/// A file of which everything is answered is emptied when it is longer than this.
const EMPTIED_OVER: u64 = 1024 * 1024;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Record {
    Said { sequence: u64, said: Said },
    Log { offset: u64, stream: LogStream, bytes: Vec<u8> },
}

/// Where a record is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    at: u64,
    length: u32,
}

impl Place {
    pub fn end(self) -> u64 {
        self.at + HEAD as u64 + u64::from(self.length)
    }
}

/// The file of an attempt; made with its first record.
pub(super) struct Kept {
    path: PathBuf,
    file: Option<Arc<File>>,
    /// Where the next record begins.
    end: u64,
    /// So far it survives a crash of the machine, or was tried to.
    synced: u64,
    /// It is found again after one.
    is_found: bool,
    /// A record is missing, so that nothing may follow.
    broken: bool,
    warned: bool,
}

impl Kept {
    pub fn new(path: PathBuf) -> Self {
        Self { path, file: None, end: 0, synced: 0, is_found: false, broken: false, warned: false }
    }

    /// What an earlier life has written, up to the first record that is not whole or does not fit; nothing when it has written nothing. A whole
    /// one that says nothing known is [`InvalidData`](io::ErrorKind::InvalidData): what another version has said is not cut off.
    pub fn read_all(path: PathBuf, mut fits: impl FnMut(Place, Record) -> bool) -> io::Result<Option<Self>> {
        let file = match OpenOptions::new().read(true).write(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let mut end = 0;
        {
            let mut input = BufReader::new(&file);
            while let Some((place, record)) = next(&mut input, end)? {
                if !fits(place, record) {
                    break;
                }
                end = place.end();
            }
        }
        let broken = file.set_len(end).is_err();
        Ok(Some(Self { path, file: Some(Arc::new(file)), end, synced: 0, is_found: false, broken, warned: false }))
    }

    /// Where it is now; nothing when it could not be written, and then nothing is until the file is empty again.
    pub fn append(&mut self, record: &Record) -> Option<Place> {
        if self.broken {
            return None;
        }
        match self.write(record) {
            Ok(place) => Some(place),
            Err(error) => {
                self.broken = true;
                if !self.warned {
                    self.warned = true;
                    let path = self.path.display();
                    warn!(
                        "{path} cannot be written ({error}): what is said now is lost if this runner dies before its server has heard it"
                    );
                }
                None
            }
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn takes_more(&self) -> bool {
        !self.broken
    }

    fn write(&mut self, record: &Record) -> io::Result<Place> {
        let content = content_of(record)?;
        let length = u32::try_from(content.len()).ok().filter(|length| *length <= CONTENT_MAX).ok_or(io::ErrorKind::FileTooLarge)?;
        let mut bytes = Vec::with_capacity(HEAD + content.len());
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&crc32fast::hash(&content).to_le_bytes());
        bytes.extend_from_slice(&content);
        let (at, file) = (self.end, self.open()?);
        if let Err(error) = file.write_all_at(&bytes, at) {
            // a part of it may be there; should it stay, it is the last that ever was written
            let _ = file.set_len(at);
            return Err(error);
        }
        let place = Place { at, length };
        self.end = place.end();
        Ok(place)
    }

    fn open(&mut self) -> io::Result<&File> {
        if self.file.is_none() {
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(&self.path)?;
            self.file = Some(Arc::new(file));
        }
        self.file.as_deref().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub fn read(&self, place: Place) -> io::Result<Record> {
        let file = self.file.as_deref().ok_or(io::ErrorKind::NotFound)?;
        let mut bytes = vec![0; HEAD + place.length as usize];
        file.read_exact_at(&mut bytes, place.at)?;
        let (head, content) = bytes.split_first_chunk::<HEAD>().ok_or(io::ErrorKind::InvalidData)?;
        record_in(*head, content)?.ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// What has to be synced before everything up to here survives a crash of the machine.
    pub fn unsynced(&self, up_to: u64) -> Option<Unsynced> {
        if self.broken || up_to <= self.synced {
            return None;
        }
        let file = Arc::clone(self.file.as_ref()?);
        let folder = if self.is_found { None } else { self.path.parent().map(Path::to_owned) };
        Some(Unsynced { file, folder, end: self.end })
    }

    /// Whether it went well or not: what comes later is synced again.
    pub fn note_synced(&mut self, synced: Synced) {
        self.synced = self.synced.max(synced.up_to);
        self.is_found |= synced.survives;
    }

    /// Everything in it is answered, so that there is no gap any more.
    pub fn answered(&mut self) {
        if !self.broken && self.end <= EMPTIED_OVER {
            return;
        }
        if self.file.as_ref().is_none_or(|file| file.set_len(0).is_ok()) {
            (self.end, self.synced, self.broken) = (0, 0, false);
        }
    }
}

/// What was written and is not known to survive a crash of the machine.
pub(super) struct Unsynced {
    file: Arc<File>,
    folder: Option<PathBuf>,
    end: u64,
}

/// What was tried to be brought so far that it survives one.
#[derive(Clone, Copy)]
pub(super) struct Synced {
    pub up_to: u64,
    pub survives: bool,
}

impl Unsynced {
    /// How far it was tried, and why it does not survive.
    pub async fn sync(self) -> (u64, io::Result<()>) {
        let end = self.end;
        let synced = on_disk(move || {
            #[cfg(test)]
            crate::simulation::synced(&self.file);
            self.file.sync_data()?;
            match &self.folder {
                Some(folder) => File::open(folder)?.sync_all(),
                None => Ok(()),
            }
        });
        (end, synced.await)
    }
}

fn content_of(record: &Record) -> io::Result<Vec<u8>> {
    let (first, number) = match record {
        Record::Said { sequence, .. } => (SAID, sequence),
        Record::Log { offset, stream, .. } => (letter_of(*stream), offset),
    };
    let mut content = vec![first];
    content.extend_from_slice(&number.to_le_bytes());
    match record {
        Record::Said { said, .. } => serde_json::to_writer(&mut content, said)?,
        Record::Log { bytes, .. } => content.extend_from_slice(bytes),
    }
    Ok(content)
}

fn letter_of(stream: LogStream) -> u8 {
    STREAMS.iter().find(|(_, known)| *known == stream).map_or(b'm', |(letter, _)| *letter)
}

/// Nothing when it is not whole; an error when it is, and of a kind that this program does not know.
fn record_in(head: [u8; HEAD], content: &[u8]) -> io::Result<Option<Record>> {
    let (length, checksum) = parts_of(head);
    // a crash of the machine can leave zeros, whose checksum is right
    if content.is_empty() || content.len() != length as usize || crc32fast::hash(content) != checksum {
        return Ok(None);
    }
    known(content).map(Some).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it says what this runner does not know"))
}

fn known(content: &[u8]) -> Option<Record> {
    let (first, rest) = content.split_first()?;
    let (number, rest) = rest.split_first_chunk()?;
    let number = u64::from_le_bytes(*number);
    if *first == SAID {
        return Some(Record::Said { sequence: number, said: serde_json::from_slice(rest).ok()? });
    }
    let (_, stream) = STREAMS.iter().find(|(letter, _)| letter == first)?;
    Some(Record::Log { offset: number, stream: *stream, bytes: rest.to_vec() })
}

/// Its length and its checksum.
fn parts_of(head: [u8; HEAD]) -> (u32, u32) {
    let [a, b, c, d, e, f, g, h] = head;
    (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]))
}

/// The record that begins here; nothing at the end, whole or not.
fn next(input: &mut impl Read, at: u64) -> io::Result<Option<(Place, Record)>> {
    let mut head = [0; HEAD];
    if !fill(input, &mut head)? {
        return Ok(None);
    }
    let (length, _) = parts_of(head);
    if length > CONTENT_MAX {
        return Ok(None);
    }
    let mut content = vec![0; length as usize];
    if !fill(input, &mut content)? {
        return Ok(None);
    }
    Ok(record_in(head, &content)?.map(|record| (Place { at, length }, record)))
}

/// False when there is not so much.
fn fill(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match input.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(offset: u64, bytes: &[u8]) -> Record {
        Record::Log { offset, stream: LogStream::Stderr, bytes: bytes.to_vec() }
    }

    fn records() -> Vec<Record> {
        let started = Said::Started { base_commit: "0123456789abcdef".into(), branch: "muster/one-1".into(), continues: None };
        let said = |sequence, said| Record::Said { sequence, said };
        vec![said(1, started), log(0, b"one\n\xff"), said(2, Said::Verifying), log(5, b"two"), said(3, Said::GivenUp { artifacts: vec![] })]
    }

    /// With the places where each begins, and the end.
    fn written(path: &Path) -> Vec<u64> {
        let mut kept = Kept::new(path.to_owned());
        let ends = records().into_iter().map(|record| kept.append(&record).unwrap().end());
        [0].into_iter().chain(ends).collect()
    }

    fn read(path: &Path) -> Vec<Record> {
        let mut found = vec![];
        Kept::read_all(path.to_owned(), |_, record| {
            found.push(record);
            true
        })
        .unwrap();
        found
    }

    #[test]
    fn what_was_cut_short_anywhere_ends_the_file_and_what_came_before_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("one");
        let borders = written(&path);
        let whole = std::fs::read(&path).unwrap();
        assert_eq!(read(&path), records());
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            let count = borders.iter().filter(|border| **border <= length as u64).count() - 1;
            assert_eq!(read(&path), records()[..count], "of {length} bytes");
            assert_eq!(std::fs::metadata(&path).unwrap().len(), borders[count], "nothing is left behind the last record");
        }
    }

    #[test]
    fn a_byte_that_is_another_ends_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("one");
        let borders = written(&path);
        let whole = std::fs::read(&path).unwrap();
        for place in 0..whole.len() {
            let mut spoiled = whole.clone();
            spoiled[place] ^= 0x20;
            std::fs::write(&path, &spoiled).unwrap();
            let before = borders.iter().filter(|border| **border <= place as u64).count() - 1;
            assert_eq!(read(&path), records()[..before], "byte {place}");
        }
    }

    #[test]
    fn zeros_end_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("one");
        let borders = written(&path);
        let end = *borders.last().unwrap();
        let mut zeros = std::fs::read(&path).unwrap();
        zeros.resize(zeros.len() + 4096, 0);
        std::fs::write(&path, zeros).unwrap();
        assert_eq!(read(&path), records());
        assert_eq!(std::fs::metadata(&path).unwrap().len(), end);
    }

    #[test]
    fn what_another_version_has_said_is_no_end_and_stays() {
        let unknown: [&[u8]; 3] = [b"s\x06\0\0\0\0\0\0\0{\"what\":\"gossip\"}", b"?\0\0\0\0\0\0\0\0one", b"o\0"];
        for content in unknown {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("one");
            written(&path);
            let mut bytes = std::fs::read(&path).unwrap();
            bytes.extend_from_slice(&u32::try_from(content.len()).unwrap().to_le_bytes());
            bytes.extend_from_slice(&crc32fast::hash(content).to_le_bytes());
            bytes.extend_from_slice(content);
            std::fs::write(&path, &bytes).unwrap();
            let read = Kept::read_all(path.clone(), |_, _| true);
            assert!(matches!(read, Err(error) if error.kind() == io::ErrorKind::InvalidData), "{content:?}");
            assert!(std::fs::read(&path).unwrap() == bytes, "as it was");
        }
    }

    #[test]
    fn what_is_written_can_be_read_where_it_is_and_goes_on_behind_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("one");
        written(&path);
        let mut places = vec![];
        let mut kept = Kept::read_all(path.clone(), |place, _| {
            places.push(place);
            places.len() < 3
        })
        .unwrap()
        .unwrap();
        assert_eq!(kept.read(places[1]).unwrap(), records()[1]);
        assert!(kept.read(places[2]).is_err(), "what does not fit is cut off");
        kept.append(&log(5, b"three")).unwrap();
        assert_eq!(read(&path), [records()[0].clone(), records()[1].clone(), log(5, b"three")]);
    }

    #[test]
    fn a_disk_that_is_full_breaks_it_until_all_is_answered() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("full");
        std::os::unix::fs::symlink("/dev/full", &path).unwrap();
        let mut kept = Kept::new(path);
        assert!(kept.append(&log(0, b"one")).is_none());
        assert!(!kept.takes_more() && kept.append(&log(3, b"two")).is_none(), "there would be a gap");
        assert!(kept.unsynced(1).is_none(), "nobody waits for it");

        let missing = folder.path().join("missing");
        let mut kept = Kept::new(missing.join("one"));
        assert!(kept.append(&log(0, b"one")).is_none());
        std::fs::create_dir(&missing).unwrap();
        assert!(kept.append(&log(3, b"two")).is_none(), "there would be a gap");
        kept.answered();
        assert!(kept.append(&log(6, b"three")).is_some());
        assert_eq!(read(&missing.join("one")), [log(6, b"three")]);
    }

    #[tokio::test]
    async fn what_is_synced_once_need_not_be_again_and_a_long_file_is_emptied() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("one");
        let mut kept = Kept::new(path.clone());
        let end = kept.append(&log(0, &vec![b'x'; 1024 * 1024])).unwrap().end();
        let (up_to, synced) = kept.unsynced(end).unwrap().sync().await;
        kept.note_synced(Synced { up_to, survives: synced.is_ok() });
        assert!(kept.unsynced(end).is_none());
        kept.answered();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 0);
        let end = kept.append(&log(1024 * 1024, b"more")).unwrap().end();
        assert!(kept.unsynced(end).is_some());
        kept.answered();
        assert_eq!(read(&path), [log(1024 * 1024, b"more")], "a short one costs nothing");
    }
}
