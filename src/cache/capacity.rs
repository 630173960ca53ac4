//! How much memory the cache may take: a share of what this process is allowed.

use std::fs::read_to_string;

/// Most the memory level takes unless told otherwise, bytes.
const DEFAULT_MOST: u64 = 128 * 1024 * 1024;

/// The smaller of 128 MiB and a quarter of the memory limit (cgroup version 2 or 1, else physical memory), bytes.
pub fn default_capacity() -> u64 {
    let limits = [
        read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| cgroup_limit(&text)),
        read_to_string("/sys/fs/cgroup/memory/memory.limit_in_bytes")
            .ok()
            .and_then(|text| cgroup_limit(&text)),
        read_to_string("/proc/meminfo").ok().and_then(|text| physical_memory(&text)),
    ];
    limits.into_iter().flatten().min().map_or(DEFAULT_MOST, |limit| DEFAULT_MOST.min(limit / 4))
}

/// `max` means none.
fn cgroup_limit(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

fn physical_memory(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kibibytes| kibibytes.saturating_mul(1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_as_the_kernel_writes_them() {
        assert_eq!(cgroup_limit("536870912\n"), Some(536_870_912));
        assert_eq!(cgroup_limit("max\n"), None);
        assert_eq!(physical_memory("MemTotal:       16384 kB\nMemFree: 1 kB\n"), Some(16_777_216));
        assert_eq!(physical_memory("nonsense"), None);
    }

    #[test]
    fn the_default_is_at_most_128_mebibytes() {
        assert!((1..=DEFAULT_MOST).contains(&default_capacity()));
    }
}
