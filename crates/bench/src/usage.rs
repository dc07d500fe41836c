//! What processes have used so far, from `/proc`. Elsewhere than on Linux nothing is known.

/// Peak memory of a process in KiB, as long as it lives.
pub(crate) fn peak_kib(pid: u32) -> Option<u64> {
    system::peak_kib(pid)
}

/// CPU seconds of this process and of those that it has waited for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Own {
    pub(crate) process: f64,
    pub(crate) waited_for: f64,
}

impl Own {
    pub(crate) fn all(self) -> f64 {
        self.process + self.waited_for
    }
}

/// What this process has used.
pub(crate) fn own_cpu() -> Option<Own> {
    system::own_cpu()
}

/// CPU seconds of a process, of its children and of those that it has waited for.
pub(crate) fn tree_cpu(pid: u32) -> Option<f64> {
    system::tree_cpu(pid)
}

/// This machine.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Machine {
    /// The model of its processors.
    pub cpu: Option<String>,
    /// Processors that this process may use.
    pub cores: Option<usize>,
    /// Memory in MiB.
    pub memory_mb: Option<u64>,
    /// The kernel.
    pub kernel: Option<String>,
    /// The file system that the servers' folders are on.
    pub storage: Option<String>,
    /// Processes that wanted a processor in the minute before: more than a part of one and others were at work.
    pub load_before: Option<f32>,
}

impl Machine {
    /// This machine, with the file system of `folder`.
    pub(crate) fn read(folder: &std::path::Path) -> Self {
        let cores = std::thread::available_parallelism().ok().map(std::num::NonZero::get);
        Self { cores, ..system::machine(folder) }
    }
}

#[cfg(target_os = "linux")]
mod system {
    use std::path::Path;

    use procfs::process::{Process, all_processes};
    use procfs::{CpuInfo, Current, LoadAverage, Meminfo};

    use super::{Machine, Own};

    fn process(pid: u32) -> Option<Process> {
        Process::new(i32::try_from(pid).ok()?).ok()
    }

    pub(super) fn peak_kib(pid: u32) -> Option<u64> {
        process(pid)?.status().ok()?.vmhwm
    }

    fn seconds(ticks: u64) -> f64 {
        ticks as f64 / procfs::ticks_per_second() as f64
    }

    /// Of the process, and of those that it has waited for.
    fn ticks(process: &Process) -> Option<(u64, u64)> {
        let stat = process.stat().ok()?;
        Some((stat.utime + stat.stime, (stat.cutime + stat.cstime).max(0).cast_unsigned()))
    }

    pub(super) fn own_cpu() -> Option<Own> {
        let (process, waited_for) = ticks(&Process::myself().ok()?)?;
        Some(Own { process: seconds(process), waited_for: seconds(waited_for) })
    }

    pub(super) fn tree_cpu(pid: u32) -> Option<f64> {
        let children = all_processes().ok()?.filter_map(|process| process.ok()?.stat().ok());
        let children = children.filter(|stat| stat.ppid.cast_unsigned() == pid);
        let of_children: u64 = children.map(|stat| stat.utime + stat.stime).sum();
        let (process, waited_for) = ticks(&process(pid)?)?;
        Some(seconds(of_children + process + waited_for))
    }

    pub(super) fn machine(folder: &Path) -> Machine {
        Machine {
            cpu: CpuInfo::current().ok().and_then(|info| info.model_name(0).map(str::to_owned)),
            cores: None,
            memory_mb: Meminfo::current().ok().map(|info| info.mem_total >> 20),
            kernel: std::fs::read_to_string("/proc/sys/kernel/osrelease").ok().map(|text| text.trim().to_owned()),
            storage: storage(folder),
            load_before: LoadAverage::current().ok().map(|load| load.one),
        }
    }

    fn storage(folder: &Path) -> Option<String> {
        let folder = folder.canonicalize().ok()?;
        let mounts = Process::myself().ok()?.mountinfo().ok()?;
        let of_folder = mounts.into_iter().filter(|mount| folder.starts_with(&mount.mount_point));
        let mount = of_folder.max_by_key(|mount| mount.mount_point.as_os_str().len())?;
        let source = mount.mount_source.unwrap_or_default();
        Some(format!("{} on {source}", mount.fs_type))
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use super::{Machine, Own};

    pub(super) fn peak_kib(_: u32) -> Option<u64> {
        None
    }

    pub(super) fn own_cpu() -> Option<Own> {
        None
    }

    pub(super) fn tree_cpu(_: u32) -> Option<f64> {
        None
    }

    pub(super) fn machine(_: &std::path::Path) -> Machine {
        Machine::default()
    }
}
