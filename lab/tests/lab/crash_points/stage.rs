//! The network on which one operation is interrupted again and again.

use super::operation::{LIMIT, Operation};
use super::witness::{Counts, Intruders, Pulse, SSH, Traffic, ask_for_ssh, judge_ssh, plan};
use rail_lab::{
    ConfigText, Connector, ConnectorPlan, Fault, Injected, Plan, Rail, Servers, Topology,
    eventually, normal, scratch, topology,
};
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The network, the daemon, and what an undisturbed run left.
pub(crate) struct Stage {
    /// The daemon; first, so that it ends before its network does.
    pub(crate) rail: Rail,
    /// The drawing: three uplinks.
    pub(crate) topology: Topology,
    /// The configuration with all uplinks and a forward.
    pub(crate) full: String,
    /// The configuration without uplink 2 and the forward.
    pub(crate) less: String,
    operation: Operation,
    crash_at: String,
    /// The changes of the daemon that may die.
    record: PathBuf,
    /// Those of the undisturbed run.
    undisturbed: String,
    injected: Option<Injected>,
    intruders: Option<Intruders>,
    pulse: Pulse,
    counts: Counts,
    repeated: usize,
    /// The router before the first start.
    clean: String,
    /// The router after the operation.
    expected: String,
    _servers: [Servers; 2],
}

impl Stage {
    /// Builds it, and learns from one undisturbed run where the operation leads.
    pub(crate) fn new(operation: Operation) -> Self {
        let topology = Topology::build(&Plan::new(3)).unwrap();
        // A new namespace takes it from the machine's own.
        topology.router.set("net/ipv4/ip_forward", "0").unwrap();
        let (full, less) = configurations(&topology);
        let mut stage = Self {
            _servers: [
                Servers::start(&topology.internet, &topology::servers()).unwrap(),
                Servers::tcp(&topology.router, SSH.into()).unwrap(),
            ],
            intruders: Some(Intruders::start(&topology, operation)),
            pulse: Pulse::start(),
            clean: normal::state(&topology.router).unwrap(),
            rail: Rail::new(&topology.router, &full).unwrap(),
            topology,
            full,
            less,
            operation,
            crash_at: String::new(),
            record: scratch::directory("record").unwrap().join("changes"),
            undisturbed: String::new(),
            injected: None,
            counts: Counts::default(),
            repeated: 0,
            expected: String::new(),
        };
        assert!(!stage.interrupt("before:1000000"), "an undisturbed run died");
        stage.undisturbed = fs::read_to_string(&stage.record).unwrap();
        stage
    }

    /// How many such moments the undisturbed run had.
    pub(crate) fn changes(&self, moment: &str) -> usize {
        let takes_time = |line: &&str| {
            ["nft", "purge"].iter().any(|op| line.contains(&format!("\"op\":\"{op}\"")))
        };
        let lines = self.undisturbed.lines();
        if moment == "during" { lines.filter(takes_time).count() } else { lines.count() }
    }

    /// Performs the operation by a daemon that dies at this change; false if it did not die.
    pub(crate) fn interrupt(&mut self, crash_at: &str) -> bool {
        loop {
            self.pulse.worst();
            let (died, verdict) = self.attempt(crash_at);
            let held_up = self.pulse.worst();
            match verdict {
                Ok(()) => return died,
                Err(text) if held_up < HELD_UP || self.repeated > REPEATS => {
                    panic!("{crash_at}: {text}; held up for {held_up:?} at most")
                }
                Err(_) => self.repeated += 1,
            }
        }
    }

    /// Whether it died, and what the clients noticed.
    fn attempt(&mut self, crash_at: &str) -> (bool, Result<(), String>) {
        let operation = self.operation;
        crash_at.clone_into(&mut self.crash_at);
        operation.prepare(self);
        if operation == Operation::Withdraw && self.expected.is_empty() {
            // Who dies over a withdrawal and is started again is wanted again.
            self.expected = normal::state(&self.topology.router).unwrap();
        }
        let traffic = operation.keeps_traffic().then(|| Traffic::start(&self.topology));
        let ssh = traffic.is_none().then(|| ask_for_ssh(&self.topology));
        if self.rail.pid().is_some() {
            self.rail.kill().unwrap();
        }
        operation.damage(self);
        // Each daemon that may die has a record of its own.
        let _ = fs::remove_file(&self.record);
        let record = self.record.display().to_string();
        let hooks = [("RAIL_CRASH_AT", crash_at), ("RAIL_NETLINK_LOG", &record)];
        self.rail.launch_with(&hooks).unwrap();
        if !operation.is_start() {
            // It adopts and changes nothing, or it would be dead by now.
            let ready = self.rail.wait_ready(LIMIT);
            // Connections of an uplink that is down or gone are removed again, which is a point, too.
            if !matches!(operation, Operation::Return | Operation::Add) {
                ready.unwrap();
            }
            operation.begin(self);
        }
        let died = self.outcome(crash_at);
        if died {
            if let Some(traffic) = &traffic {
                traffic.wait_for(20);
            }
            self.rail.kill().unwrap();
            self.rail.start().unwrap();
        } else if operation == Operation::Withdraw {
            self.rail.kill().unwrap();
            self.is_clean(crash_at);
            let judge = |ssh| judge_ssh(ssh, &mut self.counts);
            return (false, ssh.map_or(Ok(()), judge));
        }
        self.converges(crash_at);
        let settled = Instant::now();
        let mut verdict = match traffic {
            Some(traffic) => {
                traffic.wait_for(20);
                let wrong = self.topology.wrong_sources().unwrap();
                assert_eq!(wrong, 0, "wrong sources: {}", self.topology.strange_packets());
                let victim = operation.victim().map(|line| self.topology.line(line).address());
                traffic.judge(victim, settled, &mut self.counts)
            }
            None => self.serves(),
        };
        self.withdraw(crash_at);
        if let Some(ssh) = ssh {
            verdict = judge_ssh(ssh, &mut self.counts).and(verdict);
        }
        (died, verdict)
    }

