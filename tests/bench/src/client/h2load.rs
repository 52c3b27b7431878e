//! HTTP/2 over TLS by `h2load`, the client that nghttp2 brings: as cheap as one can be that has to
//! decrypt, and nobody's own work here.

use std::process::Command;

use anyhow::{Context, bail, ensure};

use super::crowd::Window;
use super::plain::Ask;
use crate::content::MANIFEST_TYPE;
use crate::peers::process::Server;
use crate::place::Cores;

/// How long it loads a server, in seconds.
const SECONDS: &str = "2";

/// How it asks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Streams {
    pub(crate) connections: usize,
    /// Requests at a time on each connection.
    pub(crate) each: usize,
    pub(crate) windows: Windows,
}

/// The bytes that a client takes before it has to say that it wants more.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Windows {
    /// Those of `h2load`: next to no bound.
    Wide,
    /// Those of Go, and so of containerd, docker and podman: 4 MiB for each request.
    Go,
}

impl Windows {
    /// The power of two for `-w`, that of one request.
    fn bits(self) -> &'static str {
        match self {
            Self::Wide => "30",
            Self::Go => "22",
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Wide => "h2load",
            Self::Go => "Go",
        }
    }
}

/// Loads `server`; connecting and the handshakes count.
pub(crate) fn load(
    server: &Server,
    cores: &Cores,
    ask: Ask,
    shape: Streams,
) -> anyhow::Result<Window> {
    let threads = cores.clients().min(shape.connections);
    let before = server.cpu();
    let output = Command::new("h2load")
        .args(["--duration", SECONDS, "--connection-window-bits", "30"])
        .args(["--window-bits", shape.windows.bits()])
        .args(["--clients", &shape.connections.to_string()])
        .args(["--max-concurrent-streams", &shape.each.to_string()])
        .args(["--threads", &threads.to_string()])
        .args(["--header", &format!("accept: {MANIFEST_TYPE}, */*")])
        .arg(format!("https://{}{}", ask.address, ask.path))
        .output()
        .context("h2load")?;
    let cpu = server.cpu() - before;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "h2load: {said}");
    let mut window = read(&said).with_context(|| format!("h2load said:\n{said}"))?;
    ensure!(
        window.bytes >= window.answers * ask.length,
        "{} answers of {} bytes in {}",
        window.answers,
        ask.length,
        window.bytes
    );
    window.cpu = cpu;
    Ok(window)
}

/// What a report says; without the server's processor time, of which it does not know.
fn read(report: &str) -> anyhow::Result<Window> {
    let line = |start: &str| {
        let mut lines = report.lines();
        lines
            .find_map(|line| line.strip_prefix(start))
            .with_context(|| format!("a line that begins with `{start}`"))
    };
    ensure!(line("Application protocol: ")? == "h2", "not HTTP/2");
    let time = line("finished in ")?;
    let seconds = time.split_once("s,").context("seconds")?.0.parse()?;
    let statuses = counts(line("status codes: ")?);
    let [_, 0, 0, 0] = statuses[..] else {
        bail!("not only 2xx: {statuses:?}");
    };
    // A status counts once its head is there: of a large blob the end of the time cuts the body.
    let requests = counts(line("requests: ")?);
    let [_, _, _, answers, 0, ..] = requests[..] else {
        bail!("some failed: {requests:?}");
    };
    // "1.2GB (1234567890) total, 1.1KB (1100) headers (space savings 90%), 1.2GB (1234560000) data"
    let traffic = line("traffic: ")?;
    let data = traffic.rsplit_once('(').context("bytes")?.1;
    let bytes: u64 = data.split(')').next().unwrap_or_default().parse()?;
    ensure!(bytes > 0, "not one byte arrived");
    Ok(Window {
        seconds,
        bytes,
        answers,
        cpu: 0.0,
        latencies: Vec::new(),
    })
}

/// The numbers of "12 2xx, 0 3xx": the first word of each part.
fn counts(text: &str) -> Vec<u64> {
    text.split(", ")
        .filter_map(|part| part.split(' ').next()?.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "starting benchmark...
TLS Protocol: TLSv1.3
Cipher: TLS_AES_256_GCM_SHA384
Server Temp Key: X25519 253 bits
Application protocol: h2

finished in 2.00s, 40123.50 req/s, 41.21MB/s
requests: 80247 total, 80279 started, 80247 done, 80247 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 80247 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 82.42MB (86424020) total, 1.99MB (2086422) headers (space savings 91.41%), 78.15MB (81945600) data
                     min         max         mean         sd        +/- sd
time for request:      212us      5.21ms       790us       132us    89.98%
";

    #[test]
    fn a_report_is_read() {
        let window = read(REPORT).unwrap();
        assert!((window.seconds - 2.0).abs() < 1e-9);
        assert_eq!((window.answers, window.bytes), (80_247, 81_945_600));
        let cut = REPORT.replace("80247 2xx", "80248 2xx");
        assert_eq!(read(&cut).unwrap().answers, 80_247, "one has only begun");
    }

    #[test]
    fn errors_and_another_protocol_are_no_result() {
        assert!(read(&REPORT.replace("0 5xx", "3 5xx")).is_err());
        assert!(read(&REPORT.replace("protocol: h2", "protocol: http/1.1")).is_err());
        assert!(read("h2load: error").is_err());
    }
}
