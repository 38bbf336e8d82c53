//! Who shares better: the kernel's weighted multipath, or slots in nftables.
//!
//! Both get the same drawing of three uplinks, 1:2:3. What counts is how far the
//! shares are off, for many clients and for one client with one server, and how
//! many clients of healthy uplinks change their uplink when another one dies.

use rail_lab::topology::servers;
use rail_lab::{
    ConfigText, Connector, ConnectorPlan, ConnectorReport, Fault, LabError, Plan, Rail, Servers,
    Topology,
};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::time::Duration;

const WEIGHTS: [u32; 3] = [1, 2, 3];
const CLIENTS: usize = 1000;
const PATIENCE: Duration = Duration::from_secs(20);

/// What one way of sharing gives.
struct Figures {
    name: &'static str,
    many: f64,
    one: f64,
    moved: usize,
    healthy: usize,
}

/// Compares; nothing here can be missed.
pub(crate) fn run() -> Result<bool, LabError> {
    println!(
        "balancing: three lines 1:2:3; deviation over 3,000 connections, clients that a death moves"
    );
    let results = [
        kernel("kernel multipath, addresses", "0")?,
        kernel("kernel multipath, ports", "1")?,
        slots()?,
    ];
    println!(
        "  {:<28} {:>14} {:>16} {:>26}",
        "", "many clients", "one, one server", "clients of other lines"
    );
    for r in results {
        println!(
            "  {:<28} {:>7.1} points {:>9.1} points {:>12} of {} moved",
            r.name, r.many, r.one, r.moved, r.healthy
        );
    }
    println!();
    Ok(true)
}

fn drawing(addresses: bool) -> Result<(Topology, Servers), LabError> {
    let topology = Topology::build(&Plan { clients: CLIENTS, addresses, ..Plan::new(3) })?;
    let servers = Servers::start(&topology.internet, &servers())?;
    Ok((topology, servers))
}

/// The kernel's choice, with the marks and tables that any router needs to keep a connection on
/// its uplink.
fn kernel(name: &'static str, policy: &str) -> Result<Figures, LabError> {
    let (topology, _servers) = drawing(true)?;
    let router = &topology.router;
    router.set("net/ipv4/ip_forward", "1")?;
    router.set("net/ipv4/fib_multipath_hash_policy", policy)?;
    let mut ip = String::from("rule add lookup main suppress_prefixlength 0 priority 10\n");
    let mut marks = String::new();
    for line in &topology.lines {
        let (n, wan, gateway) = (line.number, line.interface(), line.gateway());
        // Writing to a String cannot fail.
        let _ = writeln!(ip, "route add default via {gateway} dev {wan} table {}", 100 + n);
        let _ = writeln!(ip, "rule add fwmark {n} lookup {t} priority {t}", t = 100 + n);
        let _ = writeln!(marks, "oifname {wan} ct mark set {n}");
    }
    router.ip_batch(&ip)?;
    multipath(&topology, &[1, 2, 3])?;
    router.nft(&format!(
        "table ip plain {{\n chain pre {{ type filter hook prerouting priority mangle\n\
         ct mark != 0 meta mark set ct mark\n }}\n\
         chain post {{ type nat hook postrouting priority srcnat\n{marks}\
         oifname \"wan*\" masquerade\n }}\n}}\n"
    ))?;
    let (many, one) = deviations(&topology)?;
    let before = lines_of_clients(&topology)?;
    multipath(&topology, &[2, 3])?;
    let after = lines_of_clients(&topology)?;
    Ok(result(name, many, one, &topology, &before, &after))
}

/// The default route over these uplinks.
fn multipath(topology: &Topology, lines: &[usize]) -> Result<(), LabError> {
    let mut route = String::from("ip route replace default");
    for n in lines {
        let line = topology.line(*n);
        let weight = WEIGHTS[n - 1];
        // Writing to a String cannot fail.
        let _ = write!(
            route,
            " nexthop via {} dev {} weight {weight}",
            line.gateway(),
            line.interface()
        );
    }
    // starts: ip
    topology.router.sh(&route).map(drop)
}

fn slots() -> Result<Figures, LabError> {
    let (topology, _servers) = drawing(false)?;
    let text = ConfigText::weights(&WEIGHTS);
    let mut rail = Rail::run(&topology.router, &topology.config(&text))?;
    rail.wait_all_up(PATIENCE)?;
    let (many, one) = deviations(&topology)?;
    let by_client = ConfigText { rest: "[balance]\nby = \"client\"\n".into(), ..text };
    rail.reload(&topology.config(&by_client))?;
    rail.wait_all_up(PATIENCE)?;
    let before = lines_of_clients(&topology)?;
    let _cut = topology.inject(1, Fault::Carrier)?;
    rail.wait_health("isp1", "no-carrier", PATIENCE)?;
    let after = lines_of_clients(&topology)?;
    rail.stop(false)?;
    Ok(result("rail, slots", many, one, &topology, &before, &after))
}

fn result(
    name: &'static str,
    many: f64,
    one: f64,
    topology: &Topology,
    before: &BTreeMap<Ipv4Addr, Ipv4Addr>,
    after: &BTreeMap<Ipv4Addr, Ipv4Addr>,
) -> Figures {
    let dead = topology.line(1).address();
    let healthy = || before.iter().filter(|(_, line)| **line != dead);
    let moved = healthy().filter(|(client, line)| after.get(*client) != Some(*line)).count();
    Figures { name, many, one, moved, healthy: healthy().count() }
}

fn deviations(topology: &Topology) -> Result<(f64, f64), LabError> {
    let sources: Vec<Ipv4Addr> = topology.lines.iter().map(|line| line.address()).collect();
    let clients = topology.clients();
    let many = connect(topology, &clients, &servers(), 3000)?;
    let one = connect(topology, &clients[..1], &servers()[..1], 3000)?;
    Ok((many.deviation(&sources, &WEIGHTS), one.deviation(&sources, &WEIGHTS)))
}

/// One connection of each client to one server: the uplink it took.
fn lines_of_clients(topology: &Topology) -> Result<BTreeMap<Ipv4Addr, Ipv4Addr>, LabError> {
    let report = connect(topology, &topology.clients(), &servers()[..1], CLIENTS)?;
    let taken = report.attempts.iter();
    Ok(taken.filter_map(|a| Some((a.client, a.outcome.as_ref().ok()?.0))).collect())
}

fn connect(
    topology: &Topology,
    clients: &[Ipv4Addr],
    servers: &[Ipv4Addr],
    count: usize,
) -> Result<ConnectorReport, LabError> {
    let plan = ConnectorPlan::new(clients.to_vec(), servers);
    let plan = ConnectorPlan { count: Some(count), period: Duration::from_millis(1), ..plan };
    Connector::start(&topology.client, plan).finish()
}
