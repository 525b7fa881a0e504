use std::sync::{Arc, OnceLock};

use domain::{Event, WorkspaceId};

use super::{EventCursor, store::Positioned};

/// Events of one workspace that follow each other, shared by all who follow it. What they look like on the wire is made once, by the
/// first who needs it.
pub struct EventBatch {
    pub(super) workspace: WorkspaceId,
    events: Vec<Event>,
    pub(super) first: EventCursor,
    pub(super) last: EventCursor,
    rendered: OnceLock<Arc<[u8]>>,
}

impl EventBatch {
    /// Nothing when there are none.
    pub(super) fn of(events: Vec<Positioned>) -> Option<Self> {
        let (first, last) = (events.first()?, events.last()?);
        let (workspace, first, last) = (first.workspace, first.cursor, last.cursor);
        let events = events.into_iter().map(|one| one.event).collect();
        Some(Self { workspace, events, first, last, rendered: OnceLock::new() })
    }

    /// One for each workspace, each in the order of the log.
    pub(super) fn by_workspace(events: Vec<Positioned>) -> Vec<Self> {
        let mut parts: Vec<(WorkspaceId, Vec<Positioned>)> = vec![];
        for event in events {
            match parts.iter_mut().find(|(workspace, _)| *workspace == event.workspace) {
                Some((_, part)) => part.push(event),
                None => parts.push((event.workspace, vec![event])),
            }
        }
        parts.into_iter().filter_map(|(_, part)| Self::of(part)).collect()
    }

    /// Oldest first; at least one.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// What `render` makes of the events, made once.
    pub fn rendered(&self, render: impl FnOnce(&[Event]) -> Vec<u8>) -> Arc<[u8]> {
        Arc::clone(self.rendered.get_or_init(|| render(&self.events).into()))
    }
}
