//! The order in which outputs take effect, on a real kernel in a namespace of its own.

use super::*;
use crate::testing::{in_new_netns, ip};
use rail_core::net::{Family, UplinkId};
use rail_core::state::{Plan, Resource};
use rail_core::{Answer, Ask, AskError, AskId, Asker};
use rail_core::{Binding, Peer, Port, PortId, PortKind, Purge, Saved, Which};
use std::path::PathBuf;
use std::process::Command;

struct Bench {
    dir: PathBuf,
    poller: Rc<Poller>,
    shell: Shell,
}

impl Bench {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("rail-shell-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let poller = Rc::new(Poller::new().unwrap());
        let spawners = [Spawner::start().unwrap(), Spawner::start().unwrap()];
        let children = Children::start(&dir, &dir).unwrap();
        let shell = Shell::open(Rc::clone(&poller), spawners, children, &dir).unwrap();
        Self { dir, poller, shell }
    }

    /// The next thing it has to say, waiting for it.
    fn event(&mut self) -> Event {
        loop {
            if let Some(event) = self.shell.next_event() {
                return event;
            }
            for ready in self.poller.wait(true).unwrap() {
                self.shell.ready(ready);
            }
        }
    }

    /// What is said until the answer to an observation of this scope, as one word each.
    fn until_observed(&mut self, scope: Scope) -> Vec<String> {
        let mut words = Vec::new();
        loop {
            match self.event() {
                Event::Input(Input::Observed(seen, observed)) => {
                    words.push(format!("observed {:?}", observed.sysctls.values().next()));
                    if seen == scope {
                        return words;
                    }
                }
                Event::Input(Input::Applied(key, result)) => {
                    words.push(format!("{key} {}", if result.is_ok() { "ok" } else { "bad" }));
                }
                Event::Input(Input::Saved(_)) => words.push("saved".into()),
                Event::Input(_) => {}
                Event::Notice(notice) => words.push(format!("notice {}", notice.sentence())),
                Event::Done => words.push("done".into()),
            }
        }
    }

    /// The queue waits, as after a reading that failed.
    fn halt(&mut self) {
        self.shell.waiting = Some(Waiting::Retry(clock::now() + Duration::from_secs(60)));
    }

    fn go_on(&mut self) {
        self.shell.waiting = Some(Waiting::Retry(Instant::ZERO));
        self.shell.wake(clock::now());
    }

    /// How many connections were deleted.
    fn until_purged(&mut self) -> u32 {
        loop {
            if let Event::Input(Input::Purged { result, .. }) = self.event() {
                return result.unwrap();
            }
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.dir).unwrap();
    }
}

const PATH: &str = "net/ipv4/fib_multipath_hash_policy";

fn set(value: &str) -> Step {
    Step { key: Key::Sysctl(PATH.into()), op: Op::replace(Resource::Sysctl(value.into())) }
}

fn nft(text: &str) -> Step {
    Step { key: Key::Firewall, op: Op::Script(text.into()) }
}

fn save(generation: u64) -> Output {
    let saved = Box::new(Saved { generation, ..Saved::default() });
    Output::Save { saved, durable: true }
}

#[test]
fn outputs_take_effect_in_order_and_news_do_not_wait() {
    in_new_netns(|| {
        let mut bench = Bench::new("order");
        let watch = Watch { sysctls: vec![PATH.into()], ..Watch::default() };
        bench.shell.perform(Output::Watch(watch));
        bench.halt();
        bench.shell.perform(Output::Apply(vec![set("1"), set("7")]));
        bench.shell.perform(Output::Observe(Scope::SYSCTLS));
        let text = "overtakes".into();
        let notice = Notice::daemon(Severity::Info, text);
        bench.shell.perform(Output::Notice(notice));
        bench.go_on();
        assert_eq!(
            bench.until_observed(Scope::SYSCTLS),
            [
                "notice overtakes",
                "sysctl net.ipv4.fib_multipath_hash_policy ok",
                "sysctl net.ipv4.fib_multipath_hash_policy bad",
                "observed Some(\"1\")",
            ]
        );
    });
}

