//! The picture of `archway top`: as text, and as what makes a terminal show it.

use std::fmt::Write as _;

use admin_api::{Fills, Time, Upstreams};
use terminal::table::{Side, Table, printable, short, size, without_middle};
use terminal_size::{Height, Width, terminal_size};

use super::Picture;
use crate::cli::images::{evictions, or_dash, upstreams};

/// The screen of full-screen programs, without a cursor.
pub(super) const ENTER: &str = "\x1b[?1049h\x1b[?25l";

/// Back to what was there before.
pub(super) const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// A terminal that does not tell its size has this one.
const SIZE: (usize, usize) = (80, 24);

/// Rows of upstreams and of ended downloads; the rest of the screen is for those that run.
const MAX_UPSTREAMS: usize = 5;
const MAX_ENDED: usize = 5;

/// The picture without bounds.
pub(super) fn plain(picture: &Picture) -> String {
    let [head, upstreams, running, ended] = parts(picture, None);
    format!("{head}\n{upstreams}\n{running}\n{ended}")
}

/// The picture in the size of the terminal, to be drawn over the last one; with a note at its end.
pub(super) fn drawn(picture: &Picture, note: Option<&str>) -> String {
    let size = terminal_size();
    let size = size.map(|(Width(columns), Height(rows))| (columns.into(), rows.into()));
    let lines = lines(picture, note, size.unwrap_or(SIZE));
    // From the top on; each line is emptied before it is written, since behind its last column
    // some terminals would empty that.
    format!("\x1b[H\x1b[K{}", lines.join("\r\n\x1b[K"))
}

fn lines(picture: &Picture, note: Option<&str>, (columns, rows): (usize, usize)) -> Vec<String> {
    let [head, upstreams, running, ended] = parts(picture, Some(columns));
    let ended: Vec<_> = ended
        .lines()
        .take(MAX_ENDED + 1)
        .map(str::to_owned)
        .collect();
    let mut lines: Vec<_> = head.lines().map(str::to_owned).collect();
    lines.push(String::new());
    lines.extend(upstreams.lines().take(MAX_UPSTREAMS + 1).map(str::to_owned));
    lines.push(String::new());
    // Below them an empty line, those that ended, and the last line.
    let below = ended.len() + 2;
    let room = rows.saturating_sub(lines.len() + below).max(2);
    lines.extend(running.lines().take(room).map(str::to_owned));
    lines.resize(lines.len().max(rows.saturating_sub(below)), String::new());
    lines.push(String::new());
    lines.extend(ended);
    lines.truncate(rows.saturating_sub(1));
    lines.push(note.map_or_else(
        || "Ctrl-C ends this".to_owned(),
        |note| format!("not up to date: {}", printable(note.to_owned())),
    ));
    let cut = |line: String| without_middle(&line, columns).into_owned();
    lines.into_iter().map(cut).collect()
}

/// The head, upstreams, running and ended downloads.
fn parts(picture: &Picture, columns: Option<usize>) -> [String; 4] {
    let Picture {
        fills: all,
        upstreams: of_upstreams,
        cache,
    } = picture;
    let rate: u64 = all.running.iter().map(|fill| fill.rate).sum();
    let readers: usize = all.running.iter().map(|fill| fill.followers).sum();
    let mut head = String::new();
    let _ = writeln!(
        head,
        "archway at {}: {} of {} downloads, {}/s, {readers} readers",
        Time::now(),
        all.running.len(),
        all.max,
        size(rate),
    );
    let _ = write!(head, "{}", evictions::totals(cache));
    [
        head,
        fit(&upstreams_now(of_upstreams), columns),
        fit(&running(all), columns),
        fit(&ended(all), columns),
    ]
}

/// The endpoints, in few columns.
fn upstreams_now(all: &Upstreams) -> Table<5> {
    let mut table = Table::left(["UPSTREAM", "STATE", "WAITING", "PULLS LEFT", "SINCE, CAUSE"]);
    for upstream in &all.upstreams {
        for endpoint in &upstream.endpoints {
            table.row([
                upstreams::name(&upstream.host, endpoint),
                endpoint.state.as_str().to_owned(),
                upstream.waiting.to_string(),
                or_dash(upstream.pulls_left.map(|left| left.to_string())),
                upstreams::trouble(endpoint),
            ]);
        }
    }
    table
}

