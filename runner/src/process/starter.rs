//! The one thread that starts the processes of attempts. A sandbox ends with the thread that has started it, and those of the runtime
//! come and go.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        OnceLock,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
};

use process_wrap::tokio::{ChildWrapper, CommandWrap, ProcessSession};
use tokio::{
    process::{Child, Command},
    runtime::Handle,
    sync::oneshot,
};

struct Order {
    command: Command,
    runtime: Handle,
    started: oneshot::Sender<io::Result<Child>>,
}

/// In a session and a process group of its own.
pub(crate) async fn start(command: Command) -> io::Result<Child> {
    static ORDERS: OnceLock<Sender<Order>> = OnceLock::new();
    let orders = ORDERS.get_or_init(|| {
        let (sender, orders) = channel();
        // without the thread nobody answers, and each start says so
        let _ = thread::Builder::new().name("starter".into()).spawn(move || serve(&orders));
        sender
    });
    let gone = || io::Error::other("the thread that starts processes is gone");
    let (started, answer) = oneshot::channel();
    orders.send(Order { command, runtime: Handle::current(), started }).map_err(|_| gone())?;
    answer.await.map_err(|_| gone())?
}

fn serve(orders: &Receiver<Order>) {
    while let Ok(Order { command, runtime, started }) = orders.recv() {
        let _inside = runtime.enter();
        // all sandboxes would end with this thread
        let child = catch_unwind(AssertUnwindSafe(|| start_here(command)));
        // whoever does not wait any more has ended its attempt, and finds the process by its mark
        let _ = started.send(child.unwrap_or_else(|_| Err(io::Error::other("starting it met an error of the runner's own"))));
    }
}

fn start_here(command: Command) -> io::Result<Child> {
    let wrapped: Box<dyn ChildWrapper> = CommandWrap::from(command).wrap(ProcessSession).spawn()?;
    // what the wrapper adds to waiting is done by the census, for more than the group
    let child: Box<dyn std::any::Any> = wrapped.into_inner();
    child.downcast::<Child>().map(|child| *child).map_err(|_| io::Error::other("the started process cannot be waited for"))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::process::Stdio;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        runtime::Builder,
    };

    use super::*;

    #[test]
    fn a_sandbox_outlives_the_thread_that_asked_for_it() {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let handle = runtime.handle().clone();
        let asks = thread::spawn(move || {
            let mut command = Command::new("bwrap");
            command.args(["--die-with-parent", "--unshare-pid", "--ro-bind", "/", "/", "cat"]);
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
            handle.block_on(async {
                let mut child = start(command).await.unwrap();
                let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
                // it is up, and so tied to whoever has started it
                stdin.write_all(b"up").await.unwrap();
                stdout.read_exact(&mut [0; 2]).await.unwrap();
                (std::fs::read_link("/proc/thread-self").unwrap(), child, stdin, stdout)
            })
        });
        let (thread, _child, mut stdin, mut stdout) = asks.join().unwrap();
        // what the kernel does at its end is done once it is gone
        while std::path::Path::new("/proc").join(&thread).exists() {
            thread::yield_now();
        }
        let said = runtime.block_on(async {
            let mut said = String::new();
            // a broken pipe shows in what comes back
            let _ = stdin.write_all(b"still here").await;
            drop(stdin);
            stdout.read_to_string(&mut said).await.unwrap();
            said
        });
        assert_eq!(said, "still here");
    }
}
