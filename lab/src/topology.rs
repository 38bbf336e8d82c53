//! The standard drawing, built in place.
//!
//! ```text
//! client   192.168.1.10.. ── 192.168.1.1 lan0 [router]
//! router   wanI 100.64.I.2 ── 100.64.I.1 acc [ispI]
//! ispI     core 10.1.I.1 ── 10.1.I.2 low [transitI]      (left out without second hop)
//! transitI high 10.2.I.1 ── 10.2.I.2 upI [internet]
//! internet lo: targets 192.0.2.1-3, servers 192.0.2.10-99
//! ```
//!
//! Every provider drops and counts packets from the router whose source is not of its own
//! prefix: that counter shows every leak of a wrong source. The router gets its LAN address
//! and its links up; the addresses of the uplinks are left to the daemon unless asked for.

use crate::node::{Node, cable, veth};
use crate::{DhcpServer, LabError, Leases, Network, Server, sources};
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// What to build.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Uplinks, 1 to 100.
    pub uplinks: usize,
    /// Addresses of the client, 1 to 2000; those past 200 lie behind it, not beside it.
    pub clients: usize,
    /// A transit namespace behind each provider, where faults can be injected.
    pub second_hop: bool,
    /// Puts the addresses on the uplinks.
    pub addresses: bool,
    /// Names of further inside networks.
    pub networks: Vec<&'static str>,
    /// The providers lease the addresses, and the configuration says so.
    pub leased: bool,
}

impl Plan {
    /// A drawing with this number of uplinks, twenty client addresses, and second hops. With `RAIL_LAB_LEASED=1`
    /// its addresses are leased, so any test can be tried with them.
    pub fn new(uplinks: usize) -> Self {
        let leased = std::env::var_os("RAIL_LAB_LEASED").is_some_and(|v| v == "1");
        let networks = Vec::new();
        Self { uplinks, clients: 20, second_hop: true, addresses: false, networks, leased }
    }
}

/// One uplink of the router: its provider and what is behind.
#[derive(Clone, Debug)]
pub struct Line {
    /// Number from 1: `isp1` on `wan1`.
    pub number: usize,
    /// The provider's gateway.
    pub isp: Node,
    /// The second hop, if there is one.
    pub transit: Option<Node>,
}

impl Line {
    /// Name of the uplink in the configuration.
    pub fn name(&self) -> String {
        format!("isp{}", self.number)
    }

    /// The router's interface.
    pub fn interface(&self) -> String {
        format!("wan{}", self.number)
    }

    /// The router's address on this uplink.
    pub fn address(&self) -> Ipv4Addr {
        address_of(self.number)
    }

    /// The provider's gateway address.
    pub fn gateway(&self) -> Ipv4Addr {
        Ipv4Addr::new(100, 64, octet(self.number), 1)
    }

    /// The last node before the internet, and its interface toward the router.
    pub fn far(&self) -> (&Node, &'static str) {
        self.transit.as_ref().map_or((&self.isp, "acc"), |transit| (transit, "low"))
    }

    /// Makes the uplink as slow as this in both directions; a packet waits for `queue` at the most.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn shape(&self, mbit: u32, queue: Duration) -> Result<(), LabError> {
        for interface in ["acc", "core"] {
            self.isp.sh(&format!(
                "tc qdisc replace dev {interface} root tbf rate {mbit}mbit burst 16kb latency {}ms",
                queue.as_millis()
            ))?;
        }
        Ok(())
    }
}

/// The whole drawing.
#[derive(Debug)]
pub struct Topology {
    /// The inside.
    pub client: Node,
    /// The machine under test.
    pub router: Node,
    /// Servers and targets.
    pub internet: Node,
    /// The uplinks, number 1 first.
    pub lines: Vec<Line>,
    /// Inside networks beside the LAN.
    pub networks: Vec<Network>,
    clients: usize,
    /// One for each uplink, or none.
    leases: Vec<DhcpServer>,
    pub(crate) sources_excused: AtomicBool,
}

/// The parts of a configuration that tests vary; the rest follows from the drawing.
#[derive(Clone, Debug, Default)]
pub struct ConfigText {
    /// Weights, uplink 1 first; missing ones are 1.
    pub weights: Vec<u32>,
    /// Tiers as TOML values (`2`, `"none"` with quotes); missing ones are left out.
    pub tiers: Vec<&'static str>,
    /// Lines added to `[check]`; `targets` and `required` are there unless named here.
    pub check: String,
    /// Tables added at the end.
    pub rest: String,
}

