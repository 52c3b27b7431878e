//! Which platforms are asked for, and how clients are known.

use admin_api::{Clients, Platforms};

use crate::{
    amount,
    block::{Block, Cell, Column, Command, Fact, Page, Row, Section, Table},
    frame::{Answer, Reader},
};

/// The page of `GET /_archway/v1/platforms` and `GET /_archway/v1/clients`.
pub fn platforms(reader: &Reader, answer: &Platforms, clients: &Clients) -> Answer {
    let (text, common) = (&reader.text().platforms, &reader.text().common);
    let command = Command::new(text.wishes, "archway wanted");
    reader.frame(Page {
        title: reader.text().frame.platforms.to_owned(),
        sections: vec![
            Section::new(
                "facts",
                text.facts,
                vec![Block::Facts(facts(reader, answer, clients))],
            ),
            Section::new(
                "counts",
                text.counts,
                vec![Block::Table(counts(reader, answer))],
            ),
            Section::new(
                "hints",
                text.hints,
                vec![Block::Table(hints(reader, clients))],
            ),
            Section::new(
                "programs",
                text.programs,
                vec![Block::Table(programs(reader, clients))],
            ),
            Section::new(
                "learned",
                text.learned,
                vec![Block::Table(learned(reader, answer))],
            ),
            Section::new(
                "networks",
                text.networks,
                vec![Block::Table(networks(reader, clients))],
            ),
            Section::new(
                "commands",
                common.actions,
                vec![Block::Commands(vec![command])],
            ),
        ],
        ..Page::default()
    })
}

fn facts(reader: &Reader, answer: &Platforms, clients: &Clients) -> Vec<Fact> {
    let text = &reader.text().platforms;
    let connections = match clients.max_connections {
        Some(most) => {
            (reader.text().common.of)(&amount::count(clients.connections), &amount::count(most))
        }
        None => amount::count(clients.connections),
    };
    let wanted = if answer.wanted.is_empty() {
        Cell::nothing()
    } else {
        Cell::text(answer.wanted.join(", "))
    };
    let default = answer.default.as_deref().unwrap_or(text.no_default);
    let mut facts = vec![
        Fact::new(text.wanted, wanted),
        Fact::new(text.default, Cell::text(default)),
        Fact::new(text.connections, Cell::text(connections)),
    ];
    if clients.nodes > 0 {
        facts.push(Fact::new(
            text.nodes,
            Cell::text(amount::count(clients.nodes)),
        ));
        let silent = amount::count(clients.silent_nodes);
        facts.push(Fact::new(text.silent_nodes, Cell::text(silent)));
    }
    facts
}

fn counts(reader: &Reader, answer: &Platforms) -> Table {
    let text = &reader.text().platforms;
    let common = &reader.text().common;
    let overview = &reader.text().overview;
    let numbers = [
        common.requests,
        text.missing,
        text.substitutions,
        overview.images_whole,
        overview.images_part,
        text.nodes,
    ];
    let rows = answer.platforms.iter().map(|count| Row {
        head: Cell::text(&count.platform),
        cells: [
            count.requests,
            count.missing,
            count.substitutions,
            count.cached,
            count.partial,
            count.nodes,
        ]
        .map(|number| Cell::number(amount::count(number)))
        .into(),
    });
    Table {
        caption: text.counts_caption.to_owned(),
        none: text.none,
        columns: std::iter::once(Column::text(common.platform))
            .chain(numbers.map(Column::number))
            .collect(),
        rows: rows.collect(),
    }
}

fn hints(reader: &Reader, clients: &Clients) -> Table {
    let (text, common) = (&reader.text().platforms, &reader.text().common);
    let rows = clients.hints.iter().map(|hint| Row {
        head: Cell::text((text.source_name)(&hint.source).unwrap_or(&hint.source)),
        cells: vec![
            Cell::text(&hint.platform),
            Cell::number(amount::count(hint.requests)),
        ],
    });
    Table {
        caption: text.hints_caption.to_owned(),
        none: text.none,
        columns: vec![
            Column::text(text.source),
            Column::text(common.platform),
            Column::number(common.requests),
        ],
        rows: rows.collect(),
    }
}

fn programs(reader: &Reader, clients: &Clients) -> Table {
    let text = &reader.text().platforms;
    let rows = clients.families.iter().map(|family| Row {
        head: Cell::text(match family.family.as_str() {
            "none" => text.no_program,
            "other" => text.other_program,
            name => name,
        }),
        cells: vec![Cell::number(amount::count(family.requests))],
    });
    Table {
        caption: text.programs_caption.to_owned(),
        none: text.none,
        columns: vec![
            Column::text(text.program),
            Column::number(reader.text().common.requests),
        ],
        rows: rows.collect(),
    }
}

fn learned(reader: &Reader, answer: &Platforms) -> Table {
    let text = &reader.text().platforms;
    let rows = answer.learned.iter().map(|place| {
        let weights = place.platforms.iter();
        let weights = weights.map(|one| format!("{} {:.1}", one.platform, one.weight));
        Row {
            head: Cell::text(&place.place),
            cells: vec![Cell::text(weights.collect::<Vec<_>>().join(", "))],
        }
    });
    Table {
        caption: text.learned_caption.to_owned(),
        none: text.none,
        columns: [text.place, text.weights].map(Column::text).into(),
        rows: rows.collect(),
    }
}

fn networks(reader: &Reader, clients: &Clients) -> Table {
    let text = &reader.text().platforms;
    let rows = clients.networks.iter().map(|network| Row {
        head: Cell::text(&network.network),
        cells: vec![Cell::text(&network.platform)],
    });
    Table {
        caption: text.networks_caption.to_owned(),
        none: text.none,
        columns: [text.network, reader.text().common.platform]
            .map(Column::text)
            .into(),
        rows: rows.collect(),
    }
}