#[test]
fn nothing_waits_for_a_transaction() {
    in_new_netns(|| {
        let mut bench = Bench::new("lanes");
        let watch = Watch { sysctls: vec![PATH.into()], ..Watch::default() };
        bench.shell.perform(Output::Watch(watch));
        let table = "table inet rail {\n}\n";
        let plan: Plan = vec![nft(table), set("1"), nft(table)];
        bench.shell.perform(Output::Apply(plan));
        bench.shell.perform(Output::Observe(Scope::SYSCTLS));
        assert_eq!(
            bench.until_observed(Scope::SYSCTLS),
            [
                "sysctl net.ipv4.fib_multipath_hash_policy ok",
                // There is one at a time.
                "nft table inet rail bad",
                "observed Some(\"1\")",
            ]
        );
        let mut answer = || loop {
            if let Event::Input(Input::Applied(_, result)) = bench.event() {
                bench.shell.perform(Output::Apply(vec![nft("nonsense")]));
                return result.is_ok();
            }
        };
        assert_eq!([answer(), answer()], [true, false]);
    });
}

#[test]
fn what_must_be_on_the_disk_is_there_when_that_is_said() {
    in_new_netns(|| {
        let mut bench = Bench::new("save");
        let state = bench.dir.join(crate::file::STATE_FILE);
        for generation in 1..=20 {
            let saved = Box::new(Saved { generation, ..Saved::default() });
            bench.shell.perform(Output::Save { saved: saved.clone(), durable: false });
            bench.shell.perform(Output::Save { saved, durable: true });
            assert!(matches!(bench.event(), Event::Input(Input::Saved(_))));
            let text = std::fs::read_to_string(&state).unwrap();
            assert!(text.contains(&format!("\"generation\": {generation}")), "{text}");
        }
    });
}

#[test]
fn a_disk_that_refuses_is_told_once_and_does_not_stop_the_work() {
    in_new_netns(|| {
        let mut bench = Bench::new("full");
        // A directory in the place of the temporary file cannot be replaced.
        let obstacle = bench.dir.join(".state.json.new");
        std::fs::create_dir(&obstacle).unwrap();
        let mut words = Vec::new();
        for generation in 1..=3 {
            if generation == 3 {
                std::fs::remove_dir(&obstacle).unwrap();
            }
            let saved = Box::new(Saved { generation, ..Saved::default() });
            bench.shell.perform(Output::Save { saved, durable: true });
            loop {
                match bench.event() {
                    Event::Input(Input::Saved(_)) => break,
                    Event::Notice(notice) => words.push(format!("notice {}", notice.sentence())),
                    other => panic!("{other:?}"),
                }
            }
        }
        let news: Vec<_> = words.iter().filter(|word| word.starts_with("notice")).collect();
        assert_eq!(news.len(), 2, "{words:?}");
        assert!(news[0].contains("could not write") && news[1].contains("again"), "{words:?}");
        bench.shell.perform(Output::Done);
        bench.shell.perform(Output::Observe(Scope::SYSCTLS));
        assert_eq!(bench.until_observed(Scope::SYSCTLS), ["done", "observed None"]);
    });
}

#[test]
fn a_disk_that_hangs_is_told_once_and_does_not_stop_the_work() {
    in_new_netns(|| {
        let mut bench = Bench::new("hang");
        let state = bench.dir.join(crate::file::STATE_FILE);
        bench.shell.workers.hang(true);
        let begun = clock::now();
        bench.shell.perform(save(1));
        bench.shell.perform(Output::Apply(vec![set("1")]));
        let limit = bench.shell.deadline().unwrap();
        assert!((begun + DISK_MAY_TAKE..=clock::now() + DISK_MAY_TAKE).contains(&limit));
        bench.shell.wake(begun + DISK_MAY_TAKE - Duration::from_millis(1));
        // Nothing but the answer waits for it.
        assert!(matches!(bench.event(), Event::Input(Input::Applied(..))));
        assert!(!bench.shell.has_events(), "it may still answer");
        bench.shell.wake(limit);
        // The next ones are not waited for, and do not pile up.
        bench.shell.perform(save(2));
        bench.shell.perform(save(3));
        bench.shell.perform(Output::Observe(Scope::SYSCTLS));
        let words = bench.until_observed(Scope::SYSCTLS);
        assert_eq!(words.len(), 5, "{words:?}");
        assert!(words[0].starts_with("notice could not write the state: the disk does not answer"));
        assert_eq!(words[1..4], ["saved"; 3]);
        assert!(!state.exists() && bench.shell.deadline().is_none());
        // From the moment it answers, it is waited for again.
        bench.shell.workers.hang(false);
        while !bench.shell.has_events() {
            for ready in bench.poller.wait(true).unwrap() {
                bench.shell.ready(ready);
            }
        }
        assert!(std::fs::read_to_string(&state).unwrap().contains("\"generation\": 3"));
        bench.shell.perform(save(4));
        assert!(!bench.shell.saving.is_empty());
        // The end waits for it.
        bench.shell.perform(Output::Done);
        bench.shell.perform(Output::Observe(Scope::SYSCTLS));
        let words = bench.until_observed(Scope::SYSCTLS);
        assert_eq!(words, ["notice could write the state again", "saved", "done", "observed None"]);
    });
}

