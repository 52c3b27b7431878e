//! What happened.

use admin_api::{Event, Events, Level};

use crate::{
    block::{Block, Cell, Column, Command, Page, Piece, Row, Section, Table, Tone},
    frame::{Answer, Reader},
    shown::in_one_line,
};

/// Events on the page: all thousand are more than anybody reads.
const MAX_EVENTS: usize = 200;

/// The page of `GET /_archway/v1/events`.
pub fn activity(reader: &Reader, events: &Events) -> Answer {
    let (text, common) = (&reader.text().activity, &reader.text().common);
    let columns = [common.time, text.level, text.event, text.details];
    let events = events.events.iter().take(MAX_EVENTS);
    let table = Table {
        caption: text.caption.to_owned(),
        none: text.none,
        columns: columns.map(Column::text).into(),
        rows: events.map(|event| row(reader, event)).collect(),
    };
    let command = Command::new(text.levels, "archway reload");
    reader.frame(Page {
        title: reader.text().frame.activity.to_owned(),
        live: Some("events"),
        sections: vec![
            Section::new("events", text.events, vec![Block::Table(table)]),
            Section::new(
                "commands",
                common.actions,
                vec![
                    Block::Text(text.explained.to_owned()),
                    Block::Commands(vec![command]),
                ],
            ),
        ],
        ..Page::default()
    })
}

fn row(reader: &Reader, event: &Event) -> Row {
    let tone = match event.level {
        Level::Error => Tone::Bad,
        Level::Warn => Tone::Warn,
        Level::Info => Tone::None,
    };
    let mut details = Vec::new();
    for (key, value) in &event.fields {
        details.push(Piece::small(format!("{key}:")));
        details.push(Piece::Text(in_one_line(value)));
        details.push(Piece::Break);
    }
    details.pop();
    Row {
        head: Cell::time(event.time.to_string()),
        cells: vec![
            Cell::state(tone, (reader.text().activity.level_name)(event.level)),
            Cell::text(&event.message).and(Piece::small(&event.part)),
            Cell::of(details),
        ],
    }
}
