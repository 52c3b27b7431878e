//! What pages are made of. A page says what it has to tell; how that is marked up, and that it can be
//! read without seeing, without colours and without a mouse, is the matter of the templates.

/// One page.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) title: String,
    /// The topics of the stream that tell when the page has changed.
    pub(crate) live: Option<&'static str>,
    /// What stands above all sections.
    pub(crate) lead: Vec<Block>,
    pub(crate) sections: Vec<Section>,
}

/// A part of a page, under a heading.
#[derive(Debug)]
pub(crate) struct Section {
    /// Unique in its page.
    pub(crate) id: &'static str,
    pub(crate) heading: String,
    pub(crate) blocks: Vec<Block>,
}

#[derive(Debug)]
pub(crate) enum Block {
    Sentence(Sentence),
    Text(String),
    Figures(Vec<Figure>),
    Facts(Vec<Fact>),
    Table(Table),
    Commands(Vec<Command>),
    Listing(Listing),
    Form(Form),
    Charts(Vec<Chart>),
    Pager(Vec<Link>),
}

/// How good or bad something is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tone {
    Good,
    Warn,
    Bad,
    #[default]
    None,
}

impl Tone {
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Warn => "warn",
            Self::Bad => "bad",
            Self::None => "none",
        }
    }

    /// A sign beside the word: colour alone tells nothing.
    pub(crate) fn sign(self) -> &'static str {
        match self {
            Self::Good => "✓",
            Self::Warn => "▲",
            Self::Bad => "✕",
            Self::None => "·",
        }
    }
}

/// How something is, in a sentence.
#[derive(Debug)]
pub(crate) struct Sentence {
    pub(crate) tone: Tone,
    pub(crate) text: String,
}

/// A number that stands out.
#[derive(Debug)]
pub(crate) struct Figure {
    pub(crate) label: &'static str,
    pub(crate) value: String,
    pub(crate) note: Option<String>,
    pub(crate) gauge: Option<Gauge>,
}

/// How much of a bound is used.
#[derive(Debug)]
pub(crate) struct Gauge {
    pub(crate) now: u64,
    pub(crate) most: u64,
}

#[derive(Debug)]
pub(crate) struct Fact {
    pub(crate) label: String,
    pub(crate) value: Cell,
}

#[derive(Debug)]
pub(crate) struct Table {
    /// What the table holds: its caption.
    pub(crate) caption: String,
    /// What is said in place of a table without rows.
    pub(crate) none: &'static str,
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Row>,
}

#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) label: String,
    pub(crate) is_number: bool,
}

#[derive(Debug)]
pub(crate) struct Row {
    /// What the row is about.
    pub(crate) head: Cell,
    pub(crate) cells: Vec<Cell>,
}

#[derive(Debug, Default)]
pub(crate) struct Cell {
    pub(crate) pieces: Vec<Piece>,
    pub(crate) is_number: bool,
}

#[derive(Debug)]
pub(crate) enum Piece {
    Text(String),
    Small(String),
    Code(String),
    Link(Link),
    State(State),
    /// An RFC 3339 time.
    Time(String),
    Progress(Progress),
    Break,
}

#[derive(Debug)]
pub(crate) struct Link {
    /// Relative: see `Links`.
    pub(crate) to: String,
    pub(crate) text: String,
}

/// A state in a word, with a sign.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) tone: Tone,
    pub(crate) sign: &'static str,
    pub(crate) word: String,
}

#[derive(Debug)]
pub(crate) struct Progress {
    pub(crate) label: String,
    pub(crate) now: u64,
    pub(crate) most: u64,
}

/// A command to copy.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) label: String,
    pub(crate) text: String,
}

/// A long text, folded away.
#[derive(Debug)]
pub(crate) struct Listing {
    pub(crate) label: String,
    pub(crate) text: String,
}

