//! dockerd as a mirror's client, hinted by the listener it is led to, and by the name it is given.

use serde_json::Value;

use super::copiers::name;
use super::page::Snippet;
use super::{About, Client, Flag, Pull, Untold, Way, check};
use crate::cell::Failed;
use crate::dockerd::Daemon;
use crate::matrix::{Recorded, foreign, native};
use crate::setup::{LIBRARY, Setup};

pub(super) const BY_MIRROR: About = docker("dockerd 20.10, mirror");
pub(super) const BY_NAME: About = docker("dockerd 20.10, by name");

#[test]
fn dockerd_with_a_mirror_ends_as_the_page_says_whatever_a_tag_is_answered_with() {
    let all = [None, Some(native()), Some(foreign())];
    check(&BY_MIRROR, &Mirrored(all.map(Mirror::hinting)));
}

#[test]
fn dockerd_by_name_ends_as_the_page_says_whatever_a_tag_is_answered_with() {
    let setup = Setup::new();
    let daemon = Daemon::start(&setup);
    check(&BY_NAME, &Named { setup, daemon });
}

const fn docker(name: &'static str) -> About {
    About {
        name,
        flag: Flag::Platform,
        untold: Untold::TakesItsOwn,
    }
}

/// A daemon for each listener that it could be led to.
struct Mirrored([Mirror; 3]);

struct Mirror {
    hint: Option<&'static str>,
    setup: Setup,
    daemon: Daemon,
}

struct Named {
    setup: Setup,
    daemon: Daemon,
}

impl Mirror {
    fn hinting(hint: Option<&'static str>) -> Self {
        let setup = match hint {
            None => Setup::new(),
            Some(platform) => Setup::with_listener(&listener(platform)),
        };
        let settings = Snippet::named("daemon.json").at(setup.archway.address());
        let settings: Value = serde_json::from_str(&settings.text()).expect("JSON");
        let daemon = Daemon::start_with(&setup, settings);
        Self {
            hint,
            setup,
            daemon,
        }
    }
}

/// What the page has of a listener, but for the address: a test's is any free one.
fn listener(platform: &str) -> String {
    let shown = Snippet::named("listener, hint").hinting(platform).text();
    let lines = shown.lines().filter(|line| line.starts_with("platform"));
    lines.collect()
}

impl Client for Mirrored {
    fn pull(&self, pull: &Pull) -> Result<Recorded, Failed> {
        let hint = match pull.way {
            Way::Upstream | Way::Archway => None,
            Way::Hinted(platform) => Some(platform),
        };
        let mut all = self.0.iter();
        let led = all.find(|led| led.hint == hint).expect("one for each");
        let image = match pull.way {
            // Docker Hub by another name: what would be pulled from there straight away.
            Way::Upstream => name(&led.setup, pull),
            Way::Archway | Way::Hinted(_) => pull.below(LIBRARY),
        };
        led.daemon.pull(&led.setup, &image, pull.platform)
    }
}

impl Client for Named {
    fn pull(&self, pull: &Pull) -> Result<Recorded, Failed> {
        let image = name(&self.setup, pull);
        self.daemon.pull(&self.setup, &image, pull.platform)
    }
}
