//! People are told: by mail, by a webhook, by a command, by names that follow an address. Whatever those
//! do who are told, the router does not wait for them.

use rail_lab::receiver::Protocol;
use rail_lab::{
    ConfigText, Connector, ConnectorPlan, Fault, Injected, Manner, Plan, Received, Receiver, World,
    eventually, figures, isolated, timed,
};
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

const MAIL: (Ipv4Addr, u16) = (Ipv4Addr::new(192, 0, 2, 70), 2525);
const HOOK: (Ipv4Addr, u16) = (Ipv4Addr::new(192, 0, 2, 71), 8080);
const ASK: (Ipv4Addr, u16) = (Ipv4Addr::new(192, 0, 2, 72), 8080);
const NAMES: (Ipv4Addr, u16) = (Ipv4Addr::new(192, 0, 2, 73), 8080);
/// A message leaves a second after the first event, on a machine that has other work, too.
const SOON: Duration = Duration::from_secs(20);

fn notify(rest: &str) -> ConfigText {
    let rest = format!(
        "[notify]\nfold = \"1s\"\non = [\"health\", \"role\"]\n\
         email = {{ to = [\"ops@example.org\"], from = \"rail@example.org\", server = \"{}:{}\", tls = \"none\" }}\n\
         webhook = \"http://{}:{}/T0K3N\"\n{rest}",
        MAIL.0, MAIL.1, HOOK.0, HOOK.1
    );
    ConfigText { rest, ..ConfigText::default() }
}

fn start(rest: &str) -> (World, Receiver, Receiver) {
    let world = World::start(&Plan::new(2), &notify(rest)).unwrap();
    let internet = &world.topology.internet;
    let mail = Receiver::start(internet, MAIL, Protocol::Smtp).unwrap();
    let hook = Receiver::start(internet, HOOK, Protocol::Http).unwrap();
    wait_for_notifier(&world);
    // The start itself is news.
    mail.wait(1, SOON).unwrap();
    hook.wait(1, SOON).unwrap();
    (world, mail, hook)
}

/// Waits until the notifier has said how it does.
fn wait_for_notifier(world: &World) {
    eventually(SOON, "the notifier", || {
        let status = world.rail.status().unwrap();
        if status["notifier"]["targets"][0].is_object() {
            Ok(())
        } else {
            Err(status["notifier"].to_string())
        }
    });
}

fn subject(mail: &Received) -> &str {
    mail.text.lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap_or("none")
}

/// The texts of webhooks, in the order in which they came. One whose answer was lost comes again, under the same
/// name.
fn texts(hook: &Receiver) -> String {
    let (mut seen, mut all) = (Vec::new(), String::new());
    for received in hook.received() {
        let name = |line: &str| line.strip_prefix("Idempotency-Key: ").map(str::to_owned);
        let name = received.text.lines().find_map(name).unwrap();
        if !seen.contains(&name) {
            seen.push(name);
            all.push_str(&received.text);
        }
    }
    all
}

fn cut(world: &World, number: usize) -> Injected {
    let fault = world.topology.inject(number, Fault::Carrier).unwrap();
    world.rail.wait_health(&format!("isp{number}"), "no-carrier", Duration::from_secs(3)).unwrap();
    fault
}