/// A form that asks for a page.
#[derive(Debug)]
pub(crate) struct Form {
    pub(crate) action: &'static str,
    pub(crate) hidden: Vec<(&'static str, String)>,
    pub(crate) fields: Vec<Field>,
    pub(crate) submit: &'static str,
}

#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) label: &'static str,
    pub(crate) value: String,
    /// What to choose from; any text if there is none.
    pub(crate) choices: Vec<Choice>,
    pub(crate) is_required: bool,
}

#[derive(Debug)]
pub(crate) struct Choice {
    pub(crate) value: String,
    pub(crate) label: String,
    pub(crate) is_chosen: bool,
}

/// A line over time, with the numbers it was drawn from.
#[derive(Debug)]
pub(crate) struct Chart {
    pub(crate) label: &'static str,
    pub(crate) summary: String,
    pub(crate) width: usize,
    pub(crate) height: usize,
    /// The points of the line, as SVG has them.
    pub(crate) points: String,
    pub(crate) details: &'static str,
    pub(crate) table: Table,
}

impl Cell {
    /// A cell of these pieces.
    pub(crate) fn of(pieces: Vec<Piece>) -> Self {
        Self {
            pieces,
            is_number: false,
        }
    }

    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::of(vec![Piece::Text(text.into())])
    }

    pub(crate) fn number(text: impl Into<String>) -> Self {
        Self {
            pieces: vec![Piece::Text(text.into())],
            is_number: true,
        }
    }

    pub(crate) fn code(text: impl Into<String>) -> Self {
        Self::of(vec![Piece::Code(text.into())])
    }

    pub(crate) fn time(time: impl Into<String>) -> Self {
        Self::of(vec![Piece::Time(time.into())])
    }

    pub(crate) fn state(tone: Tone, word: impl Into<String>) -> Self {
        Self::of(vec![Piece::state(tone, word)])
    }

    /// Of what may be missing: nothing, if it is.
    pub(crate) fn maybe<T>(value: Option<T>, cell: impl FnOnce(T) -> Self) -> Self {
        value.map_or_else(Self::nothing, cell)
    }

    pub(crate) fn nothing() -> Self {
        Self::text("–")
    }

    /// The same with one more piece.
    pub(crate) fn and(mut self, piece: Piece) -> Self {
        self.pieces.push(piece);
        self
    }
}

impl Piece {
    pub(crate) fn state(tone: Tone, word: impl Into<String>) -> Self {
        Self::State(State {
            tone,
            sign: tone.sign(),
            word: word.into(),
        })
    }

    pub(crate) fn link(to: String, text: impl Into<String>) -> Self {
        Self::Link(Link {
            to,
            text: text.into(),
        })
    }

    pub(crate) fn small(text: impl Into<String>) -> Self {
        Self::Small(text.into())
    }
}

impl Command {
    pub(crate) fn new(label: &str, text: impl Into<String>) -> Self {
        Self {
            label: label.to_owned(),
            text: text.into(),
        }
    }
}

impl Column {
    pub(crate) fn text(label: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            is_number: false,
        }
    }

    pub(crate) fn number(label: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            is_number: true,
        }
    }
}

impl Fact {
    pub(crate) fn new(label: impl Into<String>, value: Cell) -> Self {
        Self {
            label: label.into(),
            value,
        }
    }
}

impl Figure {
    pub(crate) fn new(label: &'static str, value: impl Into<String>) -> Self {
        Self {
            label,
            value: value.into(),
            note: None,
            gauge: None,
        }
    }

    pub(crate) fn note(self, note: impl Into<String>) -> Self {
        Self {
            note: Some(note.into()),
            ..self
        }
    }

    /// With a gauge, if there is a bound.
    pub(crate) fn of(self, now: u64, most: u64) -> Self {
        Self {
            gauge: (most > 0).then_some(Gauge {
                now: now.min(most),
                most,
            }),
            ..self
        }
    }
}

impl Section {
    pub(crate) fn new(id: &'static str, heading: impl Into<String>, blocks: Vec<Block>) -> Self {
        Self {
            id,
            heading: heading.into(),
            blocks,
        }
    }
}
