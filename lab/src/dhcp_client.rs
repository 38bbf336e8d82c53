//! Another program that configures an interface of the router: a DHCP client with its script, as
//! distributions have it.
//!
//! Dropping ends the client by SIGKILL, and leaves what it has set.

use crate::{LabError, Node, scratch};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A running client.
#[derive(Debug)]
pub struct DhcpClient {
    child: Child,
    log: PathBuf,
}

impl DhcpClient {
    /// Starts a client on an interface; it sets the link up, the address and a default route in `main`.
    ///
    /// # Errors
    /// When a file cannot be written or the program cannot be started.
    pub fn start(node: &Node, interface: &str) -> Result<Self, LabError> {
        let directory = scratch::directory("dhcp-client")?;
        let script = directory.join("script");
        fs::write(&script, SCRIPT).map_err(|e| LabError::io("write a client's script", e))?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755))
            .map_err(|e| LabError::io("make a script executable", e))?;
        let log = directory.join("log");
        let file = File::create(&log).map_err(|e| LabError::io("make the log", e))?;
        let second = file.try_clone().map_err(|e| LabError::io("share the log", e))?;
        let mut command = Command::new("busybox");
        command.args(["udhcpc", "-f", "-t", "3", "-T", "1", "-A", "1", "-i", interface, "-s"]);
        command.arg(&script).stdin(Stdio::null()).stdout(second).stderr(file);
        Ok(Self { child: node.start(&mut command)?, log })
    }

    /// Has it extend its lease now: it takes its default route away and puts it back.
    ///
    /// # Errors
    /// When it has ended.
    pub fn renew(&self) -> Result<(), LabError> {
        self.tell(Signal::USR1)
    }

    /// Has it give its lease back, and with it what it has set.
    ///
    /// # Errors
    /// When it has ended.
    pub fn release(&self) -> Result<(), LabError> {
        self.tell(Signal::USR2)
    }

    fn tell(&self, signal: Signal) -> Result<(), LabError> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).map_err(|e| LabError::io("tell a DHCP client", e))
    }

    /// What it said so far.
    pub fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// How often its script has done this.
    pub fn count(&self, deed: &str) -> usize {
        self.said().lines().filter(|line| *line == format!("did {deed}")).count()
    }
}

impl Drop for DhcpClient {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// As that of busybox: each lease, renewed or not, deletes the default route and adds it again. The metric
/// is another one each time.
const SCRIPT: &str = "#!/bin/sh
case $1 in
deconfig)
    ip -4 address flush dev $interface
    ip link set $interface up
    ;;
bound|renew)
    if ! ip -4 -o address show dev $interface | grep -q \" $ip/$mask \"; then
        ip -4 address flush dev $interface
        ip address add $ip/$mask dev $interface
    fi
    while ip route delete default dev $interface 2>/dev/null; do :; done
    ip route add default via ${router%% *} dev $interface metric $(( $(date +%s) % 1000 + 1 )) proto dhcp
    ;;
esac
echo did $1
";
