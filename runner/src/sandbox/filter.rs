//! System calls that are refused in a room, with "operation not permitted": those that reach other parts of the machine whatever
//! namespaces say, and those in which the kernel's own faults are mostly found. Everything else is left to the namespaces.

use std::{collections::BTreeMap, io};

use seccompiler::{BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch};

/// Keys of other sessions; rings that do file and network work without a call; probes into the kernel; mounts and namespaces; handles
/// that open files by number; modules, swap and clocks; and what reaches into the sandbox's own first process.
const REFUSED: [i64; 42] = [
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_mount_setattr,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_open_by_handle_at,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_reboot,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_syslog,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    libc::SYS_lookup_dcookie,
    libc::SYS_quotactl_fd,
    libc::SYS_pidfd_getfd,
    libc::SYS_process_vm_writev,
];
/// The kinds of sockets that there are inside. Among the others are those to the machine below a virtual one, which no network
/// namespace holds back.
const SOCKETS: [i32; 4] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];
/// Requests that type into a terminal.
const TYPES_INTO: [u64; 2] = [libc::TIOCSTI, libc::TIOCLINUX];

/// As bubblewrap reads it: the kernel's instructions one after the other.
pub(super) fn program() -> io::Result<Vec<u8>> {
    let instructions = compiled().map_err(io::Error::other)?;
    let bytes = |of: &seccompiler::sock_filter| {
        let mut bytes = of.code.to_ne_bytes().to_vec();
        bytes.extend([of.jt, of.jf]);
        bytes.extend(of.k.to_ne_bytes());
        bytes
    };
    Ok(instructions.iter().flat_map(bytes).collect())
}

fn compiled() -> Result<BpfProgram, seccompiler::BackendError> {
    let argument = |index, comparison, value| SeccompCondition::new(index, SeccompCmpArgLen::Dword, comparison, value);
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = REFUSED.into_iter().map(|call| (call, vec![])).collect();
    let none_of_them = SOCKETS.into_iter().map(|kind| argument(0, SeccompCmpOp::Ne, kind as u64)).collect::<Result<Vec<_>, _>>()?;
    rules.insert(libc::SYS_socket, vec![SeccompRule::new(none_of_them)?]);
    let types_into = |request| SeccompRule::new(vec![argument(1, SeccompCmpOp::Eq, request)?]);
    rules.insert(libc::SYS_ioctl, TYPES_INTO.into_iter().map(types_into).collect::<Result<_, _>>()?);
    let refused = SeccompAction::Errno(libc::EPERM as u32);
    // whoever calls in the way of another processor is ended
    SeccompFilter::new(both_ways(rules), SeccompAction::Allow, refused, TargetArch::try_from(std::env::consts::ARCH)?)?.try_into()
}

/// A kernel that has x32 takes the same calls with another number as well.
#[cfg(target_arch = "x86_64")]
fn both_ways(mut rules: BTreeMap<i64, Vec<SeccompRule>>) -> BTreeMap<i64, Vec<SeccompRule>> {
    const X32: i64 = 0x4000_0000;
    // some have a number of their own there
    const IOCTL: i64 = 514;
    const KEXEC_LOAD: i64 = 528;
    const PROCESS_VM_WRITEV: i64 = 540;
    let number = |call| match call {
        libc::SYS_ioctl => IOCTL,
        libc::SYS_kexec_load => KEXEC_LOAD,
        libc::SYS_process_vm_writev => PROCESS_VM_WRITEV,
        other => other,
    };
    // older kernels take them by the usual one as well
    let other: Vec<_> = rules.iter().flat_map(|(call, rule)| [*call, number(*call)].map(|number| (X32 | number, rule.clone()))).collect();
    rules.extend(other);
    rules
}

#[cfg(not(target_arch = "x86_64"))]
fn both_ways(rules: BTreeMap<i64, Vec<SeccompRule>>) -> BTreeMap<i64, Vec<SeccompRule>> {
    rules
}
