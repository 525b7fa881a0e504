//! What the work has changed so far, for those who judge it: looked at as it will be saved, from the [store](super::store) that is pushed,
//! while nothing is moved and nothing is pushed.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io,
    path::PathBuf,
};

use rand::distr::{Alphanumeric, SampleString};

use super::{ALL_REPOSITORIES, SaveError, Saving, Stand, unsaved, within};
use crate::{
    attempt::folder::AttemptFolder,
    git::{Argument, Bounds, Git, GitError},
    journal::{Checkout, Entry},
    lfs::{self, Pointer},
    sandbox::Room,
    worktree,
};

/// Bytes of a diff that are shown to a judge.
pub(crate) const SHOWN: usize = 200 * 1024;
/// Bytes of a list of files, of all repositories together.
pub(crate) const LISTED: usize = 16 * 1024;
/// Whatever a `.gitattributes`, even one that git itself is told to ignore, or a byte in a file says: nothing is too binary to be shown.
pub(super) const ALL_TEXT: Argument<'_> = &"--text";

pub(crate) struct Change {
    /// What has to be saved for a judgement of this to be one of what is saved, of each repository.
    pub stands: Vec<Stand>,
    /// From the base commit to what there is now.
    pub diff: String,
    /// It goes on; to whoever reads files all of it is shown in those of these names among them.
    pub is_cut: bool,
    pub whole: Vec<String>,
    /// The repositories beside the first, each with the folder among the files of that in which its own are shown.
    pub beside: Vec<(String, String)>,
    /// How many files of Git LFS are new, of which a diff shows only what stands for them.
    pub large: usize,
    /// The folders in which those of them are shown that stand in none of its files, as only a commit on the way names them.
    pub on_the_way: Vec<String>,
    /// The files that it touches, a line each, with what becomes of them; all files that there are now.
    pub touched: List,
    pub files: List,
    /// The commits that the work has made, each with what it changes, as all of them land; one that holds the whole change without that.
    pub commits: List,
}

pub(crate) struct List {
    pub text: String,
    pub is_cut: bool,
}

/// How many bytes there is room for in what is shown.
#[derive(Clone, Copy)]
struct Rest {
    diff: usize,
    touched: usize,
    files: usize,
}

impl Rest {
    /// Besides what is shown of other repositories already.
    fn beside(all: Option<&Change>) -> Self {
        let rest = |most: usize, of: fn(&Change) -> &str| most.saturating_sub(all.map_or(0, |all| of(all).len()));
        Self {
            diff: rest(SHOWN, |all| &all.diff),
            touched: rest(LISTED, |all| &all.touched.text),
            files: rest(LISTED, |all| &all.files.text),
        }
    }
}

/// Where somebody who reads finds the files of a repository.
struct Shown {
    folder: PathBuf,
    /// What stands before their names there.
    prefix: String,
}

/// Of all repositories of an attempt. Fails where something would be saved that its diff does not show, and where something is not what its id
/// says. Somebody `reads` its files as well: then they are written to where a judge sees them, those of the first repository where it stands
/// and those of the others in a folder below, which is called as nothing of the change is.
pub(crate) async fn change(outside: &Git, room: &Room, entry: &Entry, reads: bool) -> Result<Change, SaveError> {
    let judged = AttemptFolder::of(&entry.folder).judged();
    let beside = format!("beside-{}", Alphanumeric.sample_string(&mut rand::rng(), 16));
    let mut all: Option<Change> = None;
    for part in entry.parts() {
        let Some(checkout) = &part.entry.worktree else { continue };
        let shown = match &part.name {
            None => Shown { folder: judged.clone(), prefix: String::new() },
            Some(name) => Shown { folder: judged.join(&beside).join(name), prefix: format!("{beside}/{name}/") },
        };
        let rest = Rest::beside(all.as_ref());
        let shown_to = reads.then_some(&shown);
        let one = change_of(outside, room, (&part.entry, checkout), shown_to, rest).await.map_err(|error| error.of(&part))?;
        all = Some(match (all, &part.name) {
            (Some(all), Some(name)) => all.with(name, one, &shown.prefix),
            _ => one,
        });
    }
    all.ok_or_else(|| io::Error::other("there is no worktree").into())
}

