//! The repositories of a task beside its first: each has a worktree of its own, beside that of the first, and what is changed in it is saved and
//! lands there.

use serde::{Deserialize, Serialize};

use crate::{
    error::Errors,
    repository::{check_location, check_ref, key, without_ending},
};

/// How many there may be beside the first.
pub const REPOSITORIES_MAX: usize = 8;
/// Characters of a folder's name.
const FOLDER_MAX: usize = 50;
const PATH_FIRST: &str =
    "is a path, and the first repository is none; name the path first, so that only a runner that works on paths is given it";

/// A repository that a task is to work on beside its first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewRepository {
    /// An absolute path on the runner's machine, where the first repository is one as well; or a URL that git understands.
    pub url: String,
    /// A branch, tag or commit; the repository's default branch when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_ref: Option<String>,
    /// What its worktree is called: `../more/api` from the worktree of the first. The last part of its address when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
}

/// One that it works on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TaskRepository {
    /// A path or URL.
    pub url: String,
    /// The repository's default branch when absent.
    pub base_ref: Option<String>,
    /// What its worktree is called.
    pub folder: String,
}

/// What an attempt has come to in one of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RepositoryResult {
    /// What its worktree was called.
    pub folder: String,
    /// The commit the work started from.
    pub base_commit: String,
    /// The branch and commit that hold what was changed; absent when nothing was.
    pub branch: Option<String>,
    pub commit: Option<String>,
}

impl NewRepository {
    /// `[FOLDER=]URL[#REF]`. What is in front of the first `=` is a folder when it can be one, which no address begins with.
    pub fn parse(text: &str) -> Self {
        let (folder, rest) = match text.split_once('=') {
            Some((folder, rest)) if check_folder(folder.trim()).is_ok() => (Some(folder.trim().to_owned()), rest),
            _ => (None, text),
        };
        let (url, base_ref) = match rest.split_once('#') {
            Some((url, name)) => (url, Some(name.trim().to_owned()).filter(|name| !name.is_empty())),
            None => (rest, None),
        };
        Self { url: url.trim().to_owned(), base_ref, folder }
    }

    /// What its worktree is called.
    pub fn folder(&self) -> &str {
        self.folder.as_deref().map_or_else(|| last_part(&self.url), str::trim)
    }
}

impl TaskRepository {
    /// As [`NewRepository::parse`] reads it.
    pub fn text(&self) -> String {
        let folder = if self.folder == last_part(&self.url) { String::new() } else { format!("{}=", self.folder) };
        let base = self.base_ref.as_ref().map(|name| format!("#{name}")).unwrap_or_default();
        format!("{folder}{}{base}", self.url)
    }

    pub fn all(new: &[NewRepository]) -> Vec<Self> {
        new.iter()
            .map(|one| Self {
                url: one.url.trim().to_owned(),
                base_ref: one.base_ref.as_deref().map(|name| name.trim().to_owned()),
                folder: one.folder().to_owned(),
            })
            .collect()
    }
}

/// What an address ends with, without `.git`.
pub(crate) fn last_part(url: &str) -> &str {
    let url = without_ending(url);
    url.rsplit(['/', ':']).next().unwrap_or(url)
}

/// Whether a worktree may be called so.
pub fn check_folder(name: &str) -> Result<(), &'static str> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.len() > FOLDER_MAX || !name.chars().all(fits) || !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Err("must be 1 to 50 letters, digits or . _ -, with a letter or digit in front");
    }
    Ok(())
}

