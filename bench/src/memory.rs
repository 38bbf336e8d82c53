//! Memory of the daemon with everything on: uplinks of each kind, services, notifications, a firewall with forwards,
//! failovers behind it, and people who ask. The programs beside it are not counted, those of ours are shown.

use rail_lab::pppd::Pppd;
use rail_lab::receiver::Protocol;
use rail_lab::{
    ConfigText, DhcpServer, Fault, LabError, Leases, Manner, Plan, Rail, Receiver, Server,
    Topology, scratch, try_eventually,
};
use std::fs::{self, Permissions};
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

const LIMIT_KIB: u64 = 12 * 1024;
const PATIENCE: Duration = Duration::from_secs(30);
const QUESTIONS: usize = 500;
/// Who takes mail, webhooks, and names.
const RECEIVERS: [(Ipv4Addr, u16, Protocol); 3] = [
    (Ipv4Addr::new(192, 0, 2, 70), 2525, Protocol::Smtp),
    (Ipv4Addr::new(192, 0, 2, 71), 8080, Protocol::Http),
    (Ipv4Addr::new(192, 0, 2, 73), 8080, Protocol::Http),
];
const REST: &str = "\
[lan.dhcp]\nranges = [\"192.168.1.100-192.168.1.199\"]\ndomain = \"home.arpa\"\n\
reservations = [{ mac = \"02:00:00:00:00:07\", address = \"192.168.1.17\", name = \"nas\" }]\n\
[lan.dns]\nnames = { \"router.home.arpa\" = \"192.168.1.1\" }\n\
[[forward]]\nprotocol = \"tcp\"\nport = 443\nto = \"192.168.1.17\"\n\
[notify]\nfold = \"1s\"\n\
email = { to = [\"ops@example.org\"], from = \"rail@example.org\", server = \"192.0.2.70:2525\", tls = \"none\" }\n\
webhook = \"http://192.0.2.71:8080/T0K3N\"\n\
[[ddns]]\nhostname = \"home.example.org\"\nuplink = \"isp1\"\nkind = \"url\"\n\
update = \"http://192.0.2.73:8080/{hostname}/{address}\"\nask = \"http://192.0.2.73:8080/\"\n";

/// Measures; true if the target is met.
pub(crate) fn run() -> Result<bool, LabError> {
    let plan = Plan { second_hop: false, ..Plan::new(3) };
    let topology = Topology::build(&plan)?;
    let start = |(address, port, protocol)| {
        let receiver = Receiver::start(&topology.internet, (address, port), protocol)?;
        // Whoever asks which address the world sees gets one.
        receiver.behave(Manner::Takes("198.51.100.4".into()));
        Ok(receiver)
    };
    let _receivers = RECEIVERS.into_iter().map(start).collect::<Result<Vec<_>, LabError>>()?;
    let (leasing, dialled) = (topology.line(2), topology.line(3));
    let _server = DhcpServer::start(&leasing.isp, &Leases::of(leasing), Server::Dnsmasq)?;
    let _pppd = Pppd::put(&topology.router, dialled)?;
    let rail = Rail::run(&topology.router, &config(&topology)?)?;
    rail.wait_all_up(PATIENCE)?;
    try_eventually(PATIENCE, "dnsmasq, pppd and the notifier", || {
        let status = rail.status().map_err(|e| e.to_string())?;
        let runs = |child: &serde_json::Value| child["pid"].is_u64();
        let children = status["children"].as_array().cloned().unwrap_or_default();
        let told = status["notifier"]["names"][0]["address"].is_string();
        let all = children.len() == 3 && children.iter().all(runs) && told;
        if all { Ok(()) } else { Err(format!("{children:?} {}", status["notifier"])) }
    })?;
    for number in 1..=2 {
        let name = format!("isp{number}");
        let fault = topology.inject(number, Fault::Carrier)?;
        rail.wait_health(&name, "no-carrier", PATIENCE)?;
        fault.repair()?;
        rail.wait_health(&name, "up", PATIENCE)?;
    }
    for _ in 0..QUESTIONS {
        rail.status()?;
    }
    let pid = rail.pid().ok_or_else(|| LabError::Refused("the daemon has no process".into()))?;
    let (resident, proportional) = memory(pid)?;
    let met = resident <= LIMIT_KIB;
    println!(
        "memory: uplinks static, by DHCP and by PPP, addresses and names for the LAN, mail, webhook, ddns"
    );
    println!(
        "  the daemon: resident {resident} KiB  target {LIMIT_KIB} KiB: {}",
        if met { "met" } else { "MISSED" }
    );
    println!("  the daemon: {proportional} KiB with its share of what others use as well");
    for (words, pid) in others(pid)? {
        let (resident, proportional) = memory(pid)?;
        println!("  beside it, {words}: resident {resident} KiB, share {proportional} KiB");
    }
    println!();
    Ok(met)
}

/// The file of the drawing: uplink 1 is static, 2 by DHCP, 3 by PPP.
fn config(topology: &Topology) -> Result<String, LabError> {
    let text = ConfigText {
        check: "recover_after = 3\n".into(),
        rest: REST.into(),
        ..ConfigText::default()
    };
    let secret = scratch::directory("secret")?.join("password");
    let failed = |e| LabError::io("write a password", e);
    fs::write(&secret, "swordfish\n").map_err(failed)?;
    fs::set_permissions(&secret, Permissions::from_mode(0o600)).map_err(failed)?;
    let mut file = topology.config(&text);
    for line in &topology.lines {
        let (address, gateway) = (line.address(), line.gateway());
        let fixed = format!(
            "interface = \"wan{}\"\naddress = \"{address}/24\"\ngateway = \"{gateway}\"\n",
            line.number
        );
        let attached = match line.number {
            2 => "interface = \"wan2\"\naddress = \"dhcp\"\n".into(),
            3 => format!(
                "interface = \"ppp-isp3\"\naddress = \"ppp\"\nppp = {{ parent = \"wan3\", \
                 username = \"user@example.net\", password_file = \"{}\" }}\n",
                secret.display()
            ),
            _ => format!("{fixed}dns = [\"{gateway}\"]\n"),
        };
        file = file.replace(&fixed, &attached);
    }
    Ok(file)
}

/// What a process has in use, and the same with its share of pages that others use as well, in KiB (`smaps_rollup`,
/// proc(5)).
fn memory(pid: u32) -> Result<(u64, u64), LabError> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(&path).map_err(|e| LabError::io(format!("read {path}"), e))?;
    let of = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    };
    Ok((of("Rss:"), of("Pss:")))
}

/// The other processes of the same program, with their words.
fn others(pid: u32) -> Result<Vec<(String, u32)>, LabError> {
    let program = |pid: u32| fs::read_link(format!("/proc/{pid}/exe")).ok();
    let own = program(pid);
    let all = fs::read_dir("/proc").map_err(|e| LabError::io("read /proc", e))?;
    let numbers = all.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let same = numbers.filter(|other: &u32| *other != pid && program(*other) == own);
    Ok(same
        .map(|pid| {
            let words = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let words: Vec<&str> = words.split('\0').skip(1).take(1).collect();
            (words.join(" "), pid)
        })
        .collect())
}
