//! Who would get what, and why.

use admin_api::ExplainedName;

use crate::{
    block::{
        Block, Cell, Choice, Column, Command, Fact, Field, Form, Page, Piece, Row, Section,
        Sentence, Table, Tone,
    },
    frame::{Answer, Reader},
    place::Place,
    shell,
};

/// Clients to choose from, each with what it sends as `User-Agent`.
const CLIENTS: [(&str, &str); 7] = [
    ("containerd", "containerd/v2.2.0"),
    (
        "CRI-O, arm64",
        "cri-o/1.34.1 go/go1.24.4 os/linux arch/arm64",
    ),
    (
        "CRI-O, amd64",
        "cri-o/1.34.1 go/go1.24.4 os/linux arch/amd64",
    ),
    (
        "Docker, arm64",
        "docker/28.1.1 go/go1.24.2 kernel/6.1 os/linux arch/arm64",
    ),
    (
        "Docker, amd64",
        "docker/28.1.1 go/go1.24.2 kernel/6.1 os/linux arch/amd64",
    ),
    (
        "skopeo, podman",
        "containers/5.34.0 (github.com/containers/image)",
    ),
    ("crane", "crane/0.22.1 go-containerregistry/0.22.1"),
];

/// What is asked.
#[derive(Clone, Debug, Default)]
pub struct Question {
    /// The name of the image.
    pub name: String,
    /// The client's `User-Agent`; empty for none.
    pub user_agent: String,
    /// The platform it states; empty for none.
    pub platform: String,
    /// Whether it reads an index.
    pub accepts_index: bool,
}

/// The form, and what `GET /_archway/v1/explain` answers to it.
pub fn explain(reader: &Reader, question: &Question, answer: Option<&ExplainedName>) -> Answer {
    let text = &reader.text().explain;
    let mut sections = vec![Section::new(
        "question",
        text.question,
        vec![Block::Form(form(reader, question))],
    )];
    if let Some(answer) = answer {
        sections.push(Section::new("answer", text.answer, verdict(reader, answer)));
        if let Some(explanation) = &answer.explanation {
            sections.push(Section::new(
                "said",
                text.said,
                vec![Block::Table(said(reader, answer))],
            ));
            let mut blocks = vec![Block::Table(choice(reader, answer))];
            if explanation.more > 0 {
                blocks.push(Block::Text((text.more)(explanation.more)));
            }
            sections.push(Section::new("choice", text.choice, blocks));
        }
    }
    sections.push(Section::new(
        "commands",
        reader.text().common.actions,
        vec![Block::Commands(vec![command(reader, question)])],
    ));
    reader.frame(Page {
        title: reader.text().frame.explain.to_owned(),
        sections,
        ..Page::default()
    })
}

fn form(reader: &Reader, question: &Question) -> Form {
    let (text, common) = (&reader.text().explain, &reader.text().common);
    let choice = |value: &str, label: &str, is_chosen| Choice {
        value: value.to_owned(),
        label: label.to_owned(),
        is_chosen,
    };
    let is_agent = |agent: &str| agent == question.user_agent;
    let mut clients = vec![choice("", common.any, is_agent(""))];
    clients.extend(CLIENTS.map(|(label, agent)| choice(agent, label, is_agent(agent))));
    if clients.iter().all(|client| !client.is_chosen) {
        clients.push(choice(&question.user_agent, &question.user_agent, true));
    }
    let field = |name, label, value: &str, choices, is_required| Field {
        name,
        label,
        value: value.to_owned(),
        choices,
        is_required,
    };
    let accepts = question.accepts_index;
    let indexes = vec![
        choice("yes", text.accepts, accepts),
        choice("no", text.accepts_not, !accepts),
    ];
    Form {
        action: Place::Explain.path(),
        hidden: reader.hidden(),
        fields: vec![
            field("name", text.name, &question.name, Vec::new(), true),
            field("user_agent", text.client, "", clients, false),
            field(
                "platform",
                text.platform,
                &question.platform,
                Vec::new(),
                false,
            ),
            field("index", text.index, "", indexes, false),
        ],
        submit: text.submit,
    }
}

