//! What was logged of late: a ring that the log fills beside its writer.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::Arc,
};

use admin_api::{Event, Events, Level, Time};
use parking_lot::Mutex;
use tracing::{
    Subscriber,
    field::{Field, Visit},
    span,
};
use tracing_subscriber::{Layer, layer::Context, registry::LookupSpan};

/// Events that are kept.
const MAX_EVENTS: usize = 1000;

/// The longest value of a field, in bytes; a longer one is cut.
const MAX_VALUE: usize = 512;

/// The field with the constant text.
const MESSAGE: &str = "message";

/// The last events of the program's own parts, at the levels that are logged. Requests are none: the
/// access log has those. Cheap to clone; all clones are the same.
#[derive(Clone, Debug)]
pub struct EventRing {
    ring: Arc<Mutex<Ring>>,
    /// The crates whose events are kept.
    crates: &'static [&'static str],
}

#[derive(Debug, Default)]
struct Ring {
    events: VecDeque<Arc<Event>>,
    last: u64,
}

impl EventRing {
    /// An empty ring for the events of these crates and the crates whose names begin like theirs.
    pub fn of(crates: &'static [&'static str]) -> Self {
        Self {
            ring: Arc::default(),
            crates,
        }
    }

    /// The events after that number, the latest first.
    pub(crate) fn since(&self, since: u64) -> Events {
        let ring = self.ring.lock();
        let new = ring.events.iter().rev();
        let new = new.take_while(|event| event.number > since);
        let (new, last): (Vec<_>, _) = (new.cloned().collect(), ring.last);
        // Whoever logs waits for the ring, and not for the copies of a thousand texts.
        drop(ring);
        Events {
            events: new.iter().map(|event| Event::clone(event)).collect(),
            last,
        }
    }

    /// The number of the latest one.
    pub(crate) fn last(&self) -> u64 {
        self.ring.lock().last
    }

    fn push(&self, level: Level, part: &str, told: Told) {
        let mut ring = self.ring.lock();
        ring.last += 1;
        let number = ring.last;
        if ring.events.len() == MAX_EVENTS {
            ring.events.pop_front();
        }
        ring.events.push_back(Arc::new(Event {
            number,
            time: Time::now(),
            level,
            part: part.to_owned(),
            message: told.message,
            fields: told.fields,
        }));
    }
}

/// The fields of an event or a span.
#[derive(Debug, Default)]
struct Told {
    message: String,
    fields: BTreeMap<String, String>,
}

impl Visit for Told {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        self.record_str(field, &text);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let end = value.floor_char_boundary(MAX_VALUE);
        if field.name() == MESSAGE {
            value[..end].clone_into(&mut self.message);
        } else {
            let name = field.name().to_owned();
            self.fields.insert(name, value[..end].to_owned());
        }
    }
}

impl<S> Layer<S> for EventRing
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(
        &self,
        attributes: &span::Attributes<'_>,
        id: &span::Id,
        context: Context<'_, S>,
    ) {
        let part = attributes.metadata().target();
        if !self.crates.iter().any(|name| part.starts_with(name)) {
            return;
        }
        let mut told = Told::default();
        attributes.record(&mut told);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(told);
        }
    }

    fn on_event(&self, event: &tracing::Event<'_>, context: Context<'_, S>) {
        let metadata = event.metadata();
        let level = match *metadata.level() {
            tracing::Level::ERROR => Level::Error,
            tracing::Level::WARN => Level::Warn,
            tracing::Level::INFO => Level::Info,
            _ => return,
        };
        let part = metadata.target();
        if !self.crates.iter().any(|name| part.starts_with(name)) {
            return;
        }
        let mut told = Told::default();
        // From the outermost on: the event's own fields hold.
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(of_span) = span.extensions().get::<Told>() {
                for (name, value) in &of_span.fields {
                    let known = told.fields.entry(name.clone());
                    known.or_insert_with(|| value.clone());
                }
            }
        }
        event.record(&mut told);
        let part = part.split("::").next().unwrap_or(part);
        self.push(level, part, told);
    }
}

#[cfg(test)]
mod tests {
    use tracing::{debug, error, info, info_span, warn};
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    fn logged(write: impl FnOnce()) -> EventRing {
        let ring = EventRing::of(&["window"]);
        let subscriber = tracing_subscriber::registry().with(ring.clone());
        tracing::subscriber::with_default(subscriber, write);
        ring
    }

    #[test]
    fn an_event_is_kept_with_its_fields_and_those_of_its_span() {
        let ring = logged(|| {
            let _span = info_span!("fill", upstream = "a.test", digest = %"x").entered();
            warn!(error = "no", digest = "own", "a download failed");
            debug!("a detail");
            info!(target: "access", "request");
            error!(target: "some_library", "noise");
        });
        let events = ring.since(0);
        assert_eq!((events.events.len(), events.last), (1, 1));
        let event = &events.events[0];
        assert_eq!(event.level, Level::Warn);
        assert_eq!(
            (&*event.part, &*event.message),
            ("window", "a download failed")
        );
        let fields: Vec<_> = event
            .fields
            .iter()
            .map(|(a, b)| format!("{a}={b}"))
            .collect();
        assert_eq!(fields, ["digest=own", "error=no", "upstream=a.test"]);
    }

    #[test]
    fn the_last_thousand_are_kept_and_the_latest_come_first() {
        let ring = logged(|| {
            for number in 0..MAX_EVENTS + 5 {
                info!(number, "counted");
            }
        });
        let all = ring.since(0);
        assert_eq!(all.events.len(), MAX_EVENTS);
        assert_eq!(all.events[0].number, all.last);
        assert_eq!(ring.since(all.last - 2).events.len(), 2);
        assert!(ring.since(all.last).events.is_empty());
    }
}