#[test]
fn a_failure_is_told_by_what_still_carries() {
    isolated(|| {
        // given mail, a webhook and a command / when an uplink fails / then each is told once, of what
        // failed and what carries, by the other uplink and with its address
        let told = PathBuf::from("/run/rail-told");
        let script = "#!/bin/sh\n{ echo \"$RAIL_SUBJECT\"; cat; } >> /run/rail-told\n";
        fs::write("/run/rail-tell", script).unwrap();
        fs::set_permissions("/run/rail-tell", fs::Permissions::from_mode(0o755)).unwrap();
        let _ = fs::remove_file(&told);
        let (mut world, mail, hook) = start("command = [\"/run/rail-tell\"]\n");
        // starts: rail
        let tested = world.rail.ask(&["test-notification"]).unwrap();
        let said = String::from_utf8_lossy(&tested.stdout).into_owned();
        assert!(tested.status.success(), "{said}{}", String::from_utf8_lossy(&tested.stderr));
        assert!(said.contains("email ops@example.org: sent: 250 2.0.0 taken\n"), "{said}");
        assert!(
            said.contains("webhook: sent: 200 ok\n") && said.contains("command: sent"),
            "{said}"
        );
        let before = (mail.received().len(), hook.received().len());
        cut(&world, 1);
        let mails = mail.wait(before.0 + 1, SOON).unwrap();
        let hooks = hook.wait(before.1 + 1, SOON).unwrap();
        let (mail, hook) = (&mails[before.0], &hooks[before.1]);
        assert_eq!(
            subject(mail),
            format!("[rail {}] isp1 is no-carrier; isp2 carries", router(&world))
        );
        assert!(mail.text.contains("\r\nAuto-Submitted: auto-generated\r\n"), "{}", mail.text);
        assert!(mail.text.starts_with("EHLO [100.64.2.2]\r\n"), "{}", mail.text);
        assert!(hook.text.contains("\"event\":\"health\""), "{}", hook.text);
        let second = IpAddr::V4(world.topology.line(2).address());
        assert_eq!((mail.peer, hook.peer), (second, second));
        eventually(SOON, "the command", || {
            let text = fs::read_to_string(&told).unwrap_or_default();
            if text.contains("isp1 is no-carrier; isp2 carries") { Ok(()) } else { Err(text) }
        });
        eventually(SOON, "an empty queue", || {
            let status = world.rail.status().unwrap();
            let first = &status["notifier"]["targets"][0];
            if first["queued"] == 0 && first["sent"] == 2 { Ok(()) } else { Err(first.to_string()) }
        });
        assert_eq!(world.topology.wrong_sources().unwrap(), 0);
        // It outlives a stop, and a withdrawal ends it.
        let process = PathBuf::from(format!("/proc/{}", notifier(&world)));
        world.rail.stop(false).unwrap();
        assert!(process.exists());
        world.rail.start().unwrap();
        eventually(SOON, "the same process", || {
            let pid = notifier(&world);
            if process.ends_with(pid.to_string()) { Ok(()) } else { Err(pid.to_string()) }
        });
        world.rail.stop(true).unwrap();
        eventually(SOON, "its end", || {
            if process.exists() { Err("it runs".to_owned()) } else { Ok(()) }
        });
    });
}

fn router(world: &World) -> String {
    world.rail.status().unwrap()["router"].as_str().unwrap().to_owned()
}

#[test]
fn what_happens_in_an_outage_is_told_once_and_in_order() {
    isolated(|| {
        // given all uplinks dead / when meanwhile more happens, the notifier is killed and the daemon,
        // too / then, when one is back, each event arrives once, in its order
        let (mut world, mail, hook) = start("");
        let faults = [cut(&world, 1), cut(&world, 2)];
        // It is on the disk: what came in the last second before both die may be lost.
        let state = world.rail.runtime_dir().with_file_name("state/children/notifier/webhook");
        eventually(SOON, "a message that waits", || {
            let files = fs::read_dir(&state).unwrap().filter_map(|entry| Some(entry.ok()?.path()));
            let all: String = files.filter_map(|file| fs::read_to_string(file).ok()).collect();
            if all.matches("wan2 has no carrier").count() > 0 { Ok(()) } else { Err(all) }
        });
        kill_notifier(&world);
        world.rail.kill().unwrap();
        world.rail.start().unwrap();
        let [first, second] = faults;
        second.repair().unwrap();
        world.rail.wait_health("isp2", "up", Duration::from_secs(60)).unwrap();
        mail.wait(1, Duration::from_secs(60)).unwrap();
        first.repair().unwrap();
        world.rail.wait_health("isp1", "up", Duration::from_secs(60)).unwrap();
        let health = |(name, from, to): (&str, &str, &str)| {
            format!("\"from\":\"{from}\",\"to\":\"{to}\",\"uplink\":\"{name}\"")
        };
        eventually(Duration::from_secs(60), "the end of the story", || {
            let all = texts(&hook);
            if all.contains(&health(("isp1", "down", "up"))) { Ok(()) } else { Err(all) }
        });
        let all = texts(&hook);
        let story = [
            ("isp1", "up", "no-carrier"),
            ("isp2", "up", "no-carrier"),
            ("isp2", "no-carrier", "down"),
            ("isp2", "down", "up"),
            ("isp1", "no-carrier", "down"),
            ("isp1", "down", "up"),
        ];
        let places = story.map(|event| {
            let found: Vec<usize> = all.match_indices(&health(event)).map(|(at, _)| at).collect();
            assert_eq!(found.len(), 1, "{event:?} in {all}");
            found[0]
        });
        assert!(places.is_sorted(), "{places:?} in {all}");
        assert_eq!(world.topology.wrong_sources().unwrap(), 0);
    });
}

/// The process id of the notifier; 0 while the daemon knows none.
fn notifier(world: &World) -> i32 {
    let status = world.rail.status().unwrap();
    let children = status["children"].as_array().cloned().unwrap_or_default();
    let child = children.iter().find(|child| child["name"] == "notifier");
    let pid = child.and_then(|child| child["pid"].as_i64());
    pid.map_or(0, |pid| i32::try_from(pid).unwrap())
}