fn verdict(reader: &Reader, answer: &ExplainedName) -> Vec<Block> {
    let (text, common) = (&reader.text().explain, &reader.text().common);
    let tone = match answer.status {
        Some(200..=299) => Tone::Good,
        Some(_) => Tone::Bad,
        None => Tone::None,
    };
    let words = match answer.status {
        Some(status) => (text.gets)(&answer.name, status),
        None => text.cannot_tell.to_owned(),
    };
    let mut facts = vec![
        Fact::new(text.full_name, Cell::text(&answer.name)),
        Fact::new(text.path, Cell::code(&answer.path)),
    ];
    if let Some(problem) = &answer.problem {
        facts.push(Fact::new(common.cause, Cell::text(problem)));
    }
    if let Some(manifest) = &answer.answer {
        facts.push(Fact::new(
            common.digest,
            Cell::code(manifest.digest.to_string()),
        ));
        facts.push(Fact::new(text.media_type, Cell::text(&manifest.media_type)));
    }
    if let Some(explanation) = &answer.explanation {
        let followed = explanation.followed.as_ref();
        let followed = followed.map_or_else(
            || text.nobody.to_owned(),
            |said| format!("{} ({})", said.platform, said.source),
        );
        facts.push(Fact::new(text.why, Cell::text(&explanation.why)));
        facts.push(Fact::new(text.mode, Cell::text(&explanation.mode)));
        facts.push(Fact::new(text.followed, Cell::text(followed)));
        if let Some(tag) = &explanation.tag {
            let state = (reader.text().images.tag_state)(&tag.state).unwrap_or(&tag.state);
            let cell = Cell::text(state).and(Piece::Time(tag.confirmed.clone()));
            facts.push(Fact::new(text.tag, cell));
        }
        if let Some(rule) = &explanation.rule {
            let sources = rule.sources.join(", ");
            facts.push(Fact::new(
                text.rule,
                Cell::text(format!("{}: {sources}", rule.key)),
            ));
        }
    }
    let sentence = Sentence { tone, text: words };
    vec![Block::Sentence(sentence), Block::Facts(facts)]
}

fn said(reader: &Reader, answer: &ExplainedName) -> Table {
    let (text, common) = (&reader.text().explain, &reader.text().common);
    let platforms = &reader.text().platforms;
    let said = answer.explanation.iter().flat_map(|one| &one.said);
    let rows = said.map(|said| Row {
        head: Cell::text((platforms.source_name)(&said.source).unwrap_or(&said.source)),
        cells: vec![
            Cell::text(&said.platform),
            Cell::text(if said.explicit {
                text.asked
            } else {
                text.identified
            }),
        ],
    });
    Table {
        caption: text.said_caption.to_owned(),
        none: text.said_none,
        columns: [platforms.source, common.platform, text.explicit]
            .map(Column::text)
            .into(),
        rows: rows.collect(),
    }
}

fn choice(reader: &Reader, answer: &ExplainedName) -> Table {
    let (text, common) = (&reader.text().explain, &reader.text().common);
    let entries = answer.explanation.iter().flat_map(|one| &one.entries);
    let rows = entries.map(|entry| {
        let tone = if entry.verdict == "chosen" {
            Tone::Good
        } else {
            Tone::None
        };
        Row {
            head: Cell::code(crate::amount::short(&entry.digest)),
            cells: vec![
                Cell::maybe(entry.platform.as_deref(), Cell::text),
                Cell::state(tone, &entry.verdict),
            ],
        }
    });
    Table {
        caption: text.choice_caption.to_owned(),
        none: text.choice_none,
        columns: [common.digest, common.platform, text.verdict]
            .map(Column::text)
            .into(),
        rows: rows.collect(),
    }
}

fn command(reader: &Reader, question: &Question) -> Command {
    let name = if question.name.is_empty() {
        "HOST/REPOSITORY:TAG"
    } else {
        &question.name
    };
    let agent = format!("User-Agent: {}", question.user_agent);
    let platform = format!("Archway-Platform: {}", question.platform);
    let mut words = vec!["archway", "explain"];
    for (value, header) in [
        (&question.user_agent, &agent),
        (&question.platform, &platform),
    ] {
        if !value.is_empty() {
            words.extend(["--as", header]);
        }
    }
    words.push(name);
    Command::new(reader.text().explain.real, shell::command(&words))
}
