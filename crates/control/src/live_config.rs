//! The configuration in force, which a reload replaces.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering, fence},
    },
    thread,
};

use arc_swap::ArcSwap;
use config::Config;

/// The configuration in force. Cheap to clone; all clones are the same.
#[derive(Clone, Debug)]
pub struct LiveConfig(Arc<Live>);

#[derive(Debug)]
struct Live {
    config: ArcSwap<Config>,
    /// Odd while a change is under way: other parts are given their share of it then.
    version: AtomicU64,
}

impl LiveConfig {
    /// With this one in force.
    pub fn new(config: Config) -> Self {
        Self(Arc::new(Live {
            config: ArcSwap::from_pointee(config),
            version: AtomicU64::new(0),
        }))
    }

    /// The one in force now. Whoever begins with it keeps it to the end.
    pub fn current(&self) -> Arc<Config> {
        self.0.config.load_full()
    }

    /// Puts another one in force. `rest` gives the other parts their share: who reads by
    /// [`Self::consistent`] sees all of it or nothing. There is one writer.
    pub fn replace(&self, config: Config, rest: impl FnOnce()) {
        self.0.version.fetch_add(1, Ordering::AcqRel);
        // Without this, arm64 could show a changed part before the changed version.
        fence(Ordering::Release);
        rest();
        self.0.config.store(Arc::new(config));
        self.0.version.fetch_add(1, Ordering::AcqRel);
    }

    /// What `read` makes of this configuration and of the parts that have their share of it, all of
    /// one moment. It is called again where a change came in between, which takes microseconds.
    pub fn consistent<T>(&self, read: impl Fn() -> T) -> T {
        loop {
            let before = self.0.version.load(Ordering::Acquire);
            if before.is_multiple_of(2) {
                let value = read();
                // Whatever order the parts are loaded with, the version is looked at after them.
                fence(Ordering::Acquire);
                if self.0.version.load(Ordering::Acquire) == before {
                    return value;
                }
            }
            thread::yield_now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(host: &str) -> Config {
        let text = format!("default_upstream = \"{host}\"\n[upstream.\"{host}\"]");
        Config::parse("archway.toml", &text).unwrap()
    }

    #[test]
    fn nobody_sees_a_part_of_one_configuration_and_a_part_of_another() {
        let live = LiveConfig::new(named("host0.test"));
        let part = Arc::new(AtomicU64::new(0));
        let writer = {
            let (live, part) = (live.clone(), Arc::clone(&part));
            thread::spawn(move || {
                for number in 1..=1000 {
                    let rest = || part.store(number, Ordering::Release);
                    live.replace(named(&format!("host{number}.test")), rest);
                }
            })
        };
        while !writer.is_finished() {
            let read = || {
                let number = part.load(Ordering::Acquire);
                (number, live.current().default_upstream.to_string())
            };
            let (number, host) = live.consistent(read);
            assert_eq!(host, format!("host{number}.test"));
        }
        writer.join().unwrap();
    }
}
