//! The recipe for a Raspberry Pi at home: the provider's box stays where it is, in the LAN; a modem at USB and a
//! line by PPP take over from it, and the router gives the hosts their addresses and names.
//!
//! Left out: what becomes of flows through the box, which `topologies` knows.

use crate::dhcp::begin;
use crate::failback::{DRAIN, Return};
use crate::services_lan::{Resolver, ask, lease, running};
use crate::topologies::{BOX, put_box_inside};
use rail_lab::node::veth;
use rail_lab::pppd::Pppd;
use rail_lab::traffic::{TCP_PORT, UDP_PORT};
use rail_lab::{
    Connector, ConnectorPlan, DhcpClient, DhcpServer, Fault, Leases, Node, Plan, Server, Servers,
    Topology, World, eventually, figures, isolated, long, timed, topology,
};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(20);
/// What hosts may notice of anything: for so long connections fail, and an answer is late by so much.
const NOTICED: Duration = Duration::from_secs(2);
/// Names that may be refused at a failure: of a device that vanishes the kernel knows before the router does.
const REFUSED: usize = 2;
const MODEM: Ipv4Addr = Ipv4Addr::new(100, 64, 2, 2);
const DIALLED: Ipv4Addr = Ipv4Addr::new(100, 64, 3, 2);
/// The provider's resolver that the modem and the dialled line name.
const RESOLVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 53);

fn file(on_failback: &str) -> String {
    let [a, b, c] = topology::targets();
    let recover = if long() { "" } else { "recover_after = 3\n" };
    let inside = topology::client_address(0);
    format!(
        "[lan]\ninterfaces = [\"lan0\"]\n\
         [lan.dhcp]\nranges = [\"192.168.1.100-192.168.1.110\"]\ndomain = \"home.arpa\"\n\
         [lan.dns]\nforward = \"health\"\n\
         [[uplink]]\nname = \"box\"\ninterface = \"lan0\"\naddress = \"192.168.1.1/24\"\n\
         gateway = \"192.168.1.254\"\nnat = false\ndns = [\"192.168.1.254\"]\n\
         [[uplink]]\nname = \"modem\"\ninterface = \"wan2\"\naddress = \"dhcp\"\ntier = 2\n\
         on_failback = \"{on_failback}\"\n\
         [[uplink]]\nname = \"dialled\"\ninterface = \"ppp-dialled\"\naddress = \"ppp\"\ntier = 3\n\
         standby = \"cold\"\nppp = {{ parent = \"wan3\" }}\n\
         [check]\ntargets = [\"{a}\", \"{b}\", \"{c}\"]\n{recover}\
         [[forward]]\nprotocol = \"tcp\"\nport = {TCP_PORT}\nto = \"{inside}\"\n\
         [[forward]]\nprotocol = \"udp\"\nport = {UDP_PORT}\nto = \"{inside}\"\n"
    )
}

/// The house, with a host that knows nothing but what it leases.
struct Home {
    world: World,
    host: Node,
    /// The address that the host has leased.
    address: Ipv4Addr,
    pppd: Pppd,
    _client: DhcpClient,
    _server: DhcpServer,
    _resolvers: [Resolver; 2],
}

impl Home {
    fn build() -> Self {
        let topology = Topology::build(&Plan::new(3)).unwrap();
        put_box_inside(&topology).unwrap();
        let line = topology.line(2);
        let server = DhcpServer::start(&line.isp, &Leases::of(line), Server::Dnsmasq).unwrap();
        let pppd = Pppd::put(&topology.router, topology.line(3)).unwrap();
        let beside_hosts = Resolver::at(&topology.line(1).isp, "--interface=inside", 1);
        let far = format!("--listen-address={RESOLVER}");
        let resolvers = [beside_hosts, Resolver::at(&topology.internet, &far, 9)];
        let world = begin(topology, &file("keep"));
        for name in ["box", "modem"] {
            world.rail.wait_health(name, "up", LIMIT).unwrap();
        }
        eventually(LIMIT, "dnsmasq", || running(&world.rail).map(drop));
        let (host, client, address) = put_host(&world.topology.client);
        Self { world, host, address, pppd, _client: client, _server: server, _resolvers: resolvers }
    }

    /// Waits until this uplink carries and is good.
    fn wait_for(&self, name: &str) {
        let rail = &self.world.rail;
        eventually(LIMIT * 2, &format!("{name} to carry"), || {
            let of = |field| rail.uplink(name, field).map_err(|e| e.to_string());
            let (role, health) = (of("role")?, of("health")?);
            if role == "active" && health == "up" {
                Ok(())
            } else {
                Err(format!("{role} {health}"))
            }
        });
    }

