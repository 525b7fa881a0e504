//! What the programs of the makers of GPUs say of them, where there are such programs.

use std::{collections::BTreeMap, ffi::OsStr, path::PathBuf, process::Stdio, time::Duration};

use domain::runner::reading::{Amount, GpuReading};
use serde_json::Value;
use tokio::{
    io::AsyncReadExt,
    process::{Child, Command},
    time::timeout,
};

/// For a program to say what it knows.
const ANSWERS: Duration = Duration::from_secs(5);
/// Bytes of what it says.
const SAYS: u64 = 1024 * 1024;

type Read = fn(&str) -> Option<Vec<GpuReading>>;

/// Each with what it is asked, and how its answer is read.
const TOOLS: [(&str, &[&str], Read); 2] = [
    ("nvidia-smi", &["--query-gpu=name,utilization.gpu,memory.used,memory.total", "--format=csv,noheader,nounits"], nvidia),
    ("rocm-smi", &["--showproductname", "--showuse", "--showmeminfo", "vram", "--json"], rocm),
];

/// Whoever asks these programs.
pub(super) struct Gpus {
    within: Duration,
    /// Those that have not ended since they were asked last: one that hangs in its driver cannot be ended, and no other is begun beside it.
    hanging: BTreeMap<&'static str, Child>,
}

impl Default for Gpus {
    fn default() -> Self {
        Self { within: ANSWERS, hanging: BTreeMap::new() }
    }
}

impl Gpus {
    /// The GPUs, and why a program that is there told of none.
    pub async fn look(&mut self, places: &OsStr) -> (Vec<GpuReading>, Option<String>) {
        let mut told = vec![];
        for (name, arguments, read) in TOOLS {
            let Some(program) = find(name, places) else { continue };
            let mut command = Command::new(program);
            command.args(arguments).env_clear().env("PATH", places).current_dir("/");
            told.push((name, self.ask(name, command).await.and_then(|said| understood(read, &said))));
        }
        together(told)
    }

    async fn ask(&mut self, name: &'static str, mut command: Command) -> Result<String, String> {
        if let Some(before) = self.hanging.get_mut(name)
            && matches!(before.try_wait(), Ok(None))
        {
            return Err("it has not ended since it was asked before".to_owned());
        }
        self.hanging.remove(name);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| error.to_string())?;
        let Ok(answered) = timeout(self.within, answer(&mut child)).await else {
            // where that does not help, it is still there the next time
            let _ = child.start_kill();
            self.hanging.insert(name, child);
            return Err(format!("it says nothing within {} s", self.within.as_secs()));
        };
        answered
    }
}

async fn answer(child: &mut Child) -> Result<String, String> {
    let (Some(said), Some(complained)) = (child.stdout.take(), child.stderr.take()) else { return Err("it cannot be heard".to_owned()) };
    let (mut said, mut complained) = (said.take(SAYS), complained.take(SAYS));
    let (mut on_stdout, mut on_stderr) = (vec![], vec![]);
    let ended = tokio::try_join!(said.read_to_end(&mut on_stdout), complained.read_to_end(&mut on_stderr), child.wait());
    let (.., status) = ended.map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&on_stdout).into_owned();
    if status.success() {
        return Ok(said);
    }
    // it may say why on either
    let complaint = String::from_utf8_lossy(&on_stderr);
    let why = complaint.lines().chain(said.lines()).map(str::trim).find(|line| !line.is_empty());
    Err(why.map_or_else(|| status.to_string(), str::to_owned))
}

fn understood(read: Read, said: &str) -> Result<Vec<GpuReading>, String> {
    read(said).ok_or_else(|| "what it says cannot be read".to_owned())
}

fn together(told: Vec<(&str, Result<Vec<GpuReading>, String>)>) -> (Vec<GpuReading>, Option<String>) {
    let (mut gpus, mut unread) = (vec![], vec![]);
    for (name, one) in told {
        match one {
            Ok(found) => gpus.extend(found),
            Err(why) => unread.push(format!("{name}: {why}")),
        }
    }
    (gpus, (!unread.is_empty()).then(|| unread.join("; ")))
}

