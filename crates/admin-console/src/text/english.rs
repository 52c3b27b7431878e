//! English.

use admin_api::{
    EndpointState, EvictionClass, FillEnd, FillOrigin, FillPlace, FillWait, Level, LinkRole,
    Trouble,
};

use super::{
    AboutText, ActivityText, CacheText, CommonText, DownloadsText, ExplainText, FrameText,
    ImageText, ImagesText, OverviewText, PlatformsText, ReadinessText, Text, UpstreamsText,
};

/// The words of this language.
pub(super) const ENGLISH: Text = Text {
    frame: FRAME,
    common: COMMON,
    overview: OVERVIEW,
    downloads: DOWNLOADS,
    images: IMAGES,
    image: IMAGE,
    readiness: READINESS,
    upstreams: UPSTREAMS,
    platforms: PLATFORMS,
    cache: CACHE,
    explain: EXPLAIN,
    activity: ACTIVITY,
    about: ABOUT,
};

const FRAME: FrameText = FrameText {
    skip: "Skip to the content",
    pages: "Pages",
    languages: "Languages",
    copy: "Copy",
    copied: "Copied",
    changes_nothing: "This console changes nothing: each action is a command to copy.",
    reload: "Reload",
    json: "This page as JSON",
    overview: "Overview",
    downloads: "Downloads",
    images: "Images",
    image: "Image",
    readiness: "Readiness",
    upstreams: "Upstreams",
    platforms: "Platforms and clients",
    cache: "Cache",
    explain: "Explain",
    activity: "Activity",
    about: "About",
};

const COMMON: CommonText = CommonText {
    actions: "Commands",
    platform: "Platform",
    image: "Image",
    upstream: "Upstream",
    state: "State",
    cause: "Cause",
    size: "Size",
    blobs: "Blobs",
    digest: "Digest",
    time: "Time",
    since: "Since",
    until: "Until",
    used: "Last used",
    requests: "Requests",
    unknown: "unknown",
    any: "any",
    show: "Show",
    first_page: "First page",
    next_page: "Next page",
    numbers: "The numbers",
    problem: "There is no answer",
    whole: "whole",
    part: "part",
    absent: "absent",
    lacks: "does not exist",
    of,
    class,
};

const OVERVIEW: OverviewText = OverviewText {
    well: "Well. Nothing is wrong.",
    trouble,
    hit_ratio: "Hit ratio by bytes",
    saved_of: |saved, sent| format!("{saved} of {sent} came from no upstream"),
    received: "Received from upstreams",
    requests: "Requests",
    hits: |hits| format!("{hits} answered without an upstream"),
    upstream_calls: "Calls to upstreams",
    pulls_left: "Pulls left",
    disk: "Disk",
    disk_of: |most, free| {
        free.map_or_else(
            || format!("of {most}"),
            |free| format!("of {most}; {free} free on the disk"),
        )
    },
    fills: "Downloads now",
    fills_of: |followers, waiting| format!("{followers} readers; {waiting} wait"),
    errors: "Errors to clients",
    missing: "Platforms missing",
    last_hour: "in the last hour",
    since_start: "since the start",
    running_since: "Running since",
    wanted: "Wanted platforms",
    wanted_caption: "Images stored for the platforms that are kept ready, counted every five minutes",
    wanted_none: "No platform is wanted yet: none is configured, and none was learned.",
    images_whole: "Images whole",
    images_part: "Images in part",
    blockers: "Images that lack",
    history: "The last 24 hours",
    history_none: "There is no history yet.",
    series,
    sum: |sum, most| format!("{sum} in all, at most {most} a minute"),
    last: |last, most| format!("{last} now, {most} at most"),
};