/// `first` is the repository that they are beside.
pub(super) fn validate(errors: &mut Errors, first: &str, all: &[NewRepository]) {
    if all.len() > REPOSITORIES_MAX {
        errors.add("/repositories", "too_many", format!("at most {REPOSITORIES_MAX} are allowed beside the first"));
    }
    let keys = keys(first, all);
    for (index, one) in all.iter().enumerate() {
        let (pointer, before) = (format!("/repositories/{index}"), &all[..index]);
        let url = one.url.trim();
        errors.required_text(format!("{pointer}/url"), &one.url, 2000);
        if !url.is_empty()
            && let Err(reason) = check_location(url)
        {
            errors.add(format!("{pointer}/url"), "malformed", reason);
        }
        check_beside(errors, index, (first, url), &keys);
        if let Some(base_ref) = &one.base_ref {
            errors.required_text(format!("{pointer}/base_ref"), base_ref, 250);
            if let Err(reason) = check_ref(base_ref) {
                errors.add(format!("{pointer}/base_ref"), "malformed", reason);
            }
        }
        validate_folder(errors, &format!("{pointer}/folder"), one, before);
    }
}

/// The part of it that cannot be told before it is known which the first is.
pub(super) fn validate_beside(errors: &mut Errors, first: &str, all: &[NewRepository]) {
    let keys = keys(first, all);
    for (index, one) in all.iter().enumerate() {
        check_beside(errors, index, (first, one.url.trim()), &keys);
    }
}

/// Of the first, and of those beside it.
fn keys(first: &str, all: &[NewRepository]) -> Vec<String> {
    std::iter::once(first).chain(all.iter().map(|one| one.url.as_str())).map(key).collect()
}

fn check_beside(errors: &mut Errors, index: usize, (first, url): (&str, &str), keys: &[String]) {
    if url.is_empty() {
        return;
    }
    let pointer = format!("/repositories/{index}/url");
    if keys[..=index].contains(&keys[index + 1]) {
        // its branch would be there twice
        errors.add(&pointer, "duplicate", "is named twice; a task has one worktree of each repository");
    }
    // which runner may take a task is asked of its first repository
    if url.starts_with('/') && is_url(first) {
        errors.add(&pointer, "path_first", PATH_FIRST);
    }
}

fn is_url(location: &str) -> bool {
    let location = location.trim();
    !location.starts_with('/') && check_location(location).is_ok()
}

