//! The files that pages refer to. Their paths hold a hash of their bytes, so a browser may keep them
//! for ever and never has one of another version.

/// A file of the console.
#[derive(Clone, Copy, Debug)]
pub struct Asset {
    /// Its path, relative to the pages.
    pub path: &'static str,
    /// Its media type.
    pub kind: &'static str,
    /// Its bytes.
    pub text: &'static str,
}

const STYLE_TEXT: &str = include_str!("assets/console.css");
const SCRIPT_TEXT: &str = include_str!("assets/console.js");
const ICON_TEXT: &str = include_str!("assets/icon.svg");

/// One hash for all: a release changes them together.
const HASH: [u8; 16] = hash(&[STYLE_TEXT, SCRIPT_TEXT, ICON_TEXT]);

/// The folder they are in.
const FOLDER: &str = "assets/";

macro_rules! path {
    ($name:literal) => {{
        const LENGTH: usize = FOLDER.len() + HASH.len() + 1 + $name.len();
        const BYTES: [u8; LENGTH] = joined(&[FOLDER.as_bytes(), &HASH, b"/", $name.as_bytes()]);
        match str::from_utf8(&BYTES) {
            Ok(path) => path,
            Err(_) => unreachable!(),
        }
    }};
}

/// The look.
pub(crate) const STYLE: Asset = Asset {
    path: path!("console.css"),
    kind: "text/css; charset=utf-8",
    text: STYLE_TEXT,
};

/// The script.
pub(crate) const SCRIPT: Asset = Asset {
    path: path!("console.js"),
    kind: "text/javascript; charset=utf-8",
    text: SCRIPT_TEXT,
};

/// The picture in a browser's tab.
pub(crate) const ICON: Asset = Asset {
    path: path!("icon.svg"),
    kind: "image/svg+xml",
    text: ICON_TEXT,
};

/// All of them.
pub const ASSETS: [Asset; 3] = [STYLE, SCRIPT, ICON];

/// FNV-1a, in hexadecimal: it tells versions apart and protects nothing.
const fn hash(texts: &[&str]) -> [u8; 16] {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut text = 0;
    while text < texts.len() {
        let bytes = texts[text].as_bytes();
        let mut place = 0;
        while place < bytes.len() {
            hash = (hash ^ bytes[place] as u64).wrapping_mul(0x0100_0000_01b3);
            place += 1;
        }
        text += 1;
    }
    let mut digits = [0; 16];
    let mut place = 0;
    while place < digits.len() {
        digits[place] = b"0123456789abcdef"[((hash >> (60 - 4 * place)) & 15) as usize];
        place += 1;
    }
    digits
}

const fn joined<const LENGTH: usize>(parts: &[&[u8]]) -> [u8; LENGTH] {
    let mut whole = [0; LENGTH];
    let (mut part, mut end) = (0, 0);
    while part < parts.len() {
        let mut place = 0;
        while place < parts[part].len() {
            whole[end] = parts[part][place];
            place += 1;
            end += 1;
        }
        part += 1;
    }
    whole
}
