//! What a runner reads of its machine, and how old that may be before it says nothing any more.
//!
//! What cannot be read is absent and never 0: a machine without a GPU has none, and does not have one that is idle.

use std::borrow::Cow;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// Seconds between two looks of a runner at its machine.
pub const READING_SECONDS: u32 = 10;
/// A reading that is older says nothing of how the machine is now.
pub const STALE_AFTER_SECONDS: i64 = 90;
/// Seconds that a reading is said to be old at most: what is older is as stale.
pub const AGE_MAX_SECONDS: u32 = 24 * 60 * 60;
/// Bytes that a runner is to have free where it works before it is given anything new; of a small disk a tenth. What is fetched, checked out and
/// built there takes as much soon, and a disk that is full breaks what is at work.
pub const DISK_FREE: u64 = 2 << 30;
/// GPUs that are told of one machine.
pub const GPUS_MAX: usize = 16;
/// Characters of a name, and of why something could not be read.
const TEXT_MAX: usize = 200;

/// What a runner has read of its machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HostReading {
    #[serde(default)]
    pub cpu: Option<CpuReading>,
    #[serde(default)]
    pub memory: Option<Amount>,
    /// Where the runner keeps what it works on.
    #[serde(default)]
    pub disk: Option<Amount>,
    /// Empty when none was found.
    #[serde(default)]
    pub gpus: Vec<GpuReading>,
    /// Why a program that tells of GPUs, and is there, told nothing.
    #[serde(default)]
    pub gpus_unread: Option<String>,
    /// As the runner counts them itself, for every workspace that it serves.
    #[serde(default)]
    pub slots: Option<SlotsReading>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CpuReading {
    /// How much of what there is was used since the reading before, 0 to 100.
    pub percent: u32,
    /// What there is, in thousandths of a processor.
    pub millicores: u32,
    /// Whether that is what a container may use, and its machine has more.
    #[serde(default)]
    pub is_limited: bool,
    /// The machine's load average of the last minute, times 100.
    #[serde(default)]
    pub load_percent: Option<u32>,
}

/// So many bytes of so many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Amount {
    pub used: u64,
    pub total: u64,
    /// Whether `total` is what a container may use, and its machine has more.
    #[serde(default)]
    pub is_limited: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GpuReading {
    pub name: String,
    /// How busy it is, 0 to 100; absent when it does not say.
    #[serde(default)]
    pub percent: Option<u32>,
    #[serde(default)]
    pub memory: Option<Amount>,
}

/// How many of its slots a runner uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SlotsReading {
    pub used: u32,
    pub total: u32,
}

/// The last reading of a runner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunnerReading {
    /// When it came.
    pub at: DateTime<Utc>,
    /// It is older than [`STALE_AFTER_SECONDS`], and tells how the machine was.
    pub is_stale: bool,
    #[serde(flatten)]
    pub host: HostReading,
}

impl RunnerReading {
    pub fn seen(at: DateTime<Utc>, host: HostReading, now: DateTime<Utc>) -> Self {
        Self { at, is_stale: is_stale(at, now), host }
    }
}

/// Whether what was read then says nothing any more.
pub fn is_stale(at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    now - at > TimeDelta::seconds(STALE_AFTER_SECONDS)
}

impl Amount {
    /// 0 to 100, rounded down.
    pub fn percent(self) -> u32 {
        let percent = u128::from(self.used) * 100 / u128::from(self.total.max(1));
        u32::try_from(percent).unwrap_or(100).min(100)
    }

    /// Nothing of nothing is no reading.
    fn kept(self) -> Option<Self> {
        (self.total > 0).then(|| Self { used: self.used.min(self.total), ..self })
    }

    /// `3.1 GiB of 16.0 GiB, 19 %`
    pub fn in_words(self) -> String {
        let limit = if self.is_limited { ", as much as its container may use" } else { "" };
        format!("{} of {}, {} %{limit}", bytes(self.used), bytes(self.total), self.percent())
    }
}

impl CpuReading {
    /// `12 % of 8 processors, load 1.41`
    pub fn in_words(self) -> String {
        let load = self.load_percent.map(|load| format!(", load {}.{:02}", load / 100, load % 100)).unwrap_or_default();
        let limit = if self.is_limited { ", as much as its container may use" } else { "" };
        format!("{} % of {}{limit}{load}", self.percent, processors(self.millicores))
    }
}

