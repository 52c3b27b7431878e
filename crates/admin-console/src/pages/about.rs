//! What this is, and how it is configured.

use admin_api::Configuration;

use crate::{
    block::{Block, Cell, Column, Command, Fact, Listing, Page, Piece, Row, Section, Table},
    frame::{Answer, Reader},
    place::Place,
};

/// Each route, and the page that is made of it.
const ROUTES: [(&str, Place); 13] = [
    ("overview", Place::Overview),
    ("history", Place::Overview),
    ("fills", Place::Downloads),
    ("images", Place::Images),
    ("report", Place::Readiness),
    ("upstreams", Place::Upstreams),
    ("platforms", Place::Platforms),
    ("clients", Place::Platforms),
    ("cache", Place::Cache),
    ("evictions", Place::Cache),
    ("explain", Place::Explain),
    ("events", Place::Activity),
    ("config", Place::About),
];

/// The page of `GET /_archway/v1/config`.
pub fn about(reader: &Reader, configuration: &Configuration) -> Answer {
    let (text, common) = (&reader.text().about, &reader.text().common);
    let facts = [
        (text.version, Cell::text(&configuration.version)),
        (text.metrics, linked("metrics")),
        (text.readiness, linked("readyz")),
    ];
    let facts = facts.map(|(label, value)| Fact::new(label, value));
    let commands = [
        (text.check, "archway config check FILE"),
        (text.reload, "archway reload"),
        (text.watch, "archway top"),
    ];
    let commands = commands.map(|(label, command)| Command::new(label, command));
    let listing = Listing {
        label: text.in_force.to_owned(),
        text: configuration.toml.clone(),
    };
    let routes = Table {
        caption: text.interface_caption.to_owned(),
        none: common.unknown,
        columns: vec![Column::text(text.route), Column::text(text.shown_at)],
        rows: ROUTES.map(|route| row(reader, route)).into(),
    };
    reader.frame(Page {
        title: reader.text().frame.about.to_owned(),
        sections: vec![
            Section::new("program", text.program, vec![Block::Facts(facts.into())]),
            Section::new(
                "configuration",
                text.configuration,
                vec![Block::Text(text.masked.to_owned()), Block::Listing(listing)],
            ),
            Section::new("interface", text.interface, vec![Block::Table(routes)]),
            Section::new(
                "commands",
                common.actions,
                vec![Block::Commands(commands.into())],
            ),
        ],
        ..Page::default()
    })
}

fn linked(path: &str) -> Cell {
    Cell::of(vec![Piece::link(path.to_owned(), format!("/{path}"))])
}

fn row(reader: &Reader, (route, place): (&str, Place)) -> Row {
    let name = reader.text().frame.name_of(place);
    let link = reader.links().to(place.path(), &[]);
    Row {
        head: Cell::code(format!("/_archway/v1/{route}")),
        cells: vec![Cell::of(vec![Piece::link(link, name)])],
    }
}
