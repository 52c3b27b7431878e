//! How much of each image is stored, for each platform.

use std::collections::BTreeMap;

use admin_api::Time;

use crate::{
    amount,
    block::{
        Block, Cell, Column, Command, Field, Form, Link, Page, Piece, Row, Section, Sentence,
        State, Table, Tone,
    },
    frame::{Answer, Reader},
    place::Place,
    shell,
};

/// Columns of platforms: the most frequent ones of the page.
const MAX_PLATFORMS: usize = 8;

/// A page of `GET /_archway/v1/images`.
#[derive(Clone, Debug, Default)]
pub struct ImageList {
    /// The images.
    pub rows: Vec<ImageRow>,
    /// Where the next page begins; none on the last one.
    pub next: Option<String>,
    /// Upstreams that are down, each with the cause.
    pub down: Vec<(String, String)>,
}

/// One image.
#[derive(Clone, Debug, Default)]
pub struct ImageRow {
    /// Its name in full.
    pub name: String,
    /// Its digest.
    pub digest: String,
    /// What the age of its tag allows: `fresh`, `stale`, `expired`, `immutable` or `held`.
    pub tag_state: Option<String>,
    /// When the upstream last confirmed the tag.
    pub confirmed: Option<String>,
    /// From when on the upstream is asked again.
    pub asked_again: Option<String>,
    /// Until when the tag is served without an answer of the upstream.
    pub expires: Option<String>,
    /// When it was last used.
    pub used: Option<Time>,
    /// How many clients pulled it.
    pub clients: usize,
    /// Whether there may be more.
    pub clients_or_more: bool,
    /// Its images for platforms.
    pub parts: Vec<PartRow>,
}

/// The image for one platform.
#[derive(Clone, Debug)]
pub struct PartRow {
    /// The platform, where it is known.
    pub platform: Option<String>,
    /// The digest of its manifest.
    pub digest: String,
    /// How much of it is stored.
    pub state: PartState,
    /// Its bytes that are stored.
    pub stored: u64,
    /// All its bytes, where they are known.
    pub size: Option<u64>,
}

/// How much of an image is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartState {
    /// Nothing, or the manifest was never pulled.
    Absent,
    /// Some of it.
    Part,
    /// All of it.
    Whole,
}

/// The page of `GET /_archway/v1/images`.
pub fn images(reader: &Reader, list: &ImageList) -> Answer {
    let (text, common) = (&reader.text().images, &reader.text().common);
    let platforms = platforms(list);
    let mut columns = vec![Column::text(common.image)];
    columns.extend(platforms.iter().map(Column::text));
    columns.extend([text.tag, common.used].map(Column::text));
    columns.extend([text.clients, text.stored].map(Column::number));
    let table = Table {
        caption: text.caption.to_owned(),
        none: text.none,
        columns,
        rows: list
            .rows
            .iter()
            .map(|image| row(reader, image, &platforms))
            .collect(),
    };
    let down = list.down.iter().map(|(host, cause)| {
        Block::Sentence(Sentence {
            tone: Tone::Warn,
            text: format!("{host}: {cause}"),
        })
    });
    reader.frame(Page {
        title: reader.text().frame.images.to_owned(),
        lead: std::iter::once(Block::Form(form(reader)))
            .chain(down)
            .collect(),
        sections: vec![
            Section::new(
                "list",
                text.list,
                vec![
                    Block::Text(text.legend.to_owned()),
                    Block::Table(table),
                    Block::Pager(pager(reader, list)),
                ],
            ),
            Section::new(
                "commands",
                common.actions,
                vec![Block::Commands(commands(reader))],
            ),
        ],
        ..Page::default()
    })
}

fn form(reader: &Reader) -> Form {
    let text = &reader.text().images;
    let field = |name, label| Field {
        name,
        label,
        value: reader.parameter(name).to_owned(),
        choices: Vec::new(),
        is_required: false,
    };
    Form {
        action: Place::Images.path(),
        hidden: reader.hidden(),
        fields: vec![field("filter", text.filter), field("missing", text.missing)],
        submit: reader.text().common.show,
    }
}

