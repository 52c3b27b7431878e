//! What the figures were taken on, and whether it was fit for it.

use std::path::Path;
use std::process::Command;

use anyhow::Context;

use crate::options::Options;
use crate::place::Place;

/// Above this something else was running.
const QUIET: f64 = 0.5;

/// Has every page of nearly all free memory written to once. A virtual machine gets its memory from
/// its host at the first touch of each page; whoever is measured first would pay for that.
pub(crate) fn touch_memory(place: &Place) -> anyhow::Result<()> {
    let memory = read("/proc/meminfo")?;
    let free = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))
        .and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<usize>().ok())
        .context("MemAvailable in /proc/meminfo")?;
    let length = free / 20 * 17 * 1024;
    place.say(&format!("touching {} MiB of memory", length >> 20));
    std::hint::black_box(vec![1_u8; length]);
    Ok(())
}

/// The head of the report.
pub(crate) fn facts(options: &Options, place: &Place) -> anyhow::Result<String> {
    let congestion = read("/proc/sys/net/ipv4/tcp_congestion_control")?;
    let load = read("/proc/loadavg")?;
    let load = load.split(' ').next().unwrap_or_default().to_owned();
    let mut warnings = Vec::new();
    if load.parse::<f64>().is_ok_and(|load| load > QUIET) {
        warnings.push(format!(
            "the machine was not quiet (load {load}): trust ratios only"
        ));
    }
    if !["reno", "cubic"].contains(&congestion.as_str()) {
        warnings.push(format!("{congestion} paces loopback: use reno or cubic"));
    }
    for warning in &warnings {
        place.say(&format!("warning: {warning}"));
    }
    let facts = [
        ("command", format!("`{}`", options.command())),
        ("date", version(Path::new("date"), "+%d %B %Y")),
        ("CPU", cpu()?),
        ("kernel", read("/proc/sys/kernel/osrelease")?),
        ("file system", file_system(place.root())),
        ("congestion control", congestion),
        ("load at the start", load),
        ("runs", options.runs.to_string()),
        ("Archway", version(&place.archway, "--version")),
        ("nginx", version(Path::new("nginx"), "-v")),
        (
            "docker-registry",
            version(Path::new("docker-registry"), "--version"),
        ),
    ];
    let facts = facts.map(|(name, value)| format!("| {name} | {value} |\n"));
    let warnings = warnings
        .iter()
        .map(|text| format!("\n**Warning:** {text}.\n"));
    Ok(format!(
        "One core for the server, the others for client and origin. Medians (least–most).\n\n\
         | | |\n| --- | --- |\n{}{}",
        facts.concat(),
        warnings.collect::<String>()
    ))
}

fn read(path: &str) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(path).context(path.to_owned())?;
    Ok(text.trim().to_owned())
}

fn cpu() -> anyhow::Result<String> {
    let text = read("/proc/cpuinfo")?;
    let mut lines = text.lines();
    let model = lines.find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("unknown", |line| line.trim_matches([':', ' ', '\t']));
    let count = text.lines().filter(|line| line.starts_with("processor"));
    Ok(format!("{model}, {} cores", count.count()))
}

fn file_system(folder: &Path) -> String {
    let output = Command::new("stat")
        .args(["-f", "-c", "%T"])
        .arg(folder)
        .output();
    output.map_or_else(
        |error| error.to_string(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}

/// The first line a program says about itself, on either stream.
fn version(program: &Path, argument: &str) -> String {
    match Command::new(program).arg(argument).output() {
        Ok(output) => {
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            said.lines().next().unwrap_or("silent").to_owned()
        }
        Err(error) => format!("not there: {error}"),
    }
}