    /// Every line fails and returns; each time another one carries before.
    fn each_line_fails(&mut self) {
        let topology = &self.world.topology;
        let (first, second) = (&topology.line(1).isp, &topology.line(2).isp);
        let watch = Watch::start(self);
        // Its resolver is silent, too: what is asked of it must be asked again by another line.
        let no_box = topology.inject(1, Fault::Mute).unwrap();
        watch.end(self, "the box falls silent", no_box.since, ("modem", MODEM), false);

        let watch = Watch::start(self);
        let since = Instant::now();
        let no_modem = topology.unplug(2).unwrap();
        watch.end(self, "the modem is unplugged", since, ("dialled", DIALLED), false);

        let watch = Watch::start(self);
        let since = no_modem.plug_in().unwrap();
        watch.end(self, "the modem is plugged in", since, ("modem", MODEM), true);

        let watch = Watch::start(self);
        second.nft("add rule inet lab forward drop\n").unwrap();
        watch.end(self, "the modem falls silent", Instant::now(), ("dialled", DIALLED), false);

        let (watch, dials) = (Watch::start(self), self.pppd.dials());
        let since = Instant::now();
        self.pppd.hang_up().unwrap();
        eventually(LIMIT, "a new dial", || match self.pppd.dials() {
            count if count > dials => Ok(()),
            count => Err(count),
        });
        watch.end(self, "the last line is hung up", since, ("dialled", DIALLED), false);

        let watch = Watch::start(self);
        let since = no_box.repair().unwrap();
        watch.end(self, "the box returns", since, ("box", BOX), true);

        let watch = Watch::start(self);
        let no_line = topology.inject(3, Fault::Gateway).unwrap();
        second.nft("flush chain inet lab forward\n").unwrap();
        self.world.rail.wait_health("modem", "up", LIMIT).unwrap();
        watch.end(self, "standbys come and go", no_line.since, ("box", BOX), true);
        no_line.repair().unwrap();

        let watch = Watch::start(self);
        let since = Instant::now();
        first.ip_batch("link set inside down\n").unwrap();
        watch.end(self, "the box is unplugged", since, ("modem", MODEM), false);

        let watch = Watch::start(self);
        first.ip_batch("link set inside up\n").unwrap();
        watch.end(self, "the box is plugged in", Instant::now(), ("box", BOX), true);

        let watch = Watch::start(self);
        let since = self.world.rail.kill().unwrap();
        self.world.rail.start().unwrap();
        watch.end(self, "the daemon dies and starts", since, ("box", BOX), true);
    }
}

/// A host on the switch of the LAN; the client of an ordinary system gives it what the router leases.
fn put_host(switch: &Node) -> (Node, DhcpClient, Ipv4Addr) {
    let host = Node::new("host").unwrap();
    veth((switch, "port2"), (&host, "eth0")).unwrap();
    switch.ip_batch("link set port2 master eth0\nlink set port2 up\n").unwrap();
    host.ip_batch("link set eth0 up\n").unwrap();
    host.wait_for_carrier().unwrap();
    let leased = lease(&host);
    let words: Vec<&str> = leased.split_whitespace().collect();
    assert_eq!(words[1..], ["192.168.1.1", "192.168.1.1", "home.arpa"], "{leased}");
    let client = DhcpClient::start(&host, "eth0").unwrap();
    eventually(LIMIT, "a lease", || {
        if client.count("bound") > 0 { Ok(()) } else { Err(client.said()) }
    });
    (host, client, words[0].parse().unwrap())
}

/// A name that was asked for: when, whether an answer came, and after what time.
struct Asked {
    at: Instant,
    is_answered: bool,
    took: Duration,
}

/// What the host does all the time: a connection each 10 ms, a name each 50 ms.
struct Watch {
    connector: Connector,
    stop: Arc<AtomicBool>,
    asking: JoinHandle<Vec<Asked>>,
}

impl Watch {
    fn start(home: &Home) -> Self {
        let plan = ConnectorPlan::new(vec![home.address], &topology::servers());
        let connector = Connector::start(&home.host, plan);
        let stop = Arc::new(AtomicBool::new(false));
        let (stops, host) = (Arc::clone(&stop), home.host.clone());
        let asking = thread::spawn(move || ask_on(&host, &stops));
        home.world.wait_for(&connector, 50).unwrap();
        Self { connector, stop, asking }
    }

