//! Addresses and names for the LAN: dnsmasq under rail, between real clients and resolvers.
// starts: dnsmasq, busybox

use crate::dhcp::begin;
use rail_lab::{
    ConfigText, Line, Node, Plan, Rail, Topology, World, eventually, figures, isolated,
};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(20);

/// A resolver of a provider: it answers each name with an address that tells whose it is.
pub(crate) struct Resolver(Child);

impl Resolver {
    pub(crate) fn start(line: &Line) -> Self {
        Self::at(&line.isp, "--interface=acc", line.number)
    }

    /// One in this node that listens as this option of dnsmasq says.
    pub(crate) fn at(node: &Node, listens: &str, number: usize) -> Self {
        Self::with(node, &[listens], number)
    }

    /// The same with several options.
    pub(crate) fn with(node: &Node, options: &[&str], number: usize) -> Self {
        let answer = answer_of(number);
        let mut command = Command::new("dnsmasq");
        command.args(["--keep-in-foreground", "--conf-file=/dev/null", "--pid-file=", "--user="]);
        command.args(["--no-resolv", "--no-hosts", "--bind-interfaces"]);
        command.args(options).arg(format!("--address=/test/{answer}"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(node.start(&mut command).unwrap())
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn answer_of(line: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 53, 0, u8::try_from(line).unwrap())
}

/// A LAN with both services, and uplinks whose resolvers answer.
pub(crate) fn served() -> (World, Vec<Resolver>) {
    let topology = Topology::build(&Plan::new(2)).unwrap();
    let resolvers = topology.lines.iter().map(Resolver::start).collect();
    let file = file(&topology);
    let world = begin(topology, &file);
    world.rail.wait_all_up(LIMIT).unwrap();
    eventually(LIMIT, "dnsmasq", || running(&world.rail).map(drop));
    (world, resolvers)
}

pub(crate) fn file(topology: &Topology) -> String {
    let services = "[lan.dhcp]\nranges = [\"192.168.1.100-192.168.1.110\"]\ndomain = \"home.arpa\"\n\
                    [lan.dns]\nnames = { \"router.home.arpa\" = \"192.168.1.1\" }\n";
    let text = ConfigText { rest: services.into(), ..ConfigText::default() };
    let mut file = topology.config(&text);
    for line in &topology.lines {
        let gateway = format!("gateway = \"{}\"\n", line.gateway());
        file = file.replace(&gateway, &format!("{gateway}dns = [\"{}\"]\n", line.gateway()));
    }
    file
}

/// The process that runs.
pub(crate) fn running(rail: &Rail) -> Result<u64, String> {
    let status = rail.status().map_err(|e| e.to_string())?;
    status["children"][0]["pid"].as_u64().ok_or(status["children"].to_string())
}

/// Asks the router for a name, once; its address, if an answer came in time.
pub(crate) fn ask(client: &Node, name: &str, patience: Duration) -> Option<Ipv4Addr> {
    ask_at(client, [192, 168, 1, 1], name, patience)
}

/// The same of whoever has this address.
pub(crate) fn ask_at(
    client: &Node,
    at: [u8; 4],
    name: &str,
    patience: Duration,
) -> Option<Ipv4Addr> {
    let mut query = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        query.push(u8::try_from(label.len()).unwrap());
        query.extend(label.as_bytes());
    }
    query.extend([0, 0, 1, 0, 1]);
    client.enter(move || {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.set_read_timeout(Some(patience)).unwrap();
        socket.connect(SocketAddr::from((at, 53))).unwrap();
        let mut answer = [0; 512];
        let begun = Instant::now();
        // Whoever was started a moment ago has no port yet.
        let length = loop {
            match socket.send(&query).and_then(|_| socket.recv(&mut answer)) {
                Err(e)
                    if e.kind() == ErrorKind::ConnectionRefused && begun.elapsed() < patience =>
                {
                    std::thread::sleep(Duration::from_millis(5));
                }
                answered => break answered.ok()?,
            }
        };
        // The address stands at the end.
        let count = u16::from_be_bytes([answer[6], answer[7]]);
        let bytes: [u8; 4] = answer[length.checked_sub(4)?..length].try_into().ok()?;
        (count == 1).then_some(Ipv4Addr::from(bytes))
    })
}

pub(crate) fn lease(client: &Node) -> String {
    told(client, "#!/bin/sh\n[ $1 = bound ] && echo \"$ip $router $dns $domain\"\nexit 0\n", "")
}

/// What this script says of a lease, with these words for the client.
pub(crate) fn told(client: &Node, script: &str, words: &str) -> String {
    let place = rail_lab::scratch::directory("udhcpc").unwrap().join("script");
    std::fs::write(&place, script).unwrap();
    std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o755)).unwrap();
    client.sh(&format!("busybox udhcpc -f -q -n -i eth0 -s {} {words}", place.display())).unwrap()
}

