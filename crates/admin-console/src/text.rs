//! All words of the console. A language is a value of `Text`: one that lacks a string does not compile.
//!
//! What the server itself says, such as the cause of a failed download, stays as it says it.

mod chinese;
mod english;

use admin_api::{
    EndpointState, EvictionClass, FillEnd, FillOrigin, FillPlace, FillWait, Level, LinkRole,
    Trouble,
};

use crate::{language::Language, place::Place};

/// All words of one language.
pub(crate) struct Text {
    pub(crate) frame: FrameText,
    pub(crate) common: CommonText,
    pub(crate) overview: OverviewText,
    pub(crate) downloads: DownloadsText,
    pub(crate) images: ImagesText,
    pub(crate) image: ImageText,
    pub(crate) readiness: ReadinessText,
    pub(crate) upstreams: UpstreamsText,
    pub(crate) platforms: PlatformsText,
    pub(crate) cache: CacheText,
    pub(crate) explain: ExplainText,
    pub(crate) activity: ActivityText,
    pub(crate) about: AboutText,
}

/// Words around every page.
pub(crate) struct FrameText {
    pub(crate) skip: &'static str,
    pub(crate) pages: &'static str,
    pub(crate) languages: &'static str,
    pub(crate) copy: &'static str,
    pub(crate) copied: &'static str,
    pub(crate) changes_nothing: &'static str,
    pub(crate) reload: &'static str,
    pub(crate) json: &'static str,
    pub(crate) overview: &'static str,
    pub(crate) downloads: &'static str,
    pub(crate) images: &'static str,
    pub(crate) image: &'static str,
    pub(crate) readiness: &'static str,
    pub(crate) upstreams: &'static str,
    pub(crate) platforms: &'static str,
    pub(crate) cache: &'static str,
    pub(crate) explain: &'static str,
    pub(crate) activity: &'static str,
    pub(crate) about: &'static str,
}

/// Words of several pages.
pub(crate) struct CommonText {
    pub(crate) actions: &'static str,
    pub(crate) platform: &'static str,
    pub(crate) image: &'static str,
    pub(crate) upstream: &'static str,
    pub(crate) state: &'static str,
    pub(crate) cause: &'static str,
    pub(crate) size: &'static str,
    pub(crate) blobs: &'static str,
    pub(crate) digest: &'static str,
    pub(crate) time: &'static str,
    pub(crate) since: &'static str,
    pub(crate) until: &'static str,
    pub(crate) used: &'static str,
    pub(crate) requests: &'static str,
    pub(crate) unknown: &'static str,
    pub(crate) any: &'static str,
    pub(crate) show: &'static str,
    pub(crate) first_page: &'static str,
    pub(crate) next_page: &'static str,
    pub(crate) numbers: &'static str,
    pub(crate) problem: &'static str,
    pub(crate) whole: &'static str,
    pub(crate) part: &'static str,
    pub(crate) absent: &'static str,
    pub(crate) lacks: &'static str,
    pub(crate) of: fn(&str, &str) -> String,
    pub(crate) class: fn(EvictionClass) -> &'static str,
}

/// Words of the overview.
pub(crate) struct OverviewText {
    pub(crate) well: &'static str,
    pub(crate) trouble: fn(&Trouble) -> String,
    pub(crate) hit_ratio: &'static str,
    pub(crate) saved_of: fn(&str, &str) -> String,
    pub(crate) received: &'static str,
    pub(crate) requests: &'static str,
    pub(crate) hits: fn(&str) -> String,
    pub(crate) upstream_calls: &'static str,
    pub(crate) pulls_left: &'static str,
    pub(crate) disk: &'static str,
    pub(crate) disk_of: fn(&str, Option<&str>) -> String,
    pub(crate) fills: &'static str,
    pub(crate) fills_of: fn(usize, usize) -> String,
    pub(crate) errors: &'static str,
    pub(crate) missing: &'static str,
    pub(crate) last_hour: &'static str,
    pub(crate) since_start: &'static str,
    pub(crate) running_since: &'static str,
    pub(crate) wanted: &'static str,
    pub(crate) wanted_caption: &'static str,
    pub(crate) wanted_none: &'static str,
    pub(crate) images_whole: &'static str,
    pub(crate) images_part: &'static str,
    pub(crate) blockers: &'static str,
    pub(crate) history: &'static str,
    pub(crate) history_none: &'static str,
    pub(crate) series: fn(&str) -> Option<&'static str>,
    pub(crate) sum: fn(&str, &str) -> String,
    pub(crate) last: fn(&str, &str) -> String,
}