    /// When the uplink carries: what the host noticed since then.
    fn end(
        self,
        home: &Home,
        what: &str,
        since: Instant,
        (name, source): (&str, Ipv4Addr),
        is_unnoticed: bool,
    ) {
        home.wait_for(name);
        let carried = Instant::now();
        home.world.wait_for(&self.connector, 60).unwrap();
        thread::sleep(Duration::from_millis(500));
        self.stop.store(true, Ordering::Relaxed);
        let (asked, report) = (self.asking.join().unwrap(), self.connector.stop().unwrap());
        let outage = report.last_failed_after(since);
        let late = asked.iter().map(|asked| asked.took).max().unwrap();
        let is_lost = |asked: &&Asked| !asked.is_answered;
        let lost = asked.iter().filter(is_lost).count();
        let lost_then =
            asked.iter().filter(|asked| asked.at >= since + NOTICED).filter(is_lost).count();
        let by = report.by_source_between(Some(carried), None);
        figures(&format!(
            "| {what} | {name} after {} ms | {} of {} failed, the last after {} ms | {lost} of {} names \
             refused, the slowest {} ms |",
            (carried - since).as_millis(),
            report.failed(),
            report.attempts.len(),
            outage.as_millis(),
            asked.len(),
            late.as_millis(),
        ));
        assert!(by.keys().all(|seen| *seen == source) && !by.is_empty(), "{what}: {by:?}");
        assert!(lost <= REFUSED && lost_then == 0, "{what}: {lost} names, and {lost_then} later");
        assert!(late <= NOTICED, "{what}: {late:?}");
        assert!(outage <= NOTICED, "{what}: {outage:?}");
        if is_unnoticed {
            assert_eq!((report.failed(), lost), (0, 0), "{what}: {:?}", report.reasons());
        }
    }
}

/// No name is asked for twice: the second answer would come from the cache.
static NAMES: AtomicU32 = AtomicU32::new(0);

/// Asks for another name each 50 ms, and waits for no answer before the next.
fn ask_on(host: &Node, stop: &AtomicBool) -> Vec<Asked> {
    let mut asking = Vec::new();
    let mut next = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let host = host.clone();
        let name = format!("n{}.test", NAMES.fetch_add(1, Ordering::Relaxed));
        asking.push(thread::spawn(move || {
            let at = Instant::now();
            let is_answered = ask(&host, &name, 3 * NOTICED).is_some();
            Asked { at, is_answered, took: at.elapsed() }
        }));
        next += Duration::from_millis(50);
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    asking.into_iter().map(|asked| asked.join().unwrap()).collect()
}

// given the house / when each line falls silent, is unplugged or hung up, and returns, and the daemon dies / then
// the next one carries, two names at most are refused and none is late by more than 2 s, connections fail for 2 s at
// most, and neither at a return
#[test]
fn a_house_stays_connected() {
    timed(|| {
        let mut home = Home::build();
        home.wait_for("box");
        assert_eq!(home.world.rail.uplink("dialled", "cold").unwrap(), "true");
        for _ in 0..if long() { 5 } else { 1 } {
            home.each_line_fails();
            for name in ["box", "modem"] {
                home.world.rail.forget_falls(name, LIMIT).unwrap();
            }
        }
        let seen = home.world.topology.wrong_sources().unwrap();
        assert_eq!(seen, 0, "{}", home.world.topology.strange_packets());
    });
}

// given the house with long connections by the modem, of hosts and from outside / when the box returns, for each
// `on_failback` of the modem / then they become what they become on any two uplinks
#[test]
fn connections_go_back_to_the_box() {
    isolated(|| {
        let home = Home::build();
        let _inside =
            Servers::start(&home.world.topology.client, &[topology::client_address(0)]).unwrap();
        let (world, second) = (&home.world, Duration::from_secs(1));
        let all = [
            ("drain 3s", DRAIN, ("ends after the time", "goes on by the better uplink")),
            ("cut", second, ("ends at once", "goes on by the better uplink")),
            ("cut-udp", second, ("stays", "goes on by the better uplink")),
            ("keep", second, ("stays", "stays")),
        ];
        for (word, time, wanted) in &all[..if long() { 4 } else { 2 }] {
            world.rail.reload(&file(word)).unwrap();
            let back =
                Return { world, name: "box", fault: (Fault::Gateway, "down"), standby: MODEM };
            let (tcp, udp, lost) = back.fates(*time, || home.wait_for("modem"), || ());
            figures(&format!(
                "| `\"{word}\"` | {tcp} | {udp} | {lost} of 2 that came in lost something |"
            ));
            assert_eq!(((tcp, udp), lost), (*wanted, 0), "{word}");
            world.rail.forget_falls("box", LIMIT).unwrap();
        }
    });
}
