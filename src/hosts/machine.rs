//! What a system calls itself, and whether this program runs there.

use std::env::consts::{ARCH, OS};

/// Whether this program was made for what `uname -sm` says, such as `Linux x86_64`. Says yes to what it does not know:
/// then the program's start tells.
pub fn runs_on(machine: &str) -> bool {
    fits(machine, OS, ARCH)
}

/// What this program was made for, as a user knows it.
pub fn own() -> String {
    format!("{OS} {ARCH}")
}

fn fits(machine: &str, os: &str, arch: &str) -> bool {
    let Some((system, machine)) = machine.trim().split_once(' ') else { return true };
    let same = match machine {
        "x86_64" | "amd64" => matches!(arch, "x86_64" | "x86"),
        "aarch64" | "arm64" => arch == "aarch64",
        "i386" | "i486" | "i586" | "i686" => arch == "x86",
        "riscv64" | "s390x" => arch == machine,
        "ppc64le" | "ppc64" => arch == "powerpc64",
        _ if machine.starts_with("armv") => arch == "arm",
        _ => true,
    };
    same && system.eq_ignore_ascii_case(os)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_runs_on_what_it_was_made_for() {
        for (machine, arch, expected) in [
            ("Linux x86_64", "x86_64", true),
            ("Linux x86_64", "aarch64", false),
            ("Linux aarch64", "aarch64", true),
            ("Linux aarch64", "x86_64", false),
            ("Linux armv7l", "x86_64", false),
            ("Linux armv7l", "arm", true),
            ("Darwin x86_64", "x86_64", false),
            ("Linux toaster", "x86_64", true),
            ("", "x86_64", true),
        ] {
            assert_eq!(fits(machine, "linux", arch), expected, "{machine}");
        }
        assert!(own().contains(ARCH));
    }
}
