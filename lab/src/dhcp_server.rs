//! A provider that leases addresses, by the servers that there are.
//!
//! Dropping ends the server by SIGKILL, so a panicking test leaves no process.

use crate::topology::Line;
use crate::{LabError, Node, scratch};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A running server.
#[derive(Debug)]
pub struct DhcpServer {
    child: Child,
    log: PathBuf,
}

/// Who leases.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Server {
    /// dnsmasq; leases last for two minutes at least.
    Dnsmasq,
    /// The server of ISC.
    Isc,
    /// The server of small boxes.
    Udhcpd,
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
    /// Lease time in seconds.
    pub seconds: u32,
    /// Lines of configuration besides, in the server's own words.
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

    /// The file of a server.
    fn text(&self, server: Server, directory: &Path) -> String {
        let Self { device, network, hosts: (gateway, host), seconds, rest } = self;
        let place = directory.display();
        match server {
            Server::Dnsmasq => format!(
                "port=0\nno-ping\nlog-dhcp\nbind-dynamic\ninterface={device}\nexcept-interface=lo\n\
                 dhcp-authoritative\ndhcp-leasefile={place}/leases\n\
                 dhcp-range={network}.{host},{network}.{host},255.255.255.0,{seconds}s\n\
                 dhcp-option=option:router,{network}.{gateway}\n\
                 dhcp-option=option:dns-server,192.0.2.53\n{rest}"
            ),
            Server::Isc => format!(
                "authoritative;\nping-check false;\n\
                 default-lease-time {seconds};\nmax-lease-time {seconds};\nmin-lease-time {seconds};\n\
                 subnet {network}.0 netmask 255.255.255.0 {{\n\
                 range {network}.{host} {network}.{host};\n\
                 option routers {network}.{gateway};\n\
                 option domain-name-servers 192.0.2.53;\n}}\n{rest}"
            ),
            Server::Udhcpd => format!(
                "interface {device}\nstart {network}.{host}\nend {network}.{host}\nmax_leases 1\n\
                 min_lease {seconds}\nlease_file {place}/leases\npidfile {place}/pid\n\
                 option subnet 255.255.255.0\noption router {network}.{gateway}\n\
                 option dns 192.0.2.53\noption lease {seconds}\n{rest}"
            ),
        }
    }
}

impl DhcpServer {
    /// Starts a server in a provider's namespace.
    ///
    /// # Errors
    /// When a file cannot be written or the program cannot be started.
    pub fn start(node: &Node, leases: &Leases, server: Server) -> Result<Self, LabError> {
        let directory = scratch::directory("dhcp-server")?;
        let config = directory.join("conf");
        let text = leases.text(server, &directory);
        fs::write(&config, text).map_err(|e| LabError::io("write a server's file", e))?;
        fs::write(directory.join("leases"), "").map_err(|e| LabError::io("make the leases", e))?;
        let log = directory.join("log");
        let file = File::create(&log).map_err(|e| LabError::io("make the log", e))?;
        let mut command = command(server, &directory, &config, &leases.device)?;
        let second = file.try_clone().map_err(|e| LabError::io("share the log", e))?;
        command.stdin(Stdio::null()).stdout(second).stderr(file);
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

/// How it is started, in the foreground.
fn command(
    server: Server,
    directory: &Path,
    config: &Path,
    device: &str,
) -> Result<Command, LabError> {
    // starts: dnsmasq, udhcpd, dhcpd
    Ok(match server {
        Server::Dnsmasq => {
            let mut command = Command::new("dnsmasq");
            command.arg("--keep-in-foreground").arg("--user=").arg("--pid-file=");
            command.arg("--log-facility=-").arg("-C").arg(config);
            command
        }
        Server::Udhcpd => {
            let mut command = Command::new("udhcpd");
            command.arg("-f").arg(config);
            command
        }
        Server::Isc => {
            // Where AppArmor guards it, it may read its own file alone. A copy is guarded by nobody.
            let copy = directory.join("dhcpd");
            fs::copy("/usr/sbin/dhcpd", &copy).map_err(|e| LabError::io("copy dhcpd", e))?;
            let mut command = Command::new(copy);
            command.args(["-4", "-f", "-d", "--no-pid", "-cf"]).arg(config);
            command.arg("-lf").arg(directory.join("leases")).arg(device);
            command
        }
    })
}

impl Drop for DhcpServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