const DOWNLOADS: DownloadsText = DownloadsText {
    sentence: |running, most| match running {
        0 => format!("Nothing is being downloaded. Up to {most} downloads may run at a time."),
        1 => format!("1 download runs, of at most {most}."),
        _ => format!("{running} downloads run, of at most {most}."),
    },
    running: "Running",
    running_caption: "Downloads that run, the oldest first",
    running_none: "None runs.",
    ended: "Ended",
    ended_caption: "The last downloads that ended, the latest first",
    ended_none: "None has ended since the start.",
    download: "Download",
    progress: "Progress",
    rate: "Speed",
    connections: "Connections",
    followers: "Followers",
    started_by: "Started by",
    began: "Began",
    took: "Took",
    end: "Ended",
    loading: "bytes come",
    resumed: |bytes| format!("resumed at {bytes}"),
    origin,
    place,
    waits,
    ending,
};

const IMAGES: ImagesText = ImagesText {
    filter: "Name contains, or matches with * and ?",
    missing: "Not whole for the platform",
    list: "Stored images",
    caption: "Images, and how much of each is stored for each platform",
    none: "No image matches.",
    clients: "Clients",
    stored: "Stored",
    tag: "Tag",
    tag_state,
    legend: "● whole: all of it is stored. ◐ part: some is. ○ absent: none is. – there is no image for the platform.",
    warm: "Download an image before it is asked for",
    warm_missing: "List what is not whole for a platform",
    as_report: "Which images do not exist for it",
};

const IMAGE: ImageText = ImageText {
    absent: "This image is not stored.",
    facts: "The image",
    confirmed: "Confirmed by the upstream",
    asked_again: "Upstream asked again from",
    expires: "Served stale until",
    same_digest: "Other tags of the same digest",
    parts: "Platforms",
    parts_caption: "The images of the index, and how much of each is stored",
    manifest: |name| format!("Manifest {name}"),
    contents: "Content",
    links_caption: |name| format!("What {name} names"),
    links_none: "It names nothing.",
    role,
    kept: "Kept as",
    stored: "stored",
    annotations_caption: |name| format!("Annotations of {name}"),
    annotation: "Annotation",
    value: "Value",
    media_type: "Media type",
    warm: "Download all of it",
    ready: "Say whether it is ready for a platform",
    explain: "Explain who gets what",
    refresh: "Ask the upstream for the tag now",
    remove: "Remove it from the cache",
};

const READINESS: ReadinessText = ReadinessText {
    ask: "Platform needed",
    sentence: |platform, lacking, checked| match lacking {
        0 => format!("All {checked} images on this page exist for {platform}."),
        _ => format!("{lacking} of {checked} images on this page do not exist for {platform}."),
    },
    lacking: "Who blocks the move",
    lacking_caption: |platform| format!("Images that do not exist for {platform}"),
    lacking_none: "None: every image exists for it.",
    lacks: "Lacks",
    has: "Exists for",
    unknown: "Not known",
    unknown_caption: "Images whose platform is not known, since no config of theirs is stored",
    unknown_none: "The platforms of all images are known.",
    export: "The whole report, as Markdown",
    check: "In a pipeline: fail if an image lacks it",
    uncached: "Images that exist for it and are not whole here",
};

const UPSTREAMS: UpstreamsText = UpstreamsText {
    endpoints: "Endpoints",
    endpoints_caption: "Where upstreams are asked, and how each place is",
    none: "No upstream was asked since the start.",
    endpoint: "Endpoint",
    credential: "Credential",
    expires: "token expires",
    endpoint_state: endpoint,
    calls: "Calls",
    calls_caption: "What each upstream was asked, and what it allows",
    rates: "Configured rates",
    left: |left| format!("{left} left"),
    waiting: "Waiting",
    pulls_left: "Pulls left",
    received: "Received",
    answers: "Answers",
    held: "held back",
    kind_of_calls: calls,
    answer,
    offline: |pattern| {
        format!("{pattern} is never asked, by configuration: it is served as stored.")
    },
    check: "Try names, certificates, clock and credentials",
};