impl ConfigText {
    /// Weights and nothing else.
    pub fn weights(weights: &[u32]) -> Self {
        Self { weights: weights.to_vec(), ..Self::default() }
    }
}

impl Topology {
    /// Builds the drawing.
    ///
    /// # Errors
    /// When the kernel or a tool refuses a step.
    pub fn build(plan: &Plan) -> Result<Self, LabError> {
        if !(1..=100).contains(&plan.uplinks) || !(1..=2000).contains(&plan.clients) {
            return Err(LabError::Refused(
                "the drawing takes 1-100 uplinks, 1-2000 clients".into(),
            ));
        }
        let [client, router, internet] = ["client", "router", "internet"].map(make);
        let (client, router, internet) = (client?, router?, internet?);
        build_inside(&client, &router, plan.clients)?;
        build_internet(&internet)?;
        let mut lines = Vec::new();
        for number in 1..=plan.uplinks {
            lines.push(build_line(number, plan, &router, &internet)?);
        }
        let mut networks = Vec::new();
        for (number, name) in (1..).zip(&plan.networks) {
            networks.push(Network::build(name, number, &router)?);
        }
        let clients = plan.clients;
        let sources_excused = AtomicBool::new(false);
        let lease = |line: &Line| DhcpServer::start(&line.isp, &Leases::of(line), Server::Dnsmasq);
        let leasing = lines.iter().filter(|_| plan.leased);
        let leases = leasing.map(lease).collect::<Result<_, _>>()?;
        let topology =
            Self { client, router, internet, lines, networks, clients, leases, sources_excused };
        topology.wait_for_carrier()?;
        Ok(topology)
    }

    /// The uplink with this number, from 1.
    pub fn line(&self, number: usize) -> &Line {
        &self.lines[number - 1]
    }

    /// The inside network with this name.
    ///
    /// # Panics
    /// When the plan names no such network.
    pub fn network(&self, name: &str) -> &Network {
        let found = self.networks.iter().find(|network| network.name == name);
        found.expect("the plan names the network")
    }

    /// The client's addresses.
    pub fn clients(&self) -> Vec<Ipv4Addr> {
        (0..self.clients).map(client_address).collect()
    }

    /// The number of the uplink that an address seen by a server belongs to.
    pub fn line_of(&self, seen: Ipv4Addr) -> Option<usize> {
        (1..=self.lines.len()).find(|number| address_of(*number) == seen)
    }

    /// Makes a target silent on every uplink.
    ///
    /// # Errors
    /// When nft refuses it.
    pub fn silence(&self, target: Ipv4Addr) -> Result<(), LabError> {
        self.internet.nft(&format!("add rule inet lab input ip daddr {target} drop\n"))
    }

    /// Lets all silenced targets speak again.
    ///
    /// # Errors
    /// When nft refuses it.
    pub fn unsilence(&self) -> Result<(), LabError> {
        self.internet.nft("flush chain inet lab input\n")
    }

    /// The configuration file for this drawing.
    pub fn config(&self, text: &ConfigText) -> String {
        let mut out = String::from("[lan]\ninterfaces = [\"lan0\"]\n");
        for (index, line) in self.lines.iter().enumerate() {
            let (name, interface) = (line.name(), line.interface());
            let weight = text.weights.get(index).unwrap_or(&1);
            let address = match self.leases.is_empty() {
                true => format!("\"{}/24\"\ngateway = \"{}\"", line.address(), line.gateway()),
                false => "\"dhcp\"".into(),
            };
            let _ = write!(
                out,
                "\n[[uplink]]\nname = \"{name}\"\ninterface = \"{interface}\"\n\
                 address = {address}\nweight = {weight}\n"
            );
            if let Some(tier) = text.tiers.get(index) {
                let _ = writeln!(out, "tier = {tier}");
            }
        }
        out.push_str("\n[check]\n");
        if !text.check.contains("targets") {
            let [a, b, c] = targets();
            let _ = writeln!(out, "targets = [\"{a}\", \"{b}\", \"{c}\"]");
        }
        if !text.check.contains("required") {
            out.push_str("required = 2\n");
        }
        out.push_str(&text.check);
        out.push('\n');
        out.push_str(&text.rest);
        out
    }

