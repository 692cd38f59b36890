//! File systems on which others write: what another host does there raises no notification here.

use std::path::Path;

/// What statfs(2) calls them, from linux/magic.h and the file systems' own sources.
const REMOTE: [(i64, &str); 8] = [
    (0x6969, "nfs"),
    (0x517B, "smb"),
    (0xFF53_4D42, "cifs"),
    (0xFE53_4D42, "smb2"),
    (0x6573_5546, "fuse"),
    (0x0102_1997, "9p"),
    (0x00C3_6400, "ceph"),
    (0x786F_4256, "vboxsf"),
];

/// Whether a directory is on one of them. One that cannot be asked is not: it is looked at by and by anyhow.
pub fn is_remote(directory: &Path) -> bool {
    rustix::fs::statfs(directory).is_ok_and(|found| is_remote_kind(found.f_type))
}

fn is_remote_kind(kind: impl TryInto<i64>) -> bool {
    // The type of the field differs from one platform to the next; where it has 32 bits, some of these are negative.
    let kind = kind.try_into().unwrap_or(0) & 0xFFFF_FFFF;
    REMOTE.iter().any(|(magic, _)| *magic == kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_systems_that_others_write_to_are_known() {
        for (magic, name) in REMOTE {
            assert!(is_remote_kind(magic), "{name}");
        }
        assert!(
            is_remote_kind(0xFF53_4D42_u32.cast_signed()),
            "cifs, as 32 bits have it"
        );
        // ext4, xfs, btrfs, tmpfs, overlay.
        for magic in [0xEF53, 0x5846_5342, 0x9123_683E_i64, 0x0102_1994, 0x794C_7630] {
            assert!(!is_remote_kind(magic), "{magic:x}");
        }
    }

    #[test]
    fn the_kernel_is_asked() {
        assert!(!is_remote(Path::new("/proc")));
        assert!(!is_remote(Path::new("/no such directory")));
    }
}