// given a LAN with addresses and names from the router, and uplinks with a resolver each / when a host asks for
// an address and for names / then it has one of the range, with gateway, resolver and domain, names are those
// of a resolver of an uplink, the router knows its own, and an uplink hears no question from a wrong source
#[test]
fn a_host_gets_an_address_and_names() {
    isolated(|| {
        let (world, _resolvers) = served();
        let client = &world.topology.client;
        let leased = lease(client);
        assert!(
            leased.starts_with("192.168.1.1")
                && leased.contains(" 192.168.1.1 192.168.1.1 home.arpa"),
            "{leased}"
        );
        let answer = ask(client, "a.test", LIMIT).unwrap();
        assert!([1, 2].map(answer_of).contains(&answer), "{answer}");
        assert_eq!(ask(client, "router.home.arpa", LIMIT), Some(Ipv4Addr::new(192, 168, 1, 1)));
    });
}

// given a host with a reserved address outside the ranges, and a name that is reserved for another one / when it asks
// for an address / then it has the reserved one, the domain, and its whole name; the other name is not its own
#[test]
fn a_reserved_host_has_its_address_and_name() {
    isolated(|| {
        let topology = Topology::build(&Plan::new(2)).unwrap();
        let client = topology.client.clone();
        let shown = client.sh("ip -br link show dev eth0").unwrap();
        let mac = shown.split_whitespace().nth(2).unwrap();
        let reserved = format!(
            "domain = \"home.arpa\"\nreservations = [\
             {{ mac = \"{}\", address = \"192.168.1.50\", name = \"nas\" }}, \
             {{ mac = \"02:00:00:00:00:07\", address = \"192.168.1.51\", name = \"printer\" }}]\n",
            mac
        );
        let file = file(&topology).replace("domain = \"home.arpa\"\n", &reserved);
        let world = begin(topology, &file);
        eventually(LIMIT, "dnsmasq", || running(&world.rail).map(drop));
        let leased = lease(&client);
        assert_eq!(leased.trim(), "192.168.1.50 192.168.1.1 192.168.1.1 home.arpa");
        let found = |name| ask(&client, name, LIMIT);
        assert_eq!(found("nas.home.arpa"), Some(Ipv4Addr::new(192, 168, 1, 50)));
        assert_eq!(found("printer.home.arpa"), Some(Ipv4Addr::new(192, 168, 1, 51)));
    });
}