    /// Gives the drawing IPv6 through uplink 1: the inside is 2001:db8:1::/64, further networks are
    /// beside it, and a server is 2001:db8:2::1.
    ///
    /// # Errors
    /// When the kernel refuses a step.
    pub fn add_ipv6(&self) -> Result<(), LabError> {
        let line = self.line(1);
        self.client.ip_batch(
            "addr add 2001:db8:1::10/64 dev eth0 nodad\nroute add ::/0 via 2001:db8:1::1\n",
        )?;
        self.router.ip_batch(
            "addr add 2001:db8:1::1/64 dev lan0 nodad\naddr add 2001:db8:f::2/64 dev wan1 nodad\n\
             route add ::/0 via 2001:db8:f::1\n",
        )?;
        for network in &self.networks {
            network.add_ipv6(&self.router)?;
        }
        self.router.set("net/ipv6/conf/all/forwarding", "1")?;
        let lan = ["2001:db8:1::".to_owned()];
        let others = self.networks.iter().map(|network| network.prefix6());
        let inside: Vec<String> = lan.into_iter().chain(others).collect();
        let back = |via: &str| -> String {
            inside.iter().map(|prefix| format!("route add {prefix}/64 via {via}\n")).collect()
        };
        line.isp.ip_batch(&format!(
            "addr add 2001:db8:f::1/64 dev acc nodad\n{}\
             addr add 2001:db8:a::1/64 dev core nodad\n",
            back("2001:db8:f::2")
        ))?;
        let direct = line.transit.is_none();
        let next = if direct { "2001:db8:a::3" } else { "2001:db8:a::2" };
        line.isp.ip_batch(&format!("route add ::/0 via {next}\n"))?;
        if let Some(transit) = &line.transit {
            transit.ip_batch(&format!(
                "addr add 2001:db8:a::2/64 dev low nodad\naddr add 2001:db8:b::1/64 dev high nodad\n\
                 {}route add 2001:db8:f::/64 via 2001:db8:a::1\nroute add ::/0 via 2001:db8:b::2\n",
                back("2001:db8:a::1")
            ))?;
        }
        let (own, via) = if direct { ("a::3", "a::1") } else { ("b::2", "b::1") };
        let via = format!("2001:db8:{via}");
        self.internet.ip_batch(&format!(
            "addr add 2001:db8:{own}/64 dev up1 nodad\naddr add 2001:db8:2::1/128 dev lo nodad\n\
             {}route add 2001:db8:f::/64 via {via}\n",
            back(&via)
        ))
    }

    /// Waits until every link of the router and of the inside has a carrier.
    ///
    /// # Errors
    /// When one has none within ten seconds.
    pub fn wait_for_carrier(&self) -> Result<(), LabError> {
        let networks = self.networks.iter().map(|network| &network.node);
        [&self.router, &self.client]
            .into_iter()
            .chain(networks)
            .try_for_each(Node::wait_for_carrier)
    }
}

/// The three targets of the checks.
pub fn targets() -> [Ipv4Addr; 3] {
    [1, 2, 3].map(|last| Ipv4Addr::new(192, 0, 2, last))
}

/// Ninety addresses of servers.
pub fn servers() -> Vec<Ipv4Addr> {
    (10..100).map(|last| Ipv4Addr::new(192, 0, 2, last)).collect()
}

/// The address of a client, from 0.
pub fn client_address(index: usize) -> Ipv4Addr {
    if index < BESIDE {
        Ipv4Addr::new(192, 168, 1, octet(10 + index))
    } else {
        Ipv4Addr::new(10, 9, octet(index / 250), octet(1 + index % 250))
    }
}

fn address_of(number: usize) -> Ipv4Addr {
    Ipv4Addr::new(100, 64, octet(number), 2)
}

fn octet(number: usize) -> u8 {
    u8::try_from(number).expect("the plan was checked: at most 250")
}

/// A node that does not wait for duplicate address detection and filters no return path.
pub(crate) fn make(name: &str) -> Result<Node, LabError> {
    let node = Node::new(name)?;
    node.enter(|| {
        for (setting, value) in [
            ("net/ipv4/conf/all/rp_filter", "0"),
            ("net/ipv4/conf/default/rp_filter", "0"),
            ("net/ipv6/conf/all/accept_dad", "0"),
            ("net/ipv6/conf/default/accept_dad", "0"),
            ("net/ipv6/conf/default/router_solicitations", "0"),
        ] {
            // IPv6 may be switched off on this machine; only tests of IPv6 mind.
            let _ = std::fs::write(format!("/proc/sys/{setting}"), value);
        }
    });
    Ok(node)
}

fn make_forwarder(name: &str) -> Result<Node, LabError> {
    let node = make(name)?;
    node.set("net/ipv4/ip_forward", "1")?;
    let _ = node.set("net/ipv6/conf/all/forwarding", "1");
    // The gateways must not be the bottleneck of what is measured.
    let _ = node.set("net/ipv4/icmp_ratelimit", "0");
    let _ = node.set("net/ipv4/icmp_msgs_per_sec", "1000000");
    Ok(node)
}