fn platforms(list: &ImageList) -> Vec<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let parts = list.rows.iter().flat_map(|image| &image.parts);
    for platform in parts.filter_map(|part| part.platform.as_deref()) {
        *counts.entry(platform).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let first = counts.into_iter().take(MAX_PLATFORMS);
    first.map(|(platform, _)| platform.to_owned()).collect()
}

fn row(reader: &Reader, image: &ImageRow, platforms: &[String]) -> Row {
    let mut cells: Vec<_> = platforms
        .iter()
        .map(|platform| {
            let mut parts = image.parts.iter();
            let part = parts.find(|part| part.platform.as_ref() == Some(platform));
            part.map_or_else(
                || Cell::of(vec![sign(Tone::None, "–", reader.text().common.lacks)]),
                |part| state(reader, part),
            )
        })
        .collect();
    let link = reader
        .links()
        .to(Place::Image.path(), &[("name", &image.name)]);
    let more = if image.clients_or_more { "+" } else { "" };
    cells.extend([
        tag_state(reader, image),
        Cell::maybe(image.used, |time| Cell::time(time.to_string())),
        Cell::number(format!("{}{more}", image.clients)),
        Cell::number(amount::bytes(
            image.parts.iter().map(|part| part.stored).sum(),
        )),
    ]);
    Row {
        head: Cell::of(vec![Piece::link(link, &image.name)]),
        cells,
    }
}

/// How much of the image for one platform is stored.
pub(super) fn state(reader: &Reader, part: &PartRow) -> Cell {
    let common = &reader.text().common;
    let piece = match part.state {
        PartState::Whole => sign(Tone::Good, "●", common.whole),
        PartState::Part => sign(Tone::Warn, "◐", common.part),
        PartState::Absent => sign(Tone::None, "○", common.absent),
    };
    let cell = Cell::of(vec![piece]);
    match (part.state, part.size) {
        (PartState::Part, Some(size)) => {
            let bytes = (common.of)(&amount::bytes(part.stored), &amount::bytes(size));
            cell.and(Piece::Break).and(Piece::small(bytes))
        }
        _ => cell,
    }
}

/// What the age of a tag allows.
pub(super) fn tag_state(reader: &Reader, image: &ImageRow) -> Cell {
    let Some(name) = &image.tag_state else {
        return Cell::nothing();
    };
    let tone = match name.as_str() {
        "expired" => Tone::Bad,
        "stale" => Tone::Warn,
        _ => Tone::Good,
    };
    let word = (reader.text().images.tag_state)(name);
    Cell::state(tone, word.unwrap_or(name))
}

fn sign(tone: Tone, sign: &'static str, word: &str) -> Piece {
    Piece::State(State {
        tone,
        sign,
        word: word.to_owned(),
    })
}

fn pager(reader: &Reader, list: &ImageList) -> Vec<Link> {
    let common = &reader.text().common;
    let kept = ["filter", "missing"].map(|name| (name, reader.parameter(name)));
    let kept: Vec<_> = kept
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .collect();
    let mut links = Vec::new();
    if !reader.parameter("after").is_empty() {
        links.push(Link {
            to: reader.links().to(Place::Images.path(), &kept),
            text: common.first_page.to_owned(),
        });
    }
    if let Some(next) = &list.next {
        let parameters: Vec<_> = kept.into_iter().chain([("after", next.as_str())]).collect();
        links.push(Link {
            to: reader.links().to(Place::Images.path(), &parameters),
            text: common.next_page.to_owned(),
        });
    }
    links
}

fn commands(reader: &Reader) -> Vec<Command> {
    let text = &reader.text().images;
    let platform = match reader.parameter("missing") {
        "" => "linux/arm64",
        platform => platform,
    };
    let commands = [
        (
            text.warm,
            shell::command(&[
                "archway",
                "warm",
                "HOST/REPOSITORY:TAG",
                "--platform",
                platform,
            ]),
        ),
        (
            text.warm_missing,
            shell::command(&["archway", "images", "--platform", platform, "--missing"]),
        ),
        (
            text.as_report,
            shell::command(&["archway", "report", "--need", platform]),
        ),
    ];
    commands
        .map(|(label, text)| Command::new(label, text))
        .into()
}
