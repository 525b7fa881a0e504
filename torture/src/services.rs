//! What a machine offers to whoever is its user: sockets of those who sign for them, of buses and of a container engine, memory that is shared,
//! and a terminal. What is not there already is played where it usually is; where that is not to be had, beside it.

use std::{
    fs, io,
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use anyhow::{Context, ensure};

use crate::terminal::Terminal;

const DOCKER: &str = "/run/docker.sock";
const SYSTEM_BUS: &str = "/run/dbus/system_bus_socket";
/// What lies in the memory that is shared.
const CANARY: &str = "canary";

pub struct Services {
    agent: Socket,
    bus: Socket,
    system_bus: Socket,
    docker: Socket,
    memory: Memory,
    /// Of runners. What is tried outside has another one: a terminal has one session.
    pub terminal: Arc<Terminal>,
    pub outside: Terminal,
    _beside: Beside,
}

impl Services {
    pub fn offer() -> anyhow::Result<Self> {
        let beside = Beside::make()?;
        let of_user = PathBuf::from(format!("/run/user/{}", rustix::process::getuid().as_raw()));
        let own = |name: &str| of_user.join(format!("{name}-{}", beside.word));
        Ok(Self {
            agent: Socket::offer(&own("ssh-agent"), &beside)?,
            bus: Socket::offer(&of_user.join("bus"), &beside)?,
            system_bus: Socket::offer(Path::new(SYSTEM_BUS), &beside)?,
            docker: Socket::offer(Path::new(DOCKER), &beside)?,
            memory: Memory::share()?,
            terminal: Arc::new(Terminal::open()?),
            outside: Terminal::open()?,
            _beside: beside,
        })
    }

    /// How a user's programs are told where these are.
    pub fn environment(&self) -> Vec<(String, String)> {
        let path = |socket: &Socket| socket.path.display().to_string();
        let told = [
            ("SSH_AUTH_SOCK", path(&self.agent)),
            ("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={}", path(&self.bus))),
            ("DOCKER_HOST", format!("unix://{}", path(&self.docker))),
        ];
        told.map(|(name, value)| (name.to_owned(), value)).to_vec()
    }

    /// What may not be, and how it is tried.
    pub fn acts(&self) -> Vec<(&'static str, String)> {
        let key = self.memory.key;
        vec![
            ("whoever signs for its user, by their socket", self.agent.connect()),
            ("whoever signs for its user, by the variable", "test -n \"$SSH_AUTH_SOCK\"".into()),
            ("its user's bus, by its socket", self.bus.connect()),
            ("its user's bus, by the variable", "test -n \"$DBUS_SESSION_BUS_ADDRESS\"".into()),
            ("the machine's bus, by its socket", self.system_bus.connect()),
            ("a container engine, by its socket", self.docker.connect()),
            ("a container engine, by the variable", "test -n \"$DOCKER_HOST\"".into()),
            (
                "memory that is shared",
                format!(
                    "perl -e 'defined($id = shmget({key}, 6, 0)) or exit 1; shmread($id, $read, 0, 6) or exit 1; exit($read ne \"{CANARY}\")'"
                ),
            ),
            ("the terminal", "exec 3<>/dev/tty".into()),
            (
                "words that are typed into the terminal",
                "perl -e 'open(T, \"+<\", \"/dev/tty\") or exit 1; $x = \"x\"; ioctl(T, 0x5412, $x) or exit 1'".into(),
            ),
        ]
    }
}

/// A folder that everybody outside sees, for what cannot be where it usually is.
struct Beside {
    folder: PathBuf,
    /// Of this run alone.
    word: String,
}

impl Beside {
    fn make() -> io::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let word = format!("muster-t22-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(&word);
        fs::create_dir(&folder)?;
        Ok(Self { folder, word })
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

struct Socket {
    path: PathBuf,
    /// Nothing where the machine has it.
    _played: Option<Played>,
}

/// It goes with this, and so does its folder where that was made for it.
struct Played {
    path: PathBuf,
    made: Option<PathBuf>,
    _listener: UnixListener,
}

impl Socket {
    fn offer(usual: &Path, beside: &Beside) -> anyhow::Result<Self> {
        if UnixStream::connect(usual).is_ok() {
            return Ok(Self { path: usual.to_owned(), _played: None });
        }
        let name = usual.file_name().context("a socket has a name")?;
        let stand_in = beside.folder.join(name);
        let played = Played::at(usual).or_else(|_| Played::at(&stand_in))?;
        Ok(Self { path: played.path.clone(), _played: Some(played) })
    }

    fn connect(&self) -> String {
        format!("perl -MSocket -e 'socket(S, 1, 1, 0) && connect(S, sockaddr_un(\"{}\")) or exit 1'", self.path.display())
    }
}

impl Played {
    fn at(path: &Path) -> io::Result<Self> {
        let folder = path.parent().filter(|folder| !folder.exists()).map(Path::to_owned);
        if let Some(folder) = &folder {
            fs::create_dir(folder)?;
        }
        match UnixListener::bind(path) {
            Ok(listener) => Ok(Self { path: path.to_owned(), made: folder, _listener: listener }),
            Err(error) => {
                folder.map_or(Ok(()), fs::remove_dir)?;
                Err(error)
            }
        }
    }
}

impl Drop for Played {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
        // unless somebody else has put something there meanwhile
        let _ = self.made.take().map(fs::remove_dir);
    }
}

/// System V's, which everybody finds by its key.
struct Memory {
    key: i32,
}

impl Memory {
    fn share() -> anyhow::Result<Self> {
        let key = rand::random_range(1..i32::MAX);
        let made = format!("defined($id = shmget({key}, 4096, 03666)) or die; shmwrite($id, \"{CANARY}\", 0, 6) or die");
        ensure!(Command::new("perl").args(["-e", &made]).status()?.success(), "no memory can be shared on this machine");
        Ok(Self { key })
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let gone = format!("defined($id = shmget({}, 6, 0)) and shmctl($id, 0, 0)", self.key);
        let _ = Command::new("perl").args(["-e", &gone]).status();
    }
}
