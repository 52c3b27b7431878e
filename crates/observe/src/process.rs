//! What the kernel counts of this process, under the names that every Prometheus client uses for it.

use std::{fmt::Write, fs};

use rustix::{
    param::{clock_ticks_per_second, page_size},
    process::{Resource, getrlimit},
};

/// Appends the metrics of the process as text, in which `total` ends the names of counters in the
/// lines about them. What the kernel does not tell is left out.
pub(super) fn write(text: &mut String, total: &str) {
    let mut add = |name: &str, kind: &str, help: &str, value: Option<f64>| {
        let Some(value) = value else { return };
        let (family, series) = match kind {
            "counter" => (format!("{name}{total}"), format!("{name}_total")),
            _ => (name.to_owned(), name.to_owned()),
        };
        let _ = writeln!(
            text,
            "# HELP {family} {help}.\n# TYPE {family} {kind}\n{series} {value}"
        );
    };
    let stat = Stat::read();
    let of = |value: fn(&Stat) -> Option<f64>| stat.as_ref().and_then(value);
    let cpu = "User and system processor time spent";
    add("process_cpu_seconds", "counter", cpu, of(Stat::cpu));
    let resident = "Memory in use, pages of files with it";
    let name = "process_resident_memory_bytes";
    add(name, "gauge", resident, of(Stat::resident));
    let help = "When the process started, in Unix time";
    let name = "process_start_time_seconds";
    add(name, "gauge", help, of(Stat::start));
    let open = fs::read_dir("/proc/self/fd").map(Iterator::count);
    let open = open.ok().map(|open| number(open as u64));
    add("process_open_fds", "gauge", "Open file descriptors", open);
    let most = getrlimit(Resource::Nofile).current.map(number);
    let help = "File descriptors that may be open";
    add("process_max_fds", "gauge", help, most);
}

/// The fields of `/proc/self/stat` behind the name, from the state on (`proc_pid_stat(5)`).
struct Stat(Vec<String>);

impl Stat {
    fn read() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/self/stat").ok()?)
    }

    /// The name may have brackets and spaces.
    fn parse(line: &str) -> Option<Self> {
        let (_, fields) = line.rsplit_once(')')?;
        Some(Self(fields.split_whitespace().map(str::to_owned).collect()))
    }

    /// A field by its number in the manual.
    fn field(&self, number: usize) -> Option<u64> {
        self.0.get(number - 3)?.parse().ok()
    }

    fn cpu(&self) -> Option<f64> {
        let ticks = self.field(14)? + self.field(15)?;
        Some(seconds(ticks))
    }

    fn resident(&self) -> Option<f64> {
        Some(number(self.field(24)? * page_size() as u64))
    }

    fn start(&self) -> Option<f64> {
        let boot = fs::read_to_string("/proc/stat").ok()?;
        let boot = boot.lines().find_map(|line| line.strip_prefix("btime "))?;
        let boot: u64 = boot.trim().parse().ok()?;
        Some(number(boot) + seconds(self.field(22)?))
    }
}

fn seconds(ticks: u64) -> f64 {
    number(ticks) / number(clock_ticks_per_second())
}

#[expect(clippy::cast_precision_loss, reason = "none of them comes near 2^53")]
fn number(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_line_is_read_behind_any_name() {
        let fields: Vec<_> = (3..30).map(|field| field.to_string()).collect();
        let line = format!("7 (a) b (c) {}", fields.join(" "));
        let stat = Stat::parse(&line).unwrap();
        assert_eq!(stat.field(14), Some(14));
        assert_eq!(stat.field(24), Some(24));
    }

    #[test]
    fn every_metric_of_the_process_is_there() {
        let mut text = String::new();
        write(&mut text, "_total");
        for name in [
            "process_cpu_seconds_total",
            "process_resident_memory_bytes",
            "process_start_time_seconds",
            "process_open_fds",
            "process_max_fds",
        ] {
            assert!(text.contains(&format!("\n{name} ")), "{name} in\n{text}");
        }
    }
}