// given a client that asks for another name each 50 ms / when the uplink that is asked dies / then no name waits
// for more than 2 s, and the answers come from the resolver of the other one. Reported: the resolver of the dead uplink is
// asked on (freifunk-berlin firmware 660), with a strict order for ever (OPNsense 8416, NethServer/dev 5705).
#[test]
fn names_survive_the_death_of_an_uplink() {
    isolated(|| {
        let (world, _resolvers) = served();
        let client = world.topology.client.clone();
        let first = ask(&client, "first.test", LIMIT).unwrap();
        let line = if first == answer_of(1) { 1 } else { 2 };
        let asking: Vec<_> = (0..80)
            .map(|n| {
                let client = client.clone();
                std::thread::spawn(move || {
                    std::thread::sleep(Duration::from_millis(50) * n);
                    let asked = Instant::now();
                    (ask(&client, &format!("n{n}.test"), LIMIT), asked.elapsed())
                })
            })
            .collect();
        std::thread::sleep(Duration::from_millis(500));
        world.topology.line(line).isp.nft("add table inet cut\nadd chain inet cut nothing { type filter hook prerouting priority -300; policy drop; }\n").unwrap();
        let all: Vec<_> = asking.into_iter().map(|thread| thread.join().unwrap()).collect();
        let longest = all.iter().map(|(_, took)| *took).max().unwrap();
        let lost = all.iter().filter(|(answer, _)| answer.is_none()).count();
        let moved = all.iter().filter(|(answer, _)| *answer == Some(answer_of(3 - line))).count();
        let by_other = format!("{moved} by the other uplink");
        figures(&format!("{lost} of 80 lost, the longest took {longest:.2?}, {by_other}"));
        assert_eq!(lost, 0);
        assert!(longest < Duration::from_secs(2), "{longest:?}");
        assert!(moved > 40, "{moved}");
    });
}

// given a LAN with a lease / when the daemon is killed, starts again, and is withdrawn / then dnsmasq answers all the
// while as the same process, keeps the lease, and is gone with all of its own at the end
#[test]
fn it_outlives_the_daemon() {
    isolated(|| {
        let (mut world, _resolvers) = served();
        let client = world.topology.client.clone();
        lease(&client);
        let pid = running(&world.rail).unwrap();
        world.rail.kill().unwrap();
        assert!(ask(&client, "router.home.arpa", LIMIT).is_some());
        assert!(ask(&client, "dead.test", LIMIT).is_some());
        world.rail.start().unwrap();
        eventually(LIMIT, "adoption", || match running(&world.rail) {
            Ok(found) if found == pid => Ok(()),
            other => Err(format!("{other:?}, not {pid}")),
        });
        assert!(ask(&client, "again.test", LIMIT).is_some());
        let runtime = world.rail.runtime_dir();
        let kept = runtime.parent().unwrap().join("state/children/services/dnsmasq.leases");
        assert!(std::fs::read_to_string(kept).unwrap().contains("192.168.1.1"));
        world.rail.stop(true).unwrap();
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
        assert!(!runtime.join("children/services").exists());
    });
}

// given another program on port 53 of the LAN / when the daemon starts, and when that program ends / then the status
// is degraded, says why in dnsmasq's words and names the program, and names resolve soon after the port is free
#[test]
fn a_taken_port_is_told() {
    isolated(|| {
        let topology = Topology::build(&Plan::new(2)).unwrap();
        let _resolvers: Vec<_> = topology.lines.iter().map(Resolver::start).collect();
        let taken = topology.router.enter(|| UdpSocket::bind("192.168.1.1:53").unwrap());
        let file = file(&topology);
        let world = begin(topology, &file);
        world.rail.wait_all_up(LIMIT).unwrap();
        eventually(LIMIT, "the words of dnsmasq", || {
            let status = world.rail.status().map_err(|e| e.to_string())?;
            let words = status["children"][0]["last_words"].to_string();
            let own = format!("(process {})", std::process::id());
            let wanted = [
                "Address already in use",
                "port 53 (udp) on 192.168.1.1 is held by ",
                own.as_str(),
            ];
            if wanted.iter().all(|part| words.contains(part)) { Ok(()) } else { Err(words) }
        });
        assert_eq!(world.rail.ask(&["status"]).unwrap().status.code(), Some(1));
        drop(taken);
        // It may be running already, and about to find the port taken, or not there yet.
        let patience = Duration::from_millis(500);
        let asked = || ask(&world.topology.client, "a.test", patience).ok_or("none");
        eventually(LIMIT, "an answer", asked);
    });
}