/// Words of the downloads.
pub(crate) struct DownloadsText {
    pub(crate) sentence: fn(usize, usize) -> String,
    pub(crate) running: &'static str,
    pub(crate) running_caption: &'static str,
    pub(crate) running_none: &'static str,
    pub(crate) ended: &'static str,
    pub(crate) ended_caption: &'static str,
    pub(crate) ended_none: &'static str,
    pub(crate) download: &'static str,
    pub(crate) progress: &'static str,
    pub(crate) rate: &'static str,
    pub(crate) connections: &'static str,
    pub(crate) followers: &'static str,
    pub(crate) started_by: &'static str,
    pub(crate) began: &'static str,
    pub(crate) took: &'static str,
    pub(crate) end: &'static str,
    pub(crate) loading: &'static str,
    pub(crate) resumed: fn(&str) -> String,
    pub(crate) origin: fn(FillOrigin) -> &'static str,
    pub(crate) place: fn(FillPlace) -> &'static str,
    pub(crate) waits: fn(FillWait) -> &'static str,
    pub(crate) ending: fn(FillEnd) -> &'static str,
}

/// Words of the list of images.
pub(crate) struct ImagesText {
    pub(crate) filter: &'static str,
    pub(crate) missing: &'static str,
    pub(crate) list: &'static str,
    pub(crate) caption: &'static str,
    pub(crate) none: &'static str,
    pub(crate) clients: &'static str,
    pub(crate) stored: &'static str,
    pub(crate) tag: &'static str,
    pub(crate) tag_state: fn(&str) -> Option<&'static str>,
    pub(crate) legend: &'static str,
    pub(crate) warm: &'static str,
    pub(crate) warm_missing: &'static str,
    pub(crate) as_report: &'static str,
}

/// Words of one image.
pub(crate) struct ImageText {
    pub(crate) absent: &'static str,
    pub(crate) facts: &'static str,
    pub(crate) confirmed: &'static str,
    pub(crate) asked_again: &'static str,
    pub(crate) expires: &'static str,
    pub(crate) same_digest: &'static str,
    pub(crate) parts: &'static str,
    pub(crate) parts_caption: &'static str,
    pub(crate) manifest: fn(&str) -> String,
    pub(crate) contents: &'static str,
    pub(crate) links_caption: fn(&str) -> String,
    pub(crate) links_none: &'static str,
    pub(crate) role: fn(LinkRole) -> &'static str,
    pub(crate) kept: &'static str,
    pub(crate) stored: &'static str,
    pub(crate) annotations_caption: fn(&str) -> String,
    pub(crate) annotation: &'static str,
    pub(crate) value: &'static str,
    pub(crate) media_type: &'static str,
    pub(crate) warm: &'static str,
    pub(crate) ready: &'static str,
    pub(crate) explain: &'static str,
    pub(crate) refresh: &'static str,
    pub(crate) remove: &'static str,
}

/// Words of the report on a platform.
pub(crate) struct ReadinessText {
    pub(crate) ask: &'static str,
    pub(crate) sentence: fn(&str, usize, usize) -> String,
    pub(crate) lacking: &'static str,
    pub(crate) lacking_caption: fn(&str) -> String,
    pub(crate) lacking_none: &'static str,
    pub(crate) lacks: &'static str,
    pub(crate) has: &'static str,
    pub(crate) unknown: &'static str,
    pub(crate) unknown_caption: &'static str,
    pub(crate) unknown_none: &'static str,
    pub(crate) export: &'static str,
    pub(crate) check: &'static str,
    pub(crate) uncached: &'static str,
}

/// Words of the upstreams.
pub(crate) struct UpstreamsText {
    pub(crate) endpoints: &'static str,
    pub(crate) endpoints_caption: &'static str,
    pub(crate) none: &'static str,
    pub(crate) endpoint: &'static str,
    pub(crate) credential: &'static str,
    pub(crate) expires: &'static str,
    pub(crate) endpoint_state: fn(EndpointState) -> &'static str,
    pub(crate) calls: &'static str,
    pub(crate) calls_caption: &'static str,
    pub(crate) rates: &'static str,
    pub(crate) left: fn(u32) -> String,
    pub(crate) waiting: &'static str,
    pub(crate) pulls_left: &'static str,
    pub(crate) received: &'static str,
    pub(crate) answers: &'static str,
    pub(crate) held: &'static str,
    pub(crate) kind_of_calls: fn(&str) -> Option<&'static str>,
    pub(crate) answer: fn(&str) -> Option<&'static str>,
    pub(crate) offline: fn(&str) -> String,
    pub(crate) check: &'static str,
}

/// Words of platforms and clients.
pub(crate) struct PlatformsText {
    pub(crate) wanted: &'static str,
    pub(crate) default: &'static str,
    pub(crate) no_default: &'static str,
    pub(crate) facts: &'static str,
    pub(crate) counts: &'static str,
    pub(crate) counts_caption: &'static str,
    pub(crate) none: &'static str,
    pub(crate) missing: &'static str,
    pub(crate) substitutions: &'static str,
    pub(crate) nodes: &'static str,
    pub(crate) hints: &'static str,
    pub(crate) hints_caption: &'static str,
    pub(crate) programs: &'static str,
    pub(crate) programs_caption: &'static str,
    pub(crate) program: &'static str,
    pub(crate) no_program: &'static str,
    pub(crate) other_program: &'static str,
    pub(crate) source: &'static str,
    pub(crate) source_name: fn(&str) -> Option<&'static str>,
    pub(crate) learned: &'static str,
    pub(crate) learned_caption: &'static str,
    pub(crate) place: &'static str,
    pub(crate) weights: &'static str,
    pub(crate) networks: &'static str,
    pub(crate) networks_caption: &'static str,
    pub(crate) network: &'static str,
    pub(crate) connections: &'static str,
    pub(crate) silent_nodes: &'static str,
    pub(crate) wishes: &'static str,
}

