//! How the pages about runners stay as things are.

use std::time::Duration;

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    live::{look_every, use_live_every},
    page_json::Fetched,
};

/// A runner that falls silent makes no event, so the pages look by themselves.
const LOOK: Duration = Duration::from_secs(10);

/// Between two looks, in milliseconds: what a runner has done is counted each time.
const PAUSE: i64 = 2000;

/// Fetches it again when something happens, and after a while when nothing does.
pub(super) fn keep_looking<T>(resource: Fetched<T>)
where
    T: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    use_live_every(resource, || PAUSE, |_| true);
    look_every(resource, LOOK);
}
