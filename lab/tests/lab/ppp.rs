//! Uplinks by PPP, with a pppd that plays (`rail_lab::pppd`).

use crate::dhcp::begin;
use rail_lab::pppd::{Plays, Pppd};
use rail_lab::{ConfigText, Plan, Topology, World, eventually, isolated, normal};
use serde_json::Value;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(20);
const SECRET: &str = "sword\"fish\\ # 1";

/// The file of the drawing with these lines by PPPoE.
pub(crate) fn dialled(topology: &Topology, lines: &[usize], text: &ConfigText) -> String {
    let secret = rail_lab::scratch::directory("secret").unwrap().join("password");
    fs::write(&secret, format!("{SECRET}\n")).unwrap();
    fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
    let check = format!("recover_after = 3\n{}", text.check);
    let mut file = topology.config(&ConfigText { check, ..text.clone() });
    for number in lines {
        let line = topology.line(*number);
        let port = line.interface();
        let fixed = format!(
            "interface = \"{port}\"\naddress = \"{}/24\"\ngateway = \"{}\"\n",
            line.address(),
            line.gateway()
        );
        assert!(file.contains(&fixed), "{file}");
        let dialled = format!(
            "interface = \"ppp-{}\"\naddress = \"ppp\"\nppp = {{ parent = \"{port}\", \
             username = \"user@example.net\", password_file = \"{}\" }}\n",
            line.name(),
            secret.display()
        );
        file = file.replace(&fixed, &dialled);
    }
    file
}

/// Two uplinks, the first by PPPoE, both up.
pub(crate) fn served() -> (World, Pppd) {
    let topology = Topology::build(&Plan::new(2)).unwrap();
    let pppd = Pppd::put(&topology.router, topology.line(1)).unwrap();
    let file = dialled(&topology, &[1], &ConfigText::default());
    let world = begin(topology, &file);
    world.rail.wait_all_up(LIMIT).unwrap();
    (world, pppd)
}

/// What status says of the line.
fn line(world: &World, field: &str) -> Value {
    let text = world.rail.uplink("isp1", "ppp").unwrap();
    serde_json::from_str::<Value>(&text).unwrap()[field].clone()
}

fn wait_for(world: &World, field: &str, wanted: &str) {
    eventually(LIMIT, &format!("{field} to be {wanted}"), || match line(world, field) {
        Value::String(text) if text == wanted => Ok(()),
        other => Err(format!("{other}\n{}", world.rail.log())),
    });
}

// given an uplink by PPPoE and one that is static / when the daemon runs, is killed and starts again, the other end
// hangs up, and all is withdrawn / then connections go by both, pppd and the connection outlive the daemon, the
// line is dialled again, `main` has no default route, no secret is seen anywhere, and at the end nothing is left
#[test]
fn a_dialled_line_carries() {
    isolated(|| {
        let topology = Topology::build(&Plan::new(2)).unwrap();
        let pppd = Pppd::put(&topology.router, topology.line(1)).unwrap();
        let before = normal::state(&topology.router).unwrap();
        let file = dialled(&topology, &[1], &ConfigText::default());
        let mut world = begin(topology, &file);
        world.rail.wait_all_up(LIMIT).unwrap();
        let report = world.connect(200).unwrap();
        assert_eq!((report.failed(), report.by_source().len()), (0, 2), "{:?}", report.reasons());
        let main = world.topology.router.sh("ip route show").unwrap();
        assert!(!main.contains("default"), "{main}");
        assert_eq!(line(&world, "peer"), world.topology.line(1).gateway().to_string());
        assert_eq!(line(&world, "resolvers"), serde_json::json!(["192.0.2.53"]));

        let told = pppd.options();
        assert!(told.ends_with("password \"sword\\\"fish\\\\ # 1\"\n"), "{told}");
        let file = world.rail.runtime_dir().join("children/ppp-1/options");
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
        let status = world.rail.status().unwrap().to_string();
        for seen in [pppd.arguments(), status, world.rail.log()] {
            assert!(!seen.contains("sword"), "{seen}");
        }

        let pid = pppd.pid();
        let (failed, changed) = world.kill_and_restart().unwrap();
        assert_eq!((failed, changed), (0, String::new()));
        assert_eq!((pppd.pid(), pppd.dials()), (pid, 1));
        assert_eq!(line(&world, "resolvers"), serde_json::json!(["192.0.2.53"]));

        pppd.hang_up().unwrap();
        world.rail.wait_health("isp1", "absent", LIMIT).unwrap();
        let report = world.connect(100).unwrap();
        assert_eq!(report.failed(), 0, "{:?}", report.reasons());
        world.rail.wait_health("isp1", "up", LIMIT).unwrap();
        assert_eq!(pppd.dials(), 2);

        world.rail.stop(true).unwrap();
        eventually(LIMIT, "pppd to end", || match pppd.pid() {
            Some(pid) => Err(pid),
            None => Ok(()),
        });
        eventually(LIMIT, "nothing to be left", || {
            let after = normal::state(&world.topology.router).unwrap();
            match normal::difference(&before, &after) {
                same if same.is_empty() => Ok(()),
                difference => Err(difference),
            }
        });
    });
}

