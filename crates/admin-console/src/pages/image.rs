//! One image, with all that it consists of.

use admin_api::{ImageDetail, LinkedBlob, ManifestDetail};

use super::images::{ImageRow, PartState, state, tag_state};
use crate::{
    amount,
    block::{Block, Cell, Column, Command, Fact, Page, Piece, Row, Section, Sentence, Table, Tone},
    frame::{Answer, Reader},
    shell,
    shown::in_one_line,
};

/// Sections of manifests: more are on no screen. Their headings need an id each.
const MANIFEST_IDS: [&str; 8] = [
    "manifest-1",
    "manifest-2",
    "manifest-3",
    "manifest-4",
    "manifest-5",
    "manifest-6",
    "manifest-7",
    "manifest-8",
];

/// The page of `GET /_archway/v1/images/NAME`; `name` is what was asked for.
pub fn image(reader: &Reader, name: &str, detail: Option<&ImageDetail<ImageRow>>) -> Answer {
    let (text, common) = (&reader.text().image, &reader.text().common);
    let mut page = Page {
        title: in_one_line(name),
        ..Page::default()
    };
    match detail {
        None => page.lead.push(Block::Sentence(Sentence {
            tone: Tone::Warn,
            text: text.absent.to_owned(),
        })),
        Some(detail) => {
            page.sections.push(Section::new(
                "facts",
                text.facts,
                vec![Block::Facts(facts(reader, detail))],
            ));
            page.sections.push(Section::new(
                "parts",
                text.parts,
                vec![Block::Table(parts(reader, &detail.image))],
            ));
            let manifests = detail.manifests.iter().zip(MANIFEST_IDS);
            page.sections
                .extend(manifests.map(|(manifest, id)| section(reader, id, manifest)));
        }
    }
    let platform = detail.and_then(|detail| lacking(&detail.image));
    let commands = commands(reader, name, platform.unwrap_or("linux/arm64"));
    page.sections.push(Section::new(
        "commands",
        common.actions,
        vec![Block::Commands(commands)],
    ));
    reader.frame(page)
}

/// A platform of the image that is not whole.
fn lacking(image: &ImageRow) -> Option<&str> {
    let mut parts = image.parts.iter();
    parts
        .find(|part| part.state != PartState::Whole && part.platform.is_some())
        .and_then(|part| part.platform.as_deref())
}

fn facts(reader: &Reader, detail: &ImageDetail<ImageRow>) -> Vec<Fact> {
    let (text, common) = (&reader.text().image, &reader.text().common);
    let image = &detail.image;
    let time = |time: &String| Cell::time(time);
    let more = if image.clients_or_more { "+" } else { "" };
    let mut facts = vec![
        Fact::new(common.digest, Cell::code(&image.digest)),
        Fact::new(reader.text().images.tag, tag_state(reader, image)),
        Fact::new(text.confirmed, Cell::maybe(image.confirmed.as_ref(), time)),
        Fact::new(
            text.asked_again,
            Cell::maybe(image.asked_again.as_ref(), time),
        ),
        Fact::new(text.expires, Cell::maybe(image.expires.as_ref(), time)),
        Fact::new(
            common.used,
            Cell::maybe(image.used, |time| Cell::time(time.to_string())),
        ),
        Fact::new(
            reader.text().images.clients,
            Cell::text(format!("{}{more}", image.clients)),
        ),
    ];
    if !detail.same_digest.is_empty() {
        facts.push(Fact::new(
            text.same_digest,
            Cell::text(detail.same_digest.join(", ")),
        ));
    }
    facts
}

fn parts(reader: &Reader, image: &ImageRow) -> Table {
    let (text, common) = (&reader.text().image, &reader.text().common);
    let rows = image.parts.iter().map(|part| Row {
        head: Cell::text(part.platform.as_deref().unwrap_or(common.unknown)),
        cells: vec![
            state(reader, part),
            Cell::code(amount::short(&part.digest)),
            Cell::maybe(part.size, |size| Cell::number(amount::bytes(size))),
        ],
    });
    Table {
        caption: text.parts_caption.to_owned(),
        none: text.links_none,
        columns: vec![
            Column::text(common.platform),
            Column::text(common.state),
            Column::text(common.digest),
            Column::number(common.size),
        ],
        rows: rows.collect(),
    }
}

fn section(reader: &Reader, id: &'static str, manifest: &ManifestDetail) -> Section {
    let (text, common) = (&reader.text().image, &reader.text().common);
    let short = amount::short(&manifest.digest.to_string());
    let name = match &manifest.platform {
        Some(platform) => format!("{short} ({platform})"),
        None => short,
    };
    let columns = [
        common.digest,
        text.contents,
        common.platform,
        common.state,
        text.kept,
        common.used,
    ];
    let mut columns: Vec<_> = columns.map(Column::text).into();
    columns.push(Column::number(common.size));
    let links = Table {
        caption: (text.links_caption)(&name),
        none: text.links_none,
        columns,
        rows: manifest
            .links
            .iter()
            .map(|link| link_row(reader, link))
            .collect(),
    };
    let facts = [
        Fact::new(text.media_type, Cell::text(&manifest.media_type)),
        Fact::new(common.digest, Cell::code(manifest.digest.to_string())),
    ];
    let mut blocks = vec![Block::Facts(facts.into()), Block::Table(links)];
    if !manifest.annotations.is_empty() {
        let rows = manifest.annotations.iter().map(|(key, value)| Row {
            head: Cell::text(in_one_line(key)),
            cells: vec![Cell::text(in_one_line(value))],
        });
        blocks.push(Block::Table(Table {
            caption: (text.annotations_caption)(&name),
            none: text.links_none,
            columns: [text.annotation, text.value].map(Column::text).into(),
            rows: rows.collect(),
        }));
    }
    Section::new(id, (text.manifest)(&name), blocks)
}

fn link_row(reader: &Reader, link: &LinkedBlob) -> Row {
    let (text, common) = (&reader.text().image, &reader.text().common);
    let state = if link.stored {
        Cell::state(Tone::Good, text.stored)
    } else {
        Cell::state(Tone::None, common.absent)
    };
    Row {
        head: Cell::code(amount::short(&link.digest.to_string())),
        cells: vec![
            Cell::text((text.role)(link.role)).and(Piece::small(&link.media_type)),
            Cell::maybe(link.platform.as_deref(), Cell::text),
            state,
            Cell::maybe(link.class, |class| Cell::text((common.class)(class))),
            Cell::maybe(link.used, |time| Cell::time(time.to_string())),
            Cell::number(amount::bytes(link.size)),
        ],
    }
}

fn commands(reader: &Reader, name: &str, platform: &str) -> Vec<Command> {
    let text = &reader.text().image;
    let archway = |words: &[&str]| shell::command(&[&["archway"], words].concat());
    let commands = [
        (
            text.ready,
            archway(&["ready", name, "--platform", platform]),
        ),
        (text.warm, archway(&["warm", name, "--platform", platform])),
        (text.explain, archway(&["explain", name])),
        (text.refresh, archway(&["refresh", name])),
        (text.remove, archway(&["rm", name])),
    ];
    commands
        .map(|(label, text)| Command::new(label, text))
        .into()
}