/// Ends it by that, as a crash would.
fn kill_notifier(world: &World) {
    let pid = notifier(world);
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(pid).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
}

#[test]
fn nobody_who_is_told_delays_the_router() {
    timed(|| {
        // given a mail server that hangs, a webhook that answers without end, and a command that forks,
        // prints a gigabyte, ignores SIGTERM and hangs / when an uplink fails / then new connections
        // move as without them, and the loop is not late. Reported: a hook without an answer holds the
        // router up for nine minutes (nethsecurity 1014)
        let begun = PathBuf::from("/run/rail-begun");
        let _ = fs::remove_file(&begun);
        let script = "#!/bin/sh\ntrap '' TERM HUP INT\n: > /run/rail-begun\n\
                      ( trap '' TERM HUP INT; while :; do sleep 1; done ) &\n\
                      head -c 1000000000 /dev/zero\nwhile :; do sleep 1; done\n";
        fs::write("/run/rail-tell", script).unwrap();
        fs::set_permissions("/run/rail-tell", fs::Permissions::from_mode(0o755)).unwrap();
        let (world, mail, hook) = start("command = [\"/run/rail-tell\"]\n");
        mail.behave(Manner::Hangs);
        hook.behave(Manner::Endless);
        let first = cut(&world, 1);
        // All three are at it.
        eventually(SOON, "the command", || {
            if begun.exists() { Ok(()) } else { Err("it was not run".to_owned()) }
        });
        first.repair().unwrap();
        world.rail.wait_health("isp1", "up", Duration::from_secs(60)).unwrap();
        let plan = ConnectorPlan { period: Duration::from_millis(2), ..world.plan() };
        let connector = Connector::start(&world.topology.client, plan);
        world.wait_for(&connector, 200).unwrap();
        let injected = world.topology.inject(2, Fault::Carrier).unwrap();
        world.wait_for(&connector, 500).unwrap();
        let report = connector.stop().unwrap();
        let last = report.last_failed_after(injected.since);
        let own = world.rail.status().unwrap()["self"].clone();
        figures(&format!(
            "hanging servers and hook: last failed connection {last:?} after the cut, lag p99 {} us",
            own["lag_p99_us"]
        ));
        assert!(last <= Duration::from_millis(300), "{last:?}");
        assert!(own["lag_p99_us"].as_u64().unwrap() <= 10_000, "{own}");
    });
}

#[test]
fn a_name_follows_the_uplink_that_carries() {
    isolated(|| {
        // given a name, and uplinks behind the translation of their providers / when the router starts
        // / then the address that the world sees is asked for and told, by one uplink, once; when the
        // file has no name any more, then the status has none
        let internet_text = format!(
            "[[ddns]]\nhostname = \"gw.example.org\"\nupdate = \"http://{}:{}/nic/update\"\nask = \"http://{}:{}/ip\"\n",
            NAMES.0, NAMES.1, ASK.0, ASK.1
        );
        let text = ConfigText { rest: internet_text, ..ConfigText::default() };
        let topology = rail_lab::Topology::build(&Plan::new(2)).unwrap();
        let ask = Receiver::start(&topology.internet, ASK, Protocol::Http).unwrap();
        let names = Receiver::start(&topology.internet, NAMES, Protocol::Http).unwrap();
        ask.behave(Manner::Takes("your address is 203.0.113.7\n".into()));
        names.behave(Manner::Takes("good 203.0.113.7".into()));
        let world = World::begin(topology, &text).unwrap();
        world.rail.wait_all_up(Duration::from_secs(10)).unwrap();
        let told = names.wait(1, SOON).unwrap();
        let expected = "GET /nic/update?hostname=gw.example.org&myip=203.0.113.7 HTTP/1.1\r\n";
        assert!(told[0].text.starts_with(expected), "{}", told[0].text);
        assert_eq!(told[0].peer, ask.received()[0].peer);
        assert!(world.sources().contains(&match told[0].peer {
            IpAddr::V4(peer) => peer,
            IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
        }));
        eventually(SOON, "the status", || {
            let status = world.rail.status().unwrap();
            let name = &status["notifier"]["names"][0];
            if name["address"] == "203.0.113.7" {
                Ok(())
            } else {
                Err(status["notifier"].to_string())
            }
        });
        assert_eq!(names.received().len(), 1);
        world.rail.reload(&world.topology.config(&ConfigText::default())).unwrap();
        eventually(SOON, "a status without names", || {
            let said = world.rail.status().unwrap()["notifier"].clone();
            if said.is_null() { Ok(()) } else { Err(said.to_string()) }
        });
    });
}