    /// Ends; what was seen over all points.
    pub(crate) fn end(mut self) -> String {
        let operation = self.operation;
        let seen = self.counts.told(operation.keeps_traffic(), operation.victim().is_some());
        let tried = self.intruders.take().unwrap().stop();
        let repeated = self.repeated;
        format!("{seen}; intruders: 0 of {tried} got in; {repeated} repeated on a busy machine")
    }

    /// Breaks uplink 1.
    pub(crate) fn inject(&mut self, fault: Fault) {
        self.injected = Some(self.topology.inject(1, fault).unwrap());
    }

    /// Repairs uplink 1.
    pub(crate) fn repair(&mut self) {
        if let Some(injected) = self.injected.take() {
            injected.repair().unwrap();
        }
    }

    /// Waits for uplink 1 to have this health, and for the kernel to follow.
    pub(crate) fn wait_line_1(&self, health: &str) {
        self.rail.wait_health("isp1", health, LIMIT).unwrap();
        self.rail.wait_settled(LIMIT).unwrap();
    }

    /// Waits for death or for the end of the operation; true if it died.
    fn outcome(&mut self, crash_at: &str) -> bool {
        let start = Instant::now();
        loop {
            if let Some(status) = self.rail.ended() {
                let log = || self.rail.log();
                let by_kill = status.signal() == Some(9);
                let done = self.operation == Operation::Withdraw && status.success();
                assert!(by_kill || done, "{crash_at}: ended with {status}\n{}", log());
                return by_kill;
            }
            // Asked in this order: who answers after the last change has survived it.
            let has_swept = self.has_swept();
            match self.operation.is_done(self) {
                Ok(()) if has_swept => return false,
                last if start.elapsed() > LIMIT => {
                    panic!("{crash_at}: neither dead nor done: {last:?}\n{}", self.rail.log())
                }
                _ => std::thread::yield_now(),
            }
        }
    }

    /// Connections of a dead uplink are removed at once and, when late ones have come, once more.
    fn has_swept(&self) -> bool {
        let record = fs::read_to_string(&self.record).unwrap_or_default();
        // A withdrawal ends with its daemon and no other way.
        self.operation != Operation::Withdraw
            && record.matches("\"op\":\"purge\"").count() >= self.operation.purges()
    }

    /// The daemon comes where an undisturbed one came.
    fn converges(&mut self, crash_at: &str) {
        eventually(LIMIT, &format!("{crash_at}: the end of the operation"), || {
            self.operation.is_done(self)
        });
        if self.expected.is_empty() {
            self.expected = normal::state(&self.topology.router).unwrap();
        }
        self.equals(&self.expected, &format!("{crash_at}: the state of an undisturbed run"));
    }

    fn equals(&self, wanted: &str, what: &str) {
        eventually(LIMIT, what, || {
            let difference =
                normal::difference(wanted, &normal::state(&self.topology.router).unwrap());
            if difference.is_empty() { Ok(()) } else { Err(difference) }
        });
    }

    /// Connections go through.
    fn serves(&self) -> Result<(), String> {
        let plan = ConnectorPlan { count: Some(20), ..plan(&self.topology) };
        let report = Connector::start(&self.topology.client, plan).finish().unwrap();
        if report.failed() == 0 { Ok(()) } else { Err(format!("{:?}", report.reasons())) }
    }

    /// Takes all away; the router is as it was before the first start.
    fn withdraw(&mut self, crash_at: &str) {
        self.repair();
        // One that may still die is replaced by one that does not.
        self.rail.kill().unwrap();
        self.rail.start().unwrap();
        let status = self.rail.stop(true).unwrap();
        assert!(status.success(), "{crash_at}: {status}");
        self.is_clean(crash_at);
    }

    fn is_clean(&self, crash_at: &str) {
        self.equals(&self.clean, &format!("{crash_at}: nothing to be left"));
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let record = fs::read_to_string(&self.record).unwrap_or_default();
            eprintln!("at {} after these changes:\n{record}", self.crash_at);
        }
    }
}

/// Longer than this and the clock of the clients means nothing.
const HELD_UP: Duration = Duration::from_millis(150);
/// In all; a machine that is always busy proves nothing.
const REPEATS: usize = 40;

/// With all uplinks and a forward, and without uplink 2 and the forward.
fn configurations(topology: &Topology) -> (String, String) {
    let check = "interval = \"50ms\"\ntimeout = \"200ms\"\nrecover_after = 3\n".into();
    let rest = "[balance]\nby = \"client\"\n".into();
    let full = topology.config(&ConfigText { check, rest, ..ConfigText::default() });
    let parts: Vec<&str> = full.split("\n[[uplink]]").collect();
    assert!(parts.len() == 4 && parts[2].contains("isp2"), "{full}");
    let less = [parts[0], parts[1], parts[3]].join("\n[[uplink]]");
    let forward = "[[forward]]\nprotocol = \"tcp\"\nport = 8080\nto = \"192.168.1.10:80\"\n";
    (full + forward, less)
}
