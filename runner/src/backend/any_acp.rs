//! The `acp:NAME` backends: whatever speaks the Agent Client Protocol, as its manifest describes it.
//!
//! Nobody has measured what it does: it works in a sandbox alone, people are asked only where its manifest says that it asks, of a command
//! what it would be called with counts, all of it, and not what its title says, what it has told of a call counts where it asks leave for it, and
//! a session goes on in a later round where it says that it can.

use domain::Backend;

use super::{
    Beginning, Opening,
    acp::{self, Acp, Description, Resumes},
    manifest::Manifest,
};

pub(crate) fn open(place: Beginning<'_>, prompt: &str, backend: &Backend, manifest: &Manifest) -> (Opening, Acp) {
    let arguments = manifest.arguments(place.terms.model.as_deref(), "", None);
    let model = manifest.model(place.terms.model.as_deref()).map(str::to_owned);
    let protocol = manifest.protocol();
    let about = Description {
        backend: backend.clone(),
        resumes: Resumes::AsItSays,
        mode: protocol.mode,
        commands: manifest.marks(),
        title_is_the_command: protocol.title_is_the_command,
        tells_more_of_a_command: false,
        ends_with_words: false,
        refused: None,
        model,
        is_unmeasured: true,
    };
    let (lines, dialogue) = acp::begin(about, place, prompt);
    (Opening { arguments, variables: vec![], files: vec![], lines }, dialogue)
}
