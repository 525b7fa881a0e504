//! What waits for the disk does so on a thread of its own, where it holds up nobody else.

use std::io;

/// On such a thread; an error as well when it panics there.
pub(crate) async fn on_disk<T: Send + 'static>(act: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    // what is on another thread would come in another order each time
    #[cfg(test)]
    if crate::simulation::is_on() {
        return crate::simulation::on_disk(act).await;
    }
    tokio::task::spawn_blocking(act).await.map_err(io::Error::other)?
}