const PLATFORMS: PlatformsText = PlatformsText {
    wanted: "Kept ready",
    default: "Of a client that says nothing",
    no_default: "none: it gets the index, or linux/amd64 where it reads none",
    facts: "In short",
    counts: "Platforms",
    counts_caption: "What clients ask for, and what is stored for it",
    none: "Nothing yet.",
    missing: "Missing",
    substitutions: "Substitutions",
    nodes: "Nodes",
    hints: "How clients are known",
    hints_caption: "Which source told the platform, since the start",
    programs: "Programs",
    programs_caption: "Requests by the program that their User-Agent names, since the start",
    program: "Program",
    no_program: "without a User-Agent",
    other_program: "other",
    source: "Source",
    source_name: source,
    learned: "Learned",
    learned_caption: "Platforms that clients pulled, by place; older pulls count less",
    place: "Place",
    weights: "Platforms and weights",
    networks: "Networks",
    networks_caption: "Networks whose platform is configured",
    network: "Network",
    connections: "Open connections",
    silent_nodes: "Nodes that never asked",
    wishes: "What clients asked for and is not here",
};

const CACHE: CacheText = CacheText {
    stored: "Stored",
    room: "Room",
    pinned: "Pinned by bundles",
    free: "Free on the disk",
    free_of: |least| format!("{least} are left to others"),
    evicted: "Evicted",
    next: "What goes next",
    next_caption: "Blobs in the order in which they would leave",
    next_none: "Nothing can leave.",
    why: "Why",
    division: "What uses the space",
    counted: "Counted",
    not_counted: "Not counted yet.",
    by_class: "By what eviction makes of it",
    by_kind: "By kind",
    by_platform: "By platform",
    by_upstream: "By upstream",
    by_repository: "The largest repositories",
    share: "Share",
    share_name: share,
    none: "Nothing is stored.",
    verify: "Look for damaged blobs",
    usage: "The same in a terminal",
    remove: "Remove an image",
};

const EXPLAIN: ExplainText = ExplainText {
    question: "Who would get what?",
    name: "Image: [HOST/]REPOSITORY[:TAG|@DIGEST]",
    client: "Client",
    platform: "Platform it states (header Archway-Platform)",
    index: "Index",
    accepts: "it reads an index",
    accepts_not: "it reads no index",
    submit: "Explain",
    answer: "The answer",
    gets: |name, status| format!("For {name} the client would get status {status}."),
    cannot_tell: "Only the upstream can tell: nothing is stored for it.",
    path: "Request",
    full_name: "In full",
    media_type: "Media type",
    why: "Why",
    mode: "resolve",
    followed: "Followed",
    nobody: "none",
    said: "What the request says",
    said_caption: "Sources of the platform, the most trusted first",
    said_none: "No source says a platform.",
    explicit: "Kind",
    asked: "asked for",
    identified: "recognised",
    tag: "Tag",
    rule: "Rule",
    choice: "The choice",
    choice_caption: "Entries of the index, with the verdict on each",
    choice_none: "Nothing was chosen among entries.",
    verdict: "Verdict",
    more: |more| format!("{more} more entries"),
    real: "The same of a real request",
};

const ACTIVITY: ActivityText = ActivityText {
    events: "Events",
    caption: "The last notable events, the latest first",
    none: "Nothing notable has happened since the start.",
    level: "Level",
    level_name: level,
    event: "Event",
    details: "Details",
    levels: "Say more, until the next restart: set log.level, then",
    explained: "docs/logging.md explains every event.",
};

const ABOUT: AboutText = AboutText {
    program: "The program",
    version: "Version",
    configuration: "Configuration",
    masked: "All keys with their values. Secrets are masked.",
    in_force: "The configuration in force",
    metrics: "Metrics",
    readiness: "Readiness",
    interface: "The same for programs",
    interface_caption: "Routes of this listener, and the pages made of them",
    route: "Route",
    shown_at: "Page",
    check: "Check a changed file",
    reload: "Put it in force",
    watch: "The live pages in a terminal",
};

fn of(part: &str, whole: &str) -> String {
    format!("{part} of {whole}")
}

fn class(value: EvictionClass) -> &'static str {
    match value {
        EvictionClass::Unwanted => "of a platform nobody pulls",
        EvictionClass::Probation => "not used since it came",
        EvictionClass::UsedAgain => "used again",
        EvictionClass::Manifest => "a manifest",
    }
}

