//! What is stored, and what goes next.

use admin_api::{CacheUse, EvictionClass, Evictions, NextToGo, Share};

use crate::{
    amount,
    block::{Block, Cell, Column, Command, Figure, Page, Piece, Row, Section, Table, Tone},
    frame::{Answer, Reader},
};

/// The page of `GET /_archway/v1/cache` and `GET /_archway/v1/evictions`.
pub fn cache(reader: &Reader, used: &CacheUse, evictions: &Evictions) -> Answer {
    let (text, common) = (&reader.text().cache, &reader.text().common);
    let columns = [common.digest, text.why, text.repositories, common.used];
    let mut columns: Vec<_> = columns.map(Column::text).into();
    columns.push(Column::number(common.size));
    let next = Table {
        caption: text.next_caption.to_owned(),
        none: text.next_none,
        columns,
        rows: evictions
            .next
            .iter()
            .map(|blob| next_row(reader, blob))
            .collect(),
    };
    let commands = [
        (text.usage, "archway cache du"),
        (text.verify, "archway cache verify"),
        (text.remove, "archway rm HOST/REPOSITORY:TAG"),
    ];
    let commands = commands.map(|(label, command)| Command {
        label: label.to_owned(),
        text: command.to_owned(),
    });
    reader.frame(Page {
        title: reader.text().frame.cache.to_owned(),
        lead: vec![Block::Figures(figures(reader, used, evictions))],
        sections: vec![
            Section::new("next", text.next, vec![Block::Table(next)]),
            Section::new("space", text.division, divisions(reader, used)),
            Section::new(
                "commands",
                common.actions,
                vec![Block::Commands(commands.into())],
            ),
        ],
        ..Page::default()
    })
}

fn figures(reader: &Reader, used: &CacheUse, evictions: &Evictions) -> Vec<Figure> {
    let (text, common) = (&reader.text().cache, &reader.text().common);
    let disk = &used.disk;
    let mut figures = vec![
        Figure::new(text.stored, amount::bytes(disk.stored))
            .of(disk.stored, disk.max_size)
            .note((common.of)(
                &amount::percent(disk.stored, disk.max_size),
                &amount::bytes(disk.max_size),
            )),
        Figure::new(common.blobs, amount::count(used.blobs)),
        Figure::new(text.room, amount::bytes(evictions.room)),
        Figure::new(text.pinned, amount::bytes(disk.pinned)),
        Figure::new(text.evicted, amount::bytes(disk.evicted))
            .note(reader.text().overview.since_start),
    ];
    if let Some(free) = disk.free {
        let least = amount::bytes(disk.min_free);
        figures.push(Figure::new(text.free, amount::bytes(free)).note((text.free_of)(&least)));
    }
    figures
}

fn next_row(reader: &Reader, blob: &NextToGo) -> Row {
    let tone = match blob.class {
        EvictionClass::Unwanted => Tone::Warn,
        EvictionClass::Probation | EvictionClass::UsedAgain | EvictionClass::Manifest => Tone::None,
    };
    let why = Cell::state(tone, (reader.text().common.class)(blob.class));
    Row {
        head: Cell::code(amount::short(&blob.digest.to_string())),
        cells: vec![
            why.and(Piece::Break).and(Piece::small(&blob.why)),
            Cell::text(blob.repositories.join(", ")),
            Cell::time(blob.used.to_string()),
            Cell::number(amount::bytes(blob.size)),
        ],
    }
}

fn divisions(reader: &Reader, used: &CacheUse) -> Vec<Block> {
    let text = &reader.text().cache;
    let counted = match used.counted {
        Some(time) => format!("{}: {time}", text.counted),
        None => text.not_counted.to_owned(),
    };
    let tables = [
        (text.by_class, &used.classes),
        (text.by_kind, &used.kinds),
        (text.by_platform, &used.platforms),
        (text.by_upstream, &used.upstreams),
        (text.by_repository, &used.repositories),
    ];
    let stored = used.disk.stored;
    let tables = tables.into_iter().filter(|(_, shares)| !shares.is_empty());
    let tables =
        tables.map(|(caption, shares)| Block::Table(division(reader, caption, shares, stored)));
    std::iter::once(Block::Text(counted))
        .chain(tables)
        .collect()
}

fn division(reader: &Reader, caption: &str, shares: &[Share], stored: u64) -> Table {
    let (text, common) = (&reader.text().cache, &reader.text().common);
    let rows = shares.iter().map(|share| Row {
        head: match (text.share_name)(&share.name) {
            Some(name) => Cell::text(name),
            None => Cell::text(&share.name),
        },
        cells: vec![
            Cell::number(amount::bytes(share.bytes)),
            Cell::number(amount::percent(share.bytes, stored)),
            Cell::number(amount::count(share.blobs)),
        ],
    });
    let numbers = [common.size, text.share, common.blobs].map(Column::number);
    Table {
        caption: caption.to_owned(),
        none: text.none,
        columns: std::iter::once(Column::text(caption))
            .chain(numbers)
            .collect(),
        rows: rows.collect(),
    }
}
