//! What is stored, and what goes next.

use admin_api::{CacheTotals, CacheUse, EvictionClass, Evictions, NextToGo, Share};

use crate::{
    amount,
    block::{Block, Cell, Column, Command, Figure, Page, Row, Section, Table, Tone},
    frame::{Answer, Reader},
};

/// The page of `GET /_archway/v1/cache` and `GET /_archway/v1/evictions`.
pub fn cache(reader: &Reader, used: &CacheUse, evictions: &Evictions) -> Answer {
    let (text, common) = (&reader.text().cache, &reader.text().common);
    let columns = [common.digest, text.why, common.used];
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
    let commands = commands.map(|(label, command)| Command::new(label, command));
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
        Figure::new(text.stored, amount::bytes(disk.bytes))
            .of(disk.bytes, disk.max_bytes)
            .note((common.of)(
                &amount::percent(disk.bytes, disk.max_bytes),
                &amount::bytes(disk.max_bytes),
            )),
        Figure::new(common.blobs, amount::count(disk.blobs)),
        Figure::new(text.room, amount::bytes(room(&evictions.cache))),
        Figure::new(text.pinned, amount::bytes(disk.pinned_bytes)),
        Figure::new(text.evicted, amount::bytes(disk.evicted_bytes))
            .note(reader.text().overview.since_start),
    ];
    if let Some(free) = disk.disk_free {
        let least = amount::bytes(disk.disk_reserve);
        figures.push(Figure::new(text.free, amount::bytes(free)).note((text.free_of)(&least)));
    }
    figures
}

/// What fits before the cache's own bound, or that of its file system, is reached.
fn room(totals: &CacheTotals) -> u64 {
    let own = totals.max_bytes.saturating_sub(totals.bytes);
    let free = totals.disk_free.unwrap_or(u64::MAX);
    free.saturating_sub(totals.disk_reserve).min(own)
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
            why,
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
    let stored = used.disk.bytes;
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