// given dnsmasq under rail / when the file has an option that it does not take / then it goes on and answers, and
// the status is degraded and has its words; when it is killed, then it comes back and answers, and that is told once;
// when the file is good again, then a host is told of the new options
#[test]
fn a_file_that_dnsmasq_refuses_costs_nothing() {
    isolated(|| {
        let (world, _resolvers) = served();
        let (client, rail) = (&world.topology.client, &world.rail);
        let pid = running(rail).unwrap();
        let with = |options: &str| {
            let range = "domain = \"home.arpa\"\n";
            file(&world.topology).replace(range, &format!("{range}options = [{options}]\n"))
        };
        // It wants addresses there.
        rail.reload(&with("{ code = 44, text = \"abc\" }")).unwrap();
        eventually(LIMIT, "the words of dnsmasq", || {
            let status = rail.status().map_err(|e| e.to_string())?;
            let why = status["children"][0]["refused"].to_string();
            if why.contains("bad IP address at line") { Ok(()) } else { Err(why) }
        });
        assert_eq!(rail.ask(&["status"]).unwrap().status.code(), Some(1));
        assert_eq!(running(rail), Ok(pid));
        // It was started a moment ago.
        eventually(LIMIT, "an answer", || ask(client, "on.test", LIMIT).ok_or("none"));
        assert_eq!(running(rail), Ok(pid));
        kill(pid);
        let pid = eventually(LIMIT, "dnsmasq as it was", || match running(rail) {
            Ok(found) if found != pid => Ok(found),
            other => Err(format!("{other:?}, {}", rail.log())),
        });
        eventually(LIMIT, "an answer", || ask(client, "back.test", LIMIT).ok_or("none"));
        let refused = rail.status().unwrap()["children"][0]["refused"].to_string();
        assert!(refused.contains("bad IP address at line"), "{refused}");
        assert_eq!(rail.log().matches("refused its new configuration").count(), 1);
        let options = "{ code = 200, text = 'a,b # \"c\"' }, { code = 46, hex = \"08\" }, \
                       { code = 150, addresses = [\"192.168.1.5\", \"192.168.1.6\"] }, \
                       { code = 43, hex = \"01:04:0a\" }";
        rail.reload(&with(options)).unwrap();
        eventually(LIMIT, "the new one", || match running(rail) {
            Ok(found) if found != pid => Ok(()),
            other => Err(format!("{other:?}")),
        });
        eventually(LIMIT, "an answer", || ask(client, "new.test", LIMIT).ok_or("none"));
        let script =
            "#!/bin/sh\n[ $1 = bound ] && echo \"$opt200 $opt46 $opt150 $opt43\"\nexit 0\n";
        let asked = "-O 200 -O 46 -O 150 -O 43";
        assert_eq!(
            told(client, script, asked).trim(),
            "612c62202320226322 08 c0a80105c0a80106 01040a"
        );
        assert_eq!(rail.ask(&["status"]).unwrap().status.code(), Some(0));
    });
}

// given another resolver on the loopback / when the router is to ask its own one there / then dnsmasq goes on for the
// hosts as it is, the other one is named, and the router asks whom it asked before
#[test]
fn a_resolver_of_the_router_itself_costs_the_hosts_nothing() {
    isolated(|| {
        let place = rail_lab::scratch::directory("taken").unwrap().join("resolv.conf");
        std::fs::write(&place, "nameserver 127.0.0.1\n").unwrap();
        rustix::mount::mount_bind(&place, "/etc/resolv.conf").unwrap();
        let (world, _resolvers) = served();
        let rail = &world.rail;
        let pid = running(rail).unwrap();
        let _taken = world.topology.router.enter(|| UdpSocket::bind("127.0.0.1:53").unwrap());
        let own = "[lan.dns]\nresolv_conf = true\n";
        rail.reload(&file(&world.topology).replace("[lan.dns]\n", own)).unwrap();
        eventually(LIMIT, "the other one's name", || {
            let status = rail.status().map_err(|e| e.to_string())?;
            let why = status["children"][0]["refused"].to_string();
            let own = format!("(process {})", std::process::id());
            let parts = ["127.0.0.1 has a resolver already", "on 127.0.0.1 is held by", &own];
            if parts.iter().all(|part| why.contains(part)) { Ok(()) } else { Err(why) }
        });
        assert_eq!(running(rail), Ok(pid));
        assert!(ask(&world.topology.client, "on.test", LIMIT).is_some());
        assert_eq!(std::fs::read_to_string("/etc/resolv.conf").unwrap(), "nameserver 127.0.0.1\n");
    });
}

