//! The title of the document, which the browser shows on its tab.

use leptos::prelude::*;

use crate::text::for_document_title;

/// As it is now. The head of a page is written after its content, when what the content was made with may be gone already: then it is as
/// it was when the content was made. Somebody's words, also those of an address, come in as text and nothing else.
pub fn document_title(title: Memo<String>) -> impl Fn() -> String + Send + Sync + 'static {
    let first = title.get_untracked();
    move || format!("{} · Muster", for_document_title(&title.try_get().unwrap_or_else(|| first.clone())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_outlives_what_it_was_made_with_and_holds_no_markup() {
        let owner = Owner::new();
        let title = owner.with(|| document_title(Memo::new(|_| "</title><script>".to_owned())));
        assert_eq!(title(), "‹/title›‹script› · Muster");
        owner.cleanup();
        drop(owner);
        assert_eq!(title(), "‹/title›‹script› · Muster");
    }
}
