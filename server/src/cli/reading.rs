//! What a runner has read of its machine, in a terminal and for programs.

use domain::{
    Timestamp,
    runner::{RunnerReading, reading::Amount},
};

use super::{
    task_result::shown,
    words::{age, dim, moment},
};

/// Each part of it, and how old it is.
pub fn reading_lines(reading: Option<&RunnerReading>, now: Timestamp) -> Vec<String> {
    let Some(reading) = reading else { return vec!["no reading".into()] };
    let dim = dim();
    let line = |name: &str, words: &str| format!("{dim}{name:<10}{dim:#} {}", shown(words));
    let mut lines: Vec<_> = reading.host.parts().iter().map(|part| line(&part.name, &part.words)).collect();
    lines.extend(reading.host.slots.map(|slots| line("Slots", &format!("{} of {} in use", slots.used, slots.total))));
    lines.push(line("read", &age_in_words(reading, now)));
    lines
}

/// In one cell of a table.
pub fn reading_cell(reading: Option<&RunnerReading>) -> String {
    let Some(reading) = reading else { return "no reading".into() };
    let percent = |name: &str, percent: Option<u32>| percent.map(|percent| format!("{name} {percent} %"));
    let host = &reading.host;
    let gpu = host.gpus.iter().filter_map(|gpu| gpu.percent).max();
    let told = [
        percent("cpu", host.cpu.map(|cpu| cpu.percent)),
        percent("mem", host.memory.map(Amount::percent)),
        percent("disk", host.disk.map(Amount::percent)),
        percent("gpu", gpu),
        reading.is_stale.then(|| "stale".to_owned()),
    ];
    told.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Names and values; what was not read has no value.
pub fn reading_fields(reading: Option<&RunnerReading>) -> Vec<(&'static str, String)> {
    let host = reading.map(|reading| &reading.host);
    let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
    let (memory, disk) = (host.and_then(|host| host.memory), host.and_then(|host| host.disk));
    let cpu = host.and_then(|host| host.cpu);
    let gpus = host.map(|host| {
        let parts = host.parts().into_iter().filter(|part| part.name.starts_with("GPU") && part.percent.is_some());
        parts.map(|part| part.words).collect::<Vec<_>>().join("; ")
    });
    vec![
        ("read_at", reading.map(|reading| moment(reading.at)).unwrap_or_default()),
        ("is_stale", reading.map(|reading| reading.is_stale.to_string()).unwrap_or_default()),
        ("cpu_percent", number(cpu.map(|cpu| cpu.percent.into()))),
        ("millicores", number(cpu.map(|cpu| cpu.millicores.into()))),
        ("memory_used", number(memory.map(|memory| memory.used))),
        ("memory_total", number(memory.map(|memory| memory.total))),
        ("disk_used", number(disk.map(|disk| disk.used))),
        ("disk_total", number(disk.map(|disk| disk.total))),
        ("gpus", gpus.unwrap_or_default()),
    ]
}

/// `5 s ago`; `stale: 3 min ago`
fn age_in_words(reading: &RunnerReading, now: Timestamp) -> String {
    let stale = if reading.is_stale { "stale: " } else { "" };
    format!("{stale}{} ago", age(reading.at, now))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use domain::runner::{
        HostReading,
        reading::{CpuReading, GpuReading},
    };

    use super::*;

    fn reading(is_stale: bool) -> RunnerReading {
        let memory = Some(Amount { used: 4 << 30, total: 16 << 30, is_limited: false });
        let host = HostReading {
            cpu: Some(CpuReading { percent: 12, millicores: 8000, is_limited: false, load_percent: None }),
            memory,
            gpus: vec![GpuReading { name: "L4".into(), percent: Some(70), memory }],
            ..HostReading::default()
        };
        RunnerReading { at: Timestamp::UNIX_EPOCH, is_stale, host }
    }

    #[test]
    fn a_reading_is_told_with_its_age() {
        let lines = reading_lines(Some(&reading(true)), Timestamp::UNIX_EPOCH + Duration::from_secs(200));
        let lines: Vec<_> = lines.iter().map(|line| anstream::adapter::strip_str(line).to_string()).collect();
        assert_eq!(lines[0], "CPU        12 % of 8 processors");
        assert_eq!(lines[2], "Disk       not read on this machine");
        assert_eq!(lines.last().map(String::as_str), Some("read       stale: 3 min ago"));
        assert_eq!(reading_lines(None, Timestamp::UNIX_EPOCH), ["no reading"]);
    }

    #[test]
    fn a_cell_holds_what_was_read() {
        assert_eq!(reading_cell(Some(&reading(false))), "cpu 12 %, mem 25 %, gpu 70 %");
        assert_eq!(reading_cell(Some(&reading(true))), "cpu 12 %, mem 25 %, gpu 70 %, stale");
        assert_eq!(reading_cell(None), "no reading");
    }

    #[test]
    fn what_was_not_read_is_no_number() {
        let fields = reading_fields(Some(&reading(false)));
        let value = |name: &str| fields.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str());
        assert_eq!([value("cpu_percent"), value("memory_total"), value("disk_used")], [Some("12"), Some("17179869184"), Some("")]);
        assert!(reading_fields(None).iter().all(|(_, value)| value.is_empty()));
    }
}
