//! The pages that there are, and where.

/// The pages of the navigation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Is it well, is it worth it, what does it do now?
    Overview,
    /// What is being downloaded, for whom, and what ended.
    Downloads,
    /// How much of each image is stored, for each platform.
    Images,
    /// One image.
    Image,
    /// Which images block an architecture.
    Readiness,
    /// How each upstream is.
    Upstreams,
    /// Which platforms are asked for, and by whom.
    Platforms,
    /// What is stored, and what goes next.
    Cache,
    /// Who would get what, and why.
    Explain,
    /// What happened.
    Activity,
    /// What this is and how it is configured.
    About,
}

impl Place {
    /// All pages.
    pub const ALL: [Self; 11] = [
        Self::Overview,
        Self::Downloads,
        Self::Images,
        Self::Image,
        Self::Readiness,
        Self::Upstreams,
        Self::Platforms,
        Self::Cache,
        Self::Explain,
        Self::Activity,
        Self::About,
    ];

    /// Its path below the console's, without a slash before it.
    pub fn path(self) -> &'static str {
        match self {
            Self::Overview => "",
            Self::Downloads => "downloads",
            Self::Images => "images",
            Self::Image => "image",
            Self::Readiness => "readiness",
            Self::Upstreams => "upstreams",
            Self::Platforms => "platforms",
            Self::Cache => "cache",
            Self::Explain => "explain",
            Self::Activity => "activity",
            Self::About => "about",
        }
    }
}
