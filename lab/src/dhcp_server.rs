//! A provider that leases addresses: dnsmasq, or udhcpd as another hand's server.
//!
//! Dropping ends the server by SIGKILL, so a panicking test leaves no process.

use crate::topology::Line;
use crate::{LabError, Node, scratch};
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A running server.
#[derive(Debug)]
pub struct DhcpServer {
    child: Child,
    log: PathBuf,
}

/// What it leases.
#[derive(Clone, Debug)]
pub struct Leases {
    /// Device in the provider's namespace.
    pub device: String,
    /// Network in dotted quads, up to the last one: `100.64.1`.
    pub network: String,
    /// Last quad of the gateway, and of the only address that is leased.
    pub hosts: (u8, u8),
    /// Lease time in seconds; dnsmasq takes two minutes at least.
    pub seconds: u32,
    /// Lines of configuration besides.
    pub rest: String,
}

impl Leases {
    /// Those of the drawing: the address that a static uplink would have, and the provider's gateway.
    pub fn of(line: &Line) -> Self {
        let [a, b, c, host] = line.address().octets();
        let gateway = line.gateway().octets()[3];
        Self {
            device: "acc".into(),
            network: format!("{a}.{b}.{c}"),
            hosts: (gateway, host),
            seconds: 3600,
            rest: String::new(),
        }
    }

    fn dnsmasq(&self, directory: &std::path::Path) -> String {
        let Self { device, network, hosts: (gateway, host), seconds, rest } = self;
        let leases = directory.join("leases");
        format!(
            "port=0\nno-ping\nlog-dhcp\nbind-dynamic\ninterface={device}\nexcept-interface=lo\n\
             dhcp-authoritative\ndhcp-leasefile={}\n\
             dhcp-range={network}.{host},{network}.{host},255.255.255.0,{seconds}s\n\
             dhcp-option=option:router,{network}.{gateway}\n\
             dhcp-option=option:dns-server,192.0.2.53\n{rest}",
            leases.display()
        )
    }
}

impl DhcpServer {
    /// Starts dnsmasq in a provider's namespace.
    ///
    /// # Errors
    /// When a file cannot be written or the program cannot be started.
    pub fn dnsmasq(node: &Node, leases: &Leases) -> Result<Self, LabError> {
        let directory = scratch::directory("dnsmasq")?;
        let config = directory.join("dnsmasq.conf");
        let text = leases.dnsmasq(&directory);
        fs::write(&config, text).map_err(|e| LabError::io("write dnsmasq.conf", e))?;
        let log = directory.join("log");
        let file = File::create(&log).map_err(|e| LabError::io("make the log", e))?;
        // starts: dnsmasq
        let mut command = Command::new("dnsmasq");
        command.arg("--keep-in-foreground").arg("--user=").arg("--pid-file=");
        command.arg("--log-facility=-").arg("-C").arg(&config);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file);
        Ok(Self { child: node.start(&mut command)?, log })
    }

    /// What it said so far.
    pub fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// How often it said this.
    pub fn count(&self, words: &str) -> usize {
        self.said().matches(words).count()
    }
}

impl Drop for DhcpServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