impl GpuReading {
    /// One for how busy it is, and one for its memory where it tells of that; with its number where there are several.
    fn parts(&self, number: Option<usize>) -> impl Iterator<Item = Part> {
        let name = number.map_or_else(|| "GPU".to_owned(), |number| format!("GPU {number}"));
        let busy = self.percent.map_or_else(|| "does not say how busy it is".to_owned(), |percent| format!("{percent} %"));
        let memory = self.memory.map(|memory| Part::of_amount(format!("{name} memory"), memory));
        let itself = Part { name: name.into(), percent: self.percent, words: format!("{}: {busy}", self.name) };
        std::iter::once(itself).chain(memory)
    }
}

/// One thing that was read, as people are told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub name: Cow<'static, str>,
    /// How much of it is used; absent when that was not read.
    pub percent: Option<u32>,
    /// All that is known of it, or that it was not read.
    pub words: String,
}

impl Part {
    fn of_amount(name: impl Into<Cow<'static, str>>, amount: Amount) -> Self {
        Self { name: name.into(), percent: Some(amount.percent()), words: amount.in_words() }
    }

    fn unread(name: &'static str) -> Self {
        Self { name: name.into(), percent: None, words: "not read on this machine".to_owned() }
    }
}

impl HostReading {
    /// As far as it is kept: whoever sends it may say anything.
    pub fn kept(self) -> Self {
        let gpu = |gpu: GpuReading| GpuReading {
            name: clean(&gpu.name),
            percent: gpu.percent.map(|percent| percent.min(100)),
            memory: gpu.memory.and_then(Amount::kept),
        };
        Self {
            cpu: self.cpu.filter(|cpu| cpu.millicores > 0).map(|cpu| CpuReading { percent: cpu.percent.min(100), ..cpu }),
            memory: self.memory.and_then(Amount::kept),
            disk: self.disk.and_then(Amount::kept),
            gpus: self.gpus.into_iter().take(GPUS_MAX).map(gpu).collect(),
            gpus_unread: self.gpus_unread.map(|why| clean(&why)).filter(|why| !why.is_empty()),
            slots: self.slots.filter(|slots| slots.total > 0),
        }
    }

    /// How busy the machine is: its processors, or its busiest GPU when that is busier.
    pub fn busy_percent(&self) -> Option<u32> {
        let gpu = self.gpus.iter().filter_map(|gpu| gpu.percent).max();
        gpu.max(self.cpu.map(|cpu| cpu.percent))
    }

    /// Why there is no room for anything new, in words. A disk that could not be read has some.
    pub fn lacks_disk(&self) -> Option<String> {
        let disk = self.disk?;
        let (free, least) = (disk.total.saturating_sub(disk.used), DISK_FREE.min(disk.total / 10));
        (free < least).then(|| format!("{} of its disk are free, and it is given nothing new below {}", bytes(free), bytes(least)))
    }

    /// Each thing with what is said of it. What could not be read is among them.
    pub fn parts(&self) -> Vec<Part> {
        let cpu = |cpu: CpuReading| Part { name: "CPU".into(), percent: Some(cpu.percent), words: cpu.in_words() };
        let amount = |name, amount: Option<Amount>| amount.map_or_else(|| Part::unread(name), |amount| Part::of_amount(name, amount));
        let mut parts = vec![self.cpu.map_or_else(|| Part::unread("CPU"), cpu), amount("Memory", self.memory), amount("Disk", self.disk)];
        let number = |place: usize| (self.gpus.len() > 1).then_some(place + 1);
        parts.extend(self.gpus.iter().enumerate().flat_map(|(place, gpu)| gpu.parts(number(place))));
        let no_gpu = |words: String| Part { name: "GPU".into(), percent: None, words };
        match &self.gpus_unread {
            Some(why) => parts.push(no_gpu(format!("not read: {why}"))),
            None if self.gpus.is_empty() => parts.push(no_gpu("none found".to_owned())),
            None => {}
        }
        parts
    }