/// What a new `acc` of provider `n` needs.
pub(crate) fn acc_lines(n: usize) -> String {
    format!("addr add 100.64.{n}.1/24 dev acc\nlink set acc up\n")
}

/// What a new `lan0` of the router needs.
pub(crate) fn lan0_lines() -> String {
    "addr add 192.168.1.1/24 dev lan0\nlink set lan0 up\n".into()
}

/// What a new `eth0` of the client needs.
pub(crate) fn eth0_lines(clients: usize) -> String {
    let mut lines = String::from("link set eth0 up\n");
    for index in 0..clients.min(BESIDE) {
        let _ = writeln!(lines, "addr add {}/24 dev eth0", client_address(index));
    }
    lines.push_str("route add default via 192.168.1.1\n");
    lines
}

fn build_inside(client: &Node, router: &Node, clients: usize) -> Result<(), LabError> {
    veth((router, "lan0"), (client, "eth0"))?;
    router.ip_batch(&lan0_lines())?;
    client.ip_batch(&eth0_lines(clients))?;
    let mut behind = String::new();
    for index in BESIDE..clients {
        let _ = writeln!(behind, "addr add {}/32 dev lo", client_address(index));
    }
    client.ip_batch(&behind)?;
    if clients > BESIDE {
        router.ip_batch("route add 10.9.0.0/16 via 192.168.1.10\n")?;
    }
    // Tests open thousands of connections from few addresses.
    client.set("net/ipv4/ip_local_port_range", "2048 65000")
}

fn build_internet(internet: &Node) -> Result<(), LabError> {
    let mut lines = String::new();
    for address in targets().into_iter().chain(servers()) {
        let _ = writeln!(lines, "addr add {address}/32 dev lo");
    }
    internet.ip_batch(&lines)?;
    let _ = internet.set("net/ipv4/icmp_ratelimit", "0");
    let _ = internet.set("net/ipv4/icmp_msgs_per_sec", "1000000");
    internet.set("net/core/somaxconn", "4096")?;
    internet.nft(CHAINS)
}

fn build_line(n: usize, plan: &Plan, router: &Node, internet: &Node) -> Result<Line, LabError> {
    let isp = make_forwarder(&format!("isp{n}"))?;
    let index = CABLES + u32::try_from(n).unwrap_or(0);
    cable((router, &format!("wan{n}")), (&isp, "acc"), index)?;
    router.ip_batch(&format!("link set wan{n} up\n"))?;
    if plan.addresses {
        router.ip_batch(&format!("addr add 100.64.{n}.2/24 dev wan{n}\n"))?;
    }
    isp.nft(&format!("{CHAINS}{}", sources::guard(n)))?;
    isp.ip_batch(&acc_lines(n))?;
    let up = format!("up{n}");
    let transit = if plan.second_hop {
        let transit = make_forwarder(&format!("transit{n}"))?;
        transit.nft(CHAINS)?;
        veth((&isp, "core"), (&transit, "low"))?;
        veth((&transit, "high"), (internet, &up))?;
        isp.ip_batch(&format!("addr add 10.1.{n}.1/24 dev core\nlink set core up\n"))?;
        transit.ip_batch(&format!(
            "addr add 10.1.{n}.2/24 dev low\nlink set low up\n\
             addr add 10.2.{n}.1/24 dev high\nlink set high up\n\
             route add 100.64.{n}.0/24 via 10.1.{n}.1\nroute add default via 10.2.{n}.2\n"
        ))?;
        isp.ip_batch(&format!("route add default via 10.1.{n}.2\n"))?;
        Some(transit)
    } else {
        veth((&isp, "core"), (internet, &up))?;
        isp.ip_batch(&format!(
            "addr add 10.2.{n}.1/24 dev core\nlink set core up\nroute add default via 10.2.{n}.2\n"
        ))?;
        None
    };
    internet.ip_batch(&format!(
        "addr add 10.2.{n}.2/24 dev {up}\nlink set {up} up\nroute add 100.64.{n}.0/24 via 10.2.{n}.1\n"
    ))?;
    Ok(Line { number: n, isp, transit })
}

/// Client addresses in the router's own network.
const BESIDE: usize = 200;

/// Indexes of the uplinks' interfaces begin behind this one.
const CABLES: u32 = 1000;

/// Where faults are put in.
const CHAINS: &str = "table inet lab {\n\
    chain forward { type filter hook forward priority 0\n }\n\
    chain input { type filter hook input priority 0\n }\n}\n";