#[test]
fn a_probe_and_the_question_for_its_neighbour_do_not_wait() {
    in_new_netns(|| {
        let mut bench = Bench::new("resolve");
        ip("link add wan1 type veth peer name far1");
        ip("addr add 100.64.1.2/24 dev wan1");
        // Nothing else is sent there, and no question is repeated.
        ip("link set wan1 addrgenmode none");
        crate::sysctl::write("net/ipv4/neigh/wan1/retrans_time_ms", "600000").unwrap();
        ip("link set far1 up");
        ip("link set wan1 up");
        let wan1: IfName = "wan1".parse().unwrap();
        let seen = bench.shell.kernel.observe(Scope::LINKS, &Watch::default()).unwrap();
        let binding = Binding {
            ifname: wan1,
            ifindex: seen.links[&wan1].index,
            source: Some("100.64.1.2".parse().unwrap()),
            mark: 0,
        };
        let id = PortId::Probe(UplinkId(1), Family::V4);
        let gateway: std::net::IpAddr = "100.64.1.1".parse().unwrap();
        let kind = PortKind::IcmpEcho { ident: 7 };
        bench.shell.perform(Output::Ports(vec![Port { id, kind, binding }]));
        // Nobody answers at the other end: each question is one packet more.
        let asked = || -> u64 {
            let text = std::fs::read_to_string("/proc/thread-self/net/dev").unwrap();
            let line = text.lines().find_map(|l| l.trim().strip_prefix("wan1:")).unwrap();
            line.split_whitespace().nth(9).unwrap().parse().unwrap()
        };
        let bytes = vec![8, 0, 0, 0, 0, 7, 0, 1];
        let probe = || Output::Send { port: id, to: Peer::Host(gateway), bytes: bytes.clone() };
        bench.shell.perform(probe());
        bench.halt();
        let before = asked();
        bench.shell.perform(probe());
        assert_eq!(asked(), before, "the kernel has asked already");
        bench.shell.perform(Output::Resolve(wan1, gateway));
        bench.shell.perform(probe());
        assert_eq!(asked(), before + 1);
    });
}

/// Given a queue that waits, then a question is asked and answered all the same; given a target that is
/// silent, then the shell wants to be woken when the time of the question is over, and says so.
#[test]
fn a_question_does_not_wait_and_ends_in_its_time() {
    in_new_netns(|| {
        let mut bench = Bench::new("ask");
        ip("link add wan1 index 70 type veth peer name far1");
        ip("addr add 100.64.1.2/24 dev wan1");
        ip("link set wan1 up");
        bench.halt();
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let id = |n| AskId { asker: Asker::Probe(UplinkId(1), Family::V4), n };
        let ask = |ifname: &str, ifindex, to: std::net::SocketAddr| {
            let (ifname, timeout) = (ifname.parse().unwrap(), Duration::from_secs(2));
            let binding = Binding { ifname, ifindex, source: None, mark: 0 };
            Ask::Connect { binding, to, timeout }
        };
        // The link that was made may still be news.
        let answered = |bench: &mut Bench| loop {
            if let Event::Input(Input::Answered(id, result)) = bench.event() {
                return (id.n, result);
            }
        };
        bench.shell.perform(Output::Ask(id(1), ask("lo", 1, listener.local_addr().unwrap())));
        let (1, Ok(Answer::Connected { .. })) = answered(&mut bench) else { panic!() };
        let silent = ask("wan1", 70, "100.64.1.9:443".parse().unwrap());
        bench.shell.perform(Output::Ask(id(2), silent));
        let until = bench.shell.asks.deadline().unwrap();
        assert!(bench.shell.deadline().unwrap() <= until);
        bench.shell.wake(until);
        assert_eq!(answered(&mut bench), (2, Err(AskError::TimedOut)));
        // One that is called off is not waited for.
        bench.shell.perform(Output::Ask(id(3), silent));
        bench.shell.perform(Output::CancelAsks(id(3).asker));
        assert_eq!(bench.shell.asks.deadline(), None);
    });
}

