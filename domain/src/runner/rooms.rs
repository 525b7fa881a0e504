//! What attempts may use and reach on a runner's machine.

use serde::{Deserialize, Serialize};

/// What attempts may use and reach on a runner's machine. A limit that is absent is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Rooms {
    /// Bytes of memory of an attempt.
    #[serde(default)]
    pub memory: Option<u64>,
    /// Processes and threads of an attempt at one time.
    #[serde(default)]
    pub processes: Option<u64>,
    /// Processors that an attempt keeps busy, in hundredths.
    #[serde(default)]
    pub processors: Option<u64>,
    /// Bytes of one file.
    #[serde(default)]
    pub file: Option<u64>,
    /// Memory and processes are kept below that by the kernel, in control groups; else what is used is looked at every now and then.
    #[serde(default)]
    pub by_kernel: bool,
    /// What commands and checks reach: `none`, `open`, or the hosts of a list.
    #[serde(default)]
    pub network: String,
    /// The same of agents: `none`, `open`, or what all of them reach, and by its name where the model of each is.
    #[serde(default)]
    pub agent_network: String,
    /// Work runs without a sandbox where its workspace wants that.
    #[serde(default)]
    pub may_be_left_out: bool,
}

/// Of a list of hosts, as it is kept.
pub const NETWORK_MAX: usize = 1000;

impl Rooms {
    /// "12 GiB of memory, 4096 processes, 1.5 processors, 32 GiB a file; looked at from outside"
    pub fn limits_in_words(&self) -> String {
        let limits = [
            self.memory.map(|most| format!("{} of memory", size_in_words(most))),
            self.processes.map(|most| format!("{most} processes")),
            self.processors.map(|hundredths| format!("{} processors", hundredths_in_words(hundredths))),
            self.file.map(|most| format!("{} a file", size_in_words(most))),
        ];
        let limits: Vec<_> = limits.into_iter().flatten().collect();
        match (limits.is_empty(), self.by_kernel) {
            (true, _) => "none".into(),
            (false, true) => format!("{}; kept by control groups", limits.join(", ")),
            (false, false) => format!("{}; looked at from outside", limits.join(", ")),
        }
    }

    /// "commands: none; agents: example.org, *.example.net:8443"
    pub fn network_in_words(&self) -> String {
        let spaced = |list: &str| list.replace(',', ", ");
        format!("commands: {}; agents: {}", spaced(&self.network), spaced(&self.agent_network))
    }

    /// Fit to be kept, whoever made it.
    pub fn kept(&self) -> Self {
        let cut = |text: &str| text.replace('\0', "\u{fffd}").chars().take(NETWORK_MAX).collect();
        Self { network: cut(&self.network), agent_network: cut(&self.agent_network), ..self.clone() }
    }
}

/// "4 GiB", "1.5 GiB", "64 MiB", "100 bytes"
pub fn size_in_words(bytes: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let Some((unit, name)) = units.into_iter().find(|(unit, _)| bytes >= *unit) else { return format!("{bytes} bytes") };
    let tenths = u128::from(bytes) * 10 / u128::from(unit);
    match tenths % 10 {
        0 => format!("{} {name}", tenths / 10),
        tenth => format!("{}.{tenth} {name}", tenths / 10),
    }
}

fn hundredths_in_words(hundredths: u64) -> String {
    match hundredths % 100 {
        0 => (hundredths / 100).to_string(),
        part => format!("{}.{part:02}", hundredths / 100).trim_end_matches('0').to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_said_in_the_unit_that_fits() {
        let gib = 1 << 30;
        let said = [0, 1023, 64 << 20, 4 * gib, 4 * gib + gib / 2, 12_638_257_152].map(size_in_words);
        assert_eq!(said, ["0 bytes", "1023 bytes", "64 MiB", "4 GiB", "4.5 GiB", "11.7 GiB"]);
    }

    #[test]
    fn what_is_limited_is_said_with_who_keeps_it() {
        let rooms = Rooms {
            memory: Some(12 << 30),
            processes: Some(4096),
            processors: Some(150),
            file: Some(32 << 30),
            by_kernel: true,
            network: "none".into(),
            agent_network: "example.org,*.example.net:8443".into(),
            may_be_left_out: false,
        };
        assert_eq!(rooms.limits_in_words(), "12 GiB of memory, 4096 processes, 1.5 processors, 32 GiB a file; kept by control groups");
        assert_eq!(rooms.network_in_words(), "commands: none; agents: example.org, *.example.net:8443");
        let open = Rooms { memory: None, processes: None, processors: None, file: None, by_kernel: false, ..rooms.clone() };
        assert_eq!(open.limits_in_words(), "none");
        let watched = Rooms { memory: Some(1 << 30), ..open };
        assert_eq!(watched.limits_in_words(), "1 GiB of memory; looked at from outside");
        assert_eq!([100, 205, 1].map(hundredths_in_words), ["1", "2.05", "0.01"]);
        let endless = Rooms { network: "a\0".repeat(NETWORK_MAX), ..rooms };
        assert_eq!(endless.kept().network.chars().count(), NETWORK_MAX);
        assert!(!endless.kept().network.contains('\0'));
        assert_eq!(serde_json::from_str::<Rooms>("{}").unwrap().limits_in_words(), "none", "of a runner that says less");
    }
}
