//! A tar of a few small files, which is what a layer is.

const BLOCK: usize = 512;

/// A file of root, readable by all.
pub(crate) struct Entry<'a> {
    /// At most 100 bytes.
    pub(crate) name: &'a str,
    pub(crate) mode: u32,
    pub(crate) bytes: &'a [u8],
}

/// The tar (POSIX `ustar`), with its two empty blocks at the end.
pub(crate) fn tar(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    for entry in entries {
        out.extend(header(entry));
        out.extend(entry.bytes);
        out.resize(out.len().next_multiple_of(BLOCK), 0);
    }
    out.resize(out.len() + 2 * BLOCK, 0);
    out
}

fn header(entry: &Entry<'_>) -> [u8; BLOCK] {
    let mut header = [0; BLOCK];
    let mut field = |at: usize, text: &str| {
        header[at..at + text.len()].copy_from_slice(text.as_bytes());
    };
    field(0, entry.name);
    field(100, &format!("{:07o}", entry.mode));
    field(108, "0000000"); // the owner
    field(116, "0000000"); // the group
    field(124, &format!("{:011o}", entry.bytes.len()));
    field(136, "00000000000"); // the time
    field(148, "        "); // the sum is made with blanks in its place
    field(156, "0"); // a regular file
    field(257, "ustar\0");
    field(263, "00");
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}