// given an uplink by PPPoE / when its password is wrong, nobody answers, its device is not there, pppd prints
// garbage, and pppd hangs and is switched off / then status says each cause and when it is dialled again, a pppd
// that does not end is killed, and the other uplink carries all the while
#[test]
fn each_end_is_told() {
    isolated(|| {
        let (world, pppd) = served();
        let ends = [
            (Plays::NoAnswer, "no access concentrator answers", 1..=60),
            (Plays::NoDevice, "the device is not there", 1..=5),
            (Plays::Garbage, "pppd ended", 1..=60),
            (Plays::WrongPassword, "the provider refused the user name or the password", 30..=60),
        ];
        for (plays, cause, wait) in ends {
            pppd.plays(plays).unwrap();
            pppd.hang_up().unwrap();
            wait_for(&world, "cause", cause);
            let redial = line(&world, "redial_s").as_u64();
            assert!(redial.is_none_or(|s| s <= *wait.end()), "{cause}: {redial:?}");
            if plays == Plays::WrongPassword {
                assert!(redial.is_some_and(|s| wait.contains(&s)), "{redial:?}");
            }
            assert_eq!(world.rail.uplink("isp1", "health").unwrap(), "absent");
            let report = world.connect(50).unwrap();
            assert_eq!(report.failed(), 0, "{:?}", report.reasons());
        }
        // Whoever corrects it need not wait.
        pppd.plays(Plays::Hangs).unwrap();
        let switch =
            |word: &str| assert!(world.rail.ask(&[word, "isp1"]).unwrap().status.success());
        switch("disable");
        switch("enable");
        wait_for(&world, "phase", "dialling");
        eventually(LIMIT, "pppd to run", || pppd.pid().ok_or("it does not"));
        switch("disable");
        eventually(LIMIT, "pppd to be killed", || match pppd.pid() {
            Some(pid) => Err(pid),
            None => Ok(()),
        });
        pppd.plays(Plays::Connects).unwrap();
        switch("enable");
        world.rail.wait_health("isp1", "up", LIMIT).unwrap();
    });
}

// given an uplink by PPPoE with connections / when it is dialled anew and gets another address / then new
// connections leave by that one, what bore the old one is deleted, and nothing leaves with a wrong source
#[test]
fn another_address_is_taken_over() {
    isolated(|| {
        let (world, pppd) = served();
        let report = world.connect(100).unwrap();
        assert_eq!(report.failed(), 0, "{:?}", report.reasons());
        let new = "100.64.1.77".parse().unwrap();
        pppd.gives(new);
        pppd.hang_up().unwrap();
        world.rail.wait_health("isp1", "absent", LIMIT).unwrap();
        world.rail.wait_health("isp1", "up", LIMIT).unwrap();
        eventually(LIMIT, "the old address to be gone", || {
            let all = world.topology.router.sh("conntrack -L -n 100.64.1.2").unwrap_or_default();
            if all.contains("100.64.1.2") { Err(all) } else { Ok(()) }
        });
        let report = world.connect(200).unwrap();
        assert_eq!(report.failed(), 0, "{:?}", report.reasons());
        assert!(report.by_source().contains_key(&new), "{:?}", report.by_source());
        assert_eq!(world.rail.uplink("isp1", "address").unwrap(), "100.64.1.77/32");
    });
}