fn find(name: &str, places: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(places).map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// A line for each: its name, percent, and MiB used and in all. What it does not know it says in brackets.
fn nvidia(said: &str) -> Option<Vec<GpuReading>> {
    let gpu = |line: &str| {
        let fields: Vec<_> = line.rsplitn(4, ',').map(str::trim).collect();
        let [total, used, percent, name] = fields[..] else { return None };
        let bytes = |text: &str| Some(text.parse::<u64>().ok()?.saturating_mul(1024 * 1024));
        let memory = bytes(used).zip(bytes(total)).map(|(used, total)| Amount { used, total, is_limited: false });
        Some(GpuReading { name: name.to_owned(), percent: percent.parse().ok(), memory })
    };
    said.lines().filter(|line| !line.trim().is_empty()).map(gpu).collect()
}

/// An object with one entry for each card, whose values are text. How its name is written differs between versions.
fn rocm(said: &str) -> Option<Vec<GpuReading>> {
    let Value::Object(all) = serde_json::from_str(said).ok()? else { return None };
    let cards = all.iter().filter(|(name, _)| name.starts_with("card"));
    let gpu = |(card, about): (&String, &Value)| {
        let text = |name: &str| about[name].as_str().map(str::trim);
        let bytes = |name: &str| text(name).and_then(|text| text.parse().ok());
        let name = ["Card Series", "Card series", "Card Model", "Card model"].into_iter().find_map(text);
        let used = bytes("VRAM Total Used Memory (B)");
        let memory = used.zip(bytes("VRAM Total Memory (B)")).map(|(used, total)| Amount { used, total, is_limited: false });
        let percent = text("GPU use (%)").and_then(|text| text.parse().ok());
        GpuReading { name: name.unwrap_or(card).to_owned(), percent, memory }
    };
    Some(cards.map(gpu).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By the shell: a program that was written a moment ago cannot always be begun.
    fn script(text: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", text]);
        command
    }

    #[tokio::test]
    async fn a_machine_without_such_a_program_has_no_gpu() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Gpus::default().look(folder.path().as_os_str()).await, (vec![], None));
    }

    /// A program of this name that does what the real one does. Another process writes it: whoever is begun by this one meanwhile would hold it open.
    fn plays(folder: &std::path::Path, name: &str, text: &str) {
        use std::io::Write;
        let mut writes = std::process::Command::new("sh")
            .args(["-c", "cat > \"$0\" && chmod 755 \"$0\""])
            .arg(folder.join(name))
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        writes.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        assert!(writes.wait().unwrap().success());
    }

    const NVIDIA: &str = r#"#!/bin/sh
case "$*" in
  "--query-gpu=name,utilization.gpu,memory.used,memory.total --format=csv,noheader,nounits")
    echo "NVIDIA GeForce RTX 4090, 37, 10240, 24564"
    echo "NVIDIA GeForce RTX 4090, [N/A], 0, 24564" ;;
  *) echo "Invalid combination of input arguments. Please run 'nvidia-smi -h' for help."; exit 1 ;;
esac
"#;

    const ROCM: &str = r#"#!/bin/sh
case "$*" in
  "--showproductname --showuse --showmeminfo vram --json")
    echo "WARNING: AMD GPU device(s) is/are in a low-power state. Check power control/runtime_status" >&2
    echo '{"card0": {"GPU use (%)": "12", "VRAM Total Memory (B)": "17163091968", "VRAM Total Used Memory (B)": "8581545984", "Card Series": "AMD Radeon PRO V620", "Card Model": "0x73a1", "Card Vendor": "Advanced Micro Devices, Inc. [AMD/ATI]"}}' ;;
  *) echo "usage: rocm-smi [-h]"; exit 2 ;;