#[test]
fn what_one_command_changes_is_told_once_and_a_link_at_once() {
    in_new_netns(|| {
        let mut bench = Bench::new("changes");
        let reported = |bench: &mut Bench| {
            let begun = clock::now();
            loop {
                bench.shell.wake(clock::now());
                if let Some(Event::Input(Input::Changed(scope))) = bench.shell.next_event() {
                    return (scope, clock::now().since(begun));
                }
                for ready in bench.poller.wait(false).unwrap() {
                    bench.shell.ready(ready);
                }
            }
        };
        ip("rule add from 192.0.2.1 lookup 100");
        ip("rule add from 192.0.2.2 lookup 100");
        let (scope, after) = reported(&mut bench);
        assert_eq!(scope, Scope::RULES);
        assert!(after >= COLLECT_FOR, "{after:?}");
        assert!(bench.shell.next_event().is_none() && bench.shell.deadline().is_none());
        // What waits goes with the link.
        ip("rule del from 192.0.2.2 lookup 100");
        for ready in bench.poller.wait(true).unwrap() {
            bench.shell.ready(ready);
        }
        assert!(bench.shell.deadline().is_some());
        ip("link set lo down");
        // However long that took, nothing was due before this is read.
        for ready in bench.poller.wait(true).unwrap() {
            bench.shell.ready(ready);
        }
        let (scope, _) = reported(&mut bench);
        assert!(scope.has(Scope::RULES | Scope::LINKS), "{scope:?}");
    });
}

#[test]
fn readings_do_not_pile_up_while_the_queue_waits() {
    in_new_netns(|| {
        let mut bench = Bench::new("storm");
        let watch = Watch { sysctls: vec![PATH.into()], ..Watch::default() };
        bench.shell.perform(Output::Watch(watch));
        bench.halt();
        bench.shell.perform(Output::Apply(vec![set("1")]));
        for _ in 0..500 {
            bench.shell.perform(Output::Observe(Scope::LINKS));
            bench.shell.perform(Output::Observe(Scope::SYSCTLS));
        }
        assert_eq!(bench.shell.queue.len(), 2, "the step and one reading");
        // What stands behind the next change must see that one, too.
        bench.shell.perform(Output::Apply(vec![set("0")]));
        bench.shell.perform(Output::Observe(Scope::SYSCTLS));
        bench.go_on();
        let setting = "sysctl net.ipv4.fib_multipath_hash_policy ok";
        assert_eq!(
            bench.until_observed(Scope::LINKS | Scope::SYSCTLS),
            [setting, "observed Some(\"1\")"]
        );
        assert_eq!(bench.until_observed(Scope::SYSCTLS), [setting, "observed Some(\"0\")"]);
        assert!(bench.shell.queue.is_empty() && !bench.shell.has_events());
    });
}

#[test]
fn a_line_that_returns_keeps_its_connections() {
    in_new_netns(|| {
        // The deletion and its end wait for the same change: between them there is no time to read
        // the table.
        let mut bench = Bench::new("spare");
        for port in 2000..2200 {
            let words = format!(
                "-I -s 10.0.0.2 -d 198.51.100.1 -p tcp --sport {port} --dport 80 \
                 --state ESTABLISHED -t 600 -u SEEN_REPLY,ASSURED -m 0x10000"
            );
            let out = Command::new("conntrack").args(words.split(' ')).output().unwrap();
            assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        }
        let mut delete = |yields| {
            let (uplink, mark, mask) = (UplinkId(1), 0x10000, 0xff0000);
            let (which, keep_sources, keep_destinations) = (Which::Movable, vec![], vec![]);
            let purge =
                Purge { uplink, mark, mask, which, keep_sources, keep_destinations, yields };
            bench.shell.perform(Output::Apply(vec![nft("table inet rail {\n}\n")]));
            bench.shell.perform(Output::Purge(purge));
            bench.shell.perform(Output::CancelPurge(uplink));
            bench.until_purged()
        };
        assert_eq!(delete(true), 0);
        // What leads nowhere goes, however well the uplink is, also of what could move.
        assert_eq!(delete(false), 200);
    });
}
