//! How each upstream is.

use admin_api::{EndpointState, UpstreamEndpoint, UpstreamState, Upstreams};

use crate::{
    amount,
    block::{Block, Cell, Column, Command, Page, Piece, Row, Section, Table, Tone},
    frame::{Answer, Reader},
};

/// The page of `GET /_archway/v1/upstreams`.
pub fn upstreams(reader: &Reader, answer: &Upstreams) -> Answer {
    let (text, common) = (&reader.text().upstreams, &reader.text().common);
    let offline = answer.offline.iter();
    let command = Command::new(text.check, "archway doctor upstreams");
    reader.frame(Page {
        title: reader.text().frame.upstreams.to_owned(),
        live: Some("overview"),
        lead: offline
            .map(|pattern| Block::Text((text.offline)(pattern)))
            .collect(),
        sections: vec![
            Section::new(
                "endpoints",
                text.endpoints,
                vec![Block::Table(endpoints(reader, answer))],
            ),
            Section::new(
                "calls",
                text.calls,
                vec![Block::Table(calls(reader, answer))],
            ),
            Section::new(
                "commands",
                common.actions,
                vec![Block::Commands(vec![command])],
            ),
        ],
    })
}

fn endpoints(reader: &Reader, answer: &Upstreams) -> Table {
    let (text, common) = (&reader.text().upstreams, &reader.text().common);
    let columns = [
        text.endpoint,
        common.upstream,
        common.state,
        common.since,
        common.until,
        common.cause,
        text.credential,
    ];
    let all = answer.upstreams.iter();
    let rows = all.flat_map(|upstream| {
        let endpoints = upstream.endpoints.iter();
        endpoints.map(|endpoint| endpoint_row(reader, upstream, endpoint))
    });
    Table {
        caption: text.endpoints_caption.to_owned(),
        none: text.none,
        columns: columns.map(Column::text).into(),
        rows: rows.collect(),
    }
}

fn endpoint_row(reader: &Reader, upstream: &UpstreamState, endpoint: &UpstreamEndpoint) -> Row {
    let text = &reader.text().upstreams;
    let tone = match endpoint.state {
        EndpointState::Up => Tone::Good,
        EndpointState::Throttling => Tone::Warn,
        EndpointState::Down => Tone::Bad,
    };
    let mut state = Cell::state(tone, (text.endpoint_state)(endpoint.state));
    for held in &endpoint.held {
        let calls = (text.kind_of_calls)(&held.calls).unwrap_or(&held.calls);
        let words = format!("{calls}: {}", text.held);
        state = state
            .and(Piece::Break)
            .and(Piece::small(words))
            .and(Piece::Time(held.until.to_string()));
    }
    let mut credential = Cell::text(&endpoint.credential);
    if let Some(time) = upstream.token_expires {
        credential = credential
            .and(Piece::Break)
            .and(Piece::small(text.expires))
            .and(Piece::Time(time.to_string()));
    }
    let time = |time: admin_api::Time| Cell::time(time.to_string());
    Row {
        head: Cell::text(&endpoint.url),
        cells: vec![
            Cell::text(&upstream.host),
            state,
            Cell::maybe(endpoint.since, time),
            Cell::maybe(endpoint.until, time),
            Cell::maybe(endpoint.cause.as_deref(), Cell::text),
            credential,
        ],
    }
}

fn calls(reader: &Reader, answer: &Upstreams) -> Table {
    let (text, common) = (&reader.text().upstreams, &reader.text().common);
    Table {
        caption: text.calls_caption.to_owned(),
        none: text.none,
        columns: vec![
            Column::text(common.upstream),
            Column::text(text.answers),
            Column::text(text.rates),
            Column::number(text.waiting),
            Column::number(text.pulls_left),
            Column::number(text.received),
        ],
        rows: answer
            .upstreams
            .iter()
            .map(|upstream| calls_row(reader, upstream))
            .collect(),
    }
}

fn number(value: Option<String>) -> Cell {
    Cell::number(value.unwrap_or_else(|| "–".to_owned()))
}

fn calls_row(reader: &Reader, upstream: &UpstreamState) -> Row {
    let (text, common) = (&reader.text().upstreams, &reader.text().common);
    let answers = upstream.answers.iter().filter(|(_, count)| **count > 0);
    let answers = answers.map(|(kind, count)| {
        let kind = (text.answer)(kind).unwrap_or(kind);
        format!("{kind} {}", amount::count(*count))
    });
    let rates = upstream.rates.iter().map(|rate| {
        let calls = (text.kind_of_calls)(&rate.calls).unwrap_or(&rate.calls);
        let mut budget = upstream.budget.iter();
        match budget.find(|budget| budget.calls == rate.calls) {
            Some(budget) => format!("{calls} {} ({})", rate.rate, (text.left)(budget.left)),
            None => format!("{calls} {}", rate.rate),
        }
    });
    let mut head = Cell::text(&upstream.host);
    if upstream.pattern != upstream.host {
        head = head.and(Piece::small(&upstream.pattern));
    }
    Row {
        head,
        cells: vec![
            Cell::text(answers.collect::<Vec<_>>().join(", ")),
            Cell::text(rates.collect::<Vec<_>>().join(", ")),
            Cell::number(upstream.waiting.to_string()),
            number(upstream.pulls_left.map(|left| {
                let left = amount::count(left);
                match upstream.pulls_limit {
                    Some(limit) => (common.of)(&left, &amount::count(limit)),
                    None => left,
                }
            })),
            number(upstream.received.map(amount::bytes)),
        ],
    }
}