esac
"#;

    #[tokio::test]
    async fn the_programs_of_both_makers_are_found_asked_and_understood() {
        let folder = tempfile::tempdir().unwrap();
        plays(folder.path(), "nvidia-smi", NVIDIA);
        plays(folder.path(), "rocm-smi", ROCM);
        let (gpus, unread) = Gpus::default().look(folder.path().as_os_str()).await;
        assert_eq!(unread, None);
        let told: Vec<_> = gpus
            .iter()
            .map(|gpu| (gpu.name.as_str(), gpu.percent, gpu.memory.map(|memory| (memory.used >> 20, memory.percent()))))
            .collect();
        let expected = [
            ("NVIDIA GeForce RTX 4090", Some(37), Some((10_240, 41))),
            ("NVIDIA GeForce RTX 4090", None, Some((0, 0))),
            ("AMD Radeon PRO V620", Some(12), Some((8184, 50))),
        ];
        assert_eq!(told, expected);
        // as where the driver is older than the program
        plays(folder.path(), "nvidia-smi", "#!/bin/sh\necho 'Failed to initialize NVML: Driver/library version mismatch'\nexit 18\n");
        let (gpus, unread) = Gpus::default().look(folder.path().as_os_str()).await;
        assert_eq!(gpus.len(), 1, "the other maker's are told all the same");
        assert_eq!(unread.as_deref(), Some("nvidia-smi: Failed to initialize NVML: Driver/library version mismatch"));
    }

    #[tokio::test]
    async fn each_line_is_a_gpu_and_what_is_not_known_is_no_zero() {
        let says = script("echo 'NVIDIA L4, rev 2, 12, 1024, 24576'; echo 'Tesla, [N/A], [N/A], [N/A]'");
        let said = Gpus::default().ask("nvidia-smi", says).await.unwrap();
        let memory = Some(Amount { used: 1 << 30, total: 24 << 30, is_limited: false });
        let gpus = vec![
            GpuReading { name: "NVIDIA L4, rev 2".into(), percent: Some(12), memory },
            GpuReading { name: "Tesla".into(), percent: None, memory: None },
        ];
        assert_eq!(understood(nvidia, &said), Ok(gpus));
    }

    #[tokio::test]
    async fn a_program_that_fails_says_why() {
        let mut gpus = Gpus::default();
        let fails = gpus.ask("nvidia-smi", script("echo 'No devices were found'; exit 6")).await;
        assert_eq!(fails, Err("No devices were found".to_owned()));
        let nonsense = gpus.ask("rocm-smi", script("echo nonsense")).await.unwrap();
        let told = vec![("nvidia-smi", fails.map(|_| vec![])), ("rocm-smi", understood(rocm, &nonsense))];
        let (gpus, unread) = together(told);
        assert_eq!(gpus, []);
        assert_eq!(unread.as_deref(), Some("nvidia-smi: No devices were found; rocm-smi: what it says cannot be read"));
    }

    #[tokio::test]
    async fn none_is_asked_again_while_it_hangs() {
        let mut gpus = Gpus { within: Duration::from_millis(1), ..Gpus::default() };
        let silent = gpus.ask("nvidia-smi", script("exec sleep 600")).await;
        assert_eq!(silent, Err("it says nothing within 0 s".to_owned()));
        // as one that cannot be ended
        gpus.hanging.insert("nvidia-smi", script("exec sleep 600").kill_on_drop(true).spawn().unwrap());
        gpus.within = ANSWERS;
        let again = gpus.ask("nvidia-smi", script("echo Tesla")).await;
        assert_eq!(again, Err("it has not ended since it was asked before".to_owned()));
        gpus.hanging.get_mut("nvidia-smi").unwrap().kill().await.unwrap();
        assert_eq!(gpus.ask("nvidia-smi", script("echo Tesla")).await, Ok("Tesla\n".to_owned()));
    }

    #[test]
    fn a_card_of_amds_is_read() {
        let said = r#"{"card0": {"Card Series": "MI210", "GPU use (%)": "7", "VRAM Total Memory (B)": "100", "VRAM Total Used Memory (B)": "25"},
                       "card1": {}, "system": {"Driver version": "6"}}"#;
        let gpus = rocm(said).unwrap();
        assert_eq!(gpus.len(), 2);
        assert_eq!((gpus[0].name.as_str(), gpus[0].percent, gpus[0].memory.map(Amount::percent)), ("MI210", Some(7), Some(25)));
        assert_eq!(gpus[1], GpuReading { name: "card1".into(), percent: None, memory: None });
    }
}