fn validate_folder(errors: &mut Errors, pointer: &str, one: &NewRepository, before: &[NewRepository]) {
    // an address that is wrong says nothing about where it lies
    if one.folder.is_none() && check_location(one.url.trim()).is_err() {
        return;
    }
    let name = one.folder();
    match check_folder(name) {
        Err(reason) if one.folder.is_none() => {
            errors.add(pointer, "required", format!("cannot be told from “{name}”, with which the address ends: it {reason}"))
        }
        Err(reason) => errors.add(pointer, "malformed", reason),
        // some machines take both for one
        Ok(()) if before.iter().any(|other| other.folder().eq_ignore_ascii_case(name)) => {
            errors.add(pointer, "duplicate", format!("is called “{name}” as another one is; give this one another"));
        }
        Ok(()) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(url: &str, folder: Option<&str>) -> NewRepository {
        NewRepository { url: url.into(), base_ref: None, folder: folder.map(str::to_owned) }
    }

    fn pointers(all: &[NewRepository]) -> Vec<String> {
        pointers_beside("/srv/app", all)
    }

    fn pointers_beside(first: &str, all: &[NewRepository]) -> Vec<String> {
        let mut errors = Errors::default();
        validate(&mut errors, first, all);
        let invalid = errors.finish().err().map(|invalid| invalid.errors).unwrap_or_default();
        invalid.into_iter().map(|error| format!("{} {}", error.pointer, error.code)).collect()
    }

    #[test]
    fn a_folder_is_called_as_its_address_ends() {
        for (url, folder) in [
            ("https://example.org/acme/api.git", "api"),
            ("https://example.org/acme/api/", "api"),
            ("git@example.org:api", "api"),
            ("/srv/git/web.git/", "web"),
            ("https://example.org/a/b.github.io", "b.github.io"),
        ] {
            assert_eq!(one(url, None).folder(), folder, "{url}");
        }
        assert_eq!(one("/srv/api", Some(" server ")).folder(), "server");
        let all = TaskRepository::all(&[NewRepository { base_ref: Some(" v1 ".into()), ..one(" /srv/api ", None) }]);
        assert_eq!(all, [TaskRepository { url: "/srv/api".into(), base_ref: Some("v1".into()), folder: "api".into() }]);
    }

    #[test]
    fn one_is_written_on_a_line() {
        for (text, folder, url, base_ref) in [
            ("https://example.org/acme/api.git", None, "https://example.org/acme/api.git", None),
            (" api=git@example.org:acme/server#fix/#12 ", Some("api"), "git@example.org:acme/server", Some("fix/#12")),
            ("/srv/a=b#", None, "/srv/a=b", None),
            ("https://example.org/?a=b#v1", None, "https://example.org/?a=b", Some("v1")),
            ("=/srv/api", None, "=/srv/api", None),
        ] {
            let read = NewRepository { url: url.into(), base_ref: base_ref.map(str::to_owned), folder: folder.map(str::to_owned) };
            assert_eq!(NewRepository::parse(text), read, "{text}");
        }
        for text in ["https://example.org/acme/api.git#v1", "api=/srv/server"] {
            assert_eq!(TaskRepository::all(&[NewRepository::parse(text)])[0].text(), text);
        }
    }

    #[test]
    fn each_is_there_once_and_has_a_folder_of_its_own() {
        assert_eq!(pointers(&[one("/srv/api", None), one("/srv/web", None), one("/lib/api", Some("lib"))]), Vec::<String>::new());
        let bad = [
            one("/srv/app.git", None),
            one("/srv/api", Some("..")),
            one("/srv/api/", Some("a/b")),
            one("/srv/web", None),
            one("/lib/Web", None),
            one("/srv/é", None),
            one("", None),
            NewRepository { base_ref: Some("-x".into()), ..one("here", Some("-x")) },
        ];
        assert_eq!(
            pointers(&bad),
            [
                "/repositories/0/url duplicate",
                "/repositories/1/folder malformed",
                "/repositories/2/url duplicate",
                "/repositories/2/folder malformed",
                "/repositories/4/folder duplicate",
                "/repositories/5/folder required",
                "/repositories/6/url required",
                "/repositories/7/url malformed",
                "/repositories/7/base_ref malformed",
                "/repositories/7/folder malformed",
            ]
        );
        let many = |count: usize| (0..count).map(|number| one(&format!("/srv/r{number}"), None)).collect::<Vec<_>>();
        assert_eq!(pointers(&many(8)), Vec::<String>::new());
        assert_eq!(pointers(&many(9)), ["/repositories too_many"]);
    }

    #[test]
    fn two_spellings_are_one_repository() {
        let first = "https://example.org/acme/app.git";
        for again in ["https://Example.org/acme/app", "git@example.org:acme/app", "ssh://git@example.org:22/acme//app/"] {
            assert_eq!(pointers_beside(first, &[one(again, Some("again"))]), ["/repositories/0/url duplicate"], "{again}");
        }
        let api = "https://example.org/acme/api";
        let twice = [one(api, None), one("git@EXAMPLE.org:acme/api.git", Some("again"))];
        assert_eq!(pointers_beside(first, &twice), ["/repositories/1/url duplicate"]);
        assert_eq!(pointers(&[one("/srv/./app", Some("again"))]), ["/repositories/0/url duplicate"]);
    }

    #[test]
    fn a_path_is_named_first() {
        let (path, url) = (|| one("/srv/api", None), || one("https://example.org/web", None));
        assert_eq!(pointers_beside("https://example.org/app", &[url(), path()]), ["/repositories/1/url path_first"]);
        assert_eq!(pointers_beside(" git@example.org:app", &[path()]), ["/repositories/0/url path_first"]);
        assert_eq!(pointers_beside("/srv/app", &[url(), path()]), Vec::<String>::new());
        for unknown in ["", "nowhere"] {
            assert_eq!(pointers_beside(unknown, &[path()]), Vec::<String>::new(), "that it is wrong is said of it alone");
        }
    }
}