/// Of one of them, as far as there is room for it.
async fn change_of(
    outside: &Git,
    room: &Room,
    (entry, checkout): (&Entry, &Checkout),
    shown: Option<&Shown>,
    most: Rest,
) -> Result<Change, SaveError> {
    fs::create_dir_all(&checkout.path)?;
    let still = worktree::still(outside, entry, checkout).await?;
    worktree::restore(entry, checkout, &still).await?;
    let index = AttemptFolder::of(&entry.folder).index();
    let git = &outside.inside(room);
    let inside = within::look(git, outside, (entry, &still), None).await?;
    let links = within::links(&inside, &still.submodules, 0);
    let saving = Saving::of_work((git, outside), (entry, checkout), &index, &links);
    let (head, _) = saving.look().await?;
    let (base, now) = (&checkout.base_commit, saving.add_all().await?);
    let (store, work) = (saving.take(&[&head, &now]).await?, saving);
    let saving = saving.reading(&store);
    if let Some(hidden) = saving.hidden(base, &now, Some(&head)).await? {
        return Err(hidden.unseen(None));
    }
    saving.is_shown_whole(&now, &inside).await?;
    let named = saving.large_files(&[&head, &now]).await?;
    let mut large = named.clone();
    large.append(&mut within::large_files(outside, entry, &inside).await?);
    let mut on_the_way = vec![];
    if let Some(shown) = shown {
        let mut seen = saving.show(&now, &inside, &large, &shown.folder).await?;
        let repositories = (checkout.git_dir.as_path(), saving.mirror);
        let unseen = |seen: &BTreeSet<Pointer>| lfs::unseen(&named, seen, repositories, git.longest_file());
        if unseen(&seen).is_some() {
            // no file of the change is called so
            let name = format!("on-the-way-{}", Alphanumeric.sample_string(&mut rand::rng(), 16));
            let (folder, rest) = (shown.folder.join(&name), named.difference(&seen).cloned().collect());
            let from = [checkout.git_dir.clone(), saving.mirror.to_owned()];
            seen.append(&mut lfs::put_beside(outside, folder, from, rest, git.longest_file()).await?);
            on_the_way.push(format!("{}{name}", shown.prefix));
        }
        if let Some(Pointer { oid, .. }) = unseen(&seen) {
            return Err(SaveError::Unseen {
                what: format!(
                    "the file of Git LFS {oid}, which would be pushed, stands nowhere among the files that land and cannot be shown beside them"
                ),
                advice: "have the work leave its change in one commit, or uncommitted",
            });
        }
    }
    let arguments: [Argument<'_>; 10] =
        [&"diff", &"--no-color", &"--no-ext-diff", &"--no-textconv", ALL_TEXT, ALL_REPOSITORIES, &"-M", base, &now, &"--"];
    let diff = saving.git.run(saving.place, &arguments, Bounds { output: most.diff, ..Bounds::LOCAL }).await?;
    // after it, as what is cut goes on
    let rest = if diff.cut { 0 } else { most.diff - diff.bytes.len() };
    let (inside_diff, inside_is_cut) = within::shown_diff(git, entry, &inside, ALL_TEXT, rest).await?;
    let is_cut = diff.cut || inside_is_cut;
    let mut whole = vec![];
    if let Some(shown) = shown.filter(|_| is_cut) {
        // what was there before can be read nowhere else; no file of the change is called so
        let name = format!("change-{}.diff", Alphanumeric.sample_string(&mut rand::rng(), 16));
        let file = File::create_new(shown.folder.join(&name))?;
        saving.git.run_into(saving.place, &arguments, b"", file.try_clone()?, Bounds::LOCAL).await?;
        within::write_diffs(git, entry, &inside, ALL_TEXT, &file).await?;
        whole.push(format!("{}{name}", shown.prefix));
    }
    let own = saving.list(&[&"diff", &"--name-status", ALL_REPOSITORIES, &"-M", base, &now, &"--"], most.touched).await?;
    let more = within::touched(git, entry, &inside, most.touched.saturating_sub(own.text.len())).await?;
    let touched = List { text: format!("{}{}", own.text, more.text).trim().to_owned(), is_cut: own.is_cut || more.is_cut };
    unsaved::nothing_is_left(&work, &inside, &now).await?;
    Ok(Change {
        whole,
        beside: vec![],
        diff: legible(&[diff.bytes, inside_diff].concat()),
        is_cut,
        large: large.len(),
        on_the_way,
        touched,
        files: saving.list(&[&"ls-tree", &"-r", &"--name-only", &now], most.files).await?,
        commits: saving.commits(&head, &now).await?,
        stands: vec![Stand { head, tree: now, inside: within::stands(&inside) }],
    })
}

impl Change {
    /// Together with that of another repository, the files of which are found behind `prefix`.
    fn with(mut self, name: &str, other: Self, prefix: &str) -> Self {
        let head = format!("In the repository {name}:\n");
        if !other.diff.is_empty() {
            self.diff.push_str(&format!("\n{head}{}", other.diff));
        }
        self.touched.add(&head, other.touched);
        self.files.add(&head, other.files);
        self.commits.add(&head, other.commits);
        // all that is shown of commits, together
        self.commits.is_cut |= self.commits.text.len() > SHOWN;
        self.is_cut |= other.is_cut;
        self.large += other.large;
        self.on_the_way.extend(other.on_the_way);
        self.whole.extend(other.whole);
        self.stands.extend(other.stands);
        self.beside.push((name.to_owned(), prefix.trim_end_matches('/').to_owned()));
        self
    }
}

impl List {
    /// Whatever there is of another repository comes behind its head.
    fn add(&mut self, head: &str, other: Self) {
        if !other.text.is_empty() {
            let gap = if self.text.is_empty() { "" } else { "\n" };
            self.text.push_str(&format!("{gap}{head}{}", other.text));
        }
        self.is_cut |= other.is_cut;
    }
}

/// As text that every agent takes.
fn legible(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace('\0', "\u{fffd}")
}

impl Saving<'_> {
    /// What Git LFS keeps that was not named before, in the worktree and on the way there.
    async fn large_files(&self, tips: &[&str]) -> Result<BTreeSet<Pointer>, GitError> {
        if !self.entry.lfs {
            return Ok(BTreeSet::new());
        }
        let (store, base) = (AttemptFolder::of(&self.entry.folder).store(0), &self.checkout.base_commit);
        lfs::named(self.outside, &store, tips, &[base, &format!("{base}^{{tree}}")]).await
    }

    /// Fails where git-lfs would make another file of one than a judge reads.
    async fn is_shown_whole(&self, now: &str, inside: &[within::Within<'_>]) -> Result<(), SaveError> {
        if !self.entry.lfs {
            return Ok(());
        }
        let store = AttemptFolder::of(&self.entry.folder).store(0);
        let own = lfs::lookalike(self.outside, &store, (&self.checkout.base_commit, now)).await?;
        let found = if own.is_some() { own } else { within::lookalike(self.outside, self.entry, inside).await? };
        found.map_or(Ok(()), |path| {
            Err(SaveError::Unseen {
                what: format!("{path}, which git-lfs would take for a pointer of its own and replace, though it is none as it writes them"),
                advice: "let git-lfs write the pointer, by adding the file itself, or have the file begin otherwise",
            })
        })
    }

    async fn list(&self, arguments: &[Argument<'_>], most: usize) -> Result<List, GitError> {
        let listed = self.git.run(self.place, arguments, Bounds { output: most, ..Bounds::LOCAL }).await?;
        Ok(List { text: listed.text(), is_cut: listed.cut })
    }

    /// From the base commit to `head`, merges and what they bring along among them, when `tree` is what there is now: each as it is kept, as git shows
    /// nothing behind a NUL in a message and no headers that it does not know, and then what each changes.
    async fn commits(&self, head: &str, tree: &str) -> Result<List, GitError> {
        let base = &self.checkout.base_commit;
        let range = format!("{base}..{head}");
        let made = self.ask(&[&"rev-list", &"--parents", &range, &"--"]).await?;
        let ids: String = made.lines().filter_map(|line| line.split(' ').next()).flat_map(|id| [id, "\n"]).collect();
        let bounds = Bounds { output: SHOWN, ..Bounds::LOCAL };
        let kept = self.git.run_with_input(self.place, &[&"cat-file", &"--batch"], ids.as_bytes(), bounds).await?;
        let is_the_change =
            made == format!("{head} {base}") && self.ask(&[&"rev-parse", &"--verify", &format!("{head}^{{tree}}")]).await? == tree;
        if is_the_change || kept.cut {
            return Ok(List { text: legible(&kept.bytes), is_cut: kept.cut });
        }
        // a merge as well, against its first parent: where all parents are compared git is not told what is text, and does not compare many
        let arguments: [Argument<'_>; 14] = [
            &"log",
            &"--no-color",
            &"--no-decorate",
            &"--no-notes",
            &"--no-ext-diff",
            &"--no-textconv",
            &"--format=What the commit %H changes:",
            ALL_TEXT,
            ALL_REPOSITORIES,
            &"-M",
            &"--diff-merges=first-parent",
            &"--patch",
            &range,
            &"--",
        ];
        let log = self.git.run(self.place, &arguments, bounds).await?;
        let text = legible(&[kept.bytes, log.bytes].concat());
        Ok(List { is_cut: log.cut || text.len() > SHOWN, text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_of_several_repositories_has_one_bound() {
        let list = |bytes: usize| List { text: "x".repeat(bytes), is_cut: false };
        let change = |bytes: usize| Change {
            stands: vec![],
            diff: "x".repeat(bytes),
            is_cut: false,
            whole: vec![],
            beside: vec![],
            large: 0,
            on_the_way: vec![],
            touched: list(bytes),
            files: list(bytes),
            commits: list(0),
        };
        let rest = |all: Option<&Change>| {
            let Rest { diff, touched, files } = Rest::beside(all);
            (diff, touched, files)
        };
        assert_eq!(rest(None), (SHOWN, LISTED, LISTED));
        let both = change(1000).with("api", change(500), "");
        assert_eq!(rest(Some(&both)), (SHOWN - both.diff.len(), LISTED - both.touched.text.len(), LISTED - both.files.text.len()));
        assert!(both.touched.text.len() > 1500 && both.files.text.len() > 1500);
        assert_eq!(rest(Some(&change(LISTED + 1))).1, 0);
    }
}