// given dnsmasq under rail / when the process that supervises it is killed, and then dnsmasq, too / then another
// supervisor adopts it, and starts it again as the same user with the same rights
#[test]
fn a_killed_supervisor_comes_back_with_all_rights() {
    isolated(|| {
        let (world, _resolvers) = served();
        let client = &world.topology.client;
        let pid = running(&world.rail).unwrap();
        let rights = rights_of(pid);
        kill(parent(pid));
        world.rail.wait_log(&["supervises helper programs was lost"]).unwrap();
        world.rail.wait_log(&["still running; adopted"]).unwrap();
        assert_eq!(running(&world.rail), Ok(pid));
        kill(pid);
        eventually(LIMIT, "another dnsmasq", || match running(&world.rail) {
            Ok(found) if found != pid => Ok(()),
            other => Err(format!("{other:?}, {}", world.rail.log())),
        });
        assert_eq!(rights_of(running(&world.rail).unwrap()), rights);
        eventually(LIMIT, "an answer", || ask(client, "a.test", LIMIT).ok_or("none"));
    });
}

// given a router that is to ask its own resolver / when the daemon is killed, dnsmasq is, and all is withdrawn /
// then /etc/resolv.conf leads to it and it answers, the file stays over the crash, and is what it was in the end
#[test]
fn the_router_asks_itself() {
    isolated(|| {
        let before = "nameserver 192.0.2.9\nsearch example.org\n";
        let place = rail_lab::scratch::directory("resolv").unwrap().join("resolv.conf");
        std::fs::write(&place, before).unwrap();
        rustix::mount::mount_bind(&place, "/etc/resolv.conf").unwrap();
        let now = || std::fs::read_to_string("/etc/resolv.conf").unwrap();
        let topology = Topology::build(&Plan::new(2)).unwrap();
        let _resolvers: Vec<_> = topology.lines.iter().map(Resolver::start).collect();
        let file = file(&topology).replace("[lan.dns]\n", "[lan.dns]\nresolv_conf = true\n");
        let mut world = begin(topology, &file);
        world.rail.wait_all_up(LIMIT).unwrap();
        let is_ours = || match now() {
            text if text.contains("\nnameserver 127.0.0.1\n") => Ok(()),
            text => Err(text),
        };
        eventually(LIMIT, "its own resolver", is_ours);
        let own = |name| ask_at(&world.topology.router, [127, 0, 0, 1], name, LIMIT);
        eventually(LIMIT, "an answer", || own("a.test").ok_or("none"));
        assert_eq!(own("router.home.arpa"), Some(Ipv4Addr::new(192, 168, 1, 1)));
        world.rail.kill().unwrap();
        is_ours().unwrap();
        world.rail.start().unwrap();
        let pid = eventually(LIMIT, "dnsmasq", || running(&world.rail));
        is_ours().unwrap();
        // One that does not run is asked by nobody.
        kill(pid);
        eventually(
            LIMIT,
            "the file of before",
            || {
                if now() == before { Ok(()) } else { Err(now()) }
            },
        );
        world.rail.stop(true).unwrap();
        assert_eq!(now(), before);
    });
}

/// User and rights of a process.
fn rights_of(pid: u64) -> Vec<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let is_wanted =
        |line: &&str| ["Uid:", "Gid:", "CapEff:"].iter().any(|word| line.starts_with(word));
    text.lines().filter(is_wanted).map(str::to_owned).collect()
}

fn parent(pid: u64) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, rest) = stat.rsplit_once(')').unwrap();
    rest.split_whitespace().nth(1).unwrap().parse().unwrap()
}

pub(crate) fn kill(pid: u64) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}