/// Words of the cache.
pub(crate) struct CacheText {
    pub(crate) stored: &'static str,
    pub(crate) room: &'static str,
    pub(crate) pinned: &'static str,
    pub(crate) free: &'static str,
    pub(crate) free_of: fn(&str) -> String,
    pub(crate) evicted: &'static str,
    pub(crate) next: &'static str,
    pub(crate) next_caption: &'static str,
    pub(crate) next_none: &'static str,
    pub(crate) why: &'static str,
    pub(crate) division: &'static str,
    pub(crate) counted: &'static str,
    pub(crate) not_counted: &'static str,
    pub(crate) by_class: &'static str,
    pub(crate) by_kind: &'static str,
    pub(crate) by_platform: &'static str,
    pub(crate) by_upstream: &'static str,
    pub(crate) by_repository: &'static str,
    pub(crate) share: &'static str,
    pub(crate) share_name: fn(&str) -> Option<&'static str>,
    pub(crate) none: &'static str,
    pub(crate) verify: &'static str,
    pub(crate) usage: &'static str,
    pub(crate) remove: &'static str,
}

/// Words of the explanation.
pub(crate) struct ExplainText {
    pub(crate) question: &'static str,
    pub(crate) name: &'static str,
    pub(crate) client: &'static str,
    pub(crate) platform: &'static str,
    pub(crate) index: &'static str,
    pub(crate) accepts: &'static str,
    pub(crate) accepts_not: &'static str,
    pub(crate) submit: &'static str,
    pub(crate) answer: &'static str,
    pub(crate) gets: fn(&str, u16) -> String,
    pub(crate) cannot_tell: &'static str,
    pub(crate) path: &'static str,
    pub(crate) full_name: &'static str,
    pub(crate) media_type: &'static str,
    pub(crate) why: &'static str,
    pub(crate) mode: &'static str,
    pub(crate) followed: &'static str,
    pub(crate) nobody: &'static str,
    pub(crate) said: &'static str,
    pub(crate) said_caption: &'static str,
    pub(crate) said_none: &'static str,
    pub(crate) explicit: &'static str,
    pub(crate) asked: &'static str,
    pub(crate) identified: &'static str,
    pub(crate) tag: &'static str,
    pub(crate) rule: &'static str,
    pub(crate) choice: &'static str,
    pub(crate) choice_caption: &'static str,
    pub(crate) choice_none: &'static str,
    pub(crate) verdict: &'static str,
    pub(crate) more: fn(usize) -> String,
    pub(crate) real: &'static str,
}

/// Words of the events.
pub(crate) struct ActivityText {
    pub(crate) events: &'static str,
    pub(crate) caption: &'static str,
    pub(crate) none: &'static str,
    pub(crate) level: &'static str,
    pub(crate) level_name: fn(Level) -> &'static str,
    pub(crate) event: &'static str,
    pub(crate) details: &'static str,
    pub(crate) levels: &'static str,
    pub(crate) explained: &'static str,
}

/// Words of what this is.
pub(crate) struct AboutText {
    pub(crate) program: &'static str,
    pub(crate) version: &'static str,
    pub(crate) configuration: &'static str,
    pub(crate) masked: &'static str,
    pub(crate) in_force: &'static str,
    pub(crate) metrics: &'static str,
    pub(crate) readiness: &'static str,
    pub(crate) interface: &'static str,
    pub(crate) interface_caption: &'static str,
    pub(crate) route: &'static str,
    pub(crate) shown_at: &'static str,
    pub(crate) check: &'static str,
    pub(crate) reload: &'static str,
    pub(crate) watch: &'static str,
}

impl Text {
    /// The words of a language.
    pub(crate) fn of(language: Language) -> &'static Self {
        match language {
            Language::English => &english::ENGLISH,
            Language::Chinese => &chinese::CHINESE,
        }
    }
}

impl FrameText {
    /// The name of a page.
    pub(crate) fn name_of(&self, place: Place) -> &'static str {
        match place {
            Place::Overview => self.overview,
            Place::Downloads => self.downloads,
            Place::Images => self.images,
            Place::Image => self.image,
            Place::Readiness => self.readiness,
            Place::Upstreams => self.upstreams,
            Place::Platforms => self.platforms,
            Place::Cache => self.cache,
            Place::Explain => self.explain,
            Place::Activity => self.activity,
            Place::About => self.about,
        }
    }
}
