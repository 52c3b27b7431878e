//! The smallest programs that end with 0, one for each architecture: a file header, one segment,
//! and the instructions of `exit(0)`.
//!
//! They are static and use no library, no stack and no memory, so they run on every Linux kernel of
//! their architecture, whatever else is in the image.

/// An architecture, as images name it, and what differs between the programs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Architecture {
    /// `architecture` of a platform.
    pub(crate) name: &'static str,
    /// `variant` of a platform, if there is one.
    pub(crate) variant: Option<&'static str>,
    /// `e_machine` of the file header.
    machine: u16,
    /// The instructions.
    code: &'static [u8],
}

/// Those of the nodes that Archway itself runs on.
pub(crate) const ARCHITECTURES: [Architecture; 2] = [
    Architecture {
        name: "amd64",
        variant: None,
        machine: 62,
        // xor edi, edi        the status
        // mov eax, 60         exit
        // syscall
        code: &[0x31, 0xff, 0xb8, 0x3c, 0, 0, 0, 0x0f, 0x05],
    },
    Architecture {
        name: "arm64",
        variant: Some("v8"),
        machine: 183,
        // mov x0, #0          the status
        // mov x8, #93         exit
        // svc #0
        code: &[
            0x00, 0x00, 0x80, 0xd2, 0xa8, 0x0b, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4,
        ],
    },
];

/// The length of the file header.
const FILE_HEADER: u16 = 64;
/// The length of a program header.
const PROGRAM_HEADER: u16 = 56;
/// Where the code is, behind the headers.
const CODE: u64 = FILE_HEADER as u64 + PROGRAM_HEADER as u64;
/// Where the file is in memory: beyond the first pages, which no program gets.
const ADDRESS: u64 = 0x40_0000;
/// The largest page of either architecture: arm64 kernels may have pages of 64 KiB.
const PAGE: u64 = 0x1_0000;

impl Architecture {
    /// The program, in the format of System V's ABI for 64 bits, little-endian.
    pub(crate) fn program(&self) -> Vec<u8> {
        let size = CODE + self.code.len() as u64;
        let mut file = Vec::new();
        // Magic number; 64 bits; little-endian; version 1; System V, and padding.
        file.extend(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
        file.extend(2_u16.to_le_bytes()); // e_type: executable
        file.extend(self.machine.to_le_bytes());
        file.extend(1_u32.to_le_bytes()); // e_version
        file.extend((ADDRESS + CODE).to_le_bytes()); // e_entry
        file.extend(u64::from(FILE_HEADER).to_le_bytes()); // e_phoff
        file.extend(0_u64.to_le_bytes()); // e_shoff: no sections
        file.extend(0_u32.to_le_bytes()); // e_flags
        for half in [FILE_HEADER, PROGRAM_HEADER, 1, 0, 0, 0] {
            // Sizes and numbers of headers: of the file, of a program's, of sections.
            file.extend(half.to_le_bytes());
        }
        file.extend(1_u32.to_le_bytes()); // p_type: to be loaded
        file.extend(5_u32.to_le_bytes()); // p_flags: readable, executable
        for word in [0, ADDRESS, ADDRESS, size, size, PAGE] {
            // Offset, address, physical address, size in the file and in memory, alignment.
            file.extend(word.to_le_bytes());
        }
        file.extend(self.code);
        file
    }
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::PermissionsExt, process::Command};

    use super::*;

    #[test]
    fn a_program_is_its_headers_and_a_few_instructions() {
        let sizes = ARCHITECTURES.map(|architecture| architecture.program().len());
        assert_eq!(sizes, [129, 132]);
    }

    /// The one of the machine that tests, that is.
    #[test]
    fn a_program_ends_with_0() {
        let own = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => panic!("there is no program for {other}"),
        };
        let architecture = ARCHITECTURES.iter().find(|known| known.name == own);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("probe");
        std::fs::write(&path, architecture.unwrap().program()).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        assert_eq!(Command::new(&path).status().unwrap().code(), Some(0));
    }
}
