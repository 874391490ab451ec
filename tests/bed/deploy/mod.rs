//! `skitter deploy` over real sshds.

mod faults;
mod figures;
mod kept;
mod push;
mod refused;
mod sessions;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use rustix::process::Signal;

use super::cluster::{Cluster, ONCE};
use super::program::Program;

/// Starts sshd, which wants an empty directory; it is the one that the system's own makes.
const SSHD: &str = "mkdir -p -m 755 /run/sshd && exec /usr/sbin/sshd -D -e -f /tmp/ssh/server";

/// What a server takes from its disk, so that hosts share nothing.
const SERVER: &str = "HostKey /tmp/ssh/host\nAuthorizedKeysFile /tmp/ssh/user.pub\nStrictModes no\nUsePAM no\n\
                      PidFile none\nPermitRootLogin yes\nSetEnv HOME=/tmp\nSubsystem sftp internal-sftp\n";

/// What a client does.
const CLIENT: &str = "IdentityFile /tmp/ssh/user\nIdentitiesOnly yes\nUserKnownHostsFile /tmp/ssh/known\n\
                      GlobalKnownHostsFile /dev/null\n";

/// Hosts with an sshd each, and the program as a release in a directory.
pub struct Site {
    pub cluster: Cluster,
    servers: BTreeMap<String, Program>,
}

impl Site {
    pub fn new(hosts: usize) -> Site {
        Site::with(hosts, |_| "")
    }

    /// With a workflow that shows whether something was lost.
    pub fn exact(hosts: usize) -> Site {
        Site::of(Cluster::exact(hosts), |_| "")
    }

    /// With lines that come before the rest of the configuration of the server on each host.
    pub fn with(hosts: usize, server: impl Fn(&str) -> &'static str) -> Site {
        Site::of(Cluster::new(hosts), server)
    }

    fn of(mut cluster: Cluster, server: impl Fn(&str) -> &'static str) -> Site {
        let keys = tempfile::tempdir().expect("a directory");
        for name in ["host", "user"] {
            let path = keys.path().join(name);
            let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(path).status();
            assert!(made.expect("ssh-keygen is there").success());
        }
        let read = |name: &str| fs::read_to_string(keys.path().join(name)).expect("a key");
        let names: Vec<String> = cluster.bed.hosts().map(str::to_owned).collect();
        let known = format!("{} {}", names.join(","), read("host.pub"));
        let files = [
            ("host", read("host")),
            ("user", read("user")),
            ("user.pub", read("user.pub")),
            ("known", known),
            ("client", CLIENT.to_owned()),
        ];
        for name in &names {
            let disk = cluster.bed.disk(name);
            for directory in ["ssh", "release", "release/bin"] {
                fs::create_dir(disk.join(directory)).expect("room");
                fs::set_permissions(disk.join(directory), PermissionsExt::from_mode(0o700)).expect("ours");
            }
            for (file, text) in &files {
                let path = disk.join("ssh").join(file);
                fs::write(&path, text).expect("room");
                fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("ours");
            }
            fs::write(disk.join("ssh/server"), format!("{}{SERVER}", server(name))).expect("room");
            fs::hard_link(disk.join("skitter"), disk.join("release/bin/skitter")).expect("the same file system");
        }
        for file in ["ssh", "release"] {
            cluster.knows(file);
        }
        let mut site = Site { cluster, servers: BTreeMap::new() };
        names.iter().for_each(|host| site.serve(host));
        site
    }

    /// Starts the server of a host, once more if need be.
    pub fn serve(&mut self, host: &str) {
        let server = self.cluster.bed.start(host, &["sh", "-c", SSHD]);
        server.wait_for("Server listening on 0.0.0.0 port 22");
        self.servers.insert(host.to_owned(), server);
    }

    /// Deploys from the first host.
    pub fn deploy(&self, arguments: &[&str]) -> Program {
        self.deploy_by(&[], arguments)
    }

    pub fn deploy_by(&self, shell: &[&str], arguments: &[&str]) -> Program {
        let start = ["/tmp/release/bin/skitter", "deploy", "--working-dir", "/tmp/release", "--ssh-config"];
        let more = ["/tmp/ssh/client", "--cookie-file", "/tmp/cookie"];
        self.cluster.bed.start("host-a", &[&["env", ONCE], shell, &start[..], &more[..], arguments].concat())
    }

    /// That nothing is left but the servers, which end.
    pub fn leaves_nothing(self) {
        let Site { cluster, servers } = self;
        for server in servers.into_values() {
            server.signal(Signal::TERM);
            server.ended();
        }
        cluster.leaves_nothing();
    }
    /// Waits until no program of Skitter is left on a host, however they end.
    #[track_caller]
    pub fn is_left(&self, host: &str) {
        const LEFT: &str = "for name in /proc/[0-9]*/comm; do grep -qs ^skitter $name && \
                            tail --pid=$(echo $name | cut -d/ -f3) -f /dev/null; done; true";
        self.cluster.bed.start(host, &["sh", "-c", LEFT]).ended().with(0);
    }
}
