//! Which images block the move to another architecture.

use admin_api::Report;

use crate::{
    block::{
        Block, Cell, Column, Command, Field, Form, Link, Page, Piece, Row, Section, Sentence,
        Table, Tone,
    },
    frame::{Answer, Reader},
    place::Place,
    shell,
};

/// The page of `GET /_archway/v1/report`.
pub fn readiness(reader: &Reader, report: &Report) -> Answer {
    let (text, common) = (&reader.text().readiness, &reader.text().common);
    let need = report.need.join(",");
    let lacking = report.lacking.len();
    let sentence = Sentence {
        tone: if lacking == 0 { Tone::Good } else { Tone::Warn },
        text: (text.sentence)(&need, lacking, report.checked),
    };
    let form = Form {
        action: Place::Readiness.path(),
        hidden: reader.hidden(),
        fields: vec![Field {
            name: "platform",
            label: text.ask,
            value: need.clone(),
            choices: Vec::new(),
            is_required: true,
        }],
        submit: common.show,
    };
    let next = report.next.as_deref().map(|next| Link {
        to: reader.links().to(
            Place::Readiness.path(),
            &[("platform", &need), ("after", next)],
        ),
        text: common.next_page.to_owned(),
    });
    reader.frame(Page {
        title: reader.text().frame.readiness.to_owned(),
        lead: vec![Block::Form(form), Block::Sentence(sentence)],
        sections: vec![
            Section::new(
                "lacking",
                text.lacking,
                vec![
                    Block::Table(lacking_table(reader, report, &need)),
                    Block::Pager(next.into_iter().collect()),
                ],
            ),
            Section::new(
                "unknown",
                text.unknown,
                vec![Block::Table(unknown(reader, report))],
            ),
            Section::new(
                "commands",
                common.actions,
                vec![Block::Commands(commands(reader, &need))],
            ),
        ],
        ..Page::default()
    })
}

fn lacking_table(reader: &Reader, report: &Report, need: &str) -> Table {
    let (text, common) = (&reader.text().readiness, &reader.text().common);
    let rows = report.lacking.iter().map(|image| Row {
        head: linked(reader, &image.name),
        cells: vec![
            Cell::text(image.lacks.join(", ")),
            Cell::text(image.has.join(", ")),
        ],
    });
    Table {
        caption: (text.lacking_caption)(need),
        none: text.lacking_none,
        columns: [common.image, text.lacks, text.has]
            .map(Column::text)
            .into(),
        rows: rows.collect(),
    }
}

fn unknown(reader: &Reader, report: &Report) -> Table {
    let text = &reader.text().readiness;
    let rows = report.unknown.iter().map(|name| Row {
        head: linked(reader, name),
        cells: Vec::new(),
    });
    Table {
        caption: text.unknown_caption.to_owned(),
        none: text.unknown_none,
        columns: vec![Column::text(reader.text().common.image)],
        rows: rows.collect(),
    }
}

fn linked(reader: &Reader, name: &str) -> Cell {
    let link = reader.links().to(Place::Image.path(), &[("name", name)]);
    Cell::of(vec![Piece::link(link, name)])
}

fn commands(reader: &Reader, need: &str) -> Vec<Command> {
    let text = &reader.text().readiness;
    let commands = [
        (
            text.export,
            shell::command(&["archway", "report", "--need", need, "-o", "markdown"]),
        ),
        (
            text.check,
            shell::command(&["archway", "report", "--need", need, "--check"]),
        ),
        (
            text.uncached,
            shell::command(&["archway", "images", "--platform", need, "--missing"]),
        ),
    ];
    commands
        .map(|(label, text)| Command::new(label, text))
        .into()
}
