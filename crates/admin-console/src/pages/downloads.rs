//! What is being downloaded, for whom, and what ended.

use admin_api::{EndedFill, FillEnd, FillOf, FillPlace, Fills, RunningFill};

use crate::{
    amount,
    block::{Block, Cell, Column, Page, Piece, Progress, Row, Section, Sentence, Table, Tone},
    frame::{Answer, Reader},
    place::Place,
};

/// The page of `GET /_archway/v1/fills`.
pub fn downloads(reader: &Reader, fills: &Fills) -> Answer {
    let text = &reader.text().downloads;
    let sentence = Sentence {
        tone: Tone::None,
        text: (text.sentence)(fills.running.len(), fills.max),
    };
    reader.frame(Page {
        title: reader.text().frame.downloads.to_owned(),
        // The overview changes when the last download has ended, of which there is no more to tell.
        live: Some("fills,overview"),
        lead: vec![Block::Sentence(sentence)],
        sections: vec![
            Section::new(
                "running",
                text.running,
                vec![Block::Table(running(reader, fills))],
            ),
            Section::new(
                "ended",
                text.ended,
                vec![Block::Table(ended(reader, fills))],
            ),
        ],
    })
}

fn running(reader: &Reader, fills: &Fills) -> Table {
    let (text, common) = (&reader.text().downloads, &reader.text().common);
    Table {
        caption: text.running_caption.to_owned(),
        none: text.running_none,
        columns: vec![
            Column::text(text.download),
            Column::text(text.progress),
            Column::number(text.rate),
            Column::number(text.followers),
            Column::number(text.connections),
            Column::text(common.state),
            Column::text(text.started_by),
            Column::text(text.began),
        ],
        rows: fills
            .running
            .iter()
            .map(|fill| running_row(reader, fill))
            .collect(),
    }
}

fn running_row(reader: &Reader, fill: &RunningFill) -> Row {
    let text = &reader.text().downloads;
    let written = amount::bytes(fill.written);
    let progress = match fill.size {
        Some(size) => Cell::of(vec![Piece::Progress(Progress {
            label: text.progress.to_owned(),
            now: fill.written.min(size),
            most: size.max(1),
        })])
        .and(Piece::small((reader.text().common.of)(
            &written,
            &amount::bytes(size),
        ))),
        None => Cell::text(written),
    };
    let mut state = match fill.waits {
        Some(wait) => Cell::state(Tone::Warn, (text.waits)(wait)),
        None => Cell::state(Tone::Good, text.loading),
    };
    if fill.from != FillPlace::Upstream {
        let place = (text.place)(fill.from);
        state = state.and(Piece::Break).and(Piece::small(place));
    }
    Row {
        head: subject(reader, &fill.of),
        cells: vec![
            progress,
            Cell::number(amount::rate(fill.rate)),
            Cell::number(fill.followers.to_string()),
            Cell::number(fill.connections.to_string()),
            resumed(reader, state, fill.resumed),
            Cell::text((text.origin)(fill.of.origin)),
            Cell::time(fill.started.to_string()),
        ],
    }
}

fn ended(reader: &Reader, fills: &Fills) -> Table {
    let (text, common) = (&reader.text().downloads, &reader.text().common);
    Table {
        caption: text.ended_caption.to_owned(),
        none: text.ended_none,
        columns: vec![
            Column::text(text.download),
            Column::text(common.state),
            Column::text(common.cause),
            Column::number(common.size),
            Column::number(text.took),
            Column::text(text.started_by),
            Column::text(text.end),
        ],
        rows: fills
            .ended
            .iter()
            .map(|fill| ended_row(reader, fill))
            .collect(),
    }
}

fn ended_row(reader: &Reader, fill: &EndedFill) -> Row {
    let text = &reader.text().downloads;
    let tone = match fill.end {
        FillEnd::Stored => Tone::Good,
        FillEnd::GaveWay => Tone::None,
        FillEnd::SentPast | FillEnd::Cut => Tone::Warn,
        FillEnd::Failed | FillEnd::NoSlot | FillEnd::Unstored | FillEnd::Wrong => Tone::Bad,
    };
    let state = Cell::state(tone, (text.ending)(fill.end));
    Row {
        head: subject(reader, &fill.of),
        cells: vec![
            resumed(reader, state, fill.resumed),
            Cell::maybe(fill.cause.as_deref(), Cell::text),
            Cell::number(amount::bytes(fill.size.unwrap_or(fill.written))),
            Cell::number(amount::milliseconds(fill.took_ms)),
            Cell::text((text.origin)(fill.of.origin)),
            Cell::time(fill.ended.to_string()),
        ],
    }
}

/// What a download is for: its image if it is known, else its repository.
fn subject(reader: &Reader, of: &FillOf) -> Cell {
    let mut pieces = match &of.image {
        Some(image) => {
            let link = reader.links().to(Place::Image.path(), &[("name", image)]);
            vec![Piece::link(link, image)]
        }
        None => vec![Piece::Text(format!("{}/{}", of.upstream, of.repository))],
    };
    if let Some(platform) = &of.platform {
        pieces.push(Piece::Text(platform.clone()));
    }
    pieces.push(Piece::Break);
    pieces.push(Piece::Code(amount::short(&of.digest.to_string())));
    Cell::of(pieces)
}

fn resumed(reader: &Reader, state: Cell, bytes: u64) -> Cell {
    if bytes == 0 {
        return state;
    }
    let words = (reader.text().downloads.resumed)(&amount::bytes(bytes));
    state.and(Piece::Break).and(Piece::small(words))
}