    /// As [`parts`](Self::parts), for where there is little room: of several GPUs how busy the busiest is, and how full the fullest.
    pub fn parts_in_short(&self) -> Vec<Part> {
        if self.gpus.len() < 2 {
            return self.parts();
        }
        let part = |name: &'static str, percent: u32| Part { name: name.into(), percent: Some(percent), words: format!("{percent} %") };
        let busiest = self.gpus.iter().filter_map(|gpu| gpu.percent).max().map(|percent| part("Busiest GPU", percent));
        let fullest = self.gpus.iter().filter_map(|gpu| gpu.memory.map(Amount::percent)).max();
        let mut parts = Self { gpus: vec![], gpus_unread: None, ..self.clone() }.parts();
        // that there is none
        parts.retain(|part| part.name != "GPU");
        parts.extend(busiest.into_iter().chain(fullest.map(|percent| part("Fullest GPU", percent))));
        parts.extend(self.gpus_unread.as_ref().map(|why| Part { name: "GPU".into(), percent: None, words: format!("not read: {why}") }));
        parts
    }
}

/// What people and a database can take.
fn clean(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(TEXT_MAX).collect()
}

fn processors(millicores: u32) -> String {
    match (millicores / 1000, millicores % 1000) {
        (1, 0) => "1 processor".to_owned(),
        (whole, 0) => format!("{whole} processors"),
        (whole, part) => format!("{whole}.{:02} processors", part / 10),
    }
}

