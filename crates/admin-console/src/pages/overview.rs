//! Is it well, is it worth it, what does it do now?

use admin_api::{History, Overview, Platforms, PullsLeft, Series, Time, TroubleKind, Unit};

use crate::{
    amount,
    block::{
        Block, Cell, Chart, Column, Fact, Figure, Page, Piece, Row, Section, Sentence, Table, Tone,
    },
    chart::{ChartText, chart},
    frame::{Answer, Reader},
    place::Place,
};

/// The page of `GET /_archway/v1/overview`, with the history and what is stored for the platforms that
/// are kept ready.
pub fn overview(
    reader: &Reader,
    overview: &Overview,
    platforms: &Platforms,
    history: &History,
) -> Answer {
    let text = &reader.text().overview;
    let mut lead = sentences(reader, overview);
    lead.push(Block::Figures(figures(reader, overview)));
    let facts = [
        (text.running_since, Cell::time(overview.started.to_string())),
        (reader.text().about.version, Cell::text(&overview.version)),
    ];
    lead.push(Block::Facts(
        facts.map(|(label, value)| Fact::new(label, value)).into(),
    ));
    let charts: Vec<_> = history
        .series
        .iter()
        .filter_map(|series| drawn(reader, history, series))
        .collect();
    let charts = if charts.is_empty() {
        Block::Text(text.history_none.to_owned())
    } else {
        Block::Charts(charts)
    };
    reader.frame(Page {
        title: reader.text().frame.overview.to_owned(),
        live: Some("overview"),
        lead,
        sections: vec![
            Section::new(
                "wanted",
                text.wanted,
                vec![Block::Table(wanted(reader, platforms))],
            ),
            Section::new("history", text.history, vec![charts]),
        ],
    })
}

fn sentences(reader: &Reader, overview: &Overview) -> Vec<Block> {
    let text = &reader.text().overview;
    if overview.troubles.is_empty() {
        return vec![Block::Sentence(Sentence {
            tone: Tone::Good,
            text: text.well.to_owned(),
        })];
    }
    let troubles = overview.troubles.iter().map(|trouble| {
        Block::Sentence(Sentence {
            tone: tone(trouble.kind),
            text: (text.trouble)(trouble),
        })
    });
    troubles.collect()
}

fn tone(kind: TroubleKind) -> Tone {
    match kind {
        TroubleKind::IntegrityFailure
        | TroubleKind::UpstreamDown
        | TroubleKind::UpstreamRefuses
        | TroubleKind::DiskFull => Tone::Bad,
        TroubleKind::ShuttingDown
        | TroubleKind::CertificateExpires
        | TroubleKind::TokenExpires
        | TroubleKind::EndpointDown
        | TroubleKind::UpstreamThrottles
        | TroubleKind::ServingStale
        | TroubleKind::PlatformMissing
        | TroubleKind::FillsQueued => Tone::Warn,
    }
}

fn figures(reader: &Reader, overview: &Overview) -> Vec<Figure> {
    let text = &reader.text().overview;
    let (traffic, disk, fills) = (&overview.traffic, &overview.disk, &overview.fills);
    let [saved, sent] = [traffic.saved, traffic.sent].map(amount::bytes);
    let free = disk.disk_free.map(amount::bytes);
    let mut figures = vec![
        Figure::new(text.hit_ratio, amount::percent(traffic.saved, traffic.sent))
            .note((text.saved_of)(&saved, &sent)),
        Figure::new(text.received, amount::bytes(traffic.received)).note(text.since_start),
        Figure::new(text.requests, amount::count(traffic.requests))
            .note((text.hits)(&amount::count(traffic.hits))),
        Figure::new(text.upstream_calls, amount::count(traffic.upstream_calls))
            .note(text.since_start),
        Figure::new(text.disk, amount::bytes(disk.bytes))
            .of(disk.bytes, disk.max_bytes)
            .note((text.disk_of)(
                &amount::bytes(disk.max_bytes),
                free.as_deref(),
            )),
        Figure::new(
            text.fills,
            format!("{} · {}", fills.running, amount::rate(fills.rate)),
        )
        .note((text.fills_of)(fills.followers, fills.waiting)),
        Figure::new(text.errors, amount::count(overview.errors_last_hour)).note(text.last_hour),
        Figure::new(
            text.missing,
            amount::count(overview.platform_missing_last_hour),
        )
        .note(text.last_hour),
    ];
    if let Some(PullsLeft { upstream, left }) = &overview.pulls_left {
        figures.push(Figure::new(text.pulls_left, amount::count(*left)).note(upstream.clone()));
    }
    figures
}

fn wanted(reader: &Reader, platforms: &Platforms) -> Table {
    let text = &reader.text().overview;
    let rows = platforms.wanted.iter().map(|platform| {
        let mut counts = platforms.platforms.iter();
        let count = counts.find(|count| count.platform == *platform);
        let number = |value: Option<u64>| Cell::number(amount::count(value.unwrap_or_default()));
        let link = reader
            .links()
            .to(Place::Readiness.path(), &[("platform", platform)]);
        Row {
            head: Cell::text(platform),
            cells: vec![
                number(count.map(|count| count.cached)),
                number(count.map(|count| count.partial)),
                Cell::of(vec![Piece::link(
                    link,
                    format!("{} {platform}", text.blockers),
                )]),
            ],
        }
    });
    Table {
        caption: text.wanted_caption.to_owned(),
        none: text.wanted_none,
        columns: vec![
            Column::text(reader.text().common.platform),
            Column::number(text.images_whole),
            Column::number(text.images_part),
            Column::text(reader.text().frame.readiness),
        ],
        rows: rows.collect(),
    }
}

fn drawn(reader: &Reader, history: &History, series: &Series) -> Option<Chart> {
    let text = &reader.text().overview;
    let label = (text.series)(&series.name)?;
    let last = *series.points.last()?;
    let most = series.points.iter().copied().max()?;
    let shown: fn(u64) -> String = match series.unit {
        Unit::Bytes => amount::bytes,
        Unit::Count => amount::count,
    };
    let summary = if series.per_interval {
        let sum = series
            .points
            .iter()
            .fold(0, |sum: u64, point| sum.saturating_add(*point));
        (text.sum)(&shown(sum), &shown(most))
    } else {
        (text.last)(&shown(last), &shown(most))
    };
    let texts = ChartText {
        label,
        details: reader.text().common.numbers,
        time: reader.text().common.time,
        none: text.history_none,
    };
    let length = series.points.len() as u64;
    let points = series.points.iter().zip(1..).map(|(point, place)| {
        let age = (length - place) * history.interval;
        let seconds = history.end.seconds().saturating_sub(age);
        (Time::at(seconds), *point)
    });
    Some(chart(texts, &points.collect::<Vec<_>>(), summary, shown))
}