/// The downloads that run, in few columns. The state is where the bytes come from, or in brackets
/// what is waited for.
fn running(all: &Fills) -> Table<7> {
    let mut table = Table::new([
        ("DIGEST", Side::Left),
        ("REPOSITORY", Side::Left),
        ("DONE", Side::Right),
        ("RATE", Side::Right),
        ("CONN", Side::Right),
        ("READERS", Side::Right),
        ("STATE", Side::Left),
    ]);
    for fill in &all.running {
        let done = match fill.size {
            Some(whole) => {
                let percent = fill.written.saturating_mul(100) / whole.max(1);
                format!("{percent} % of {}", size(whole))
            }
            None => size(fill.written),
        };
        let digest = short(&fill.of.digest);
        table.row([
            digest.trim_start_matches("sha256:").to_owned(),
            format!("{}/{}", fill.of.upstream, fill.of.repository),
            done,
            format!("{}/s", size(fill.rate)),
            fill.connections.to_string(),
            fill.followers.to_string(),
            match fill.waits {
                Some(waits) => format!("({})", waits.as_str()),
                None => fill.from.as_str().to_owned(),
            },
        ]);
    }
    table
}

/// The last ones that ended, in few columns.
fn ended(fills: &Fills) -> Table<4> {
    let mut table = Table::left(["ENDED", "DIGEST", "REPOSITORY", "END"]);
    for fill in fills.ended.iter().take(MAX_ENDED) {
        table.row([
            fill.ended.to_string(),
            short(&fill.of.digest),
            format!("{}/{}", fill.of.upstream, fill.of.repository),
            match &fill.cause {
                Some(cause) => format!("{}: {cause}", fill.end.as_str()),
                None => fill.end.as_str().to_owned(),
            },
        ]);
    }
    table
}

fn fit<const N: usize>(table: &Table<N>, columns: Option<usize>) -> String {
    columns.map_or_else(|| table.to_string(), |columns| table.within(columns))
}

#[cfg(test)]
mod tests {
    use admin_api::{CacheTotals, EndedFill, FillEnd, FillOf, FillOrigin, FillPlace, RunningFill};
    use manifest_model::{Algorithm, Digest};

    use super::*;

    fn of(name: &str) -> FillOf {
        FillOf {
            digest: Digest::of(Algorithm::Sha256, name.as_bytes()),
            upstream: "registry.test".into(),
            repository: format!("team/{name}/with/a/name/that/is/longer/than/any/column"),
            image: None,
            platform: None,
            origin: FillOrigin::Client,
        }
    }

    fn picture(count: usize) -> Picture {
        let running = (0..count).map(|number| RunningFill {
            of: of(&number.to_string()),
            started: Time::now(),
            size: Some(1 << 30),
            written: 1 << 29,
            resumed: 0,
            rate: 123_456_789,
            from: FillPlace::Upstream,
            connections: 4,
            followers: 1000,
            waits: None,
        });
        let ended = (0..count).map(|number| EndedFill {
            of: of(&number.to_string()),
            started: Time::now(),
            ended: Time::now(),
            took_ms: 1,
            size: None,
            written: 0,
            resumed: 0,
            end: FillEnd::Failed,
            cause: Some("\x1b[2Jthe upstream said nothing ".repeat(20)),
        });
        Picture {
            fills: Fills {
                running: running.collect(),
                ended: ended.collect(),
                max: 64,
            },
            upstreams: Upstreams::default(),
            cache: CacheTotals::default(),
        }
    }

    #[test]
    fn the_picture_is_as_large_as_the_terminal_whatever_there_is_to_show() {
        for count in [0, 1, 5, 200] {
            for note in [None, Some("no answer\x1b[2J came")] {
                let lines = lines(&picture(count), note, SIZE);
                assert_eq!(lines.len(), SIZE.1, "{lines:#?}");
                for line in lines {
                    assert!(line.chars().count() <= SIZE.0, "{line}");
                    assert!(!line.contains('\x1b'), "{line}");
                }
            }
        }
    }

    #[test]
    fn without_a_terminal_nothing_is_left_out() {
        let page = plain(&picture(50));
        assert!(page.lines().count() > 50, "{page}");
        assert!(!page.contains('\x1b'));
    }
}