/// `512 B`, `3.1 GiB`
pub fn bytes(number: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut unit = 0;
    // in tenths, so that nothing is rounded twice
    let mut tenths = u128::from(number) * 10 / 1024;
    if number < 1024 {
        return format!("{number} B");
    }
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    #[test]
    fn a_reading_is_stale_after_ninety_seconds() {
        assert!(!is_stale(at(0), at(STALE_AFTER_SECONDS)));
        assert!(is_stale(at(0), at(STALE_AFTER_SECONDS + 1)));
        assert!(!is_stale(at(5), at(0)), "clocks may differ a little");
        let seen = RunnerReading::seen(at(0), HostReading::default(), at(91));
        assert_eq!((seen.at, seen.is_stale), (at(0), true));
    }

    #[test]
    fn bytes_are_told_as_people_count_them() {
        let told = [0, 1023, 1024, 1536, 1024 * 1024 - 1, 16 << 30, u64::MAX].map(bytes);
        assert_eq!(told, ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "1023.9 KiB", "16.0 GiB", "16383.9 PiB"]);
    }

    #[test]
    fn a_disk_without_room_says_how_much_it_takes() {
        const GIB: u64 = 1 << 30;
        let lacks =
            |used, total| HostReading { disk: Some(Amount { used, total, is_limited: false }), ..HostReading::default() }.lacks_disk();
        assert_eq!([lacks(98 * GIB, 100 * GIB), lacks(9 * GIB / 10, GIB), HostReading::default().lacks_disk()], [None, None, None]);
        let full = lacks(99 * GIB, 100 * GIB);
        assert_eq!(full.as_deref(), Some("1.0 GiB of its disk are free, and it is given nothing new below 2.0 GiB"));
        assert!(lacks(GIB, GIB).is_some_and(|why| why.ends_with("below 102.3 MiB")), "of a small one a tenth");
    }

    type Told = (String, Option<u32>, String);

    fn told(host: &HostReading) -> Vec<Told> {
        host.parts().into_iter().map(|part| (part.name.into_owned(), part.percent, part.words)).collect()
    }

    fn told_as(name: &str, percent: Option<u32>, words: &str) -> Told {
        (name.to_owned(), percent, words.to_owned())
    }

    #[test]
    fn what_is_not_there_is_said_and_is_no_zero() {
        let unread = |name| told_as(name, None, "not read on this machine");
        let none = told_as("GPU", None, "none found");
        assert_eq!(told(&HostReading::default()), [unread("CPU"), unread("Memory"), unread("Disk"), none]);
        assert_eq!(HostReading::default().busy_percent(), None);
        let failed = HostReading { gpus_unread: Some("nvidia-smi ended with 9".into()), ..HostReading::default() };
        assert_eq!(told(&failed)[3], told_as("GPU", None, "not read: nvidia-smi ended with 9"));
    }

    #[test]
    fn a_reading_is_said_in_words() {
        let cpu = CpuReading { percent: 12, millicores: 8000, is_limited: false, load_percent: Some(141) };
        assert_eq!(cpu.in_words(), "12 % of 8 processors, load 1.41");
        let limited = CpuReading { millicores: 1500, is_limited: true, load_percent: None, ..cpu };
        assert_eq!(limited.in_words(), "12 % of 1.50 processors, as much as its container may use");
        let memory = Amount { used: 4 << 30, total: 16 << 30, is_limited: false };
        let gpus = vec![
            GpuReading { name: "RTX".into(), percent: Some(40), memory: Some(memory) },
            GpuReading { name: "Old".into(), percent: None, memory: None },
        ];
        let host = HostReading { gpus, ..HostReading::default() };
        let expected = [
            told_as("GPU 1", Some(40), "RTX: 40 %"),
            told_as("GPU 1 memory", Some(25), "4.0 GiB of 16.0 GiB, 25 %"),
            told_as("GPU 2", None, "Old: does not say how busy it is"),
        ];
        assert_eq!(told(&host)[3..], expected);
        let alone = HostReading { gpus: host.gpus[..1].to_vec(), ..HostReading::default() };
        assert_eq!(told(&alone)[3].0, "GPU", "one needs no number");
    }

    #[test]
    fn of_many_gpus_a_table_tells_of_the_busiest_and_the_fullest() {
        let gpu = |percent, used| GpuReading { name: "L4".into(), percent, memory: Some(Amount { used, total: 10, is_limited: false }) };
        let host = HostReading { gpus: vec![gpu(Some(5), 9), gpu(Some(80), 1), gpu(None, 2)], ..HostReading::default() };
        let short =
            |host: &HostReading| host.parts_in_short().into_iter().map(|part| (part.name.into_owned(), part.percent)).collect::<Vec<_>>();
        assert_eq!(short(&host)[3..], [("Busiest GPU".to_owned(), Some(80)), ("Fullest GPU".to_owned(), Some(90))]);
        let one = HostReading { gpus: vec![gpu(Some(5), 9)], ..HostReading::default() };
        assert_eq!(one.parts_in_short(), one.parts());
    }

    #[test]
    fn whatever_is_said_is_cut_to_what_can_be() {
        let mad = HostReading {
            cpu: Some(CpuReading { percent: u32::MAX, millicores: 1, is_limited: false, load_percent: None }),
            memory: Some(Amount { used: u64::MAX, total: 10, is_limited: false }),
            disk: Some(Amount { used: 1, total: 0, is_limited: false }),
            gpus: vec![GpuReading { name: "\0x".repeat(1000), percent: Some(900), memory: None }; 100],
            gpus_unread: Some("\0".into()),
            slots: Some(SlotsReading { used: 0, total: 0 }),
        };
        let kept = mad.kept();
        assert_eq!(kept.cpu.map(|cpu| cpu.percent), Some(100));
        assert_eq!(kept.memory.map(Amount::percent), Some(100));
        assert_eq!((kept.disk, &kept.gpus_unread, kept.slots), (None, &None, None));
        assert_eq!((kept.gpus.len(), kept.gpus[0].name.len(), kept.gpus[0].percent), (GPUS_MAX, TEXT_MAX, Some(100)));
    }

    #[test]
    fn the_busiest_part_of_a_machine_counts() {
        let cpu = Some(CpuReading { percent: 30, millicores: 1000, is_limited: false, load_percent: None });
        let gpu = |percent| GpuReading { name: "g".into(), percent, memory: None };
        assert_eq!(HostReading { cpu, ..HostReading::default() }.busy_percent(), Some(30));
        assert_eq!(HostReading { cpu, gpus: vec![gpu(None), gpu(Some(80))], ..HostReading::default() }.busy_percent(), Some(80));
        assert_eq!(HostReading { gpus: vec![gpu(Some(5))], cpu, ..HostReading::default() }.busy_percent(), Some(30));
    }

    #[test]
    fn a_reading_of_another_version_is_read_as_far_as_it_goes() {
        let read: HostReading = serde_json::from_str(r#"{"cpu": {"percent": 1, "millicores": 2000}, "fans": 3}"#).unwrap();
        assert_eq!(read.cpu, Some(CpuReading { percent: 1, millicores: 2000, is_limited: false, load_percent: None }));
        let told = serde_json::to_string(&RunnerReading::seen(at(0), read.clone(), at(0))).unwrap();
        assert_eq!(serde_json::from_str::<RunnerReading>(&told).unwrap().host, read);
    }
}