fn origin(value: FillOrigin) -> &'static str {
    match value {
        FillOrigin::Client => "a client",
        FillOrigin::Replica => "another replica",
        FillOrigin::Prefetch => "prefetch",
    }
}

fn place(value: FillPlace) -> &'static str {
    match value {
        FillPlace::Upstream => "from the upstream",
        FillPlace::Replica => "from another replica",
        FillPlace::Tier => "from the bucket",
    }
}

fn waits(value: FillWait) -> &'static str {
    match value {
        FillWait::Slot => "waits for a slot",
        FillWait::Answer => "waits for the upstream",
        FillWait::Room => "waits for room on the disk",
        FillWait::Bytes => "no byte for a second",
        FillWait::Storing => "is checked and stored",
    }
}

fn ending(value: FillEnd) -> &'static str {
    match value {
        FillEnd::Stored => "stored",
        FillEnd::Failed => "failed",
        FillEnd::NoSlot => "got no slot",
        FillEnd::GaveWay => "gave way",
        FillEnd::SentPast => "sent past the cache",
        FillEnd::Unstored => "the disk did not take it",
        FillEnd::Wrong => "not what its digest says",
        FillEnd::Cut => "cut by a shutdown",
    }
}

fn role(value: LinkRole) -> &'static str {
    match value {
        LinkRole::Manifest => "manifest",
        LinkRole::Config => "config",
        LinkRole::Layer => "layer",
    }
}

fn endpoint(value: EndpointState) -> &'static str {
    match value {
        EndpointState::Up => "up",
        EndpointState::Throttling => "throttles us",
        EndpointState::Down => "down",
    }
}

fn level(value: Level) -> &'static str {
    match value {
        Level::Error => "error",
        Level::Warn => "warning",
        Level::Info => "info",
    }
}

fn series(name: &str) -> Option<&'static str> {
    Some(match name {
        "sent" => "Bytes to clients",
        "received" => "Bytes from upstreams",
        "stored" => "Stored",
        "evicted" => "Evicted",
        "requests" => "Requests",
        "hits" => "Hits",
        "errors" => "Errors",
        "stale" => "Stale answers",
        "upstream_calls" => "Calls to upstreams",
        "upstream_failures" => "Failed calls to upstreams",
        "fills" => "Downloads",
        "connections" => "Connections",
        _ => return None,
    })
}

fn tag_state(name: &str) -> Option<&'static str> {
    Some(match name {
        "fresh" => "fresh",
        "stale" => "stale",
        "expired" => "expired",
        "immutable" => "immutable",
        "held" => "held",
        _ => return None,
    })
}

fn calls(name: &str) -> Option<&'static str> {
    Some(match name {
        "all" => "all",
        "manifests" => "manifests",
        "blobs" => "blobs",
        "lists" => "lists",
        _ => return None,
    })
}

fn answer(name: &str) -> Option<&'static str> {
    Some(match name {
        "ok" => "ok",
        "absent" => "absent",
        "refused" => "refused",
        "throttled" => "throttled",
        "unreachable" => "unreachable",
        "broken" => "broken",
        "resting" => "resting",
        _ => return None,
    })
}

fn source(name: &str) -> Option<&'static str> {
    Some(match name {
        "header" => "header",
        "query" => "query",
        "path" => "path",
        "user-agent" => "User-Agent",
        "address" => "address",
        "listener" => "listener",
        "host" => "host",
        "node" => "node",
        "none" => "nobody",
        _ => return None,
    })
}

fn share(name: &str) -> Option<&'static str> {
    Some(match name {
        "unwanted" => "of platforms nobody pulls",
        "probation" => "not used since it came",
        "used_again" => "used again",
        "manifests" | "manifest" => "manifests",
        "pinned" => "pinned",
        "index" => "indexes",
        "config" => "configs",
        "layer" => "layers",
        "other" => "other",
        _ => return None,
    })
}

fn trouble(trouble: &Trouble) -> String {
    trouble.sentence.clone()
}
